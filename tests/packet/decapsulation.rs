//! Tunnelled packets at a backend.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use xdp_lb_abi::Reason;
use xdp_lb_tests::builder::{
    Frame, Ipv4, Ipv6, Raw, Tcp, Udp,
    frame::{self, frame},
    ipv4::MORE_FRAGMENTS,
    ipv6::Extension,
    protocol,
    tunnel::unwrap,
};

use crate::{
    balancer::Balancer,
    decapsulator::Decapsulator,
    forwarding::{COMBINATIONS, packet_to},
    world::{CLIENT_PORT, CLIENT_V4, CLIENT_V6, DNS, GUE_PORT, HTTP, V4_IN_V4, V6_IN_V6, World},
};

const NODE_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 10);
const NODE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x10);
const BACKEND_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);
const BACKEND_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x11);

fn tcp() -> Tcp {
    Tcp::between(CLIENT_PORT, HTTP)
}

fn outer_v4() -> Ipv4 {
    Ipv4::between(NODE_V4, BACKEND_V4)
}

fn outer_v6() -> Ipv6 {
    Ipv6::between(NODE_V6, BACKEND_V6)
}

fn inner_v4() -> Vec<u8> {
    Ipv4::between(CLIENT_V4, V4_IN_V4).carrying(&tcp())
}

fn inner_v6() -> Vec<u8> {
    Ipv6::between(CLIENT_V6, V6_IN_V6).carrying(&tcp())
}

/// An IPv4 packet as the payload of a tunnel.
fn v4_payload(packet: Vec<u8>) -> Raw {
    Raw { protocol: protocol::IPV4, bytes: packet }
}

/// An IPv6 packet as the payload of a tunnel.
fn v6_payload(packet: Vec<u8>) -> Raw {
    Raw { protocol: protocol::IPV6, bytes: packet }
}

#[test]
fn a_tunnelled_packet_is_delivered_byte_for_byte_in_all_four_combinations_of_families() {
    let world = World::all_combinations();
    let mut decapsulator = Decapsulator::new();
    for (name, vip, backend) in COMBINATIONS {
        let outer = if backend.is_ipv4() { 20 } else { 40 };
        for packet in [packet_to(vip, &tcp()), packet_to(vip, &Udp::between(CLIENT_PORT, DNS))] {
            for padded_to in [0, 150] {
                let frame = Frame { padded_to, ..Frame::default() }.around(&packet);
                let tunnelled = world.tunnel(backend).wrap(&frame);
                decapsulator.check_delivered(name, &tunnelled, &unwrap(&tunnelled, outer));
            }
        }
    }
}

#[test]
fn what_the_balancer_wraps_the_backend_unwraps() {
    let world = World::all_combinations();
    let (mut balancer, mut decapsulator) = (Balancer::new(&world), Decapsulator::new());
    for (name, vip, backend) in COMBINATIONS {
        for length in [0, 1, 100, 1440] {
            let segment = Tcp { data: vec![0x5a; length], ..tcp() };
            let tunnelled = balancer.forward(name, &frame(&packet_to(vip, &segment)));
            // One hop further, with the Ethernet addresses of the way between the two.
            let lowered = match vip {
                IpAddr::V4(vip) => Ipv4 { ttl: 60, ..Ipv4::between(CLIENT_V4, vip) }.carrying(&segment),
                IpAddr::V6(vip) => Ipv6 { hop_limit: 60, ..Ipv6::between(CLIENT_V6, vip) }.carrying(&segment),
            };
            let tunnel = world.tunnel(backend);
            let header = Frame { destination: tunnel.next_hop, source: tunnel.egress, ..Frame::default() };
            decapsulator.check_delivered(name, &tunnelled, &header.around(&lowered));
        }
    }
}

#[test]
fn options_of_the_outer_header_go_with_it() {
    let mut decapsulator = Decapsulator::new();
    for length in [4, 40] {
        let outer = Ipv4 { options: vec![1; length], ..outer_v4() };
        let tunnelled = frame(&outer.carrying(&v6_payload(inner_v6())));
        decapsulator.check_delivered("outer options", &tunnelled, &unwrap(&tunnelled, 20 + length));
    }
}

