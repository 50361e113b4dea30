//! Bytes in, verdict and bytes out.

use xdp_lb_abi::{Reason, ReasonKind};

use super::decapsulate;
use crate::{
    balance,
    testing::{
        BACKEND_4, BACKEND_6, Buffer, CLIENT_4, CLIENT_6, Ip, Memory, NODE_4, NODE_6, VIP_4, VIP_6, ethernet,
        header_checksum, ip, tcp,
    },
};

fn inner_4() -> Ip {
    Ip::new(CLIENT_4, VIP_4, 6, tcp(80, 0x10))
}

fn inner_6() -> Ip {
    Ip::new(CLIENT_6, VIP_6, 6, tcp(80, 0x10))
}

fn tunnelled(inner: &Ip, node: &str, backend: &str) -> Ip {
    Ip::new(node, backend, if inner.source.is_ipv4() { 4 } else { 41 }, inner.packet())
}

fn in_4() -> Ip {
    tunnelled(&inner_4(), NODE_4, BACKEND_4)
}

fn in_6() -> Ip {
    tunnelled(&inner_4(), NODE_6, BACKEND_6)
}

fn check(frame: &[u8], reason: Reason) {
    let tables = Memory::with_backend(BACKEND_4);
    let mut buffer = Buffer::new(frame);
    assert_eq!(decapsulate(&mut buffer, &tables).reason(), reason);
    assert_eq!(tables.take_counted(), (0, reason, frame.len() as u64));
    if reason != Reason::Decapsulated {
        assert_eq!(buffer.bytes(), frame);
    }
}

fn unwrapped(outer: &Ip) -> Vec<u8> {
    let mut buffer = Buffer::new(&outer.frame());
    assert_eq!(decapsulate(&mut buffer, &Memory::with_backend(BACKEND_4)).reason(), Reason::Decapsulated);
    buffer.bytes()
}

#[test]
fn the_inner_packet_comes_out_as_it_went_in() {
    for inner in [inner_4(), inner_6()] {
        for (node, backend) in [(NODE_4, BACKEND_4), (NODE_6, BACKEND_6)] {
            assert_eq!(unwrapped(&tunnelled(&inner, node, backend)), inner.frame());
        }
        let with_options = Ip { options: vec![1; 40], ..tunnelled(&inner, NODE_4, BACKEND_4) };
        assert_eq!(unwrapped(&with_options), inner.frame());
    }
}

#[test]
fn what_the_balancer_wraps_is_unwrapped() {
    for backend in [BACKEND_4, BACKEND_6] {
        for inner in [inner_4(), inner_6()] {
            let tables = Memory::with_backend(backend);
            let mut buffer = Buffer::new(&inner.frame());
            assert_eq!(balance(&mut buffer, &tables).reason(), Reason::Forwarded);
            assert_eq!(decapsulate(&mut buffer, &tables).reason(), Reason::Decapsulated);
            let bytes = buffer.bytes();
            assert_eq!(bytes[14..], Ip { ttl: 63, ..inner }.packet());
        }
    }
}

#[test]
fn what_is_not_tunnelled_or_for_another_address_passes() {
    for frame in [
        vec![],
        ethernet(0x0806, &[0; 28]),
        inner_4().frame(),
        inner_6().frame(),
        in_4().frame()[..33].to_vec(),
        in_6().frame()[..53].to_vec(),
        Ip { protocol: 47, ..in_4() }.frame(),
        Ip { destination: ip("10.0.0.12"), ..in_4() }.frame(),
        Ip { destination: ip("10.0.0.12"), fragment: 1, ..in_4() }.frame(),
        Ip { destination: ip("10.0.0.12"), length: Some(3), ..in_4() }.frame(),
        Ip { destination: ip("2001:db8::12"), ..in_6() }.frame(),
        Ip { protocol: 44, payload: vec![6; 8], ..in_6() }.frame(),
    ] {
        check(&frame, Reason::NotTunnel);
    }
}

#[test]
fn strangers_and_foreign_destinations_are_refused() {
    check(&Ip { source: ip("10.0.0.2"), ..in_4() }.frame(), Reason::SourceRefused);
    check(&Ip { source: ip("2001:db8::2"), ..in_6() }.frame(), Reason::SourceRefused);
    let foreign = Ip { destination: ip("192.0.2.99"), ..inner_4() };
    check(&tunnelled(&foreign, NODE_4, BACKEND_4).frame(), Reason::InnerNotVip);
    let foreign = Ip { destination: ip("2001:db8:1::99"), ..inner_6() };
    check(&tunnelled(&foreign, NODE_6, BACKEND_6).frame(), Reason::InnerNotVip);
}

