//! Senders who are told that their packet is too long, or that its TTL has ended.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use xdp_lb::model::{NextHopSpec, Protocol, Service};
use xdp_lb_abi::{Gates, Reason};
use xdp_lb_tests::builder::{Frame, Icmp, Ipv4, Ipv6, Tcp, Udp, frame, frame::frame, ipv4::DONT_FRAGMENT};

use crate::{
    balancer::{
        Balancer,
        CountedAt::Service as AtService,
        Expected::{Replied, Unchanged},
    },
    forwarding::{COMBINATIONS, packet_to},
    world::{
        BACKEND_V4, BACKEND_V6, CLIENT_PORT, CLIENT_V4, CLIENT_V6, DNS, HTTP, MTU, V4_IN_V4, V6_IN_V6, Way, World,
    },
};

/// What a sender is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told {
    /// The longest packet that can be sent on.
    TooBig(u16),
    /// The TTL or hop limit ended.
    TimeExceeded,
}

/// The frame that tells the sender of `incoming` about it.
pub(crate) fn answer(incoming: &[u8], told: Told) -> Vec<u8> {
    let packet = &incoming[frame::HEADER..];
    let mac = |at: usize| incoming[at..at + 6].try_into().expect("six bytes");
    let number = |at: usize| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
    let rest = match told {
        Told::TooBig(mtu) => u32::from(mtu).to_be_bytes(),
        Told::TimeExceeded => [0; 4],
    };
    let answer = if packet[0] >> 4 == 4 {
        let address = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).expect("four bytes"));
        let (kind, code) = if matches!(told, Told::TooBig(_)) { (3, 4) } else { (11, 0) };
        let message = Icmp::v4(kind, code, rest, &packet[..number(2).min(576 - 28)]);
        let header = Ipv4::between(address(16), address(12));
        Ipv4 { traffic_class: 0xc0, identification: 0, flags_and_offset: DONT_FRAGMENT, ttl: 64, ..header }
            .carrying(&message)
    } else {
        let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).expect("sixteen bytes"));
        let kind = if matches!(told, Told::TooBig(_)) { 2 } else { 3 };
        let message = Icmp::v6(kind, 0, rest, &packet[..(number(4) + 40).min(1280 - 48)]);
        Ipv6 { flow_label: 0, hop_limit: 64, ..Ipv6::between(address(24), address(8)) }.carrying(&message)
    };
    Frame { destination: mac(6), source: mac(0), ..Frame::default() }.around(&answer)
}

fn http(address: IpAddr) -> Service {
    Service::new(address, HTTP, Protocol::Tcp)
}

/// A world with one VIP, whose backend is behind a link with this MTU.
fn narrow(vip: IpAddr, backend: IpAddr, mtu: u16) -> World {
    let way = Way::plain(backend);
    let way = Way { hop: NextHopSpec { mtu, ..way.hop }, ..way };
    World::empty().with(vip, HTTP, Protocol::Tcp, &[way]).with(vip, DNS, Protocol::Udp, &[way])
}

#[test]
fn a_packet_too_long_for_its_tunnel_is_answered_with_the_mtu_that_is_left() {
    let mut balancer = Balancer::new(&World::all_combinations());
    for (name, vip, backend) in COMBINATIONS {
        let left = MTU - if backend.is_ipv4() { 20 } else { 40 };
        for length in [1600, 1601, 1602, 1603, 3000] {
            let incoming = frame(&packet_to(vip, &Tcp { data: vec![0x5a; length], ..Tcp::between(CLIENT_PORT, HTTP) }));
            let reply = answer(&incoming, Told::TooBig(left));
            let expected = Replied(Reason::PacketTooBig, AtService(http(vip)), reply);
            balancer.check(&format!("{name}, {length} bytes of data"), &incoming, &expected);
        }
    }
}

#[test]
fn quotes_of_every_length_and_content_have_a_right_checksum() {
    for (name, vip, backend) in COMBINATIONS {
        let outer: u16 = if backend.is_ipv4() { 20 } else { 40 };
        let headers: u16 = if vip.is_ipv4() { 28 } else { 48 };
        let mut balancer = Balancer::new(&narrow(vip, backend, headers + outer));
        for length in (1..70).chain(500..570).chain(1170..1240) {
            for byte in [0x00, 0xff, 0x5a] {
                let data: Vec<u8> = (0..length).map(|n: usize| if byte == 0x5a { n as u8 } else { byte }).collect();
                let incoming = frame(&packet_to(vip, &Udp { data, ..Udp::between(CLIENT_PORT, DNS) }));
                let reply = answer(&incoming, Told::TooBig(headers));
                let service = Service::new(vip, DNS, Protocol::Udp);
                let expected = Replied(Reason::PacketTooBig, AtService(service), reply);
                balancer.check(&format!("{name}, {length} bytes of {byte:#x}"), &incoming, &expected);
            }
        }
    }
}

#[test]
fn options_are_quoted_and_padding_is_not() {
    let vip = V4_IN_V4.into();
    let mut balancer = Balancer::new(&narrow(vip, BACKEND_V4, 70));
    let header = Ipv4 { options: vec![1; 40], traffic_class: 0xbb, ttl: 7, ..Ipv4::between(CLIENT_V4, V4_IN_V4) };
    let packet = header.carrying(&Tcp::between(CLIENT_PORT, HTTP));
    for padded_to in [0, 150, 2000] {
        let incoming = Frame { padded_to, ..Frame::default() }.around(&packet);
        let reply = answer(&incoming, Told::TooBig(50));
        balancer.check("options", &incoming, &Replied(Reason::PacketTooBig, AtService(http(vip)), reply));
    }
}

