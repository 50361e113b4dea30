//! The way to a backend: whether it is known, leaves where the packet came in, and is wide enough.

use core::ops::ControlFlow::{Break, Continue};

use xdp_lb_abi::{Addr, Reason, next_hop::Link};

use crate::{
    encapsulate::outer_len,
    packet::Frame,
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
    if entry.interface() != u64::from(frame.ingress_interface()) {
        return stop(Reason::OtherInterface);
    }
    if packet.length + outer_len(backend.encapsulation) as u32 > u32::from(Link::mtu_of(link)) {
        return stop(Reason::TooBig);
    }
    Continue(Egress { macs: Link::frame_addresses(link, entry.egress()), source: entry.source() })
}
