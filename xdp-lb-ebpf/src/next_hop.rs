//! The way to a backend: whether it is known, leaves by an interface of ours, and is wide enough.

use core::ops::ControlFlow::{Break, Continue};

use xdp_lb_abi::{Addr, Family, Gates, Reason, next_hop::Link};

use crate::{
    encapsulate::outer_len,
    headers::{ETHERNET_LEN, IPV4_DONT_FRAGMENT, IPV4_LEN, protocol},
    packet::{Frame, Window},
    parse::Packet,
    select::Backend,
    tables::Tables,
    verdict::{Step, Verdict},
};

/// Where an encapsulated packet leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Egress {
    /// The first 12 bytes of the outgoing frame: destination and source MAC.
    pub macs: (u64, u32),
    /// Source of the outer header.
    pub source: Addr,
    /// Whether it leaves by another interface than it came in by.
    pub redirected: bool,
}

/// Resolves the backend's next hop for this packet.
#[inline(always)]
pub fn resolve(vip: u32, frame: &impl Frame, packet: &Packet, backend: &Backend, tables: &impl Tables) -> Step<Egress> {
    let stop = |reason| Break(Verdict::new(vip, reason));
    if backend.next_hop == 0 {
        return stop(Reason::NextHopUnresolved);
    }
    let Some(entry) = tables.next_hop(backend.next_hop) else { return stop(Reason::CorruptTable) };
    let link = entry.link();
    if link == 0 {
        return stop(Reason::NextHopUnresolved);
    }
    let interface = entry.interface();
    let redirected = interface != u64::from(frame.ingress_interface());
    if redirected && !(tables.gates().has(Gates::SEVERAL_INTERFACES) && tables.redirect(interface as u32)) {
        return stop(Reason::OtherInterface);
    }
    let (mtu, outer) = (Link::mtu_of(link), outer_len(backend.encapsulation) as u16);
    if packet.length + u32::from(outer) > u32::from(mtu) {
        return Break(too_big(vip, frame, packet, mtu.saturating_sub(outer), tables.gates()));
    }
    Continue(Egress { macs: Link::frame_addresses(link, entry.egress()), source: entry.source(), redirected })
}

/// The verdict on a packet that is longer than `mtu`: its sender is told, unless it is an ICMP error (RFC 1122, section
/// 3.2.2) or may be fragmented and nobody wants such senders told.
#[inline(always)]
fn too_big(vip: u32, frame: &impl Frame, packet: &Packet, mtu: u16, gates: Gates) -> Verdict {
    let is_error = matches!(packet.protocol, protocol::ICMP | protocol::ICMPV6);
    let is_told = match packet.family {
        Family::V4 => gates.has(Gates::TOO_BIG_REPLY) || must_not_be_fragmented(frame),
        Family::V6 => true,
    };
    if is_error || !is_told || packet.fragment.is_later() {
        return Verdict::new(vip, Reason::TooBig);
    }
    Verdict::new(vip, Reason::PacketTooBig).with_mtu(mtu)
}

#[inline(always)]
fn must_not_be_fragmented(frame: &impl Frame) -> bool {
    let header = Window::<IPV4_LEN>::at(frame, ETHERNET_LEN);
    header.is_some_and(|header| header.number::<6>() & IPV4_DONT_FRAGMENT != 0)
}
