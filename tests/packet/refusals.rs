//! Packets that are not forwarded: each leaves unchanged, under its own reason.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use xdp_lb::model::{NextHopSpec, Protocol, Service};
use xdp_lb_abi::Reason;
use xdp_lb_tests::builder::{
    Frame, Icmp, Ipv4, Ipv6, Raw, Tcp, Udp,
    frame::{self, frame},
    ipv4::MORE_FRAGMENTS,
    ipv6::Extension,
    protocol,
    transport::tcp_flag,
};

use crate::{
    balancer::{
        Balancer,
        CountedAt::{self, Address, Nowhere},
        Expected::{self, Unchanged},
    },
    forwarding::packet_to,
    test_run::INTERFACE,
    world::{
        BACKEND_V4, BACKEND_V6, CLIENT_PORT, CLIENT_V4, CLIENT_V6, DNS, HTTP, V4_IN_V4, V4_IN_V6, V6_IN_V6, Way, World,
    },
};

const VIP_V4: IpAddr = IpAddr::V4(V4_IN_V4);
const VIP_V6: IpAddr = IpAddr::V6(V6_IN_V6);

fn http(address: impl Into<IpAddr>) -> CountedAt {
    CountedAt::Service(Service::new(address.into(), HTTP, Protocol::Tcp))
}

fn v4() -> Ipv4 {
    Ipv4::between(CLIENT_V4, V4_IN_V4)
}

fn v6() -> Ipv6 {
    Ipv6::between(CLIENT_V6, V6_IN_V6)
}

fn tcp() -> Tcp {
    Tcp::between(CLIENT_PORT, HTTP)
}