#[test]
fn a_jumbo_frame_in_several_buffers_is_quoted_from_its_first() {
    for (vip, backend) in [(V4_IN_V4.into(), BACKEND_V4), (V6_IN_V6.into(), BACKEND_V6)] {
        let mut balancer = Balancer::new(&narrow(vip, backend, 1500));
        let segment = Tcp { data: (0..8900).map(|n: u32| n as u8).collect(), ..Tcp::between(CLIENT_PORT, HTTP) };
        let incoming = frame(&packet_to(vip, &segment));
        let reply = answer(&incoming, Told::TooBig(if backend.is_ipv4() { 1480 } else { 1460 }));
        balancer.check("9,000 bytes", &incoming, &Replied(Reason::PacketTooBig, AtService(http(vip)), reply));
    }
}

#[test]
fn senders_that_allow_fragments_are_told_unless_configured_otherwise() {
    let vip: IpAddr = V4_IN_V4.into();
    let mut world = World::all_combinations();
    let mut telling = Balancer::new(&world);
    world.gates = world.gates.with(Gates::TOO_BIG_REPLY, false);
    let mut silent = Balancer::new(&world);
    let long = Tcp { data: vec![7; 1700], ..Tcp::between(CLIENT_PORT, HTTP) };
    for flags_and_offset in [0, DONT_FRAGMENT] {
        let incoming = frame(&Ipv4 { flags_and_offset, ..Ipv4::between(CLIENT_V4, V4_IN_V4) }.carrying(&long));
        let told = Replied(Reason::PacketTooBig, AtService(http(vip)), answer(&incoming, Told::TooBig(MTU - 20)));
        telling.check("telling", &incoming, &told);
        let dropped = Unchanged(Reason::TooBig, AtService(http(vip)));
        silent.check("silent", &incoming, if flags_and_offset == 0 { &dropped } else { &told });
    }
    let v6 = V6_IN_V6.into();
    let incoming = frame(&packet_to(v6, &long));
    let told = Replied(Reason::PacketTooBig, AtService(http(v6)), answer(&incoming, Told::TooBig(MTU - 40)));
    silent.check("IPv6", &incoming, &told);
}

#[test]
fn an_icmp_error_that_is_too_long_is_dropped() {
    let vip: IpAddr = V4_IN_V4.into();
    let mut balancer = Balancer::new(&narrow(vip, BACKEND_V4, 100));
    let quoted = Ipv4::between(V4_IN_V4, CLIENT_V4).carrying(&Tcp::between(HTTP, CLIENT_PORT));
    let error = frame(&packet_to(vip, &Icmp::v4(3, 1, [0; 4], &quoted)));
    balancer.check("an error", &error, &Unchanged(Reason::TooBig, AtService(http(vip))));
}

#[test]
fn a_ttl_that_ends_here_is_answered_and_one_of_0_is_not() {
    let mut balancer = Balancer::new(&World::all_combinations());
    for (name, vip, _) in COMBINATIONS {
        for length in [0, 1, 2, 3, 600, 1500] {
            let segment = Tcp { data: vec![0xc3; length], ..Tcp::between(CLIENT_PORT, HTTP) };
            let at = |ttl| {
                frame(&match vip {
                    IpAddr::V4(vip) => Ipv4 { ttl, ..Ipv4::between(CLIENT_V4, vip) }.carrying(&segment),
                    IpAddr::V6(vip) => Ipv6 { hop_limit: ttl, ..Ipv6::between(CLIENT_V6, vip) }.carrying(&segment),
                })
            };
            let (last, none) = (at(1), at(0));
            let reply = answer(&last, Told::TimeExceeded);
            let given = format!("{name}, {length} bytes of data");
            balancer.check(&given, &last, &Replied(Reason::TimeExceeded, AtService(http(vip)), reply));
            balancer.check(&given, &none, &Unchanged(Reason::TtlExpired, AtService(http(vip))));
        }
    }
}

#[test]
fn without_room_in_front_nobody_is_told() {
    let vip: IpAddr = V4_IN_V4.into();
    let mut balancer = Balancer::new(&World::all_combinations());
    let incoming = frame(&packet_to(vip, &Tcp { data: vec![0x5a; 1600], ..Tcp::between(CLIENT_PORT, HTTP) }));
    balancer.check_with_room("too little room", &incoming, 24, &Unchanged(Reason::NoHeadroom, AtService(http(vip))));
    let told = Replied(Reason::PacketTooBig, AtService(http(vip)), answer(&incoming, Told::TooBig(MTU - 20)));
    balancer.check_with_room("just enough", &incoming, 28, &told);
}

#[test]
fn answers_of_all_kinds_share_the_rate() {
    let mut world = World::all_combinations();
    world.icmp_rate = 1;
    let mut balancer = Balancer::new(&world);
    let vip: IpAddr = V4_IN_V4.into();
    let ping = frame(&packet_to(vip, &Icmp::echo_request(vip, [0; 4], b"")));
    let long = frame(&packet_to(vip, &Tcp { data: vec![0x5a; 1700], ..Tcp::between(CLIENT_PORT, HTTP) }));
    assert_eq!(balancer.reason("a ping", &ping), Reason::EchoReply);
    balancer.check("a long packet", &long, &Unchanged(Reason::IcmpRateLimited, AtService(http(vip))));
}
