//! From a frame to what the packet path needs to know of it.
//!
//! Only what cannot be an IP packet ends here. A packet whose headers make no sense still has a destination, and as
//! long as that is no VIP it is none of our business: what is wrong with it is kept in [`Packet::transport`] and
//! matters only once the look-up has found a VIP.
//!
//! Headers must lie in the linear part of the frame (drivers put at least 128 bytes there); lengths are compared with
//! the whole frame. The IPv4 header checksum is not verified: NICs do it, and the backend's kernel does it again.

use core::ops::ControlFlow::{Break, Continue};

use xdp_lb_abi::{Addr, Family, Reason};

use crate::{
    extensions::{self, Upper},
    fragment::Fragment,
    headers::{
        ETHERNET_LEN, ICMP_LEN, ICMPV6_LEN, IPV4_FRAGMENT_MASK_BE, IPV4_LEN, IPV4_OFFSET_MASK_BE, IPV6_LEN,
        NEIGHBOUR_DISCOVERY, TCP_LEN, UDP_LEN, ether_type, icmp, icmpv6, protocol, traffic_class,
    },
    packet::{Frame, Window},
    verdict::{Step, Verdict},
};

/// An IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// IP version.
    pub family: Family,
    /// Source address.
    pub source: Addr,
    /// Destination address.
    pub destination: Addr,
    /// IPv4 protocol, or the protocol behind the IPv6 extension headers.
    pub protocol: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Length in bytes from the IP header on, as the IP header says; padding behind it is not part of it.
    pub length: u32,
    /// Which part of a packet it is.
    pub fragment: Fragment,
    /// Where the transport header begins, in bytes from the start of the frame.
    pub transport_offset: usize,
    /// What identifies the flow, or what becomes of the packet should it be for a VIP address.
    pub transport: Result<Transport, Reason>,
}

/// What matters of a TCP or UDP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// Source and destination port as they stand in memory.
    pub ports: u32,
    /// Destination port in network order.
    pub destination_port_be: u16,
    /// TCP flags (see [`crate::headers::tcp_flag`]); 0 for UDP.
    pub flags: u8,
}

const NOT_IP: Verdict = Verdict::of_no_vip(Reason::NotIp);

/// An IP header, and where what it carries stands.
struct Network {
    family: Family,
    source: Addr,
    destination: Addr,
    ttl: u8,
    traffic_class: u8,
    /// Length in bytes from the IP header on.
    length: u32,
    /// Why nothing behind the header can be read.
    problem: Option<Reason>,
    /// The protocol of what stands at `offset`, from the start of the frame.
    upper: Upper,
    /// Bytes of the packet from there on; meaningless beside a problem.
    payload: usize,
}

/// Parses an Ethernet frame of `bytes` bytes.
#[inline(always)]
pub fn parse(frame: &impl Frame, bytes: u64) -> Step<Packet> {
    let Some(ethernet) = Window::<ETHERNET_LEN>::at(frame, 0) else { return Break(NOT_IP) };
    let network = match ethernet.get::<u16, 12>() {
        ether_type::IPV4_BE => ipv4(frame)?,
        ether_type::IPV6_BE => ipv6(frame)?,
        _ => return Break(NOT_IP),
    };
    let transport = match network.problem {
        None => transport(frame, bytes, &network),
        Some(Reason::FragmentUnknown) if ETHERNET_LEN as u64 + u64::from(network.length) > bytes => {
            Err(Reason::BadLength)
        }
        Some(reason) => Err(reason),
    };
    let Network { family, source, destination, ttl, traffic_class, length, upper, .. } = network;
    let Upper { protocol, offset, fragment } = upper;
    Continue(Packet {
        family,
        source,
        destination,
        protocol,
        ttl,
        traffic_class,
        length,
        fragment,
        transport_offset: offset,
        transport,
    })
}

#[inline(always)]
fn ipv4(frame: &impl Frame) -> Step<Network> {
    let Some(header) = Window::<IPV4_LEN>::at(frame, ETHERNET_LEN) else { return Break(NOT_IP) };
    let version_and_words = header.get::<u8, 0>();
    if version_and_words >> 4 != Family::V4 as u8 {
        return Break(NOT_IP);
    }
    let header_len = (version_and_words as usize & 0xf) * 4;
    let length = header.number::<2>() as usize;
    let (position, identification) = (header.get::<u16, 6>(), u32::from(header.get::<u16, 4>()));
    let fragment = if position & IPV4_FRAGMENT_MASK_BE == 0 {
        Fragment::WHOLE
    } else if position & IPV4_OFFSET_MASK_BE == 0 {
        Fragment::first(identification)
    } else {
        Fragment::later(identification)
    };
    let problem = if header_len < IPV4_LEN || length < header_len {
        Some(Reason::BadLength)
    } else if fragment.is_later() {
        Some(Reason::FragmentUnknown)
    } else {
        None
    };
    Continue(Network {
        family: Family::V4,
        source: Addr::from_v4_word(header.get::<u32, 12>()),
        destination: Addr::from_v4_word(header.get::<u32, 16>()),
        ttl: header.get::<u8, 8>(),
        traffic_class: header.get::<u8, 1>(),
        length: length as u32,
        problem,
        upper: Upper { protocol: header.get::<u8, 9>(), offset: ETHERNET_LEN + header_len, fragment },
        payload: length.wrapping_sub(header_len),
    })
}

