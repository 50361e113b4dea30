//! The backend's program against its model.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use fastrand::Rng;
use xdp_lb::{
    Pins,
    decap::{Acceptance, Accepted},
    program::{Program, ProgramKind},
    totals,
};
use xdp_lb_abi::{Reason, ReasonKind, program};
use xdp_lb_tests::{
    bed::{BpfFs, Scratch},
    model::Decapsulation,
    test_run::{self, Action},
};

use crate::{configs, frames::Frames, round::hex};

const GUE_PORT: u16 = 6635;
const SOURCES: [(IpAddr, u8); 2] =
    [(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 16), (IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0)), 64)];
/// Where tunnels end.
pub(crate) const TUNNELS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 1))];

/// Compares program and model on so many packets.
pub(crate) fn compare(seed: u64, packets: usize) {
    let scratch = Scratch::create().expect("a directory (these tests need root)");
    let bpffs = BpfFs::mount(scratch.path().join("bpf")).expect("a BPF file system");
    let pins = Pins::new(bpffs.path());
    let lock = pins.prepare().expect("the pin directory");
    let kind = ProgramKind::Decapsulator { gue_port: GUE_PORT };
    let mut program = Program::load(&pins, &lock, kind).expect("the program loads");
    // One of the addresses that packets are for is no VIP here.
    let vips = configs::vips().split_off(1);
    let accepted = Accepted { tunnels: TUNNELS.into(), sources: SOURCES.into(), vips: vips.iter().copied().collect() };
    Acceptance::open(&pins).expect("the maps").set(&accepted).expect("the maps are written");
    let sources = vec![vec![10, 0], vec![0x20, 1, 0xd, 0xb8, 0, 0xa, 0, 0]];
    let model = Decapsulation { gue_port: GUE_PORT, tunnels: TUNNELS.into(), sources, vips };

    let mut rng = Rng::with_seed(seed);
    let frames = Frames::for_config(&configs::random(&mut rng));
    let mut met: BTreeMap<Reason, u64> = BTreeMap::new();
    let mut before = totals::decapsulation(&pins).expect("the counters");
    for _ in 0..packets {
        let frame = frames.tunnelled(&mut rng, GUE_PORT);
        let (reason, becomes) = model.judge(&frame);
        let output = test_run::run(program.object(), program::XDP_DECAP, &frame);
        let after = totals::decapsulation(&pins).expect("the counters");
        let counted: Vec<_> = Reason::ALL.iter().filter(|reason| after.of(**reason) > before.of(**reason)).collect();
        let action = if reason.kind() == ReasonKind::Drop { Action::Drop } else { Action::Pass };
        let is_same = output.action == action && output.frame == becomes;
        assert!(
            is_same && counted == [&reason] && after.bytes - before.bytes == frame.len() as u64,
            "seed {seed}, {}:\nmodel: {reason:?}\n  {}\nprogram: {counted:?}\n  {:?} {}",
            hex(&frame),
            hex(&becomes),
            output.action,
            hex(&output.frame)
        );
        before = after;
        *met.entry(reason).or_default() += 1;
    }
    eprintln!("seed {seed}, {packets} packets at a backend: {met:?}");
    assert_eq!(met.len(), 9, "some reason was not met: {met:?}");
}
