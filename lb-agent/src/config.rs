//! The config file: from text to a checked [`Config`], or every error with its place.
