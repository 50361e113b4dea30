//! Bytes in, verdict and bytes out.

use xdp_lb_abi::{Gates, Member, Reason, ReasonKind, Slot, Vip, VipKind, next_hop::Link};

use super::balance;
use crate::testing::{
    ADDRESS_4, ADDRESS_6, ALL_GATES, BACKEND_4, BACKEND_6, Buffer, CLIENT_4, CLIENT_6, COUNTER, DNS_4, Ip, Memory,
    NODE_4, NODE_6, VIP_4, VIP_6, WEB_4, WEB_6, address_key, ethernet, header_checksum, ip, ring_of, tcp, udp,
};

const ACK: u8 = 0x10;

fn web_4() -> Ip {
    Ip::new(CLIENT_4, VIP_4, 6, tcp(80, ACK))
}

fn web_6() -> Ip {
    Ip::new(CLIENT_6, VIP_6, 6, tcp(80, ACK))
}

/// Runs a frame through the packet path; only a frame that is sent changes.
fn check(tables: &Memory, frame: &[u8], vip: u32, reason: Reason) {
    let mut buffer = Buffer::new(frame);
    let verdict = balance(&mut buffer, tables);
    assert_eq!((verdict.vip(), verdict.reason()), (vip, reason));
    assert_eq!(tables.take_counted(), (vip, reason, frame.len() as u64));
    if reason.kind() == ReasonKind::Forward {
        assert_eq!(tables.members.take(), [(COUNTER, frame.len() as u64)]);
    } else {
        // What an answer must look like byte for byte is for the packet tests to say, through the real program.
        assert_eq!(buffer.bytes() == frame, reason.kind() != ReasonKind::Reply);
        assert_eq!(tables.members.take(), []);
    }
}

/// Verdict with everything in place.
fn check_one(packet: &Ip, vip: u32, reason: Reason) {
    check(&Memory::with_backend(BACKEND_4), &packet.frame(), vip, reason);
}

fn encapsulated(tables: &Memory, frame: &[u8]) -> Vec<u8> {
    let mut buffer = Buffer::new(frame);
    assert_eq!(balance(&mut buffer, tables).reason(), Reason::Forwarded);
    assert_eq!(tables.take_counted().1, Reason::Forwarded);
    assert_eq!(tables.members.take(), [(COUNTER, frame.len() as u64)]);
    buffer.bytes()
}

/// What must leave for `inner`: the flow label is masked, as only the hash knows it.
fn expected(inner: &Ip, node: &str, backend: &str) -> Vec<u8> {
    let decremented = Ip { ttl: inner.ttl - 1, ..inner.clone() };
    let protocol = if inner.source.is_ipv4() { 4 } else { 41 };
    let mut outer = Ip::new(node, backend, protocol, decremented.packet());
    outer.traffic_class = inner.traffic_class;
    let mut packet = outer.packet();
    if outer.source.is_ipv4() {
        packet[4..6].fill(0);
        packet[10..12].fill(0);
        let sum = header_checksum(&packet[..20]).to_be_bytes();
        packet[10..12].copy_from_slice(&sum);
    }
    let mut frame = vec![0xa; 6];
    frame.extend([0xb; 6]);
    frame.extend(if outer.source.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] });
    frame.extend(packet);
    frame
}

#[test]
fn both_families_are_wrapped_in_both_families() {
    for (node, backend) in [(NODE_4, BACKEND_4), (NODE_6, BACKEND_6)] {
        let tables = Memory::with_backend(backend);
        let dns = Ip::new(CLIENT_4, VIP_4, 17, udp(53));
        let marked = |inner: Ip| Ip { traffic_class: 0b1011_1011, ..inner };
        let with_options = Ip { options: vec![1; 12], ..web_4() };
        for inner in [web_4(), web_6(), dns, marked(web_4()), marked(web_6()), with_options] {
            let mut frame = encapsulated(&tables, &inner.frame());
            if ip(backend).is_ipv6() {
                let label = u32::from_be_bytes([0, frame[15] & 0xf, frame[16], frame[17]]);
                assert_ne!(label, 0);
                frame[15] &= 0xf0;
                frame[16..18].fill(0);
            }
            assert_eq!(frame, expected(&inner, node, backend));
        }
    }
}

