//! What a packet becomes on its way to a backend: IP in IP, in all four combinations of families (RFC 2003, RFC 2473, RFC
//! 4213), IP in UDP (GUE, draft-ietf-intarea-gue, variant 1), or the packet as it is with the backend's MAC.
//!
//! Padding behind the inner packet (short Ethernet frames have some) stays where it is; the outer length leaves it out.

use core::ops::ControlFlow::{Break, Continue};

use xdp_lb_abi::{Encapsulation, Family, Gates, Reason};

use crate::{
    checksum,
    flow::FlowHash,
    headers::{ETHERNET_LEN, IPV4_DONT_FRAGMENT, IPV4_LEN, IPV6_LEN, UDP_LEN, ether_type, protocol},
    next_hop::Egress,
    packet::{Frame, Window},
    parse::Packet,
    select::Backend,
    tables::Tables,
    verdict::{Step, Verdict},
};

/// TTL or hop limit of outer headers.
const OUTER_TTL: u8 = 64;

/// Length of the outer headers; 0 where there are none.
#[inline(always)]
pub const fn outer_len(encapsulation: Encapsulation) -> usize {
    match encapsulation {
        Encapsulation::Ipip4 => IPV4_LEN,
        Encapsulation::Ipip6 => IPV6_LEN,
        Encapsulation::Gue4 => IPV4_LEN + UDP_LEN,
        Encapsulation::Gue6 => IPV6_LEN + UDP_LEN,
        Encapsulation::L2V4 | Encapsulation::L2V6 | Encapsulation::LocalV4 | Encapsulation::LocalV6 => 0,
    }
}

/// Wraps the packet as its backend wants it, and addresses the frame to its next hop. Fails before anything was written,
/// or not at all.
#[inline(always)]
pub fn encapsulate(
    vip: u32,
    frame: &mut impl Frame,
    packet: &Packet,
    flow: FlowHash,
    backend: &Backend,
    egress: &Egress,
    tables: &impl Tables,
) -> Step<()> {
    match wrap(frame, packet, flow, backend, egress, tables) {
        Some(()) => Continue(()),
        None => Break(Verdict::new(vip, Reason::NoHeadroom)),
    }
}

/// `None` if there is no room. The windows behind `grow_head` are always there: the frame has the bytes that were parsed
/// and those that were added. The verifier wants them checked once more.
#[inline(always)]
fn wrap(
    frame: &mut impl Frame,
    packet: &Packet,
    flow: FlowHash,
    backend: &Backend,
    egress: &Egress,
    tables: &impl Tables,
) -> Option<()> {
    match backend.encapsulation {
        Encapsulation::Ipip4 => {
            frame.grow_head(IPV4_LEN).ok()?;
            write_ipv4(&mut Window::at(frame, ETHERNET_LEN)?, packet, &Payload::ip(packet), backend, egress);
            write_ethernet(&mut Window::at(frame, 0)?, egress, ether_type::IPV4_BE);
        }
        Encapsulation::Ipip6 => {
            frame.grow_head(IPV6_LEN).ok()?;
            write_ipv6(&mut Window::at(frame, ETHERNET_LEN)?, packet, &Payload::ip(packet), flow, backend, egress);
            write_ethernet(&mut Window::at(frame, 0)?, egress, ether_type::IPV6_BE);
        }
        Encapsulation::Gue4 => {
            frame.grow_head(IPV4_LEN + UDP_LEN).ok()?;
            let payload = Payload::udp(packet);
            write_udp(&mut Window::at(frame, ETHERNET_LEN + IPV4_LEN)?, &payload, flow, tables.gue_port());
            write_ipv4(&mut Window::at(frame, ETHERNET_LEN)?, packet, &payload, backend, egress);
            write_ethernet(&mut Window::at(frame, 0)?, egress, ether_type::IPV4_BE);
        }
        Encapsulation::Gue6 => {
            frame.grow_head(IPV6_LEN + UDP_LEN).ok()?;
            let payload = Payload::udp(packet);
            write_udp(&mut Window::at(frame, ETHERNET_LEN + IPV6_LEN)?, &payload, flow, tables.gue_port());
            write_ipv6(&mut Window::at(frame, ETHERNET_LEN)?, packet, &payload, flow, backend, egress);
            write_ethernet(&mut Window::at(frame, 0)?, egress, ether_type::IPV6_BE);
        }
        Encapsulation::L2V4 | Encapsulation::L2V6 => write_macs(&mut Window::at(frame, 0)?, egress),
        // The pipeline delivers these before it comes here.
        Encapsulation::LocalV4 | Encapsulation::LocalV6 => {}
    }
    if tables.gates().has(Gates::DECREMENT_TTL) {
        decrement_ttl(frame, packet.family, ETHERNET_LEN + outer_len(backend.encapsulation))?;
    }
    Some(())
}

#[inline(always)]
fn write_ethernet(header: &mut Window<'_, ETHERNET_LEN>, egress: &Egress, ether_type_be: u16) {
    write_macs(header, egress);
    header.set::<u16, 12>(ether_type_be);
}

