//! The backend's side: takes packets out of their tunnel and hands them to the stack.
//!
//! An open decapsulator lets outsiders send packets in the name of anybody past every filter. So only packets from
//! configured sources, to configured tunnel addresses, for configured VIPs leave the tunnel; what else is sent to a
//! tunnel address as IP in IP, or to its port for GUE, is dropped. Everything that is not is none of our business, whatever it looks like.
//! IPv6 extension headers in front of the inner packet, other than a fragment header, count as "not a tunnel".

use core::ops::ControlFlow::{Break, Continue};

use xdp_lb_abi::{Addr, Family, Reason, SourceKey, VipKey};

use crate::{
    ecn::{self, Ecn},
    headers::{
        ETHERNET_LEN, IPV4_FRAGMENT_MASK_BE, IPV4_LEN, IPV6_LEN, UDP_LEN, ether_type, ipv6_fragment, protocol,
        traffic_class,
    },
    packet::{Frame, Window},
    tables::Tunnels,
    verdict::{Step, Verdict},
};

/// The outer header.
struct Outer {
    family: Family,
    source: Addr,
    destination: Addr,
    ecn: Ecn,
    /// What it carries, or what is wrong with it.
    payload: Result<Payload, Reason>,
}

/// The inner packet as the outer headers announce it.
#[derive(Clone, Copy)]
struct Payload {
    family: Family,
    /// Length of the outer headers.
    header: usize,
    /// Length of what is behind them.
    length: usize,
}

/// The inner packet.
struct Inner {
    destination: Addr,
    ecn: Ecn,
}

/// Gives a packet its verdict, counts it once, and unwraps it if it is to be delivered.
#[inline(always)]
pub fn decapsulate(frame: &mut impl Frame, tunnels: &impl Tunnels) -> Verdict {
    let bytes = frame.length();
    let (Continue(verdict) | Break(verdict)) = unwrap(frame, bytes, tunnels);
    tunnels.count(verdict, bytes);
    verdict
}

#[inline(always)]
fn unwrap(frame: &mut impl Frame, bytes: u64, tunnels: &impl Tunnels) -> Step<Verdict> {
    let outer = parse_outer(frame, tunnels.gue_port())?;
    if !tunnels.is_tunnel(&VipKey::of_address(outer.destination, outer.family)) {
        return stop(Reason::NotTunnel);
    }
    if !tunnels.is_source(&SourceKey::of(outer.source, outer.family)) {
        return stop(Reason::SourceRefused);
    }
    let payload = check_lengths(&outer, bytes)?;
    let inner = parse_inner(frame, payload)?;
    if !tunnels.is_vip(&VipKey::of_address(inner.destination, payload.family)) {
        return stop(Reason::InnerNotVip);
    }
    let Some(ecn) = ecn::decapsulated(outer.ecn, inner.ecn) else { return stop(Reason::EcnRefused) };
    match strip(frame, payload.family, payload.header, (ecn != inner.ecn).then_some(ecn)) {
        Some(()) => Continue(Verdict::of_no_vip(Reason::Decapsulated)),
        None => stop(Reason::NoHeadroom),
    }
}

#[inline(always)]
const fn stop<T>(reason: Reason) -> Step<T> {
    Break(Verdict::of_no_vip(reason))
}

#[inline(always)]
fn parse_outer(frame: &impl Frame, gue_port: u16) -> Step<Outer> {
    let Some(ethernet) = Window::<ETHERNET_LEN>::at(frame, 0) else { return stop(Reason::NotTunnel) };
    let outer = match ethernet.get::<u16, 12>() {
        ether_type::IPV4_BE => outer_ipv4(frame, gue_port),
        ether_type::IPV6_BE => outer_ipv6(frame, gue_port),
        _ => None,
    };
    match outer {
        Some(outer) => Continue(outer),
        None => stop(Reason::NotTunnel),
    }
}

#[inline(always)]
const fn inner_family(protocol: u8) -> Option<Family> {
    match protocol {
        protocol::IPV4 => Some(Family::V4),
        protocol::IPV6 => Some(Family::V6),
        _ => None,
    }
}

