//! ICMP errors about a packet: the packet, cut to what may be quoted, behind new headers.
//!
//! Header and message are written where the driver has room in front of the frame. Checksums cover the quote, which is
//! summed while it still stands at the front, in the linear part of the frame: no more than that part is quoted.

use xdp_lb_abi::{Addr, Family};

use super::REPLY_TTL;
use crate::{
    checksum,
    headers::{ETHERNET_LEN, ICMP_LEN, IPV4_DONT_FRAGMENT, IPV4_LEN, IPV6_LEN, icmp, icmpv6, protocol},
    packet::{Frame, MAX_SUM, Window},
    parse::Packet,
};

/// Longest IPv4 error (RFC 1812, section 4.3.2.3).
const LONGEST_V4: usize = 576;
/// Longest IPv6 error: the least MTU of a link (RFC 4443, section 2.4).
const LONGEST_V6: usize = 1280;
/// What the headers of an error take.
const HEADERS_V4: usize = IPV4_LEN + ICMP_LEN;
const HEADERS_V6: usize = IPV6_LEN + ICMP_LEN;
/// Bytes that are summed at once.
const BLOCK: usize = MAX_SUM;
/// DSCP and ECN of IPv4 errors: internetwork control (RFC 1812, section 4.3.2.5).
const TRAFFIC_CLASS_V4: u32 = 0xc0;

/// What is wrong with the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// Nothing longer than this many bytes can be sent on.
    TooBig(u16),
    /// Its TTL or hop limit ends here.
    TimeExceeded,
}

impl Problem {
    /// The message's header with a checksum of zero, as it stands in memory: two words of four bytes.
    #[inline(always)]
    fn header(self, family: Family) -> (u32, u32) {
        let (kind, code, mtu) = match (self, family) {
            (Self::TooBig(mtu), Family::V4) => (icmp::DESTINATION_UNREACHABLE, icmp::FRAGMENTATION_NEEDED, mtu),
            (Self::TooBig(mtu), Family::V6) => (icmpv6::PACKET_TOO_BIG, 0, mtu),
            (Self::TimeExceeded, Family::V4) => (icmp::TIME_EXCEEDED, 0, 0),
            (Self::TimeExceeded, Family::V6) => (icmpv6::TIME_EXCEEDED, 0, 0),
        };
        (u32::from_be_bytes([kind, code, 0, 0]).to_be(), u32::from(mtu).to_be())
    }
}

/// Turns a frame of `bytes` bytes into the error about its packet. `None`, with nothing written, if there is no room.
#[inline(always)]
pub(super) fn answer(frame: &mut impl Frame, packet: &Packet, problem: Problem, bytes: u64) -> Option<()> {
    let (headers, longest) = match packet.family {
        Family::V4 => (HEADERS_V4, LONGEST_V4),
        Family::V6 => (HEADERS_V6, LONGEST_V6),
    };
    let quoted = quotable(frame, packet, longest - headers);
    let sum = sum_of(frame, quoted)?;
    make_room(frame, headers, quoted, bytes)?;
    let header = problem.header(packet.family);
    match packet.family {
        Family::V4 => {
            write_ipv4(&mut Window::at(frame, ETHERNET_LEN)?, packet, (headers + quoted) as u32);
            write_message(&mut Window::at(frame, ETHERNET_LEN + IPV4_LEN)?, header, sum);
        }
        Family::V6 => {
            let length = (ICMP_LEN + quoted) as u16;
            let sum = sum + sum_of_pseudo_header(packet, length);
            write_ipv6(&mut Window::at(frame, ETHERNET_LEN)?, packet, length);
            write_message(&mut Window::at(frame, ETHERNET_LEN + IPV6_LEN)?, header, sum);
        }
    }
    Some(())
}

/// How much of the packet is quoted.
#[inline(always)]
fn quotable(frame: &impl Frame, packet: &Packet, most: usize) -> usize {
    let linear = (frame.data_end() - frame.data()).saturating_sub(ETHERNET_LEN);
    most.min(packet.length as usize).min(linear)
}

/// Sum of the first `length` bytes of the packet, in words of four bytes as they stand in memory.
///
/// In blocks of constant size, the largest first: what is left gets smaller by the bits of its length. The verifier
/// does not compare where two paths through it are, as long as no packet pointer depends on that (see [`Frame::sum`]).
#[inline(always)]
fn sum_of(frame: &impl Frame, length: usize) -> Option<u64> {
    let mut rest = Rest { at: ETHERNET_LEN, length, sum: 0 };
    let mut blocks = 0;
    while blocks < LONGEST_V6 / BLOCK && rest.length >= BLOCK {
        rest.take::<BLOCK>(frame)?;
        blocks += 1;
    }
    rest.take_if::<64>(frame)?;
    rest.take_if::<32>(frame)?;
    rest.take_if::<16>(frame)?;
    rest.take_if::<8>(frame)?;
    rest.take_if::<4>(frame)?;
    rest.take_if::<2>(frame)?;
    rest.take_if::<1>(frame)?;
    Some(rest.sum)
}

