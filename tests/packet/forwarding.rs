//! Packets for a service: every byte that leaves, against the independent builder.

use std::net::IpAddr;

use xdp_lb::model::{NextHopSpec, Protocol, Service};
use xdp_lb_abi::{Gates, Reason};
use xdp_lb_tests::builder::{
    Ipv4, Ipv6, Payload, Tcp, Udp, checksum,
    frame::{self, Frame, frame},
    ipv6::Extension,
};

use crate::{
    balancer::{Balancer, CountedAt, Expected},
    told::{Told, answer},
    world::{
        BACKEND_V4, BACKEND_V6, CLIENT_PORT, CLIENT_V4, CLIENT_V6, DNS, HTTP, MTU, V4_IN_V4, V4_IN_V6, V6_IN_V4,
        V6_IN_V6, Way, World,
    },
};

/// Each VIP with the backend that its packets go to.
pub(crate) const COMBINATIONS: [(&str, IpAddr, IpAddr); 4] = [
    ("IPv4 in IPv4", IpAddr::V4(V4_IN_V4), BACKEND_V4),
    ("IPv4 in IPv6", IpAddr::V4(V4_IN_V6), BACKEND_V6),
    ("IPv6 in IPv4", IpAddr::V6(V6_IN_V4), BACKEND_V4),
    ("IPv6 in IPv6", IpAddr::V6(V6_IN_V6), BACKEND_V6),
];

/// A packet from the client to this VIP.
pub(crate) fn packet_to(vip: IpAddr, payload: &impl Payload) -> Vec<u8> {
    match vip {
        IpAddr::V4(vip) => Ipv4::between(CLIENT_V4, vip).carrying(payload),
        IpAddr::V6(vip) => Ipv6::between(CLIENT_V6, vip).carrying(payload),
    }
}

/// The frame must reach the backend through its tunnel.
fn forwarded(world: &World, frame: &[u8], service: (IpAddr, u16, Protocol), backend: IpAddr) -> Expected {
    let (address, port, protocol) = service;
    Expected::Forwarded {
        service: Service::new(address, port, protocol),
        backend,
        frame: world.tunnel(backend).wrap(frame),
    }
}

#[test]
fn a_packet_is_wrapped_byte_for_byte_in_all_four_combinations_of_families() {
    let world = World::all_combinations();
    let mut balancer = Balancer::new(&world);
    for (name, vip, backend) in COMBINATIONS {
        let segment = frame(&packet_to(vip, &Tcp::between(CLIENT_PORT, HTTP)));
        let expected = forwarded(&world, &segment, (vip, HTTP, Protocol::Tcp), backend);
        balancer.check(&format!("{name}, TCP"), &segment, &expected);

        let datagram = frame(&packet_to(vip, &Udp::between(CLIENT_PORT, DNS)));
        let expected = forwarded(&world, &datagram, (vip, DNS, Protocol::Udp), backend);
        balancer.check(&format!("{name}, UDP"), &datagram, &expected);
    }
}