/// What is behind an outer IP header; `None` if it is no tunnel's.
#[inline(always)]
fn payload(
    frame: &impl Frame,
    protocol: u8,
    header: usize,
    length: usize,
    gue_port: u16,
) -> Option<Result<Payload, Reason>> {
    if protocol == protocol::UDP {
        return gue(frame, header, length, gue_port);
    }
    Some(Ok(Payload { family: inner_family(protocol)?, header, length }))
}

/// A datagram for the port of GUE: variant 1, whose first bits are the IP version of the packet inside. The UDP checksum
/// is not verified: zero is allowed (RFC 6935), and the packet inside has its own.
#[inline(always)]
fn gue(frame: &impl Frame, header: usize, length: usize, port: u16) -> Option<Result<Payload, Reason>> {
    let udp = Window::<UDP_LEN>::at(frame, ETHERNET_LEN + header)?;
    if udp.number::<2>() != port {
        return None;
    }
    let datagram = udp.number::<4>() as usize;
    if datagram < UDP_LEN || datagram > length {
        return Some(Err(Reason::BadLength));
    }
    let header = header + UDP_LEN;
    let Some(inner) = Window::<IPV4_LEN>::at(frame, ETHERNET_LEN + header) else {
        return Some(Err(Reason::InnerMalformed));
    };
    let family = match inner.get::<u8, 0>() >> 4 {
        4 => Family::V4,
        6 => Family::V6,
        _ => return Some(Err(Reason::InnerMalformed)),
    };
    Some(Ok(Payload { family, header, length: datagram - UDP_LEN }))
}

/// What is wrong with a packet whose payload cannot be looked at; `None` if its protocol alone does not make it a
/// tunnel's. A fragment of UDP may be anybody's.
#[inline(always)]
const fn unreadable(protocol: u8, reason: Reason) -> Option<Result<Payload, Reason>> {
    match inner_family(protocol) {
        Some(_) => Some(Err(reason)),
        None => None,
    }
}

#[inline(always)]
fn outer_ipv4(frame: &impl Frame, gue_port: u16) -> Option<Outer> {
    let header = Window::<IPV4_LEN>::at(frame, ETHERNET_LEN)?;
    let protocol = header.get::<u8, 9>();
    let version_and_words = header.get::<u8, 0>();
    if version_and_words >> 4 != Family::V4 as u8 {
        return None;
    }
    let header_len = (version_and_words as usize & 0xf) * 4;
    let length = header.number::<2>() as usize;
    Some(Outer {
        family: Family::V4,
        source: Addr::from_v4_word(header.get::<u32, 12>()),
        destination: Addr::from_v4_word(header.get::<u32, 16>()),
        ecn: Ecn::of(header.get::<u8, 1>()),
        payload: if header.get::<u16, 6>() & IPV4_FRAGMENT_MASK_BE != 0 {
            unreadable(protocol, Reason::Fragment)?
        } else if header_len < IPV4_LEN || length < header_len {
            unreadable(protocol, Reason::BadLength)?
        } else {
            payload(frame, protocol, header_len, length - header_len, gue_port)?
        },
    })
}

#[inline(always)]
fn outer_ipv6(frame: &impl Frame, gue_port: u16) -> Option<Outer> {
    let header = Window::<IPV6_LEN>::at(frame, ETHERNET_LEN)?;
    let first_word = u32::from_be(header.get::<u32, 0>());
    if first_word >> 28 != Family::V6 as u32 {
        return None;
    }
    let next_header = header.get::<u8, 6>();
    let payload = if next_header == protocol::IPV6_FRAGMENT {
        // Every fragment names the protocol of the whole.
        let fragment = Window::<{ ipv6_fragment::LEN }>::at(frame, ETHERNET_LEN + IPV6_LEN)?;
        unreadable(fragment.get::<u8, { ipv6_fragment::NEXT_HEADER }>(), Reason::Fragment)?
    } else {
        payload(frame, next_header, IPV6_LEN, header.number::<4>() as usize, gue_port)?
    };
    Some(Outer {
        family: Family::V6,
        source: Addr::from_words([header.get::<u64, 8>(), header.get::<u64, 16>()]),
        destination: Addr::from_words([header.get::<u64, 24>(), header.get::<u64, 32>()]),
        ecn: Ecn::of(traffic_class(first_word)),
        payload,
    })
}

