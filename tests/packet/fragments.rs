//! Fragments: the first one goes as its flow, the others follow it.

use std::net::{IpAddr, Ipv4Addr};

use xdp_lb::model::{Protocol, Service};
use xdp_lb_abi::Reason;
use xdp_lb_tests::builder::{
    Icmp, Ipv4, Ipv6, Payload, Raw, Tcp, Udp, flow_hash, frame::frame, ipv6::Extension, protocol,
};

use crate::{
    balancer::{
        Balancer,
        CountedAt::Address,
        Expected::{self, Fragment, Unchanged},
    },
    forwarding::COMBINATIONS,
    world::{BACKEND_V4, CLIENT_PORT, CLIENT_V4, CLIENT_V6, DNS, HTTP, V4_IN_V4, V6_IN_V6, Way, World},
};

/// "More fragments" in IPv4.
const MORE: u16 = 0x2000;
/// Data of a fragment that is not the last: a multiple of eight bytes.
const STEP: usize = 800;

fn client(vip: IpAddr) -> IpAddr {
    if vip.is_ipv4() { CLIENT_V4.into() } else { CLIENT_V6.into() }
}

/// The frames of a packet to a VIP, cut into fragments.
fn cut(vip: IpAddr, identification: u16, payload: &impl Payload) -> Vec<Vec<u8>> {
    let whole = payload.bytes(client(vip), vip);
    let count = whole.len().div_ceil(STEP);
    let pieces = whole.chunks(STEP).enumerate();
    let fragments = pieces.map(|(index, piece)| {
        let offset = (index * STEP / 8) as u16;
        let is_followed = index + 1 < count;
        let piece = Raw { protocol: payload.protocol(), bytes: piece.to_vec() };
        frame(&match vip {
            IpAddr::V4(vip) => {
                let flags_and_offset = if is_followed { MORE | offset } else { offset };
                Ipv4 { identification, flags_and_offset, ..Ipv4::between(CLIENT_V4, vip) }.carrying(&piece)
            }
            IpAddr::V6(vip) => {
                let extensions = vec![Extension::Fragment { offset, is_followed }];
                Ipv6 { extensions, ..Ipv6::between(CLIENT_V6, vip) }.carrying(&piece)
            }
        })
    });
    fragments.collect()
}

fn datagram(length: usize) -> Udp {
    Udp { data: (0..length).map(|n| n as u8).collect(), ..Udp::between(CLIENT_PORT, DNS) }
}

fn dns(vip: IpAddr) -> Service {
    Service::new(vip, DNS, Protocol::Udp)
}

/// A fragment of a datagram to `vip`, in the tunnel of the datagram's flow.
fn sent(world: &World, vip: IpAddr, backend: IpAddr, incoming: &[u8], reason: Reason) -> Expected {
    let flow = flow_hash::of(world.hash_seed, client(vip), CLIENT_PORT, DNS);
    let frame = world.tunnel(backend).wrap_with_hash(incoming, flow);
    Fragment { reason, service: dns(vip), backend, frame }
}

#[test]
fn all_fragments_of_a_datagram_leave_in_the_tunnel_of_its_flow() {
    let world = World::all_combinations();
    let mut balancer = Balancer::new(&world);
    for (name, vip, backend) in COMBINATIONS {
        for length in [STEP, 4000] {
            let fragments = cut(vip, 0x4242, &datagram(length));
            assert!(fragments.len() >= 2);
            for (index, incoming) in fragments.iter().enumerate() {
                let reason = if index == 0 { Reason::FirstFragment } else { Reason::LaterFragment };
                let expected = sent(&world, vip, backend, incoming, reason);
                balancer.check(&format!("{name}, fragment {index}"), incoming, &expected);
            }
        }
    }
}

#[test]
fn among_several_backends_all_fragments_go_to_one() {
    let ways = [BACKEND_V4, IpAddr::from([10, 0, 3, 12]), IpAddr::from([10, 0, 3, 13])].map(Way::plain);
    let world = World::empty().with(V4_IN_V4, DNS, Protocol::Udp, &ways);
    let mut balancer = Balancer::new(&world);
    let mut chosen = std::collections::BTreeSet::new();
    for port in 1024..1124 {
        let datagram = Udp { data: vec![1; 2000], ..Udp::between(port, DNS) };
        let destinations: Vec<_> = cut(V4_IN_V4.into(), port, &datagram)
            .iter()
            .map(|fragment| balancer.forward("a fragment", fragment)[30..34].to_vec())
            .collect();
        assert!(destinations.windows(2).all(|pair| pair[0] == pair[1]), "source port {port}: {destinations:?}");
        chosen.extend(destinations);
    }
    assert_eq!(chosen.len(), 3, "every backend takes flows");
}