#[test]
fn what_a_packet_carries_in_its_headers_stays_as_it_is() {
    let world = World::all_combinations();
    let mut balancer = Balancer::new(&world);
    let tcp = Tcp::between(CLIENT_PORT, HTTP);
    let v4 = |vip| Ipv4::between(CLIENT_V4, vip);
    let v6 = |vip| Ipv6::between(CLIENT_V6, vip);
    let behind = |extensions| Ipv6 { extensions, ..v6(V6_IN_V6) }.carrying(&tcp);
    let four = vec![
        Extension::HopByHop(1),
        Extension::Routing(0),
        Extension::Authentication(4),
        Extension::DestinationOptions(2),
    ];
    let no_operation = 1;
    let record_route = [7, 39].into_iter().chain([4]).chain([0; 36]).chain([no_operation]).collect();
    let timestamps = [&[no_operation, no_operation, 8, 10][..], &[0x11; 8]].concat();
    let most_options = vec![no_operation; 40];
    let cases = [
        ("IPv4 options", Ipv4 { options: vec![no_operation; 4], ..v4(V4_IN_V4) }.carrying(&tcp)),
        ("as many IPv4 options as there can be", Ipv4 { options: record_route, ..v4(V4_IN_V4) }.carrying(&tcp)),
        ("IPv4 options, IPv6 tunnel", Ipv4 { options: vec![no_operation; 40], ..v4(V4_IN_V6) }.carrying(&tcp)),
        ("fragmentation allowed", Ipv4 { flags_and_offset: 0, ..v4(V4_IN_V4) }.carrying(&tcp)),
        ("the reserved flag", Ipv4 { flags_and_offset: 0x8000, ..v4(V4_IN_V4) }.carrying(&tcp)),
        ("DSCP and congestion, v4 in v4", Ipv4 { traffic_class: 0xbb, ..v4(V4_IN_V4) }.carrying(&tcp)),
        ("DSCP and congestion, v4 in v6", Ipv4 { traffic_class: 0xbb, ..v4(V4_IN_V6) }.carrying(&tcp)),
        ("DSCP and congestion, v6 in v4", Ipv6 { traffic_class: 0xbb, ..v6(V6_IN_V4) }.carrying(&tcp)),
        ("DSCP and congestion, v6 in v6", Ipv6 { traffic_class: 0xbb, ..v6(V6_IN_V6) }.carrying(&tcp)),
        ("a flow label of its own", Ipv6 { flow_label: 0xf_ffff, ..v6(V6_IN_V6) }.carrying(&tcp)),
        ("a SYN", v4(V4_IN_V4).carrying(&Tcp::syn(CLIENT_PORT, HTTP))),
        ("TCP options", v6(V6_IN_V6).carrying(&Tcp { options: timestamps, ..tcp.clone() })),
        ("as many TCP options as there can be", v4(V4_IN_V4).carrying(&Tcp { options: most_options, ..tcp.clone() })),
        ("reset with FIN, which some stacks send", v4(V4_IN_V4).carrying(&Tcp { flags: 0x05, ..tcp.clone() })),
        ("every flag but SYN", v4(V4_IN_V4).carrying(&Tcp { flags: 0xfd, ..tcp.clone() })),
        ("hop-by-hop options", behind(vec![Extension::HopByHop(1)])),
        ("1,200 bytes of options", behind(vec![Extension::DestinationOptions(150)])),
        ("a routing header", behind(vec![Extension::Routing(4)])),
        ("an authentication header", behind(vec![Extension::Authentication(3)])),
        ("an atomic fragment (RFC 6946)", behind(vec![Extension::Fragment { offset: 0, is_followed: false }])),
        ("four extension headers", behind(four)),
        ("the last hop but one, v4", Ipv4 { ttl: 2, ..v4(V4_IN_V4) }.carrying(&tcp)),
        ("the last hop but one, v6", Ipv6 { hop_limit: 2, ..v6(V6_IN_V4) }.carrying(&tcp)),
        ("the highest TTL", Ipv4 { ttl: 255, ..v4(V4_IN_V6) }.carrying(&tcp)),
    ];
    for (given, packet) in cases {
        let vip = destination(&packet);
        let backend = COMBINATIONS.iter().find(|(_, of, _)| *of == vip).expect("a VIP of the world").2;
        let incoming = frame(&packet);
        let expected = forwarded(&world, &incoming, (vip, HTTP, Protocol::Tcp), backend);
        balancer.check(given, &incoming, &expected);
    }
}

/// Destination address of a packet without regard to anything else.
fn destination(packet: &[u8]) -> IpAddr {
    if packet[0] >> 4 == 4 {
        <[u8; 4]>::try_from(&packet[16..20]).expect("four bytes").into()
    } else {
        <[u8; 16]>::try_from(&packet[24..40]).expect("sixteen bytes").into()
    }
}

#[test]
fn packets_of_every_size_up_to_the_mtu_are_forwarded_and_no_longer_ones() {
    let world = World::all_combinations();
    let mut balancer = Balancer::new(&world);
    for (name, vip, backend) in COMBINATIONS {
        let outer = if backend.is_ipv4() { 20 } else { 40 };
        let empty = packet_to(vip, &Tcp { data: Vec::new(), ..Tcp::between(CLIENT_PORT, HTTP) }).len();
        let longest = usize::from(MTU) - outer - empty;
        for length in [0, 1, 2, 3, 64, 500, 1441, longest - 1, longest] {
            let segment = Tcp { data: vec![0x5a; length], ..Tcp::between(CLIENT_PORT, HTTP) };
            let incoming = frame(&packet_to(vip, &segment));
            let expected = forwarded(&world, &incoming, (vip, HTTP, Protocol::Tcp), backend);
            balancer.check(&format!("{name}, {length} bytes of data"), &incoming, &expected);
        }
        let segment = Tcp { data: vec![0x5a; longest + 1], ..Tcp::between(CLIENT_PORT, HTTP) };
        let service = Service::new(vip, HTTP, Protocol::Tcp);
        let incoming = frame(&packet_to(vip, &segment));
        let told = answer(&incoming, Told::TooBig(MTU - outer as u16));
        let expected = Expected::Replied(Reason::PacketTooBig, CountedAt::Service(service), told);
        balancer.check(&format!("{name}, a byte too long"), &incoming, &expected);
    }
}