/// What is still to be summed.
struct Rest {
    at: usize,
    length: usize,
    sum: u64,
}

impl Rest {
    #[inline(always)]
    fn take<const N: usize>(&mut self, frame: &impl Frame) -> Option<()> {
        self.sum += frame.sum::<N>(self.at)?;
        self.at += N;
        self.length -= N;
        Some(())
    }

    #[inline(always)]
    fn take_if<const N: usize>(&mut self, frame: &impl Frame) -> Option<()> {
        if self.length & N == 0 { Some(()) } else { self.take::<N>(frame) }
    }
}

/// Sum of the addresses, the length and the protocol (RFC 8200, section 8.1); the error's source is the destination of
/// the packet, which makes no difference here.
#[inline(always)]
fn sum_of_pseudo_header(packet: &Packet, length: u16) -> u64 {
    let [a, b] = packet.source.words();
    let [c, d] = packet.destination.words();
    let addresses = [a, b, c, d].into_iter().map(|word| (word >> 32) + (word & 0xffff_ffff)).sum::<u64>();
    addresses + u64::from(u32::from(length).to_be()) + u64::from(u32::from(protocol::ICMPV6).to_be())
}

/// Cuts the packet behind what is quoted, and puts the Ethernet header, turned round, in front of room for `headers`.
#[inline(always)]
fn make_room(frame: &mut impl Frame, headers: usize, quoted: usize, bytes: u64) -> Option<()> {
    let ethernet = Window::<ETHERNET_LEN>::at(frame, 0)?;
    let destination = (ethernet.get::<u32, 0>(), ethernet.get::<u16, 4>());
    let source = (ethernet.get::<u32, 6>(), ethernet.get::<u16, 10>());
    let ether_type = ethernet.get::<u16, 12>();
    frame.grow_head(headers).ok()?;
    frame.shrink_tail((bytes as usize).wrapping_sub(ETHERNET_LEN + quoted)).ok()?;
    let mut ethernet = Window::<ETHERNET_LEN>::at(frame, 0)?;
    ethernet.set::<u32, 0>(source.0);
    ethernet.set::<u16, 4>(source.1);
    ethernet.set::<u32, 6>(destination.0);
    ethernet.set::<u16, 10>(destination.1);
    ethernet.set::<u16, 12>(ether_type);
    Some(())
}

#[inline(always)]
fn write_ipv4(header: &mut Window<'_, IPV4_LEN>, packet: &Packet, length: u32) {
    let ttl_and_protocol = u16::from_be_bytes([REPLY_TTL, protocol::ICMP]);
    let words = [
        (0x4500_0000 | TRAFFIC_CLASS_V4 << 16 | length).to_be(),
        u32::from(IPV4_DONT_FRAGMENT).to_be(),
        (u32::from(ttl_and_protocol) << 16).to_be(),
        packet.destination.v4_word(),
        packet.source.v4_word(),
    ];
    let [first, second, third, source, destination] = words;
    header.set::<u32, 0>(first);
    header.set::<u32, 4>(second);
    header.set::<u32, 8>(third);
    header.set::<u16, 10>(checksum::finish(words.into_iter().map(u64::from).sum()));
    header.set::<u32, 12>(source);
    header.set::<u32, 16>(destination);
}

#[inline(always)]
fn write_ipv6(header: &mut Window<'_, IPV6_LEN>, packet: &Packet, length: u16) {
    header.set::<u32, 0>((6_u32 << 28).to_be());
    header.set::<u16, 4>(length.to_be());
    header.set::<u16, 6>(u16::from_ne_bytes([protocol::ICMPV6, REPLY_TTL]));
    write_address::<8, 16>(header, packet.destination);
    write_address::<24, 32>(header, packet.source);
}

#[inline(always)]
fn write_address<const HIGH: usize, const LOW: usize>(header: &mut Window<'_, IPV6_LEN>, address: Addr) {
    let [high, low] = address.words();
    header.set::<u64, HIGH>(high);
    header.set::<u64, LOW>(low);
}

/// `sum` is that of all the checksum covers but this header.
#[inline(always)]
fn write_message(message: &mut Window<'_, ICMP_LEN>, (first, second): (u32, u32), sum: u64) {
    message.set::<u32, 0>(first);
    message.set::<u32, 4>(second);
    message.set::<u16, 2>(checksum::finish(sum + u64::from(first) + u64::from(second)));
}
