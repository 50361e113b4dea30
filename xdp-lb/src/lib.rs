//! User-space data plane library: what should be installed, what is, and the way from one to the other.
//!
//! No I/O besides bpf(2), link queries and the pin directory; no clock, no threads, no names of backends: the daemon
//! and the command line bring those.

pub mod apply;
pub mod attach;
pub mod change;
pub mod decap;
pub mod driver;
pub mod explain;
pub mod installed;
pub mod interface;
mod layout;
mod mapped;
pub mod model;
pub mod pins;
pub mod plan;
pub mod program;
pub mod ring;
mod sys;
pub mod tables;
pub mod totals;
pub mod tx_ports;

pub use apply::Writer;
pub use change::Change;
pub use installed::Installed;
pub use model::Desired;
pub use pins::Pins;
pub use plan::{Plan, plan};
pub use tables::Tables;