#[test]
fn a_mark_of_congestion_on_the_way_reaches_the_inner_packet() {
    const NOT_ECT: u8 = 0b00;
    const ECT_1: u8 = 0b01;
    const ECT_0: u8 = 0b10;
    const CE: u8 = 0b11;
    const DSCP: u8 = 0xb8;
    // RFC 6040, section 4.2, figure 4: inner, outer, what leaves the tunnel; None is a drop.
    let table = [
        (NOT_ECT, NOT_ECT, Some(NOT_ECT)),
        (NOT_ECT, ECT_0, Some(NOT_ECT)),
        (NOT_ECT, ECT_1, Some(NOT_ECT)),
        (NOT_ECT, CE, None),
        (ECT_0, NOT_ECT, Some(ECT_0)),
        (ECT_0, ECT_0, Some(ECT_0)),
        (ECT_0, ECT_1, Some(ECT_1)),
        (ECT_0, CE, Some(CE)),
        (ECT_1, NOT_ECT, Some(ECT_1)),
        (ECT_1, ECT_0, Some(ECT_1)),
        (ECT_1, ECT_1, Some(ECT_1)),
        (ECT_1, CE, Some(CE)),
        (CE, NOT_ECT, Some(CE)),
        (CE, ECT_0, Some(CE)),
        (CE, ECT_1, Some(CE)),
        (CE, CE, Some(CE)),
    ];
    let mut decapsulator = Decapsulator::new();
    for (inner, outer, left) in table {
        let v4 = |ecn| Ipv4 { traffic_class: DSCP | ecn, ..Ipv4::between(CLIENT_V4, V4_IN_V4) }.carrying(&tcp());
        let v6 = |ecn| Ipv6 { traffic_class: DSCP | ecn, ..Ipv6::between(CLIENT_V6, V6_IN_V6) }.carrying(&tcp());
        let by_v4 = |payload: &Raw| frame(&Ipv4 { traffic_class: outer, ..outer_v4() }.carrying(payload));
        let by_v6 = |payload: &Raw| frame(&Ipv6 { traffic_class: outer, ..outer_v6() }.carrying(payload));
        for (name, tunnelled, becomes) in [
            ("v4 in v4", by_v4(&v4_payload(v4(inner))), left.map(v4)),
            ("v4 in v6", by_v6(&v4_payload(v4(inner))), left.map(v4)),
            ("v6 in v4", by_v4(&v6_payload(v6(inner))), left.map(v6)),
            ("v6 in v6", by_v6(&v6_payload(v6(inner))), left.map(v6)),
        ] {
            let given = format!("{name}: inner {inner:#04b}, outer {outer:#04b}");
            match becomes {
                Some(packet) => decapsulator.check_delivered(&given, &tunnelled, &frame(&packet)),
                None => decapsulator.check_unchanged(&given, &tunnelled, Reason::EcnRefused),
            }
        }
    }
}

#[test]
fn what_is_no_tunnel_of_ours_passes() {
    let mut decapsulator = Decapsulator::new();
    let elsewhere = Ipv4::between(NODE_V4, Ipv4Addr::new(10, 0, 0, 99));
    let mapped = Ipv6::between(NODE_V6, BACKEND_V4.to_ipv6_mapped());
    let behind_options = Ipv6 { extensions: vec![Extension::DestinationOptions(1)], ..outer_v6() };
    for (given, frame) in [
        ("ARP", Frame { ether_type: Some(frame::ARP), ..Frame::default() }.around(&[0; 28])),
        ("TCP to the tunnel address", frame(&outer_v4().carrying(&tcp()))),
        ("a ping to the tunnel address", frame(&outer_v4().carrying(&Raw::echo_request()))),
        ("a packet for a VIP without tunnel", frame(&inner_v4())),
        ("a tunnel to another address", frame(&elsewhere.carrying(&v4_payload(inner_v4())))),
        ("a tunnel to the v4-mapped form of the address", frame(&mapped.carrying(&v4_payload(inner_v4())))),
        ("a tunnel behind IPv6 options", frame(&behind_options.carrying(&v4_payload(inner_v4())))),
        ("IP version 5", frame(&Ipv4 { version: 5, ..outer_v4() }.carrying(&v4_payload(inner_v4())))),
    ] {
        decapsulator.check_unchanged(given, &frame, Reason::NotTunnel);
    }
}

#[test]
fn tunnels_from_anywhere_but_the_configured_sources_are_refused() {
    let mut decapsulator = Decapsulator::new();
    let from_v4 = |source: [u8; 4]| frame(&Ipv4::between(source.into(), BACKEND_V4).carrying(&v4_payload(inner_v4())));
    let from_v6 = |source: &str| {
        frame(&Ipv6::between(source.parse().expect("an address"), BACKEND_V6).carrying(&v4_payload(inner_v4())))
    };
    for (given, frame) in [
        ("before the prefix", from_v4([9, 255, 255, 255])),
        ("behind the prefix", from_v4([10, 0, 1, 0])),
        ("the client", from_v4([198, 51, 100, 2])),
        ("before the IPv6 prefix", from_v6("2001:db8:9:ffff:ffff:ffff:ffff:ffff")),
        ("behind the IPv6 prefix", from_v6("2001:db8:a:1::")),
        ("the v4-mapped form of a source", from_v6("::ffff:10.0.0.10")),
    ] {
        decapsulator.check_unchanged(given, &frame, Reason::SourceRefused);
    }
    for (given, tunnelled, outer) in [
        ("the first of the prefix", from_v4([10, 0, 0, 0]), 20),
        ("the last of the prefix", from_v4([10, 0, 0, 255]), 20),
        ("the last of the IPv6 prefix", from_v6("2001:db8:a:0:ffff:ffff:ffff:ffff"), 40),
    ] {
        decapsulator.check_delivered(given, &tunnelled, &unwrap(&tunnelled, outer));
    }
}

