//! Packets through the real programs, by `BPF_PROG_TEST_RUN`: bytes in, and verdict, bytes and counters out.
//!
//! The programs come from `cargo xtask build-ebpf`, the maps are filled by the library as the agent does it. No
//! interface takes part.

mod balancer;
mod choice;
mod cut_frames;
mod decapsulation;
mod decapsulator;
mod echo;
mod forwarding;
mod fragments;
mod icmp_errors;
mod modes;
mod ports;
mod random;
mod ranges;
mod refusals;
mod told;
mod verified;
mod world;

use xdp_lb_tests::test_run;

/// A reason that no case expects is a reason that nobody knows to be right.
#[test]
fn every_reason_has_a_case() {
    let cases = [
        include_str!("balancer.rs"),
        include_str!("choice.rs"),
        include_str!("cut_frames.rs"),
        include_str!("decapsulation.rs"),
        include_str!("echo.rs"),
        include_str!("forwarding.rs"),
        include_str!("fragments.rs"),
        include_str!("icmp_errors.rs"),
        include_str!("modes.rs"),
        include_str!("ports.rs"),
        include_str!("random.rs"),
        include_str!("refusals.rs"),
        include_str!("told.rs"),
    ]
    .concat();
    for reason in xdp_lb_abi::Reason::ALL {
        assert!(cases.contains(&format!("Reason::{reason:?}")), "no case expects {}", reason.name());
    }
}