#[inline(always)]
fn write_macs(header: &mut Window<'_, ETHERNET_LEN>, egress: &Egress) {
    header.set::<u64, 0>(egress.macs.0);
    header.set::<u32, 8>(egress.macs.1);
}

/// What an outer IP header carries.
struct Payload {
    /// Protocol or next header.
    protocol: u8,
    /// Length in bytes. `resolve` has compared it with the MTU, so it fits into 16 bits.
    length: u32,
}

impl Payload {
    /// The packet as it is.
    #[inline(always)]
    const fn ip(packet: &Packet) -> Self {
        let protocol = match packet.family {
            Family::V4 => protocol::IPV4,
            Family::V6 => protocol::IPV6,
        };
        Self { protocol, length: packet.length }
    }

    /// The packet in a UDP datagram.
    #[inline(always)]
    const fn udp(packet: &Packet) -> Self {
        Self { protocol: protocol::UDP, length: packet.length + UDP_LEN as u32 }
    }
}

/// GUE of variant 1 has no header of its own: the first bits of the packet inside are its IP version. The source port is
/// the flow's, so that routers and NICs spread flows that share the outer addresses. The checksum is zero, in IPv6 too
/// (RFC 6935, section 5): the packet inside has its own, and what else the outer one would cover is compared with what
/// the receiver is configured for.
#[inline(always)]
fn write_udp(header: &mut Window<'_, UDP_LEN>, payload: &Payload, flow: FlowHash, port: u16) {
    header.set::<u16, 0>(flow.tunnel_port().to_be());
    header.set::<u16, 2>(port.to_be());
    header.set::<u32, 4>((payload.length << 16).to_be());
}

/// DSCP and ECN are the inner packet's (RFC 6040, normal mode). The packet is whole and must stay so, which is why it
/// needs no identification (RFC 6864).
#[inline(always)]
fn write_ipv4(
    header: &mut Window<'_, IPV4_LEN>,
    packet: &Packet,
    payload: &Payload,
    backend: &Backend,
    egress: &Egress,
) {
    let length = payload.length + IPV4_LEN as u32;
    let ttl_and_protocol = u16::from_be_bytes([OUTER_TTL, payload.protocol]);
    let words = [
        (0x4500_0000 | u32::from(packet.traffic_class) << 16 | length).to_be(),
        u32::from(IPV4_DONT_FRAGMENT).to_be(),
        (u32::from(ttl_and_protocol) << 16).to_be(),
        egress.source.v4_word(),
        backend.tunnel.v4_word(),
    ];
    let [first, second, third, source, destination] = words;
    let sum = words.into_iter().map(u64::from).sum();

    header.set::<u32, 0>(first);
    header.set::<u32, 4>(second);
    header.set::<u32, 8>(third);
    header.set::<u16, 10>(checksum::finish(sum));
    header.set::<u32, 12>(source);
    header.set::<u32, 16>(destination);
}

/// The flow label lets routers and NICs spread flows that share the outer addresses (RFC 6438).
#[inline(always)]
fn write_ipv6(
    header: &mut Window<'_, IPV6_LEN>,
    packet: &Packet,
    payload: &Payload,
    flow: FlowHash,
    backend: &Backend,
    egress: &Egress,
) {
    let first = 6 << 28 | u32::from(packet.traffic_class) << 20 | flow.label();
    let protocol_and_ttl = u16::from_be_bytes([payload.protocol, OUTER_TTL]);
    header.set::<u32, 0>(first.to_be());
    header.set::<u16, 4>((payload.length as u16).to_be());
    header.set::<u16, 6>(protocol_and_ttl.to_be());
    let [high, low] = egress.source.words();
    header.set::<u64, 8>(high);
    header.set::<u64, 16>(low);
    let [high, low] = backend.tunnel.words();
    header.set::<u64, 24>(high);
    header.set::<u64, 32>(low);
}

/// Lowers the TTL or hop limit of the packet at `offset`, which is not 0, as the router does that a tunnel entry is
/// (RFC 2003, section 3.1).
#[inline(always)]
fn decrement_ttl(frame: &mut impl Frame, family: Family, offset: usize) -> Option<()> {
    match family {
        Family::V4 => {
            let mut header = Window::<IPV4_LEN>::at(frame, offset)?;
            // The checksum covers 16-bit words, and the TTL is the upper byte of one.
            let old = header.number::<8>();
            let new = old - 0x0100;
            let checksum = checksum::replace(header.get::<u16, 10>(), old.to_be(), new.to_be());
            header.set::<u16, 8>(new.to_be());
            header.set::<u16, 10>(checksum);
        }
        Family::V6 => {
            let mut header = Window::<IPV6_LEN>::at(frame, offset)?;
            let hop_limit = header.get::<u8, 7>();
            header.set::<u8, 7>(hop_limit - 1);
        }
    }
    Some(())
}