/// Every case in the world with a VIP for each combination of families.
fn check_all(cases: impl IntoIterator<Item = (&'static str, Vec<u8>, Reason, CountedAt)>) {
    let mut balancer = Balancer::new(&World::all_combinations());
    for (given, frame, reason, at) in cases {
        balancer.check(given, &frame, &Unchanged(reason, at));
    }
}

#[test]
fn what_is_not_ip_passes() {
    let of_type = |ether_type| Frame { ether_type: Some(ether_type), ..Frame::default() };
    let tagged = Frame { vlans: vec![7], ..Frame::default() };
    check_all([
        ("ARP", of_type(frame::ARP).around(&[0; 28]), Reason::NotIp, Nowhere),
        ("a tagged packet for a VIP", tagged.around(&v4().carrying(&tcp())), Reason::NotIp, Nowhere),
        ("nothing but a header", of_type(frame::IPV4).around(&[]), Reason::NotIp, Nowhere),
        ("IPv6 announced as IPv4", of_type(frame::IPV4).around(&v6().carrying(&tcp())), Reason::NotIp, Nowhere),
        ("IPv4 announced as IPv6", of_type(frame::IPV6).around(&v4().carrying(&tcp())), Reason::NotIp, Nowhere),
        ("IP version 5", frame(&Ipv4 { version: 5, ..v4() }.carrying(&tcp())), Reason::NotIp, Nowhere),
    ]);
}

#[test]
fn what_is_for_no_vip_passes_whatever_it_looks_like() {
    let other_v4 = Ipv4::between(CLIENT_V4, Ipv4Addr::new(10, 0, 0, 10));
    let other_v6 = Ipv6::between(CLIENT_V6, "2001:db8:a::10".parse().expect("an address"));
    let mapped = Ipv6::between(CLIENT_V6, V4_IN_V4.to_ipv6_mapped());
    let ssh = Tcp::syn(CLIENT_PORT, 22);
    let extended = Ipv6 { extensions: vec![Extension::HopByHop(1); 9], ..other_v6.clone() };
    check_all([
        ("ssh in IPv4", frame(&other_v4.carrying(&ssh)), Reason::NotVip, Nowhere),
        ("ssh in IPv6", frame(&other_v6.carrying(&ssh)), Reason::NotVip, Nowhere),
        ("a ping", frame(&other_v4.carrying(&Raw::echo_request())), Reason::NotVip, Nowhere),
        ("neighbour discovery", frame(&other_v6.carrying(&Raw::icmpv6(135))), Reason::NotVip, Nowhere),
        (
            "a fragment",
            frame(&Ipv4 { flags_and_offset: 1, ..other_v4.clone() }.carrying(&ssh)),
            Reason::NotVip,
            Nowhere,
        ),
        ("TTL 0", frame(&Ipv4 { ttl: 0, ..other_v4.clone() }.carrying(&ssh)), Reason::NotVip, Nowhere),
        ("bad flags", frame(&other_v4.carrying(&Tcp { flags: 0, ..ssh.clone() })), Reason::NotVip, Nowhere),
        (
            "a length beyond the frame",
            frame(&Ipv4 { total_length: Some(999), ..other_v4 }.carrying(&ssh)),
            Reason::NotVip,
            Nowhere,
        ),
        ("extension headers", frame(&extended.carrying(&ssh)), Reason::NotVip, Nowhere),
        ("the v4-mapped form of a VIP", frame(&mapped.carrying(&tcp())), Reason::NotVip, Nowhere),
    ]);
}

#[test]
fn a_vip_address_answers_for_no_port_but_those_of_its_services() {
    check_all([
        ("another port", frame(&packet_to(VIP_V4, &Tcp::syn(CLIENT_PORT, 443))), Reason::NoService, Address(VIP_V4)),
        (
            "UDP to the TCP service",
            frame(&packet_to(VIP_V4, &Udp::between(CLIENT_PORT, HTTP))),
            Reason::NoService,
            Address(VIP_V4),
        ),
        (
            "TCP to the UDP service",
            frame(&packet_to(VIP_V6, &Tcp::syn(CLIENT_PORT, DNS))),
            Reason::NoService,
            Address(VIP_V6),
        ),
        ("port 0", frame(&packet_to(VIP_V6, &Tcp::syn(CLIENT_PORT, 0))), Reason::NoService, Address(VIP_V6)),
    ]);
}

#[test]
fn protocols_other_than_tcp_and_udp_are_dropped_at_a_vip() {
    let sctp = Raw { protocol: protocol::SCTP, bytes: vec![0; 12] };
    let neighbour_discovery = Raw::icmpv6(135);
    let fragment_header = Raw { protocol: protocol::IPV6_FRAGMENT, bytes: vec![protocol::TCP; 8] };
    let timestamp = Icmp::v4(13, 0, [0; 4], &[0; 12]);
    let nothing = Raw { protocol: 0, bytes: Vec::new() };
    let behind = |extensions| frame(&Ipv6 { extensions, ..v6() }.carrying(&tcp()));
    let five = vec![Extension::DestinationOptions(1); 5];
    let mobility = vec![Extension::Other(135, vec![0, 5, 0, 0, 0, 0, 0])];
    check_all([
        ("a timestamp request", frame(&v4().carrying(&timestamp)), Reason::UnsupportedProtocol, Address(VIP_V4)),
        ("a multicast query", frame(&v6().carrying(&Raw::icmpv6(130))), Reason::UnsupportedProtocol, Address(VIP_V6)),
        ("SCTP", frame(&v4().carrying(&sctp)), Reason::UnsupportedProtocol, Address(VIP_V4)),
        (
            "ICMPv6 in IPv4",
            frame(&Ipv4 { ttl: 255, ..v4() }.carrying(&neighbour_discovery)),
            Reason::UnsupportedProtocol,
            Address(VIP_V4),
        ),
        (
            "an IPv6 fragment header in IPv4",
            frame(&v4().carrying(&fragment_header)),
            Reason::UnsupportedProtocol,
            Address(VIP_V4),
        ),
        ("a header alone", frame(&v4().carrying(&nothing)), Reason::UnsupportedProtocol, Address(VIP_V4)),
        ("TCP behind five extension headers", behind(five), Reason::UnsupportedProtocol, Address(VIP_V6)),
        ("TCP behind a mobility header", behind(mobility), Reason::UnsupportedProtocol, Address(VIP_V6)),
    ]);
}

#[test]
fn neighbour_discovery_for_a_vip_is_left_to_the_stack() {
    // RFC 4861, section 4: router solicitation and advertisement, neighbour solicitation and advertisement, redirect.
    check_all((133..=137).map(|message| {
        (
            "neighbour discovery",
            frame(&Ipv6 { hop_limit: 255, ..v6() }.carrying(&Raw::icmpv6(message))),
            Reason::NeighbourDiscovery,
            Address(VIP_V6),
        )
    }));
    check_all([Extension::HopByHop(1), Extension::DestinationOptions(33)].map(|extension| {
        let behind = Ipv6 { extensions: vec![extension], hop_limit: 255, ..v6() };
        let solicitation = frame(&behind.carrying(&Raw::icmpv6(135)));
        ("neighbour discovery behind options", solicitation, Reason::NeighbourDiscovery, Address(VIP_V6))
    }));
    check_all([132, 138].map(|message| {
        (
            "a neighbour of these",
            frame(&Ipv6 { hop_limit: 255, ..v6() }.carrying(&Raw::icmpv6(message))),
            Reason::UnsupportedProtocol,
            Address(VIP_V6),
        )
    }));
    let from_afar = frame(&Ipv6 { hop_limit: 254, ..v6() }.carrying(&Raw::icmpv6(135)));
    check_all([("a solicitation from afar", from_afar, Reason::UnsupportedProtocol, Address(VIP_V6))]);
}

#[test]
fn lengths_that_contradict_each_other_are_refused() {
    let v4_of = |total_length| frame(&Ipv4 { total_length: Some(total_length), ..v4() }.carrying(&tcp()));
    let v6_of = |payload_length| frame(&Ipv6 { payload_length: Some(payload_length), ..v6() }.carrying(&tcp()));
    let words = |header_words| frame(&Ipv4 { header_words: Some(header_words), ..v4() }.carrying(&tcp()));
    let tcp_words = |header_words| frame(&v4().carrying(&Tcp { header_words: Some(header_words), ..tcp() }));
    let udp_of = |length| frame(&v6().carrying(&Udp { length: Some(length), ..Udp::between(CLIENT_PORT, DNS) }));
    let behind_options = |payload_length| {
        let extensions = vec![Extension::DestinationOptions(3)];
        frame(&Ipv6 { extensions, payload_length: Some(payload_length), ..v6() }.carrying(&tcp()))
    };
    let whole = v4().carrying(&tcp()).len() as u16;
    let payload = v6().carrying(&tcp()).len() as u16 - 40;
    let cases = [
        ("an IPv4 header of 0 words", words(0)),
        ("an IPv4 header of 4 words", words(4)),
        ("IPv4 shorter than its header", v4_of(19)),
        ("IPv4 of no length", v4_of(0)),
        ("IPv4 without room for TCP", v4_of(39)),
        ("IPv4 a byte longer than the frame", v4_of(whole + 1)),
        ("IPv4 as long as can be", v4_of(u16::MAX)),
        ("IPv6 without room for TCP", v6_of(19)),
        ("IPv6 of no length (a jumbogram)", v6_of(0)),
        ("IPv6 a byte longer than the frame", v6_of(payload + 1)),
        ("IPv6 as long as can be", v6_of(u16::MAX)),
        ("a TCP header of 0 words", tcp_words(0)),
        ("a TCP header of 4 words", tcp_words(4)),
        ("IPv6 that ends inside an extension header", behind_options(23)),
        ("IPv6 that ends behind an extension header", behind_options(24)),
        ("UDP of no length", udp_of(0)),
        ("UDP shorter than its header", udp_of(7)),
        ("UDP longer than the packet", udp_of(8 + 5 + 1)),
        ("UDP as long as can be", udp_of(u16::MAX)),
    ];
    check_all(cases.into_iter().map(|(given, bytes)| {
        let at = if bytes[12..14] == frame::IPV4.to_be_bytes() { VIP_V4 } else { VIP_V6 };
        (given, bytes, Reason::BadLength, Address(at))
    }));
}

#[test]
fn headers_that_reach_beyond_the_frame_are_refused() {
    // The frame is as long as the packet here: 14 bytes of data cannot hold the options that the header announces.
    let tcp_words = |header_words| frame(&v4().carrying(&Tcp { header_words: Some(header_words), ..tcp() }));
    let options = Extension::Other(protocol::IPV6_OPTIONS, vec![255, 1, 4, 0, 0, 0, 0]);
    let long_options = frame(&Ipv6 { extensions: vec![options], ..v6() }.carrying(&tcp()));
    let ip_words = frame(&Ipv4 { header_words: Some(15), ..v4() }.carrying(&tcp()));
    check_all([
        ("a TCP header of 15 words", tcp_words(15), Reason::Truncated, Address(VIP_V4)),
        ("IPv6 options of 2,048 bytes", long_options, Reason::BadLength, Address(VIP_V6)),
        ("an IPv4 header of 15 words", ip_words, Reason::BadLength, Address(VIP_V4)),
    ]);
}

#[test]
fn tcp_flags_that_no_sender_sets_are_dropped() {
    use tcp_flag::{ACK, FIN, PSH, RST, SYN, URG};
    let with = |flags| frame(&packet_to(VIP_V4, &Tcp { flags, ..tcp() }));
    let cases = [
        ("none at all", 0),
        ("FIN alone", FIN),
        ("all the lights of a Christmas tree", FIN | PSH | URG),
        ("SYN with FIN", SYN | FIN),
        ("SYN with RST", SYN | RST),
        ("everything", SYN | FIN | RST | PSH | ACK | URG),
    ];
    check_all(cases.map(|(given, flags)| (given, with(flags), Reason::BadTcpFlags, http(VIP_V4))));
}

#[test]
fn a_packet_behind_its_last_hop_is_dropped() {
    let v4_at = |ttl| frame(&Ipv4 { ttl, ..v4() }.carrying(&tcp()));
    let v6_at = |hop_limit| frame(&Ipv6 { hop_limit, ..v6() }.carrying(&tcp()));
    let cases = || {
        [("TTL", v4_at(0), Reason::TtlExpired, http(VIP_V4)), ("hop limit", v6_at(0), Reason::TtlExpired, http(VIP_V6))]
    };
    check_all(cases());

    let mut world = World::all_combinations();
    world.gates = xdp_lb_abi::Gates::default();
    let mut balancer = Balancer::new(&world);
    for (given, frame, reason, at) in cases() {
        balancer.check(&format!("{given}, and TTLs are not lowered"), &frame, &Unchanged(reason, at));
    }
}

#[test]
fn a_service_without_usable_backend_drops_its_packets() {
    let vip = |last| Ipv4Addr::new(192, 0, 2, last);
    let plain = Way::plain(BACKEND_V4);
    let silent =
        Way { hop: NextHopSpec { neighbour_mac: None, ..Way::plain(BACKEND_V6).hop }, ..Way::plain(BACKEND_V6) };
    let mut world = World::empty()
        .with(vip(1), HTTP, Protocol::Tcp, &[])
        .with(vip(2), HTTP, Protocol::Tcp, &[plain])
        .with(vip(3), HTTP, Protocol::Tcp, &[plain])
        .with(vip(4), HTTP, Protocol::Tcp, &[Way { interface: None, ..plain }])
        .with(vip(5), HTTP, Protocol::Tcp, &[silent])
        .with(vip(6), HTTP, Protocol::Tcp, &[Way { interface: Some(INTERFACE + 1), ..plain }]);
    for (service, members) in &mut world.desired.services {
        for member in members.values_mut() {
            member.up &= service.address != vip(2);
            member.weight *= u16::from(service.address != vip(3));
        }
    }
    let mut balancer = Balancer::new(&world);
    for (given, last, reason) in [
        ("no backend at all", 1, Reason::NoBackend),
        ("a backend that is down", 2, Reason::NoBackend),
        ("a backend without weight", 3, Reason::NoBackend),
        ("a backend that no route leads to", 4, Reason::NextHopUnresolved),
        ("a backend whose next hop does not answer", 5, Reason::NextHopUnresolved),
        ("a backend behind another interface", 6, Reason::OtherInterface),
    ] {
        let incoming = frame(&packet_to(vip(last).into(), &tcp()));
        balancer.check(given, &incoming, &Unchanged(reason, http(vip(last))));
    }
}

#[test]
fn a_vip_address_that_is_bound_here_passes_what_no_service_wants() {
    let mut world = World::all_combinations();
    world.desired.local_addresses.extend([VIP_V4, VIP_V6]);
    let mut balancer = Balancer::new(&world);
    let ssh = Tcp::syn(CLIENT_PORT, 22);
    for (given, packet, vip) in [
        ("ssh", v4().carrying(&ssh), VIP_V4),
        ("ssh in IPv6", v6().carrying(&ssh), VIP_V6),
        ("a ping", v4().carrying(&Raw::echo_request()), VIP_V4),
        ("a later fragment", Ipv4 { flags_and_offset: MORE_FRAGMENTS + 9, ..v4() }.carrying(&tcp()), VIP_V4),
    ] {
        balancer.check(given, &frame(&packet), &Unchanged(Reason::LocalAddress, Address(vip)));
    }
    let solicitation = frame(&Ipv6 { hop_limit: 255, ..v6() }.carrying(&Raw::icmpv6(135)));
    balancer.check("neighbour discovery", &solicitation, &Unchanged(Reason::NeighbourDiscovery, Address(VIP_V6)));
    let bad_flags = frame(&v4().carrying(&Tcp { flags: 0, ..tcp() }));
    balancer.check("a service is still a service", &bad_flags, &Unchanged(Reason::BadTcpFlags, http(VIP_V4)));
}

#[test]
fn a_driver_that_leaves_no_room_is_told_apart() {
    let world = World::all_combinations();
    let mut balancer = Balancer::new(&world);
    // Metadata comes in words of four bytes.
    for (given, vip, backend, outer) in
        [("an IPv4 tunnel", V4_IN_V4, BACKEND_V4, 20), ("an IPv6 tunnel", V4_IN_V6, BACKEND_V6, 40)]
    {
        let incoming = frame(&packet_to(vip.into(), &tcp()));
        let refused = Unchanged(Reason::NoHeadroom, http(vip));
        balancer.check_with_room(given, &incoming, outer - 4, &refused);
        let service = Service::new(vip.into(), HTTP, Protocol::Tcp);
        let frame = world.tunnel(backend).wrap(&incoming);
        balancer.check_with_room(given, &incoming, outer, &Expected::Forwarded { service, backend, frame });
    }
}

#[test]
fn multicast_and_unspecified_destinations_are_no_vips() {
    let to_v4 = |destination| frame(&Ipv4::between(CLIENT_V4, destination).carrying(&tcp()));
    let to_v6 = |destination| frame(&Ipv6::between(CLIENT_V6, destination).carrying(&tcp()));
    check_all([
        ("all hosts", to_v4(Ipv4Addr::new(224, 0, 0, 1)), Reason::NotVip, Nowhere),
        ("broadcast", to_v4(Ipv4Addr::BROADCAST), Reason::NotVip, Nowhere),
        ("0.0.0.0", to_v4(Ipv4Addr::UNSPECIFIED), Reason::NotVip, Nowhere),
        ("::", to_v6(Ipv6Addr::UNSPECIFIED), Reason::NotVip, Nowhere),
    ]);
}
