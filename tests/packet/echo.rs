//! Echo requests to VIP addresses.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    thread,
    time::Duration,
};

use xdp_lb_abi::{Gates, Reason};
use xdp_lb_tests::builder::{Frame, Icmp, Ipv4, Ipv6, Raw, checksum, frame::frame};

use crate::{
    balancer::{
        Balancer,
        CountedAt::Address,
        Expected::{Replied, Unchanged},
    },
    forwarding::packet_to,
    world::{CLIENT_V4, CLIENT_V6, V4_IN_V4, V6_IN_V6, World},
};

const VIPS: [IpAddr; 2] = [IpAddr::V4(V4_IN_V4), IpAddr::V6(V6_IN_V6)];
const REPLY_TTL: u8 = 64;

/// The frame that answers a frame with default Ethernet addresses.
fn answer(packet: &[u8]) -> Vec<u8> {
    let request = Frame::default();
    Frame { destination: request.source, source: request.destination, ..request }.around(packet)
}

fn reply_from(vip: IpAddr, message: &Icmp) -> Vec<u8> {
    answer(&match vip {
        IpAddr::V4(vip) => Ipv4 { ttl: REPLY_TTL, ..Ipv4::between(vip, CLIENT_V4) }.carrying(message),
        IpAddr::V6(vip) => Ipv6 { hop_limit: REPLY_TTL, ..Ipv6::between(vip, CLIENT_V6) }.carrying(message),
    })
}

/// Whether the checksum of the ICMP message behind a header without options is right, by RFC 1071.
fn message_sums_up(frame: &[u8], vip: IpAddr) -> bool {
    match vip {
        IpAddr::V4(_) => checksum::of(&frame[34..]) == 0,
        IpAddr::V6(vip) => checksum::of_segment(vip.into(), CLIENT_V6.into(), 58, &frame[54..]) == 0,
    }
}

#[test]
fn pings_of_every_size_are_answered_byte_for_byte() {
    let mut balancer = Balancer::new(&World::all_combinations());
    for vip in VIPS {
        for length in [0, 1, 2, 3, 7, 56, 57, 1400, 1472] {
            let body: Vec<u8> = (1..=length).map(|n: u32| n as u8).collect();
            let rest = [0x12, 0x34, 0, 7];
            let request = frame(&packet_to(vip, &Icmp::echo_request(vip, rest, &body)));
            let reply = reply_from(vip, &Icmp::echo_reply(vip, rest, &body));
            let given = format!("{length} bytes to {vip}");
            balancer.check(&given, &request, &Replied(Reason::EchoReply, Address(vip), reply));
        }
    }
}

#[test]
fn every_checksum_of_a_request_leads_to_a_right_one_in_the_reply() {
    let mut balancer = Balancer::new(&World::all_combinations());
    for vip in VIPS {
        // Sequence numbers around those at which the sum of the request or of the reply wraps, and a spread of others.
        let interesting = (0u16..=2).chain(0x07fd..=0x0802).chain(0xf7fc..=0xf802).chain(0xfefc..=u16::MAX);
        for sequence in interesting.chain((0..=u16::MAX).step_by(251)) {
            for id in [0, 0xff00, 0xffff, sequence] {
                let rest = [id.to_be_bytes(), sequence.to_be_bytes()].concat().try_into().expect("four bytes");
                let request = Icmp::echo_request(vip, rest, &[]);
                for checksum in [None, Some(0)] {
                    let incoming = frame(&packet_to(vip, &Icmp { checksum, ..request.clone() }));
                    let was_right = match vip {
                        IpAddr::V4(_) => checksum::of(&incoming[34..]) == 0,
                        IpAddr::V6(_) => checksum.is_none(),
                    };
                    let output = balancer.forward("an echo request", &incoming);
                    assert_eq!(message_sums_up(&output, vip), was_right, "id {id:#x}, sequence {sequence:#x} of {vip}");
                }
            }
        }
    }
}

#[test]
fn every_ttl_and_traffic_class_leaves_with_a_right_header_checksum() {
    let mut balancer = Balancer::new(&World::all_combinations());
    let vip = VIPS[0];
    let (request, reply) = (Icmp::echo_request(vip, [0; 4], b"x"), Icmp::echo_reply(vip, [0; 4], b"x"));
    for ttl in 1..=255 {
        for (traffic_class, options) in [(0, vec![]), (0xff, vec![1; 40])] {
            let header = |source, destination, ttl| Ipv4 {
                traffic_class,
                options: options.clone(),
                ttl,
                ..Ipv4::between(source, destination)
            };
            let incoming = frame(&header(CLIENT_V4, V4_IN_V4, ttl).carrying(&request));
            let expected = answer(&header(V4_IN_V4, CLIENT_V4, REPLY_TTL).carrying(&reply));
            balancer.check(&format!("TTL {ttl}"), &incoming, &Replied(Reason::EchoReply, Address(vip), expected));
        }
    }
}

#[test]
fn padding_stays_behind_the_reply() {
    let mut balancer = Balancer::new(&World::all_combinations());
    for vip in VIPS {
        let request = packet_to(vip, &Icmp::echo_request(vip, [1; 4], b""));
        let incoming = Frame { padded_to: 80, ..Frame::default() }.around(&request);
        let mut reply = reply_from(vip, &Icmp::echo_reply(vip, [1; 4], b""));
        reply.resize(80, 0xa5);
        balancer.check("a padded ping", &incoming, &Replied(Reason::EchoReply, Address(vip), reply));
    }
}