#[test]
fn the_least_udp_datagrams_are_forwarded() {
    let world = World::all_combinations();
    let mut balancer = Balancer::new(&world);
    for (name, vip, backend) in COMBINATIONS {
        for length in [0, 1] {
            let datagram = Udp { data: vec![7; length], ..Udp::between(CLIENT_PORT, DNS) };
            let incoming = frame(&packet_to(vip, &datagram));
            let expected = forwarded(&world, &incoming, (vip, DNS, Protocol::Udp), backend);
            balancer.check(&format!("{name}, {length} bytes of data"), &incoming, &expected);
        }
    }
}

#[test]
fn padding_of_short_frames_is_no_part_of_the_packet() {
    let world = World::all_combinations();
    let mut balancer = Balancer::new(&world);
    for (name, vip, backend) in COMBINATIONS {
        let segment = packet_to(vip, &Tcp { data: Vec::new(), ..Tcp::between(CLIENT_PORT, HTTP) });
        for padded_to in [frame::SHORTEST, 100] {
            let incoming = Frame { padded_to, ..Frame::default() }.around(&segment);
            let expected = forwarded(&world, &incoming, (vip, HTTP, Protocol::Tcp), backend);
            balancer.check(&format!("{name}, padded to {padded_to}"), &incoming, &expected);
        }
    }
}

#[test]
fn a_jumbo_packet_in_several_buffers_is_forwarded_whole() {
    let backend = Way::plain(BACKEND_V6);
    let jumbo = Way { hop: NextHopSpec { mtu: 9100, ..backend.hop }, ..backend };
    let world = World::empty().with(V4_IN_V6, HTTP, Protocol::Tcp, &[jumbo]);
    let mut balancer = Balancer::new(&world);
    let segment = Tcp { data: (0..8900).map(|n: u32| n as u8).collect(), ..Tcp::between(CLIENT_PORT, HTTP) };
    let incoming = frame(&packet_to(V4_IN_V6.into(), &segment));
    let expected = forwarded(&world, &incoming, (V4_IN_V6.into(), HTTP, Protocol::Tcp), BACKEND_V6);
    balancer.check("9,000 bytes", &incoming, &expected);
}

#[test]
fn a_wrong_header_checksum_stays_wrong() {
    let world = World::all_combinations();
    let mut balancer = Balancer::new(&world);
    let right = Ipv4::between(CLIENT_V4, V4_IN_V4);
    let tcp = Tcp::between(CLIENT_PORT, HTTP);
    let good = frame(&right.carrying(&tcp));
    let found = u16::from_be_bytes([good[24], good[25]]);
    let incoming = frame(&Ipv4 { checksum: Some(found ^ 0x0400), ..right }.carrying(&tcp));
    let output = balancer.forward("a flipped bit in the checksum", &incoming);
    assert_ne!(checksum::of(&output[34..54]), 0, "the backend could not tell that the packet is damaged");
}

#[test]
fn without_the_gate_the_ttl_stays() {
    let mut world = World::all_combinations();
    world.gates = world.gates.with(Gates::DECREMENT_TTL, false);
    let mut balancer = Balancer::new(&world);
    for (name, vip, backend) in COMBINATIONS {
        let packet = match vip {
            IpAddr::V4(vip) => Ipv4 { ttl: 1, ..Ipv4::between(CLIENT_V4, vip) }.carrying(&Tcp::syn(CLIENT_PORT, HTTP)),
            IpAddr::V6(vip) => {
                Ipv6 { hop_limit: 1, ..Ipv6::between(CLIENT_V6, vip) }.carrying(&Tcp::syn(CLIENT_PORT, HTTP))
            }
        };
        let incoming = frame(&packet);
        let expected = forwarded(&world, &incoming, (vip, HTTP, Protocol::Tcp), backend);
        balancer.check(&format!("{name}, TTL 1"), &incoming, &expected);
    }
}

#[test]
fn without_the_gate_strange_tcp_flags_are_forwarded() {
    let mut world = World::all_combinations();
    world.gates = world.gates.with(Gates::CHECK_TCP_FLAGS, false);
    let mut balancer = Balancer::new(&world);
    for flags in [0x00, 0x01, 0x03, 0x06, 0x29, 0xff] {
        let segment = Tcp { flags, ..Tcp::between(CLIENT_PORT, HTTP) };
        let incoming = frame(&packet_to(V4_IN_V4.into(), &segment));
        let expected = forwarded(&world, &incoming, (V4_IN_V4.into(), HTTP, Protocol::Tcp), BACKEND_V4);
        balancer.check(&format!("flags {flags:#04x}"), &incoming, &expected);
    }
}
