//! User-space data plane library: what should be installed, what is, and the way from one to the other.
//!
//! No I/O besides bpf(2) and the pin directory, no clock, no threads, no names of backends: the daemon and the command
//! line bring those.

pub mod model;
