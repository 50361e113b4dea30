//! ICMP errors about flows through a VIP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use xdp_lb::model::{Protocol, Service};
use xdp_lb_abi::Reason;
use xdp_lb_tests::builder::{Icmp, Ipv4, Ipv6, Payload, Raw, Tcp, Udp, flow_hash, frame::frame};

use crate::{
    balancer::{
        Balancer,
        CountedAt::{Address, Nowhere, Service as AtService},
        Expected::{Forwarded, Related, Unchanged},
    },
    forwarding::{COMBINATIONS, packet_to},
    world::{BACKEND_V4, CLIENT_PORT, CLIENT_V4, CLIENT_V6, DNS, HTTP, V4_IN_V4, V6_IN_V6, Way, World},
};

/// A router on the way to the client.
const ROUTER_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const ROUTER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 1);
/// Next-hop MTU of a "too big" message, in IPv4 and in IPv6.
const MTU_V4: [u8; 4] = [0, 0, 5, 0];
const MTU_V6: [u8; 4] = [0, 0, 5, 0];

/// What a backend sent to the client in the VIP's name.
fn answer_of(vip: IpAddr, payload: &impl Payload) -> Vec<u8> {
    match vip {
        IpAddr::V4(vip) => Ipv4::between(vip, CLIENT_V4).carrying(payload),
        IpAddr::V6(vip) => Ipv6::between(vip, CLIENT_V6).carrying(payload),
    }
}

/// A router's message to the VIP that quotes `quoted`.
fn error(vip: IpAddr, kind: u8, code: u8, rest: [u8; 4], quoted: &[u8]) -> Vec<u8> {
    frame(&match vip {
        IpAddr::V4(vip) => Ipv4::between(ROUTER_V4, vip).carrying(&Icmp::v4(kind, code, rest, quoted)),
        IpAddr::V6(vip) => Ipv6::between(ROUTER_V6, vip).carrying(&Icmp::v6(kind, code, rest, quoted)),
    })
}

fn too_big(vip: IpAddr, quoted: &[u8]) -> Vec<u8> {
    if vip.is_ipv4() { error(vip, 3, 4, MTU_V4, quoted) } else { error(vip, 2, 0, MTU_V6, quoted) }
}

fn client(vip: IpAddr) -> IpAddr {
    if vip.is_ipv4() { CLIENT_V4.into() } else { CLIENT_V6.into() }
}

#[test]
fn every_error_takes_the_way_of_the_flow_it_quotes() {
    let world = World::all_combinations();
    let mut balancer = Balancer::new(&world);
    for (name, vip, backend) in COMBINATIONS {
        let ip_header = if vip.is_ipv4() { 20 } else { 40 };
        let tcp = answer_of(vip, &Tcp { data: vec![0x5a; 900], ..Tcp::between(HTTP, CLIENT_PORT) });
        let udp = answer_of(vip, &Udp { data: vec![0x5a; 900], ..Udp::between(DNS, CLIENT_PORT) });
        let kinds: &[(u8, u8)] =
            if vip.is_ipv4() { &[(3, 4), (3, 1), (3, 3), (11, 0), (12, 0)] } else { &[(1, 0), (2, 0), (3, 0), (4, 1)] };
        for (kind, code) in kinds {
            for (port, protocol, quoted) in [(HTTP, Protocol::Tcp, &tcp), (DNS, Protocol::Udp, &udp)] {
                let flow = flow_hash::of(world.hash_seed, client(vip), CLIENT_PORT, port);
                for length in [ip_header + 8, ip_header + 9, ip_header + 20, quoted.len()] {
                    let incoming = error(vip, *kind, *code, [0, 0, 5, 0], &quoted[..length]);
                    let frame = world.tunnel(backend).wrap_with_hash(&incoming, flow);
                    let service = Service::new(vip, port, protocol);
                    let given = format!("{name}: type {kind}, code {code}, {length} bytes of {protocol} quoted");
                    balancer.check(&given, &incoming, &Related { service, backend, frame });
                }
            }
        }
    }
}

#[test]
fn among_several_backends_the_error_finds_that_of_the_flow() {
    let ways = [BACKEND_V4, IpAddr::from([10, 0, 3, 12]), IpAddr::from([10, 0, 3, 13])].map(Way::plain);
    let world = World::empty().with(V4_IN_V4, HTTP, Protocol::Tcp, &ways);
    let mut balancer = Balancer::new(&world);
    for port in 1024..1224 {
        let request = frame(&packet_to(V4_IN_V4.into(), &Tcp::syn(port, HTTP)));
        let quoted = answer_of(V4_IN_V4.into(), &Tcp::between(HTTP, port));
        let flow = balancer.forward("a request", &request);
        let error = balancer.forward("an error", &too_big(V4_IN_V4.into(), &quoted[..28]));
        // Destination of the outer header.
        assert_eq!(flow[30..34], error[30..34], "source port {port}");
    }
}

