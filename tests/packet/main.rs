//! Packets through the real programs, by `BPF_PROG_TEST_RUN`: bytes in, and verdict, bytes and counters out.
//!
//! The programs come from `cargo xtask build-ebpf`, the maps are filled by the library as the agent does it. No
//! interface takes part.

mod balancer;
mod choice;
mod cut_frames;
mod decapsulation;
mod decapsulator;
mod forwarding;
mod random;
mod refusals;
mod test_run;
mod world;
