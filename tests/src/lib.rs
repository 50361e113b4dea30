//! The shared ground of the tests and the demo: hosts made of network namespaces, the real daemons and servers in
//! them, and a packet builder that knows nothing of the data plane's code.
//!
//! Everything here needs root. What a run creates carries its process id in its name and goes when its guard is
//! dropped; what a killed run left behind goes when the next run starts.

pub mod agent;
pub mod bed;
pub mod builder;
pub mod deployment;
pub mod http;
pub mod model;
pub mod optional;
pub mod poll;
pub mod test_run;
pub mod traffic;
