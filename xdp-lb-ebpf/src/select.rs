//! Which member of a service's ring takes a packet. This is the one place where flows and backends meet.

use core::ops::ControlFlow::{Break, Continue};

use xdp_lb_abi::{Addr, Encapsulation, Reason, Slot, ring::Route};

use crate::{
    flow::FlowHash,
    tables::Tables,
    verdict::{Step, Verdict},
};

/// The member that takes a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its index in the ring.
    pub member: u16,
    /// Its address: destination of the outer header where there is one.
    pub tunnel: Addr,
    /// How packets reach it.
    pub encapsulation: Encapsulation,
    /// Index of its next hop; 0 is unresolved.
    pub next_hop: u16,
    /// Index of its counters.
    pub counter: u32,
}

/// Selects the member that the flow's slot names, or the one that another packet made certain: 0 is none.
#[inline(always)]
pub fn select(vip: u32, flow: FlowHash, certain: u32, tables: &impl Tables) -> Step<Backend> {
    let stop = |reason| Break(Verdict::new(vip, reason));
    let Some(ring) = tables.ring(vip) else { return stop(Reason::NoBackend) };
    let slot = if certain == 0 { ring.slot(flow.slot()) } else { Slot::Member(certain as u16) };
    let member = match slot {
        Slot::Member(member) => member,
        // Written only by versions that also load a program that knows the phases of a move.
        Slot::Move(_) => return stop(Reason::CorruptTable),
    };
    let Route { counter, next_hop, encapsulation } = Route::decode(ring.route(member));
    let Some(encapsulation) = encapsulation else { return stop(Reason::NoBackend) };
    Continue(Backend { member, tunnel: ring.tunnel(member), encapsulation, next_hop, counter })
}
