//! The daemon: sources of desired state, the reconcile loop, metrics and the control API.
#![forbid(unsafe_code)]

pub mod config;
pub mod health;
pub mod next_hops;
