//! Ways to a backend other than IP in IP.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use xdp_lb::model::{Mode, NextHopSpec, Protocol, Service};
use xdp_lb_abi::{Gates, Reason};
use xdp_lb_tests::builder::{
    Ipv4, Ipv6, Tcp, Tunnel, Udp,
    frame::{self, Frame, frame},
    tunnel::unwrap,
};

use crate::{
    balancer::{Balancer, CountedAt, Expected},
    decapsulator::Decapsulator,
    forwarding::{COMBINATIONS, packet_to},
    told::{Told, answer},
    world::{CLIENT_PORT, CLIENT_V4, CLIENT_V6, DNS, GUE_PORT, HTTP, MTU, Way, World},
};

/// TCP and UDP on the VIP of each combination of families, with backends that are reached in this mode.
fn world(mode: Mode) -> World {
    COMBINATIONS.into_iter().fold(World::empty(), |world, (_, vip, backend)| {
        let way = Way { mode, ..Way::plain(backend) };
        world.with(vip, HTTP, Protocol::Tcp, &[way]).with(vip, DNS, Protocol::Udp, &[way])
    })
}

fn gue(world: &World, backend: IpAddr) -> Tunnel {
    Tunnel { gue_port: Some(GUE_PORT), ..world.tunnel(backend) }
}

fn service(address: IpAddr, port: u16, protocol: Protocol) -> Service {
    Service::new(address, port, protocol)
}

fn http(address: IpAddr) -> Service {
    service(address, HTTP, Protocol::Tcp)
}

/// A SYN with this TTL or hop limit.
fn syn_with_ttl(vip: IpAddr, ttl: u8) -> Vec<u8> {
    let syn = Tcp::syn(CLIENT_PORT, HTTP);
    frame(&match vip {
        IpAddr::V4(vip) => Ipv4 { ttl, ..Ipv4::between(CLIENT_V4, vip) }.carrying(&syn),
        IpAddr::V6(vip) => Ipv6 { hop_limit: ttl, ..Ipv6::between(CLIENT_V6, vip) }.carrying(&syn),
    })
}

/// A segment that makes a packet of so many bytes, Ethernet header not counted.
fn segment_of(vip: IpAddr, length: usize) -> Vec<u8> {
    let segment = |data| packet_to(vip, &Tcp { data, ..Tcp::between(CLIENT_PORT, HTTP) });
    let headers = segment(Vec::new()).len();
    frame(&segment(vec![0x5a; length - headers]))
}

#[test]
fn l2_changes_the_macs_and_the_ttl_and_nothing_else() {
    let world = world(Mode::L2);
    let mut balancer = Balancer::new(&world);
    for (name, vip, backend) in COMBINATIONS {
        let tunnel = world.tunnel(backend);
        let mut check = |given: &str, incoming: &[u8], service| {
            let expected = Expected::Forwarded { service, backend, frame: tunnel.pass_on(incoming) };
            balancer.check(&format!("{name}: {given}"), incoming, &expected);
        };
        let segment = packet_to(vip, &Tcp::between(CLIENT_PORT, HTTP));
        check("TCP", &frame(&segment), http(vip));
        check("padding", &Frame { padded_to: frame::SHORTEST + 40, ..Frame::default() }.around(&segment), http(vip));
        let datagram = frame(&packet_to(vip, &Udp::between(CLIENT_PORT, DNS)));
        check("UDP", &datagram, service(vip, DNS, Protocol::Udp));
        check("the last hop but one", &syn_with_ttl(vip, 2), http(vip));
    }
}

#[test]
fn l2_needs_no_room_in_front_of_the_packet_and_none_of_the_mtu() {
    let world = world(Mode::L2);
    let mut balancer = Balancer::new(&world);
    for (name, vip, backend) in COMBINATIONS {
        let longest = segment_of(vip, MTU.into());
        let expected =
            Expected::Forwarded { service: http(vip), backend, frame: world.tunnel(backend).pass_on(&longest) };
        balancer.check_with_room(name, &longest, 0, &expected);
        let incoming = segment_of(vip, usize::from(MTU) + 1);
        let told = answer(&incoming, Told::TooBig(MTU));
        let expected = Expected::Replied(Reason::PacketTooBig, CountedAt::Service(http(vip)), told);
        balancer.check(&format!("{name}, a byte too long"), &incoming, &expected);
    }
}