#[test]
fn only_packets_for_vips_leave_the_tunnel() {
    let mut decapsulator = Decapsulator::new();
    let to_v4 = |destination| Ipv4::between(CLIENT_V4, destination).carrying(&tcp());
    let to_v6 = |destination| Ipv6::between(CLIENT_V6, destination).carrying(&tcp());
    for (given, frame) in [
        ("the backend itself", frame(&outer_v4().carrying(&v4_payload(to_v4(BACKEND_V4))))),
        ("a neighbour of a VIP", frame(&outer_v4().carrying(&v4_payload(to_v4(Ipv4Addr::new(192, 0, 2, 45)))))),
        ("another host in IPv6", frame(&outer_v6().carrying(&v6_payload(to_v6(NODE_V6))))),
        ("the v4-mapped form of a VIP", frame(&outer_v4().carrying(&v6_payload(to_v6(V4_IN_V4.to_ipv6_mapped()))))),
    ] {
        decapsulator.check_unchanged(given, &frame, Reason::InnerNotVip);
    }
}

#[test]
fn malformed_packets_do_not_leave_the_tunnel() {
    let mut decapsulator = Decapsulator::new();
    let v4 = |packet| frame(&outer_v4().carrying(&v4_payload(packet)));
    let v6 = |packet| frame(&outer_v6().carrying(&v6_payload(packet)));
    let inner = Ipv4::between(CLIENT_V4, V4_IN_V4);
    let inner_6 = Ipv6::between(CLIENT_V6, V6_IN_V6);
    let length = inner_v4().len() as u16;
    for (given, frame) in [
        ("nothing", v4(Vec::new())),
        ("half a header", v4(inner_v4()[..19].to_vec())),
        ("half an IPv6 header", v6(inner_v6()[..39].to_vec())),
        ("IPv6 where IPv4 is announced", v4(inner_v6())),
        ("IPv4 where IPv6 is announced", v6(inner_v4())),
        ("a header of 4 words", v4(Ipv4 { header_words: Some(4), ..inner.clone() }.carrying(&tcp()))),
        ("a length below the header's", v4(Ipv4 { total_length: Some(19), ..inner.clone() }.carrying(&tcp()))),
        ("a length beyond the outer one", v4(Ipv4 { total_length: Some(length + 1), ..inner }.carrying(&tcp()))),
        ("an IPv6 length beyond the outer one", v6(Ipv6 { payload_length: Some(999), ..inner_6 }.carrying(&tcp()))),
    ] {
        decapsulator.check_unchanged(given, &frame, Reason::InnerMalformed);
    }
}

#[test]
fn outer_headers_that_make_no_sense_are_refused() {
    let mut decapsulator = Decapsulator::new();
    let v4 = |outer: Ipv4| frame(&outer.carrying(&v4_payload(inner_v4())));
    let v6 = |outer: Ipv6| frame(&outer.carrying(&v6_payload(inner_v6())));
    let fragment = |offset, is_followed| vec![Extension::Fragment { offset, is_followed }];
    for (given, frame, reason) in [
        ("a first fragment", v4(Ipv4 { flags_and_offset: MORE_FRAGMENTS, ..outer_v4() }), Reason::Fragment),
        ("a later fragment", v4(Ipv4 { flags_and_offset: 4, ..outer_v4() }), Reason::Fragment),
        ("a first IPv6 fragment", v6(Ipv6 { extensions: fragment(0, true), ..outer_v6() }), Reason::Fragment),
        ("a later IPv6 fragment", v6(Ipv6 { extensions: fragment(9, false), ..outer_v6() }), Reason::Fragment),
        ("a header of 4 words", v4(Ipv4 { header_words: Some(4), ..outer_v4() }), Reason::BadLength),
        ("a length below the header's", v4(Ipv4 { total_length: Some(19), ..outer_v4() }), Reason::BadLength),
        ("a length beyond the frame", v4(Ipv4 { total_length: Some(999), ..outer_v4() }), Reason::BadLength),
        ("an IPv6 length beyond the frame", v6(Ipv6 { payload_length: Some(999), ..outer_v6() }), Reason::BadLength),
        (
            "a header beyond the frame",
            frame(
                &Ipv4 { header_words: Some(15), total_length: Some(60), ..outer_v4() }
                    .carrying(&v4_payload(Vec::new())),
            ),
            Reason::Truncated,
        ),
    ] {
        decapsulator.check_unchanged(given, &frame, reason);
    }
}