/// What the outer header carries, if its lengths agree with each other and with the frame.
#[inline(always)]
fn check_lengths(outer: &Outer, bytes: u64) -> Step<Payload> {
    match outer.payload {
        Err(reason) => stop(reason),
        Ok(payload) if (ETHERNET_LEN + payload.header) as u64 > bytes => stop(Reason::Truncated),
        Ok(payload) if (ETHERNET_LEN + payload.header + payload.length) as u64 > bytes => stop(Reason::BadLength),
        Ok(payload) => Continue(payload),
    }
}

/// The inner packet, if it is one of the family that the outer header announces and fits into the outer payload.
#[inline(always)]
fn parse_inner(frame: &impl Frame, payload: Payload) -> Step<Inner> {
    let offset = ETHERNET_LEN + payload.header;
    let inner = match payload.family {
        Family::V4 => inner_ipv4(frame, offset, payload.length),
        Family::V6 => inner_ipv6(frame, offset, payload.length),
    };
    match inner {
        Some(inner) => Continue(inner),
        None => stop(Reason::InnerMalformed),
    }
}

#[inline(always)]
fn inner_ipv4(frame: &impl Frame, offset: usize, room: usize) -> Option<Inner> {
    let header = Window::<IPV4_LEN>::at(frame, offset)?;
    let version_and_words = header.get::<u8, 0>();
    let header_len = (version_and_words as usize & 0xf) * 4;
    let length = header.number::<2>() as usize;
    let sound =
        version_and_words >> 4 == Family::V4 as u8 && header_len >= IPV4_LEN && length >= header_len && length <= room;
    sound.then(|| Inner {
        destination: Addr::from_v4_word(header.get::<u32, 16>()),
        ecn: Ecn::of(header.get::<u8, 1>()),
    })
}

#[inline(always)]
fn inner_ipv6(frame: &impl Frame, offset: usize, room: usize) -> Option<Inner> {
    let header = Window::<IPV6_LEN>::at(frame, offset)?;
    let first_word = u32::from_be(header.get::<u32, 0>());
    let sound = first_word >> 28 == Family::V6 as u32 && IPV6_LEN + header.number::<4>() as usize <= room;
    sound.then(|| Inner {
        destination: Addr::from_words([header.get::<u64, 24>(), header.get::<u64, 32>()]),
        ecn: Ecn::of(traffic_class(first_word)),
    })
}

/// Takes the outer headers away; the Ethernet addresses stay. `ecn` replaces that of the inner packet.
///
/// `None` only if a window is not there that was there before: the frame is longer than both headers.
#[inline(always)]
fn strip(frame: &mut impl Frame, inner: Family, outer_len: usize, ecn: Option<Ecn>) -> Option<()> {
    let (first, rest) = {
        let ethernet = Window::<ETHERNET_LEN>::at(frame, 0)?;
        (ethernet.get::<u64, 0>(), ethernet.get::<u32, 8>())
    };
    frame.shrink_head(outer_len).ok()?;
    let mut ethernet = Window::<ETHERNET_LEN>::at(frame, 0)?;
    ethernet.set::<u64, 0>(first);
    ethernet.set::<u32, 8>(rest);
    ethernet.set::<u16, 12>(match inner {
        Family::V4 => ether_type::IPV4_BE,
        Family::V6 => ether_type::IPV6_BE,
    });
    match (ecn, inner) {
        (None, _) => {}
        (Some(ecn), Family::V4) => ecn::set_ipv4(&mut Window::at(frame, ETHERNET_LEN)?, ecn),
        (Some(ecn), Family::V6) => ecn::set_ipv6(&mut Window::at(frame, ETHERNET_LEN)?, ecn),
    }
    Some(())
}

#[cfg(test)]
mod tests;