#[test]
fn a_fragment_of_an_unknown_packet_is_dropped() {
    let world = World::all_combinations();
    let mut balancer = Balancer::new(&world);
    for (name, vip, backend) in COMBINATIONS {
        let known = cut(vip, 7, &datagram(2000));
        let unknown = Unchanged(Reason::FragmentUnknown, Address(vip));
        balancer.check(&format!("{name}, before the first"), &known[1], &unknown);
        balancer.check(name, &known[0], &sent(&world, vip, backend, &known[0], Reason::FirstFragment));
        balancer.check(name, &known[2], &sent(&world, vip, backend, &known[2], Reason::LaterFragment));
        if vip.is_ipv4() {
            let other = cut(vip, 8, &datagram(2000));
            balancer.check(&format!("{name}, another packet"), &other[1], &unknown);
            // Protocol TCP instead of UDP, with the header checksum made right again.
            let tcp = cut(vip, 7, &Raw { protocol: protocol::TCP, bytes: vec![0; 2000] });
            balancer.check(&format!("{name}, another protocol"), &tcp[1], &unknown);
        }
    }
}

#[test]
fn fragments_of_tcp_follow_and_those_of_icmp_do_not() {
    let mut balancer = Balancer::new(&World::all_combinations());
    for vip in [IpAddr::from(V4_IN_V4), V6_IN_V6.into()] {
        let segment = Tcp { data: vec![3; 1000], ..Tcp::between(CLIENT_PORT, HTTP) };
        let tcp = cut(vip, 21, &segment);
        assert_eq!(balancer.reason("the first of TCP", &tcp[0]), Reason::FirstFragment);
        assert_eq!(balancer.reason("the second of TCP", &tcp[1]), Reason::LaterFragment);
    }
    let vip: IpAddr = V4_IN_V4.into();
    let ping = cut(vip, 22, &Icmp::echo_request(vip, [0; 4], &[1; 1000]));
    balancer.check("the first of a ping", &ping[0], &Unchanged(Reason::Fragment, Address(vip)));
    balancer.check("the second of a ping", &ping[1], &Unchanged(Reason::FragmentUnknown, Address(vip)));
}

#[test]
fn fragments_obey_the_ttl_and_the_mtu_and_only_first_ones_are_answered() {
    let mut balancer = Balancer::new(&World::all_combinations());
    let piece = Raw { protocol: protocol::UDP, bytes: datagram(2000).bytes(CLIENT_V4.into(), V4_IN_V4.into()) };
    let fragment = |flags_and_offset, ttl, length: usize| {
        let header = Ipv4 { identification: 9, flags_and_offset, ttl, ..Ipv4::between(CLIENT_V4, V4_IN_V4) };
        frame(&header.carrying(&Raw { bytes: piece.bytes[..length].to_vec(), ..piece.clone() }))
    };
    assert_eq!(balancer.reason("the first", &fragment(MORE, 9, 800)), Reason::FirstFragment);
    assert_eq!(balancer.reason("a later one at its last hop", &fragment(MORE + 100, 1, 800)), Reason::TtlExpired);
    assert_eq!(balancer.reason("a later one too long", &fragment(MORE + 100, 9, 1600)), Reason::TooBig);
    assert_eq!(balancer.reason("a first one at its last hop", &fragment(MORE, 1, 800)), Reason::TimeExceeded);
    assert_eq!(balancer.reason("a first one too long", &fragment(MORE, 9, 1600)), Reason::PacketTooBig);
}

#[test]
fn fragments_for_no_vip_pass_and_those_for_a_bound_address_are_left_to_the_stack() {
    let mut world = World::all_combinations();
    let vip: IpAddr = V4_IN_V4.into();
    world.desired.local_addresses.insert(vip);
    let mut balancer = Balancer::new(&world);
    let other = cut(Ipv4Addr::new(10, 0, 0, 10).into(), 3, &datagram(2000));
    for fragment in &other {
        assert_eq!(balancer.reason("for the node", fragment), Reason::NotVip);
    }
    let ssh = Tcp { data: vec![0; 1000], ..Tcp::between(CLIENT_PORT, 22) };
    for fragment in cut(vip, 4, &ssh) {
        balancer.check("for the bound address", &fragment, &Unchanged(Reason::LocalAddress, Address(vip)));
    }
}