#[test]
fn options_around_the_quote_do_not_matter() {
    let world = World::all_combinations();
    let mut balancer = Balancer::new(&world);
    let (_, vip, backend) = COMBINATIONS[0];
    let service = Service::new(vip, HTTP, Protocol::Tcp);
    let flow = flow_hash::of(world.hash_seed, client(vip), CLIENT_PORT, HTTP);
    for (outside, inside) in [(0, 4), (4, 0), (40, 40)] {
        let quoted = Ipv4 { options: vec![1; inside], ..Ipv4::between(V4_IN_V4, CLIENT_V4) };
        let quoted = quoted.carrying(&Tcp::between(HTTP, CLIENT_PORT));
        let message = Icmp::v4(3, 4, MTU_V4, &quoted[..28 + inside]);
        let header = Ipv4 { options: vec![1; outside], ..Ipv4::between(ROUTER_V4, V4_IN_V4) };
        let incoming = frame(&header.carrying(&message));
        let frame = world.tunnel(backend).wrap_with_hash(&incoming, flow);
        balancer.check(&format!("{outside} and {inside}"), &incoming, &Related { service, backend, frame });
    }
}

#[test]
fn an_error_about_no_flow_of_ours_is_dropped() {
    let mut balancer = Balancer::new(&World::all_combinations());
    let (v4, v6): (IpAddr, IpAddr) = (V4_IN_V4.into(), V6_IN_V6.into());
    let tcp = Tcp::between(HTTP, CLIENT_PORT);
    let other_v4 = Ipv4::between(Ipv4Addr::new(192, 0, 2, 99), CLIENT_V4).carrying(&tcp);
    let other_v6 = Ipv6::between("2001:db8:1::99".parse().expect("an address"), CLIENT_V6).carrying(&tcp);
    let later = Ipv4 { flags_and_offset: 185, ..Ipv4::between(V4_IN_V4, CLIENT_V4) }.carrying(&tcp);
    let words = Ipv4 { header_words: Some(4), ..Ipv4::between(V4_IN_V4, CLIENT_V4) }.carrying(&tcp);
    let echo = answer_of(v4, &Raw { protocol: 1, bytes: vec![0; 8] });
    let unmatched = Reason::IcmpErrorUnmatched;
    for (given, vip, quoted, reason) in [
        ("another source", v4, other_v4, unmatched),
        ("another source, IPv6", v6, other_v6, unmatched),
        ("a port of no service", v4, answer_of(v4, &Tcp::between(22, CLIENT_PORT)), unmatched),
        ("a port of no service, IPv6", v6, answer_of(v6, &Udp::between(HTTP, CLIENT_PORT)), unmatched),
        ("a request, not an answer", v4, packet_to(v4, &Tcp::between(CLIENT_PORT, HTTP)), unmatched),
        ("another protocol", v4, echo, unmatched),
        ("a later fragment", v4, later, unmatched),
        ("a header of 4 words", v4, words, unmatched),
        ("IPv6 in an IPv4 error", v4, answer_of(v6, &tcp), unmatched),
        ("IPv4 in an IPv6 error", v6, answer_of(v4, &Tcp { data: vec![0; 40], ..tcp.clone() }), unmatched),
        ("nothing", v4, Vec::new(), Reason::Truncated),
        ("half an IP header", v4, answer_of(v4, &tcp)[..19].to_vec(), Reason::Truncated),
        ("half an IPv6 header", v6, answer_of(v6, &tcp)[..39].to_vec(), Reason::Truncated),
        ("seven bytes of TCP", v4, answer_of(v4, &tcp)[..27].to_vec(), Reason::Truncated),
        ("seven bytes of TCP, IPv6", v6, answer_of(v6, &tcp)[..47].to_vec(), Reason::Truncated),
    ] {
        balancer.check(given, &too_big(vip, &quoted), &Unchanged(reason, Address(vip)));
    }
}

#[test]
fn errors_that_are_for_no_vip_or_for_a_bound_address_pass() {
    let mut world = World::all_combinations();
    let vip: IpAddr = V4_IN_V4.into();
    world.desired.local_addresses.insert(vip);
    let mut balancer = Balancer::new(&world);
    let own = answer_of(vip, &Tcp::between(22, CLIENT_PORT));
    balancer.check("about the node's own ssh", &too_big(vip, &own), &Unchanged(Reason::LocalAddress, Address(vip)));
    let node = Ipv4Addr::new(10, 0, 0, 10);
    let quoted = Ipv4::between(node, CLIENT_V4).carrying(&Tcp::between(22, CLIENT_PORT));
    balancer.check("for the node", &too_big(node.into(), &quoted), &Unchanged(Reason::NotVip, Nowhere));
}

#[test]
fn an_error_obeys_the_ttl_and_the_flow_itself_is_forwarded_as_before() {
    let world = World::all_combinations();
    let mut balancer = Balancer::new(&world);
    let (_, vip, backend) = COMBINATIONS[0];
    let service = Service::new(vip, HTTP, Protocol::Tcp);
    let quoted = answer_of(vip, &Tcp::between(HTTP, CLIENT_PORT));
    let last_hop = Ipv4 { ttl: 1, ..Ipv4::between(ROUTER_V4, V4_IN_V4) };
    let incoming = frame(&last_hop.carrying(&Icmp::v4(3, 4, MTU_V4, &quoted)));
    let at = AtService(service);
    balancer.check("an error at its last hop", &incoming, &Unchanged(Reason::TtlExpired, at));
    let incoming = frame(&packet_to(vip, &Tcp::syn(CLIENT_PORT, HTTP)));
    let frame = world.tunnel(backend).wrap(&incoming);
    balancer.check("the flow", &incoming, &Forwarded { service, backend, frame });
}