#[test]
fn fragments_of_tunnelled_packets_are_dropped() {
    for fragment in [0x2000, 0x0001] {
        check(&Ip { fragment, ..in_4() }.frame(), Reason::Fragment);
    }
    for inner in [4, 41] {
        check(&Ip { protocol: 44, payload: vec![inner, 0, 0, 1, 0, 0, 0, 0], ..in_6() }.frame(), Reason::Fragment);
    }
}

#[test]
fn outer_lengths_must_agree_with_the_frame() {
    let len = in_4().packet().len() as u16;
    for length in [0, 19, len + 1, u16::MAX] {
        check(&Ip { length: Some(length), ..in_4() }.frame(), Reason::BadLength);
    }
    check(&Ip { length: Some(in_6().payload.len() as u16 + 1), ..in_6() }.frame(), Reason::BadLength);
    let with_options = Ip { options: vec![1; 40], ..in_4() };
    check(&with_options.frame()[..60], Reason::Truncated);
    let mut short_header = in_4().frame();
    short_header[14] = 0x44;
    check(&short_header, Reason::BadLength);
}

#[test]
fn an_inner_packet_must_be_whole_and_of_the_announced_family() {
    for inner in [inner_4(), inner_6()] {
        let outer = tunnelled(&inner, NODE_4, BACKEND_4);
        check(
            &Ip { protocol: if inner.source.is_ipv4() { 41 } else { 4 }, ..outer.clone() }.frame(),
            Reason::InnerMalformed,
        );
        for end in 0..inner.packet().len() {
            let cut = Ip { payload: inner.packet()[..end].to_vec(), ..outer.clone() };
            check(&cut.frame(), Reason::InnerMalformed);
        }
    }
    for length in [0, 19] {
        let inner = Ip { length: Some(length), ..inner_4() };
        check(&tunnelled(&inner, NODE_4, BACKEND_4).frame(), Reason::InnerMalformed);
    }
}

#[test]
fn congestion_marks_leave_the_tunnel_as_in_figure_4_of_rfc_6040() {
    let (not_ect, ect_1, ect_0, ce) = (0b00, 0b01, 0b10, 0b11);
    // Rows: inner; columns: outer Not-ECT, ECT(0), ECT(1), CE.
    let table = [
        (not_ect, [Some(not_ect), Some(not_ect), Some(not_ect), None]),
        (ect_0, [Some(ect_0), Some(ect_0), Some(ect_1), Some(ce)]),
        (ect_1, [Some(ect_1), Some(ect_1), Some(ect_1), Some(ce)]),
        (ce, [Some(ce), Some(ce), Some(ce), Some(ce)]),
    ];
    for (inner_ecn, row) in table {
        for (outer_ecn, result) in [not_ect, ect_0, ect_1, ce].into_iter().zip(row) {
            for inner in [inner_4(), inner_6()] {
                let dscp = 0b1011_1000;
                let inner = Ip { traffic_class: dscp | inner_ecn, ..inner };
                for (node, backend) in [(NODE_4, BACKEND_4), (NODE_6, BACKEND_6)] {
                    let outer = Ip { traffic_class: outer_ecn, ..tunnelled(&inner, node, backend) };
                    match result {
                        Some(ecn) => {
                            let out = unwrapped(&outer);
                            assert_eq!(out, Ip { traffic_class: dscp | ecn, ..inner.clone() }.frame());
                            assert!(inner.source.is_ipv6() || header_checksum(&out[14..34]) == 0);
                        }
                        None => check(&outer.frame(), Reason::EcnRefused),
                    }
                }
            }
        }
    }
}

#[test]
fn damaged_packets_are_counted_once_and_nothing_but_tunnels_is_dropped() {
    let tables = Memory::with_backend(BACKEND_4);
    let mut state = 7u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for round in 0..200_000 {
        let outer = if round % 2 == 0 { in_4() } else { in_6() };
        let mut frame = outer.frame();
        for _ in 0..random() % 4 {
            let at = random() % frame.len();
            frame[at] = random() as u8;
        }
        frame.truncate(random() % (2 * frame.len()));
        let mut buffer = Buffer::new(&frame);
        let reason = decapsulate(&mut buffer, &tables).reason();
        assert_eq!(tables.take_counted(), (0, reason, frame.len() as u64));
        let address = if round % 2 == 0 { frame.get(30..34) } else { frame.get(38..54) };
        let for_tunnel = address.is_some_and(|bytes| outer.packet().windows(bytes.len()).any(|w| w == bytes));
        assert!(for_tunnel || reason.kind() == ReasonKind::Pass, "{reason:?} of a packet for another address");
    }
}