#[test]
fn a_tunnelled_frame_cut_at_any_length_is_counted_and_unchanged() {
    let world = World::all_combinations();
    let mut decapsulator = Decapsulator::new();
    for (name, vip, backend) in COMBINATIONS {
        let whole = world.tunnel(backend).wrap(&frame(&packet_to(vip, &tcp())));
        let outer_end = frame::HEADER + if backend.is_ipv4() { 20 } else { 40 };
        for length in frame::HEADER..whole.len() {
            let reason = if length < outer_end { Reason::NotTunnel } else { Reason::BadLength };
            decapsulator.check_unchanged(&format!("{name}, cut to {length} bytes"), &whole[..length], reason);
        }
    }
}

/// A packet as GUE of variant 1 carries it: in a datagram for the port of GUE.
fn gue_payload(packet: Vec<u8>) -> Udp {
    Udp { source: 50_000, destination: GUE_PORT, length: None, data: packet }
}

#[test]
fn only_gue_from_a_source_for_a_vip_leaves_its_tunnel() {
    let mut decapsulator = Decapsulator::new();
    let mut check = |given: &str, packet: Vec<u8>, reason| decapsulator.check_unchanged(given, &frame(&packet), reason);
    let gue = gue_payload(inner_v4());
    let stranger = Ipv4::between(Ipv4Addr::new(10, 0, 1, 10), BACKEND_V4);
    check("a source that is not ours", stranger.carrying(&gue), Reason::SourceRefused);
    let elsewhere = Ipv4::between(NODE_V4, Ipv4Addr::new(10, 0, 0, 12));
    check("another address", elsewhere.carrying(&gue), Reason::NotTunnel);
    let other_port = Udp { destination: GUE_PORT + 1, ..gue_payload(inner_v4()) };
    check("another port", outer_v4().carrying(&other_port), Reason::NotTunnel);
    check("a query of the node's own", outer_v4().carrying(&Udp::between(CLIENT_PORT, DNS)), Reason::NotTunnel);
    let fragment = Ipv4 { flags_and_offset: MORE_FRAGMENTS, ..outer_v4() };
    check("a fragment, which may be anybody's", fragment.carrying(&gue), Reason::NotTunnel);

    let no_vip = Ipv4::between(CLIENT_V4, Ipv4Addr::new(192, 0, 2, 99)).carrying(&tcp());
    check("no VIP", outer_v4().carrying(&gue_payload(no_vip)), Reason::InnerNotVip);
    let noise = Ipv4 { version: 1, ..Ipv4::between(CLIENT_V4, V4_IN_V4) }.carrying(&tcp());
    check("no IP inside", outer_v6().carrying(&gue_payload(noise)), Reason::InnerMalformed);
    check(
        "variant 0",
        outer_v4().carrying(&gue_payload([&[0, 4, 0, 0][..], &inner_v4()].concat())),
        Reason::InnerMalformed,
    );
    check("nothing inside", outer_v4().carrying(&gue_payload(Vec::new())), Reason::InnerMalformed);
    let short = Udp { length: Some(20), ..gue_payload(inner_v4()) };
    check("a datagram shorter than the packet inside", outer_v4().carrying(&short), Reason::InnerMalformed);
    let least = Udp { length: Some(7), ..gue_payload(inner_v4()) };
    check("a datagram shorter than its header", outer_v4().carrying(&least), Reason::BadLength);
    let long = Udp { length: Some(2000), ..gue_payload(inner_v4()) };
    check("a datagram longer than its packet", outer_v6().carrying(&long), Reason::BadLength);
}

#[test]
fn gue_behind_outer_options_and_with_options_of_udp_leaves_its_tunnel() {
    let mut decapsulator = Decapsulator::new();
    let outer = Ipv4 { options: vec![1; 40], ..outer_v4() };
    let tunnelled = frame(&outer.carrying(&gue_payload(inner_v6())));
    decapsulator.check_delivered("outer options", &tunnelled, &unwrap(&tunnelled, 68));
    // Behind the datagram there may be options (RFC 9868): they are no part of the packet inside.
    let inner = inner_v4();
    let datagram = Udp {
        length: Some(u16::try_from(inner.len()).expect("a length") + 8),
        ..gue_payload([inner, vec![0; 12]].concat())
    };
    let tunnelled = frame(&outer_v6().carrying(&datagram));
    decapsulator.check_delivered("UDP options", &tunnelled, &unwrap(&tunnelled, 48));
}