#[test]
fn padding_stays_behind_the_inner_packet_and_out_of_the_outer_length() {
    let mut padded = web_4().frame();
    padded.extend([0xee; 9]);
    let mut with_padding = expected(&web_4(), NODE_4, BACKEND_4);
    with_padding.extend([0xee; 9]);
    assert_eq!(encapsulated(&Memory::with_backend(BACKEND_4), &padded), with_padding);
}

#[test]
fn without_its_gate_the_ttl_stays() {
    let mut tables = Memory::with_backend(BACKEND_4);
    tables.gates = Gates::default();
    for inner in [Ip { ttl: 1, ..web_4() }, Ip { ttl: 1, ..web_6() }] {
        let frame = encapsulated(&tables, &inner.frame());
        assert_eq!(frame[34..], inner.packet());
    }
    check(&tables, &Ip { ttl: 0, ..web_4() }.frame(), WEB_4, Reason::TtlExpired);
}

#[test]
fn a_ttl_that_ends_here_stops_the_packet() {
    check_one(&Ip { ttl: 0, ..web_4() }, WEB_4, Reason::TtlExpired);
    check_one(&Ip { ttl: 0, ..web_6() }, WEB_6, Reason::TtlExpired);
    check_one(&Ip { ttl: 1, ..web_4() }, WEB_4, Reason::TimeExceeded);
    check_one(&Ip { ttl: 1, ..web_6() }, WEB_6, Reason::TimeExceeded);
    check_one(&Ip { ttl: 2, ..web_4() }, WEB_4, Reason::Forwarded);
}

#[test]
fn every_ttl_leaves_with_a_right_checksum() {
    let tables = Memory::with_backend(BACKEND_4);
    for ttl in 2..=255 {
        for traffic_class in [0, 0xff] {
            let frame = encapsulated(&tables, &Ip { ttl, traffic_class, ..web_4() }.frame());
            assert_eq!((header_checksum(&frame[14..34]), header_checksum(&frame[34..54])), (0, 0));
        }
    }
}

#[test]
fn what_is_not_for_a_vip_passes_whatever_it_looks_like() {
    let tables = Memory::with_backend(BACKEND_4);
    let other = Ip::new(CLIENT_4, "192.0.2.99", 6, tcp(80, ACK));
    let other_6 = Ip::new(CLIENT_6, "2001:db8:1::99", 6, tcp(80, ACK));
    for packet in [
        other.clone(),
        other_6.clone(),
        Ip { ttl: 0, ..other.clone() },
        Ip { fragment: 0x2000, ..other.clone() },
        Ip { length: Some(9), ..other.clone() },
        Ip { length: Some(60_000), ..other_6 },
        Ip { payload: tcp(80, 0), ..other.clone() },
        Ip { payload: vec![], ..other.clone() },
        Ip { protocol: 1, ..other },
    ] {
        check(&tables, &packet.frame(), 0, Reason::NotVip);
    }
}

#[test]
fn what_is_not_ip_passes() {
    let tables = Memory::with_backend(BACKEND_4);
    let wrong_version = |frame: Vec<u8>| [&frame[..14], &[0x55], &frame[15..]].concat();
    for frame in [
        vec![],
        vec![0; 13],
        ethernet(0x0806, &[0; 28]),
        ethernet(0x8100, &web_4().frame()[12..]),
        web_4().frame()[..33].to_vec(),
        web_6().frame()[..53].to_vec(),
        wrong_version(web_4().frame()),
        wrong_version(web_6().frame()),
    ] {
        check(&tables, &frame, 0, Reason::NotIp);
    }
}

