//! The flow that an ICMP error is about.
//!
//! An error quotes the packet that caused it: one that a backend sent in the VIP's name, so its source is the VIP and
//! its destination the client. Of what follows its IP header, eight bytes are certain (RFC 792), which hold the ports.

use xdp_lb_abi::{Addr, Family, Reason};

use crate::{
    headers::{ETHERNET_LEN, ICMP_LEN, IPV4_LEN, IPV4_OFFSET_MASK_BE, IPV6_LEN, protocol},
    packet::{Frame, Window},
    parse::{Packet, Transport},
    verdict::Verdict,
};

/// Bytes of the quoted transport header that every error holds.
const QUOTED_LEN: usize = 8;

/// Verdicts, of which only the reason counts: as a small field it would share its place with a word of an address (see
/// [`Verdict`]).
const UNMATCHED: Verdict = Verdict::of_no_vip(Reason::IcmpErrorUnmatched);
const TRUNCATED: Verdict = Verdict::of_no_vip(Reason::Truncated);

/// A flow in the direction in which the load balancer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Address of the client.
    pub client: Addr,
    /// IP protocol number.
    pub protocol: u8,
    /// Its ports, and no flags.
    pub transport: Transport,
}

/// The quoted packet's IP header.
struct Quoted {
    source: Addr,
    destination: Addr,
    protocol: u8,
    is_later_fragment: bool,
    transport_offset: usize,
}

/// The flow that the error in `packet` quotes, or the reason why there is none.
#[inline(always)]
pub fn flow(frame: &impl Frame, packet: &Packet) -> Result<Flow, Verdict> {
    let at = packet.transport_offset + ICMP_LEN;
    let end = ETHERNET_LEN + packet.length as usize;
    let quoted = match packet.family {
        Family::V4 => ipv4(frame, at, end)?,
        Family::V6 => ipv6(frame, at, end)?,
    };
    let is_ours = quoted.source.words() == packet.destination.words()
        && matches!(quoted.protocol, protocol::TCP | protocol::UDP)
        && !quoted.is_later_fragment;
    if !is_ours {
        return Err(UNMATCHED);
    }
    let header = window::<QUOTED_LEN>(frame, quoted.transport_offset, end)?;
    // The backend's source port is the client's destination port, and the other way round.
    let ports = header.get::<u32, 0>().rotate_left(16);
    let transport = Transport { ports, destination_port_be: header.get::<u16, 0>(), flags: 0 };
    Ok(Flow { client: quoted.destination, protocol: quoted.protocol, transport })
}

/// A header of the quote. What is behind the end of the packet pads the frame and quotes nothing.
#[inline(always)]
fn window<const N: usize>(frame: &impl Frame, at: usize, end: usize) -> Result<Window<'_, N>, Verdict> {
    if at + N > end {
        return Err(TRUNCATED);
    }
    Window::at(frame, at).ok_or(TRUNCATED)
}

#[inline(always)]
fn ipv4(frame: &impl Frame, at: usize, end: usize) -> Result<Quoted, Verdict> {
    let header = window::<IPV4_LEN>(frame, at, end)?;
    let version_and_words = header.get::<u8, 0>();
    let header_len = (version_and_words as usize & 0xf) * 4;
    if version_and_words >> 4 != Family::V4 as u8 || header_len < IPV4_LEN {
        return Err(UNMATCHED);
    }
    Ok(Quoted {
        source: Addr::from_v4_word(header.get::<u32, 12>()),
        destination: Addr::from_v4_word(header.get::<u32, 16>()),
        protocol: header.get::<u8, 9>(),
        is_later_fragment: header.get::<u16, 6>() & IPV4_OFFSET_MASK_BE != 0,
        transport_offset: at + header_len,
    })
}

/// Backends send TCP and UDP right behind the fixed header, unless they fragment.
#[inline(always)]
fn ipv6(frame: &impl Frame, at: usize, end: usize) -> Result<Quoted, Verdict> {
    let header = window::<IPV6_LEN>(frame, at, end)?;
    if header.get::<u8, 0>() >> 4 != Family::V6 as u8 {
        return Err(UNMATCHED);
    }
    Ok(Quoted {
        source: Addr::from_words([header.get::<u64, 8>(), header.get::<u64, 16>()]),
        destination: Addr::from_words([header.get::<u64, 24>(), header.get::<u64, 32>()]),
        protocol: header.get::<u8, 6>(),
        is_later_fragment: false,
        transport_offset: at + IPV6_LEN,
    })
}
