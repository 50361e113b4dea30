//! Test beds and packet builders.