#[test]
fn a_vip_address_answers_for_what_none_of_its_services_takes() {
    check_one(&Ip { payload: tcp(81, ACK), ..web_4() }, ADDRESS_4, Reason::NoService);
    check_one(&Ip { payload: tcp(81, ACK), ..web_6() }, ADDRESS_6, Reason::NoService);
    check_one(&Ip { protocol: 17, payload: udp(80), ..web_4() }, ADDRESS_4, Reason::NoService);
    check_one(&Ip { protocol: 1, ..web_4() }, ADDRESS_4, Reason::UnsupportedProtocol);
    check_one(&Ip { protocol: 58, payload: vec![130; 8], ..web_6() }, ADDRESS_6, Reason::UnsupportedProtocol);
    check_one(&Ip { protocol: 59, ..web_6() }, ADDRESS_6, Reason::UnsupportedProtocol);
}

#[test]
fn later_fragments_follow_the_first_and_unknown_ones_are_dropped() {
    let tables = Memory::with_backend(BACKEND_4);
    let first = Ip { fragment: 0x2000, ..web_4() };
    let later = Ip { fragment: 0x2003, payload: vec![7; 24], ..web_4() };
    let last = Ip { fragment: 0x0006, payload: vec![7; 3], ..web_4() };
    check(&tables, &later.frame(), ADDRESS_4, Reason::FragmentUnknown);
    check(&tables, &first.frame(), WEB_4, Reason::FirstFragment);
    check(&tables, &later.frame(), WEB_4, Reason::LaterFragment);
    check(&tables, &last.frame(), WEB_4, Reason::LaterFragment);
    tables.now.set(30_000_000_000);
    check(&tables, &last.frame(), WEB_4, Reason::LaterFragment);
    tables.now.set(30_000_000_001);
    check(&tables, &last.frame(), ADDRESS_4, Reason::FragmentUnknown);
    for fragment in [0x0000, 0x4000, 0x8000] {
        check_one(&Ip { fragment, ..web_4() }, WEB_4, Reason::Forwarded);
    }
    check_one(&Ip { protocol: 1, fragment: 0x2000, ..web_4() }, ADDRESS_4, Reason::Fragment);
    // The next header and the length of a TCP segment's first port: a later fragment.
    check_one(&Ip { protocol: 44, ..web_6() }, ADDRESS_6, Reason::FragmentUnknown);
}

#[test]
fn extension_headers_do_not_hide_the_service() {
    let behind = |length: u16, payload: Vec<u8>| {
        let payload = [&[6, 1, 1, 12][..], &[0; 12], &payload].concat();
        Ip { protocol: 60, payload, length: Some(length), ..web_6() }
    };
    let whole = behind(16 + 25, tcp(80, ACK));
    check_one(&whole, WEB_6, Reason::Forwarded);
    check_one(&behind(16 + 25, tcp(81, ACK)), ADDRESS_6, Reason::NoService);
    for length in [0, 15, 16, 35] {
        check_one(&behind(length, tcp(80, ACK)), ADDRESS_6, Reason::BadLength);
    }
    let tables = Memory::with_backend(BACKEND_4);
    for end in 54..90 {
        check(&tables, &whole.frame()[..end], ADDRESS_6, Reason::Truncated);
    }
}

#[test]
fn neighbour_discovery_reaches_the_stack() {
    for kind in 132..=138u8 {
        let message = Ip { protocol: 58, payload: vec![kind, 0, 0, 0, 0, 0, 0, 0], ttl: 255, ..web_6() };
        let expected = match kind {
            133..=137 => Reason::NeighbourDiscovery,
            _ => Reason::UnsupportedProtocol,
        };
        check_one(&message, ADDRESS_6, expected);
        // A router has handled it, so it is not the neighbour that sent it.
        check_one(&Ip { ttl: 254, ..message }, ADDRESS_6, Reason::UnsupportedProtocol);
    }
}

#[test]
fn protocols_of_ipv6_mean_nothing_in_ipv4() {
    for protocol in [44, 58] {
        let message = Ip { protocol, payload: vec![135, 0, 0, 0, 0, 0, 0, 0], ttl: 255, ..web_4() };
        check_one(&message, ADDRESS_4, Reason::UnsupportedProtocol);
    }
}

