//! The daemon: sources of desired state, the reconcile loop, metrics and the control API.
//!
//! ```text
//! config_file -> config --+
//! health ------- checks --+-> assemble -> data_plane (plan, apply) -> BPF maps
//! next_hops --------------+   \________ reconcile: the one owner ________/
//! status <- reconcile;   server -> report, metrics <- status, maps
//! ```
#![forbid(unsafe_code)]

pub mod agent;
pub mod assemble;
pub mod checks;
pub mod config;
pub mod config_file;
pub mod data_plane;
pub mod health;
pub mod logging;
pub mod metrics;
pub mod next_hops;
pub mod reconcile;
pub mod report;
pub mod server;
pub mod status;