#[test]
fn what_is_no_sound_echo_request_is_not_answered() {
    let mut balancer = Balancer::new(&World::all_combinations());
    let v4 = || Ipv4::between(CLIENT_V4, V4_IN_V4);
    let v6 = || Ipv6::between(CLIENT_V6, V6_IN_V6);
    let ping = |vip| Icmp::echo_request(vip, [0; 4], b"ping");
    let (short, cut) = (Raw { protocol: 1, bytes: vec![8, 0, 0, 0] }, v4().carrying(&ping(VIPS[0])).len() as u16 + 1);
    let long = v6().carrying(&ping(VIPS[1])).len() as u16 - 40 + 1;
    for (given, packet, reason) in [
        ("an echo reply", v4().carrying(&Icmp::v4(0, 0, [0; 4], b"")), Reason::UnsupportedProtocol),
        ("another code", v4().carrying(&Icmp::v4(8, 1, [0; 4], b"")), Reason::UnsupportedProtocol),
        ("ICMPv6 in IPv4", v4().carrying(&Icmp::v6(128, 0, [0; 4], b"")), Reason::UnsupportedProtocol),
        ("an echo reply, IPv6", v6().carrying(&Icmp::v6(129, 0, [0; 4], b"")), Reason::UnsupportedProtocol),
        ("another code, IPv6", v6().carrying(&Icmp::v6(128, 9, [0; 4], b"")), Reason::UnsupportedProtocol),
        ("ICMP in IPv6", v6().carrying(&Icmp::v4(8, 0, [0; 4], b"")), Reason::UnsupportedProtocol),
        ("half a header", v4().carrying(&short), Reason::Truncated),
        ("a byte missing", Ipv4 { total_length: Some(cut), ..v4() }.carrying(&ping(VIPS[0])), Reason::BadLength),
        ("no room for it", Ipv4 { total_length: Some(27), ..v4() }.carrying(&ping(VIPS[0])), Reason::BadLength),
        (
            "a byte missing, IPv6",
            Ipv6 { payload_length: Some(long), ..v6() }.carrying(&ping(VIPS[1])),
            Reason::BadLength,
        ),
        ("TTL 0", Ipv4 { ttl: 0, ..v4() }.carrying(&ping(VIPS[0])), Reason::TtlExpired),
        ("hop limit 0", Ipv6 { hop_limit: 0, ..v6() }.carrying(&ping(VIPS[1])), Reason::TtlExpired),
    ] {
        let vip = if packet[0] >> 4 == 4 { VIPS[0] } else { VIPS[1] };
        balancer.check(given, &frame(&packet), &Unchanged(reason, Address(vip)));
    }
}

#[test]
fn only_a_single_host_is_answered() {
    let mut balancer = Balancer::new(&World::all_combinations());
    let refused = |vip| Unchanged(Reason::NoReplyAddress, Address(vip));
    let from_v4 = |source| frame(&Ipv4::between(source, V4_IN_V4).carrying(&Icmp::echo_request(VIPS[0], [0; 4], b"")));
    let from_v6 = |source| frame(&Ipv6::between(source, V6_IN_V6).carrying(&Icmp::echo_request(VIPS[1], [0; 4], b"")));
    for source in [[0, 0, 0, 0], [0, 1, 2, 3], [127, 0, 0, 1], [224, 0, 0, 1], [239, 9, 9, 9], [255; 4]] {
        balancer.check("no host", &from_v4(Ipv4Addr::from(source)), &refused(VIPS[0]));
    }
    balancer.check("the VIP itself", &from_v4(V4_IN_V4), &refused(VIPS[0]));
    for source in [Ipv6Addr::UNSPECIFIED, "ff02::1".parse().expect("an address"), V6_IN_V6] {
        balancer.check("no host", &from_v6(source), &refused(VIPS[1]));
    }
    for vip in VIPS {
        let request = packet_to(vip, &Icmp::echo_request(vip, [0; 4], b""));
        for destination in [[0xff; 6], [1, 0, 0x5e, 0, 0, 1]] {
            let incoming = Frame { destination, ..Frame::default() }.around(&request);
            balancer.check("a frame to many", &incoming, &refused(vip));
        }
    }
}

#[test]
fn pings_are_dropped_if_so_configured_and_left_to_the_stack_where_the_vip_is_bound() {
    let mut world = World::all_combinations();
    world.gates = world.gates.with(Gates::ECHO_REPLY, false);
    let mut silent = Balancer::new(&world);
    let mut world = World::all_combinations();
    world.desired.local_addresses.extend(VIPS);
    let mut bound = Balancer::new(&world);
    for vip in VIPS {
        let request = frame(&packet_to(vip, &Icmp::echo_request(vip, [0; 4], b"")));
        silent.check("silent", &request, &Unchanged(Reason::UnsupportedProtocol, Address(vip)));
        bound.check("bound", &request, &Unchanged(Reason::LocalAddress, Address(vip)));
    }
}

#[test]
fn answers_beyond_the_rate_are_dropped() {
    let mut world = World::all_combinations();
    world.icmp_rate = 1;
    let mut balancer = Balancer::new(&world);
    let vip = VIPS[0];
    let request = frame(&packet_to(vip, &Icmp::echo_request(vip, [0; 4], b"")));
    assert_eq!(balancer.reason("the first", &request), Reason::EchoReply);
    balancer.check("the second", &request, &Unchanged(Reason::IcmpRateLimited, Address(vip)));
    // Not a wait for something to happen: the rate is about time itself.
    thread::sleep(Duration::from_secs(1));
    assert_eq!(balancer.reason("a second later", &request), Reason::EchoReply);
}