#[test]
fn a_vip_address_that_is_bound_here_passes_up_what_is_for_no_service() {
    let mut tables = Memory::with_backend(BACKEND_4);
    tables.vips.insert(address_key(VIP_4), Vip::new(ADDRESS_4, VipKind::LocalAddress));
    check(&tables, &web_4().frame(), WEB_4, Reason::Forwarded);
    check(&tables, &Ip { payload: tcp(22, ACK), ..web_4() }.frame(), ADDRESS_4, Reason::LocalAddress);
    check(&tables, &Ip { protocol: 1, ..web_4() }.frame(), ADDRESS_4, Reason::LocalAddress);
}

#[test]
fn lengths_that_contradict_each_other_are_told_from_frames_that_end_early() {
    let len = web_4().packet().len() as u16;
    for length in [0, 19, 20, 39, len + 1, u16::MAX] {
        check_one(&Ip { length: Some(length), ..web_4() }, ADDRESS_4, Reason::BadLength);
    }
    for length in [0, 19, web_6().payload.len() as u16 + 1, u16::MAX] {
        check_one(&Ip { length: Some(length), ..web_6() }, ADDRESS_6, Reason::BadLength);
    }
    // The header without data is a whole packet; the rest is padding.
    check_one(&Ip { length: Some(40), ..web_4() }, WEB_4, Reason::Forwarded);

    let tables = Memory::with_backend(BACKEND_4);
    for end in 34..54 {
        check(&tables, &web_4().frame()[..end], ADDRESS_4, Reason::Truncated);
    }
    check(&tables, &web_4().frame()[..54], ADDRESS_4, Reason::BadLength);
    let mut short_header = web_4().frame();
    short_header[14] = 0x44;
    check(&tables, &short_header, ADDRESS_4, Reason::BadLength);
}

#[test]
fn transport_lengths_must_fit() {
    let with = |offset: usize, byte| {
        let mut payload = tcp(80, ACK);
        payload[offset] = byte;
        Ip { payload, ..web_4() }
    };
    check_one(&with(12, 0x40), ADDRESS_4, Reason::BadLength);
    check_one(&with(12, 0x60), WEB_4, Reason::Forwarded);
    check_one(&with(12, 0xf0), ADDRESS_4, Reason::Truncated);

    let datagram = |length: u8| {
        let mut payload = udp(53);
        payload[5] = length;
        Ip { protocol: 17, payload, ..web_4() }
    };
    check_one(&datagram(7), ADDRESS_4, Reason::BadLength);
    check_one(&datagram(8), DNS_4, Reason::Forwarded);
    check_one(&datagram(14), ADDRESS_4, Reason::BadLength);
}

#[test]
fn flags_that_no_sender_sets_are_dropped_if_so_configured() {
    let (fin, syn, rst, psh, urg) = (1, 2, 4, 8, 32);
    let mut relaxed = Memory::with_backend(BACKEND_4);
    relaxed.gates = Gates::default();
    for flags in [0, fin, psh, urg, fin | psh | urg, syn | fin, syn | rst, syn | fin | ACK, 0xc0] {
        check_one(&Ip { payload: tcp(80, flags), ..web_4() }, WEB_4, Reason::BadTcpFlags);
        check(&relaxed, &Ip { payload: tcp(80, flags), ..web_4() }.frame(), WEB_4, Reason::Forwarded);
    }
    for flags in [syn, syn | 0xc0, syn | ACK, ACK, ACK | psh, fin | ACK, rst, rst | ACK, fin | rst, fin | rst | ACK] {
        check_one(&Ip { payload: tcp(80, flags), ..web_4() }, WEB_4, Reason::Forwarded);
    }
}

