//! Packets that nobody has thought of.

use std::{cell::RefCell, net::IpAddr};

use proptest::{
    collection::vec,
    prelude::{Strategy, any, prop},
    test_runner::{Config, TestRunner},
};
use xdp_lb_abi::Reason;
use xdp_lb_tests::builder::{Tcp, Tunnel, Udp, frame::frame};

use crate::{
    balancer::Balancer,
    decapsulator::Decapsulator,
    forwarding::{COMBINATIONS, packet_to},
    world::{CLIENT_PORT, DNS, HTTP, World},
};

/// Enough to reach every header field several times, in about a second.
const CASES: u32 = 2000;

fn check(frames: &impl Strategy<Value = Vec<u8>>, test: impl Fn(&[u8])) {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(frames, |frame| {
        test(&frame);
        Ok(())
    });
    outcome.expect("every frame is counted once, and changed only if it is sent on");
}

/// Bytes without any sense; the kernel refuses less than an Ethernet header.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 14..300)
}

/// A sound packet for a VIP with some bytes replaced, cut off or added.
fn damaged(sound: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let replaced = vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let added = vec(any::<u8>(), 0..40);
    (prop::sample::select(sound), replaced, added, any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(mut frame, replaced, added, end, is_cut)| {
            for (index, byte) in replaced {
                let at = index.index(frame.len());
                frame[at] = byte;
            }
            frame.extend(added);
            if is_cut {
                frame.truncate(14 + end.index(frame.len() - 14));
            }
            frame
        },
    )
}

fn sound() -> Vec<Vec<u8>> {
    let vips = COMBINATIONS.iter().map(|(_, vip, _)| *vip);
    vips.flat_map(|vip: IpAddr| {
        [
            frame(&packet_to(vip, &Tcp { options: vec![1; 12], ..Tcp::between(CLIENT_PORT, HTTP) })),
            frame(&packet_to(vip, &Udp::between(CLIENT_PORT, DNS))),
        ]
    })
    .collect()
}

fn tunnelled() -> Vec<Vec<u8>> {
    let world = World::all_combinations();
    let tunnels: Vec<Tunnel> = COMBINATIONS.iter().map(|(_, _, backend)| world.tunnel(*backend)).collect();
    sound().iter().flat_map(|frame| tunnels.iter().map(|tunnel| tunnel.wrap(frame))).collect()
}

#[test]
fn any_frame_is_counted_once_and_changed_only_if_forwarded() {
    let balancer = RefCell::new(Balancer::new(&World::all_combinations()));
    let reason = |frame: &[u8]| balancer.borrow_mut().reason("a random frame", frame);
    check(&noise(), |frame| {
        reason(frame);
    });
    let forwarded = RefCell::new(0);
    check(&damaged(sound()), |frame| {
        if reason(frame) == Reason::Forwarded {
            *forwarded.borrow_mut() += 1;
        }
    });
    let forwarded = forwarded.into_inner();
    assert!(forwarded > CASES / 20, "only {forwarded} frames were sound enough to be forwarded");
}

#[test]
fn any_frame_is_counted_once_and_changed_only_if_decapsulated() {
    let decapsulator = RefCell::new(Decapsulator::new());
    let reason = |frame: &[u8]| decapsulator.borrow_mut().reason("a random frame", frame);
    check(&noise(), |frame| {
        reason(frame);
    });
    let delivered = RefCell::new(0);
    check(&damaged(tunnelled()), |frame| {
        if reason(frame) == Reason::Decapsulated {
            *delivered.borrow_mut() += 1;
        }
    });
    let delivered = delivered.into_inner();
    assert!(delivered > CASES / 20, "only {delivered} frames were sound enough to be delivered");
}
