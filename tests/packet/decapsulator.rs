//! The decapsulation program, loaded and filled as the agent does it, and what it counts.

use std::net::IpAddr;

use xdp_lb::{
    Pins,
    decap::{Acceptance, Accepted},
    pins::PinsLock,
    program::{Program, ProgramKind},
    totals,
};
use xdp_lb_abi::{Reason, ReasonKind, program};
use xdp_lb_tests::bed::{BpfFs, Scratch};

use crate::{
    balancer::{action, hex},
    test_run::{self, Output},
    world::{BACKEND_V4, BACKEND_V6, GUE_PORT, V4_IN_V4, V4_IN_V6, V6_IN_V4, V6_IN_V6},
};

/// A loaded decapsulation program of a backend with [`BACKEND_V4`] and [`BACKEND_V6`] and all VIPs of the world, which
/// takes tunnels from `10.0.0.0/24` and `2001:db8:a::/64`. Pins go with the file system that they are in.
pub(crate) struct Decapsulator {
    program: Program,
    pins: Pins,
    _lock: PinsLock,
    _bpffs: BpfFs,
    _scratch: Scratch,
}

impl Decapsulator {
    pub(crate) fn new() -> Self {
        let scratch = Scratch::create().expect("a directory (packet tests need root)");
        let bpffs = BpfFs::mount(scratch.path().join("bpf")).expect("a BPF file system");
        let pins = Pins::new(bpffs.path());
        let lock = pins.prepare().expect("the pin directory");
        let program =
            Program::load(&pins, &lock, ProgramKind::Decapsulator { gue_port: GUE_PORT }).expect("the program loads");
        let vips: [IpAddr; 4] = [V4_IN_V4.into(), V4_IN_V6.into(), V6_IN_V4.into(), V6_IN_V6.into()];
        let accepted = Accepted {
            tunnels: [BACKEND_V4, BACKEND_V6].into(),
            sources: [(IpAddr::from([10, 0, 0, 0]), 24), ("2001:db8:a::".parse().expect("an address"), 64)].into(),
            vips: vips.into(),
        };
        Acceptance::open(&pins).expect("the maps").set(&accepted).expect("the maps are written");
        Self { program, pins, _lock: lock, _bpffs: bpffs, _scratch: scratch }
    }

    /// A frame that must be handed to the stack as `becomes`.
    pub(crate) fn check_delivered(&mut self, given: &str, frame: &[u8], becomes: &[u8]) {
        let output = self.run(given, frame, Reason::Decapsulated);
        assert_eq!(hex(&output.frame), hex(becomes), "{given}: bytes");
    }

    /// A frame that must stay as it is.
    pub(crate) fn check_unchanged(&mut self, given: &str, frame: &[u8], reason: Reason) {
        let output = self.run(given, frame, reason);
        assert_eq!(hex(&output.frame), hex(frame), "{given}: bytes");
    }

    fn run(&mut self, given: &str, frame: &[u8], expected: Reason) -> Output {
        let (output, reason) = self.run_counted(given, frame);
        assert_eq!(reason.name(), expected.name(), "{given}");
        output
    }

    /// Runs a frame and returns the reason it was counted under; its bytes must not change unless delivered.
    pub(crate) fn reason(&mut self, given: &str, frame: &[u8]) -> Reason {
        let (output, reason) = self.run_counted(given, frame);
        if reason.kind() != ReasonKind::Deliver {
            assert_eq!(hex(&output.frame), hex(frame), "{given}: {} changed the packet", reason.name());
        }
        reason
    }

    /// Runs a frame, which must be counted exactly once.
    fn run_counted(&mut self, given: &str, frame: &[u8]) -> (Output, Reason) {
        let before = totals::decapsulation(&self.pins).expect("the counters");
        let output = test_run::run(self.program.object(), program::XDP_DECAP, frame);
        let after = totals::decapsulation(&self.pins).expect("the counters");
        assert_eq!(after.bytes - before.bytes, frame.len() as u64, "{given}: bytes counted");
        let counted: Vec<_> = Reason::ALL
            .iter()
            .map(|reason| (*reason, after.of(*reason) - before.of(*reason)))
            .filter(|(_, packets)| *packets > 0)
            .collect();
        let [(reason, 1)] = counted[..] else { panic!("{given}: counted under {counted:?}") };
        assert_eq!(output.action, action(reason), "{given}: {}", reason.name());
        (output, reason)
    }
}