#[test]
fn a_service_without_usable_backend_drops() {
    let mut tables = Memory::with_backend(BACKEND_4);
    tables.rings.insert(WEB_4, ring_of(&Member::NONE, Slot::Member(0)));
    check(&tables, &web_4().frame(), WEB_4, Reason::NoBackend);
    tables.rings.insert(WEB_4, ring_of(&Member::NONE, Slot::Member(1)));
    check(&tables, &web_4().frame(), WEB_4, Reason::NoBackend);
    tables.rings.remove(&WEB_4);
    check(&tables, &web_4().frame(), WEB_4, Reason::NoBackend);
    tables.rings.insert(WEB_4, ring_of(&Member::NONE, Slot::Move(1)));
    check(&tables, &web_4().frame(), WEB_4, Reason::CorruptTable);
}

#[test]
fn a_next_hop_must_be_known_here_and_wide_enough() {
    let mut tables = Memory::with_backend(BACKEND_4);
    let good = tables.next_hops[1];
    tables.next_hops[1].link = 0;
    check(&tables, &web_4().frame(), WEB_4, Reason::NextHopUnresolved);
    tables.next_hops[1].link = good.link;
    tables.next_hops[1].interface = 4;
    check(&tables, &web_4().frame(), WEB_4, Reason::OtherInterface);
    tables.next_hops[1].interface = good.interface;
    let fits = web_4().packet().len() as u16 + 20;
    for (mtu, reason) in [(fits, Reason::Forwarded), (fits - 1, Reason::PacketTooBig)] {
        tables.next_hops[1].link = Link { mac: [0xa; 6], mtu }.encode();
        check(&tables, &web_4().frame(), WEB_4, reason);
    }
}

#[test]
fn a_frame_in_several_buffers_is_measured_as_a_whole() {
    let mut tables = Memory::with_backend(BACKEND_4);
    tables.next_hops[1].link = Link { mac: [0xa; 6], mtu: 9000 }.encode();
    let long = Ip { length: Some(web_4().packet().len() as u16 + 5000), ..web_4() };
    let mut buffer = Buffer::new(&long.frame());
    buffer.beyond = 5000;
    assert_eq!(balance(&mut buffer, &tables).reason(), Reason::Forwarded);
    assert_eq!(tables.take_counted(), (WEB_4, Reason::Forwarded, long.frame().len() as u64 + 5000));
}

#[test]
fn without_room_in_front_nothing_is_written() {
    let tables = Memory::with_backend(BACKEND_4);
    let mut buffer = Buffer::with_headroom(&web_4().frame(), 19);
    assert_eq!(balance(&mut buffer, &tables).reason(), Reason::NoHeadroom);
    assert_eq!(buffer.bytes(), web_4().frame());
    assert_eq!(tables.members.take(), []);
}

#[test]
fn damaged_packets_are_counted_once_and_never_dropped_unless_for_a_vip() {
    let tables = Memory::with_backend(BACKEND_4);
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for round in 0..200_000 {
        let packet = if round % 2 == 0 { web_4() } else { web_6() };
        let mut frame = packet.frame();
        for _ in 0..random() % 4 {
            let at = random() % frame.len();
            frame[at] = random() as u8;
        }
        frame.truncate(random() % (2 * frame.len()));
        let mut buffer = Buffer::new(&frame);
        let reason = balance(&mut buffer, &tables).reason();
        let (vip, counted, bytes) = tables.take_counted();
        assert_eq!((counted, bytes), (reason, frame.len() as u64));
        assert_eq!(reason.kind() == ReasonKind::Forward, tables.members.take().len() == 1);
        assert_eq!(vip == 0, matches!(reason, Reason::NotIp | Reason::NotVip));
        let address = if round % 2 == 0 { frame.get(30..34) } else { frame.get(38..54) };
        let for_vip = address.is_some_and(|bytes| packet.packet().windows(bytes.len()).any(|w| w == bytes));
        assert!(for_vip || reason.kind() == ReasonKind::Pass, "{reason:?} of a packet for another address");
    }
    assert_eq!(tables.gates, ALL_GATES);
}
