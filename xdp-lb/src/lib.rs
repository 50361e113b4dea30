//! User-space data plane library: what should be installed, what is, and the way from one to the other.
//!
//! No I/O besides bpf(2), link queries and the pin directory; no clock, no threads, no names of backends: the daemon
//! and the command line bring those.

pub mod installed;
pub mod model;
pub mod plan;
pub mod ring;

pub use installed::Installed;
pub use model::Desired;
pub use plan::{Change, Plan, plan};