#[inline(always)]
fn ipv6(frame: &impl Frame) -> Step<Network> {
    let Some(header) = Window::<IPV6_LEN>::at(frame, ETHERNET_LEN) else { return Break(NOT_IP) };
    let first_word = u32::from_be(header.get::<u32, 0>());
    if first_word >> 28 != Family::V6 as u32 {
        return Break(NOT_IP);
    }
    let length = header.number::<4>() as usize;
    let behind = ETHERNET_LEN + IPV6_LEN;
    let mut upper = Upper { protocol: header.get::<u8, 6>(), offset: behind, fragment: Fragment::WHOLE };
    let skipped = extensions::skip(frame, &mut upper);
    let extensions = upper.offset - behind;
    let problem = match skipped {
        Ok(()) if extensions > length => Some(Reason::BadLength),
        Ok(()) => None,
        Err(reason) => Some(reason),
    };
    Continue(Network {
        family: Family::V6,
        source: Addr::from_words([header.get::<u64, 8>(), header.get::<u64, 16>()]),
        destination: Addr::from_words([header.get::<u64, 24>(), header.get::<u64, 32>()]),
        ttl: header.get::<u8, 7>(),
        traffic_class: traffic_class(first_word),
        length: (IPV6_LEN + length) as u32,
        problem,
        upper,
        payload: length.wrapping_sub(extensions),
    })
}

/// Parses what an IP header carries; `payload` is its length as the header says.
#[inline(always)]
fn transport(frame: &impl Frame, bytes: u64, network: &Network) -> Result<Transport, Reason> {
    let (offset, payload) = (network.upper.offset, network.payload);
    match (network.family, network.upper.protocol) {
        (_, protocol::TCP) => tcp(frame, bytes, offset, payload),
        (_, protocol::UDP) => udp(frame, bytes, network),
        (_, protocol::ICMP | protocol::ICMPV6) if network.upper.fragment.is_first() => Err(Reason::Fragment),
        (Family::V4, protocol::ICMP) => Err(icmp(frame, bytes, offset, payload)),
        (Family::V6, protocol::ICMPV6) => Err(icmpv6(frame, bytes, network)),
        _ => Err(Reason::UnsupportedProtocol),
    }
}

#[inline(always)]
fn tcp(frame: &impl Frame, bytes: u64, offset: usize, payload: usize) -> Result<Transport, Reason> {
    let header = Window::<TCP_LEN>::at(frame, offset).ok_or(Reason::Truncated)?;
    let header_len = (header.get::<u8, 12>() >> 4) as usize * 4;
    if (offset + header_len) as u64 > bytes {
        return Err(Reason::Truncated);
    }
    if header_len < TCP_LEN || payload < header_len || (offset + payload) as u64 > bytes {
        return Err(Reason::BadLength);
    }
    Ok(Transport {
        ports: header.get::<u32, 0>(),
        destination_port_be: header.get::<u16, 2>(),
        flags: header.get::<u8, 13>(),
    })
}

#[inline(always)]
fn udp(frame: &impl Frame, bytes: u64, network: &Network) -> Result<Transport, Reason> {
    let (offset, payload) = (network.upper.offset, network.payload);
    let header = Window::<UDP_LEN>::at(frame, offset).ok_or(Reason::Truncated)?;
    // A datagram may end before the IP packet does: options follow it there (RFC 9868).
    let length = header.number::<4>() as usize;
    // In a first fragment it goes on beyond the packet.
    let is_cut = payload < length && !network.upper.fragment.is_first();
    if length < UDP_LEN || payload < UDP_LEN || is_cut || (offset + payload) as u64 > bytes {
        return Err(Reason::BadLength);
    }
    Ok(Transport { ports: header.get::<u32, 0>(), destination_port_be: header.get::<u16, 2>(), flags: 0 })
}

/// What becomes of an ICMP message for a VIP address, by its type.
#[inline(always)]
fn icmp(frame: &impl Frame, bytes: u64, offset: usize, payload: usize) -> Reason {
    let Some(header) = Window::<ICMP_LEN>::at(frame, offset) else { return Reason::Truncated };
    match (header.get::<u8, 0>(), header.get::<u8, 1>()) {
        (icmp::DESTINATION_UNREACHABLE | icmp::TIME_EXCEEDED | icmp::PARAMETER_PROBLEM, _) => {
            if_whole(Reason::ForwardedIcmpError, bytes, offset, payload)
        }
        (icmp::ECHO_REQUEST, 0) => if_whole(Reason::EchoReply, bytes, offset, payload),
        _ => Reason::UnsupportedProtocol,
    }
}

/// What becomes of an `ICMPv6` message for a VIP address, by its type.
///
/// Neighbour discovery from beyond a router is none: its hop limit cannot be 255 any more (RFC 4861, section 6.1.1 and
/// 7.1.1).
#[inline(always)]
fn icmpv6(frame: &impl Frame, bytes: u64, network: &Network) -> Reason {
    let (offset, payload) = (network.upper.offset, network.payload);
    let Some(header) = Window::<ICMPV6_LEN>::at(frame, offset) else { return Reason::Truncated };
    match (header.get::<u8, 0>(), header.get::<u8, 1>()) {
        (kind, _) if network.ttl == 255 && NEIGHBOUR_DISCOVERY.contains(&kind) => Reason::NeighbourDiscovery,
        (icmpv6::DESTINATION_UNREACHABLE..=icmpv6::PARAMETER_PROBLEM, _) => {
            if_whole(Reason::ForwardedIcmpError, bytes, offset, payload)
        }
        (icmpv6::ECHO_REQUEST, 0) => if_whole(Reason::EchoReply, bytes, offset, payload),
        _ => Reason::UnsupportedProtocol,
    }
}

/// The verdict on an ICMP message, if the frame holds all of it.
#[inline(always)]
const fn if_whole(reason: Reason, bytes: u64, offset: usize, payload: usize) -> Reason {
    if payload < ICMP_LEN || (offset + payload) as u64 > bytes { Reason::BadLength } else { reason }
}