#[test]
fn l2_without_the_gate_leaves_the_ttl() {
    let mut world = world(Mode::L2);
    world.gates = world.gates.with(Gates::DECREMENT_TTL, false);
    let mut balancer = Balancer::new(&world);
    for (name, vip, backend) in COMBINATIONS {
        let incoming = syn_with_ttl(vip, 1);
        let expected =
            Expected::Forwarded { service: http(vip), backend, frame: world.tunnel(backend).pass_on(&incoming) };
        balancer.check(name, &incoming, &expected);
    }
}

#[test]
fn gue_wraps_packets_in_udp_byte_for_byte_in_all_four_combinations_of_families() {
    let world = world(Mode::Gue);
    let mut balancer = Balancer::new(&world);
    for (name, vip, backend) in COMBINATIONS {
        let tunnel = gue(&world, backend);
        let mut check = |given: &str, incoming: &[u8], service| {
            let expected = Expected::Forwarded { service, backend, frame: tunnel.wrap(incoming) };
            balancer.check(&format!("{name}: {given}"), incoming, &expected);
        };
        let segment = packet_to(vip, &Tcp::between(CLIENT_PORT, HTTP));
        check("TCP", &frame(&segment), http(vip));
        check("padding", &Frame { padded_to: frame::SHORTEST + 40, ..Frame::default() }.around(&segment), http(vip));
        let datagram = frame(&packet_to(vip, &Udp::between(CLIENT_PORT, DNS)));
        check("UDP", &datagram, service(vip, DNS, Protocol::Udp));
        check("the last hop but one", &syn_with_ttl(vip, 2), http(vip));
        let marked = match vip {
            IpAddr::V4(vip) => {
                Ipv4 { traffic_class: 0xbb, ..Ipv4::between(CLIENT_V4, vip) }.carrying(&Tcp::syn(1, HTTP))
            }
            IpAddr::V6(vip) => {
                Ipv6 { traffic_class: 0xbb, ..Ipv6::between(CLIENT_V6, vip) }.carrying(&Tcp::syn(1, HTTP))
            }
        };
        check("DSCP and congestion", &frame(&marked), http(vip));
    }
}

#[test]
fn gue_takes_its_headers_from_the_mtu_and_the_room_in_front_of_the_packet() {
    let world = world(Mode::Gue);
    let mut balancer = Balancer::new(&world);
    for (name, vip, backend) in COMBINATIONS {
        let headers = if backend.is_ipv4() { 28 } else { 48 };
        let longest = segment_of(vip, usize::from(MTU) - headers);
        let expected = Expected::Forwarded { service: http(vip), backend, frame: gue(&world, backend).wrap(&longest) };
        balancer.check_with_room(name, &longest, headers, &expected);
        let incoming = segment_of(vip, usize::from(MTU) - headers + 1);
        let told = answer(&incoming, Told::TooBig(MTU - headers as u16));
        let too_big = Expected::Replied(Reason::PacketTooBig, CountedAt::Service(http(vip)), told);
        balancer.check(&format!("{name}, a byte too long"), &incoming, &too_big);
        let no_room = Expected::Unchanged(Reason::NoHeadroom, CountedAt::Service(http(vip)));
        balancer.check_with_room(&format!("{name}, no room"), &segment_of(vip, 100), headers - 4, &no_room);
    }
}

#[test]
fn jumbo_packets_in_several_buffers_travel_in_every_mode() {
    for mode in [Mode::L2, Mode::Gue, Mode::Local] {
        let world = COMBINATIONS.into_iter().fold(World::empty(), |world, (_, vip, backend)| {
            let plain = Way::plain(backend);
            let way = Way { mode, hop: NextHopSpec { mtu: 9100, ..plain.hop }, ..plain };
            world.with(vip, HTTP, Protocol::Tcp, &[way])
        });
        let mut balancer = Balancer::new(&world);
        for (name, vip, backend) in COMBINATIONS {
            let (incoming, service) = (segment_of(vip, 9000), http(vip));
            let expected = match mode {
                Mode::L2 => Expected::Forwarded { service, backend, frame: world.tunnel(backend).pass_on(&incoming) },
                Mode::Local => Expected::Delivered { service, backend },
                Mode::Gue | Mode::Ipip => {
                    Expected::Forwarded { service, backend, frame: gue(&world, backend).wrap(&incoming) }
                }
            };
            balancer.check(&format!("{name}, {mode:?}"), &incoming, &expected);
        }
    }
}

