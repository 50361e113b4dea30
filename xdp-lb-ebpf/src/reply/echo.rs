//! Echo replies (RFC 792, RFC 4443 section 4.2): the request with its addresses swapped and another type.
//!
//! Swapped addresses leave every sum as it was, so each checksum changes by one word (RFC 1624).

use xdp_lb_abi::Family;

use super::{REPLY_TTL, swap_macs};
use crate::{
    checksum,
    headers::{ETHERNET_LEN, ICMP_LEN, IPV4_LEN, IPV6_LEN, icmp, icmpv6},
    packet::{Frame, Window},
    parse::Packet,
};

/// Turns the request into its reply. `None`, with nothing written, if the frame does not hold what was parsed.
#[inline(always)]
pub(super) fn answer(frame: &mut impl Frame, packet: &Packet) -> Option<()> {
    match packet.family {
        Family::V4 => {
            let mut message = Window::<ICMP_LEN>::at(frame, packet.transport_offset)?;
            set_type(&mut message, icmp::ECHO_REPLY);
            // A message of zeros alone has no other right checksum than all ones, and for any other message all ones
            // is as good as zero.
            if message.get::<u16, 2>() == 0 {
                message.set::<u16, 2>(0xffff);
            }
            address_v4(&mut Window::at(frame, ETHERNET_LEN)?);
        }
        Family::V6 => {
            let mut message = Window::<ICMP_LEN>::at(frame, packet.transport_offset)?;
            set_type(&mut message, icmpv6::ECHO_REPLY);
            address_v6(&mut Window::at(frame, ETHERNET_LEN)?);
        }
    }
    swap_macs(&mut Window::at(frame, 0)?);
    Some(())
}

/// Code 0 stays: a request with another was none.
#[inline(always)]
fn set_type(message: &mut Window<'_, ICMP_LEN>, new: u8) {
    let (old, new) = (message.get::<u16, 0>(), u16::from_ne_bytes([new, 0]));
    let checksum = checksum::replace(message.get::<u16, 2>(), old, new);
    message.set::<u16, 0>(new);
    message.set::<u16, 2>(checksum);
}

#[inline(always)]
fn address_v4(header: &mut Window<'_, IPV4_LEN>) {
    let old = header.get::<u16, 8>();
    let [_, protocol] = old.to_ne_bytes();
    let new = u16::from_ne_bytes([REPLY_TTL, protocol]);
    let checksum = checksum::replace(header.get::<u16, 10>(), old, new);
    let (source, destination) = (header.get::<u32, 12>(), header.get::<u32, 16>());
    header.set::<u16, 8>(new);
    header.set::<u16, 10>(checksum);
    header.set::<u32, 12>(destination);
    header.set::<u32, 16>(source);
}

#[inline(always)]
fn address_v6(header: &mut Window<'_, IPV6_LEN>) {
    let source = (header.get::<u64, 8>(), header.get::<u64, 16>());
    let destination = (header.get::<u64, 24>(), header.get::<u64, 32>());
    header.set::<u8, 7>(REPLY_TTL);
    header.set::<u64, 8>(destination.0);
    header.set::<u64, 16>(destination.1);
    header.set::<u64, 24>(source.0);
    header.set::<u64, 32>(source.1);
}