#[test]
fn flows_leave_in_udp_from_ports_of_their_own() {
    let world = world(Mode::Gue);
    let mut balancer = Balancer::new(&world);
    let vip = COMBINATIONS[0].1;
    let ports: BTreeSet<_> = (40_000..40_100)
        .map(|port| {
            let outgoing = balancer.forward("a flow", &frame(&packet_to(vip, &Tcp::between(port, HTTP))));
            u16::from_be_bytes([outgoing[34], outgoing[35]])
        })
        .collect();
    assert!(ports.iter().all(|port| *port >= 49_152), "{ports:?}");
    assert!(ports.len() > 95, "100 flows leave from {} ports", ports.len());
}

#[test]
fn what_the_balancer_wraps_in_udp_the_backend_unwraps() {
    let world = world(Mode::Gue);
    let (mut balancer, mut decapsulator) = (Balancer::new(&world), Decapsulator::new());
    for (name, vip, backend) in COMBINATIONS {
        let headers = if backend.is_ipv4() { 28 } else { 48 };
        for length in [0, 1, 100, 1400] {
            let segment = Tcp { data: vec![0x5a; length], ..Tcp::between(CLIENT_PORT, HTTP) };
            let tunnelled = balancer.forward(name, &frame(&packet_to(vip, &segment)));
            decapsulator.check_delivered(name, &tunnelled, &unwrap(&tunnelled, headers));
        }
    }
}

#[test]
fn packets_for_a_backend_on_this_node_go_to_its_stack_as_they_are() {
    // There is no way to oneself.
    let world = COMBINATIONS.into_iter().fold(World::empty(), |world, (_, vip, backend)| {
        let way = Way { mode: Mode::Local, interface: None, ..Way::plain(backend) };
        world.with(vip, HTTP, Protocol::Tcp, &[way])
    });
    let mut balancer = Balancer::new(&world);
    for (name, vip, backend) in COMBINATIONS {
        let delivered = Expected::Delivered { service: http(vip), backend };
        balancer.check(name, &frame(&packet_to(vip, &Tcp::between(CLIENT_PORT, HTTP))), &delivered);
        balancer.check(&format!("{name}, longer than any MTU"), &segment_of(vip, usize::from(MTU) + 1), &delivered);
        balancer.check(&format!("{name}, at its last hop"), &syn_with_ttl(vip, 1), &delivered);
        let expired = Expected::Unchanged(Reason::TtlExpired, CountedAt::Service(http(vip)));
        balancer.check(&format!("{name}, TTL 0"), &syn_with_ttl(vip, 0), &expired);
    }
}

#[test]
fn backends_of_one_service_may_each_be_reached_in_their_own_way() {
    let address = |n: u8| IpAddr::from([10, 0, 1, n]);
    let ways = [(1, Mode::Ipip), (2, Mode::L2), (3, Mode::Local), (4, Mode::Gue)];
    let ways = ways.map(|(n, mode)| Way { mode, ..Way::plain(address(n)) });
    let vip = COMBINATIONS[0].1;
    let world = World::empty().with(vip, HTTP, Protocol::Tcp, &ways);
    let mut balancer = Balancer::new(&world);
    let mut reasons = BTreeMap::new();
    for port in 40_000..40_100 {
        let incoming = frame(&packet_to(vip, &Tcp::between(port, HTTP)));
        *reasons.entry(balancer.reason(&format!("port {port}"), &incoming)).or_insert(0) += 1;
    }
    let delivered = reasons.remove(&Reason::LocalBackend).expect("packets for this node");
    assert!((10..50).contains(&delivered), "a quarter, more or less: {delivered}");
    assert_eq!(reasons, BTreeMap::from([(Reason::Forwarded, 100 - delivered)]));
}
