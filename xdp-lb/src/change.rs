//! The steps that lead from one installed state to another: data, so that a plan can be printed and tested before it is
//! carried out.

use std::{fmt, net::IpAddr};

use xdp_lb_abi::{HashInput, PortRanges, ring::Route};

use crate::{
    model::{MemberKey, NextHopKey, NextHopSpec, Service},
    ring::RingSpec,
};

/// One step; carried out by `apply`, recorded by [`Installed::record`](crate::Installed::record).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Write a next hop.
    PutNextHop {
        /// Index in the table.
        id: u16,
        /// Identity.
        key: NextHopKey,
        /// MACs and MTU.
        spec: NextHopSpec,
    },
    /// Make an empty ring and put it in its place.
    CreateRing {
        /// Whose.
        service: Service,
        /// VIP id.
        id: u32,
    },
    /// Write a member into a ring. If it is new there, its counters start at zero.
    PutMember {
        /// Whose ring.
        service: Service,
        /// VIP id.
        id: u32,
        /// Index in the ring.
        index: u16,
        /// Identity.
        member: MemberKey,
        /// Counter, next hop, encapsulation.
        route: Route,
        /// Whether it may take traffic.
        up: bool,
        /// Whether the index is given to this member now.
        new: bool,
    },
    /// Store the slots that differ from what `ring` says.
    WriteSlots {
        /// Whose ring.
        service: Service,
        /// VIP id.
        id: u32,
        /// What the slots are built from.
        ring: RingSpec,
    },
    /// Let packets for the service, which is on a single port, find its ring.
    PutVip {
        /// Which.
        service: Service,
        /// VIP id.
        id: u32,
        /// What tells its flows apart.
        hash: HashInput,
    },
    /// Write a VIP address's own entry, and let packets for its services on ranges of ports find their rings.
    PutAddress {
        /// Which.
        address: IpAddr,
        /// VIP id.
        id: u32,
        /// Whether the address is bound on this node.
        local: bool,
        /// The services on ranges of ports.
        ranges: PortRanges,
    },
    /// No packet finds the service, which is on a single port, from here on.
    RemoveVip {
        /// Which.
        service: Service,
    },
    /// Remove a VIP address's own entry: packets for it pass from here on.
    RemoveAddress {
        /// Which.
        address: IpAddr,
    },
    /// Wait until every packet that may have read what was there before is through the program.
    AwaitReaders,
    /// Mark a member down that no slot names any more.
    MarkDown {
        /// Whose ring.
        service: Service,
        /// VIP id.
        id: u32,
        /// Index in the ring.
        index: u16,
        /// Identity.
        member: MemberKey,
    },
    /// Clear a member that no slot names any more.
    RemoveMember {
        /// Whose ring.
        service: Service,
        /// VIP id.
        id: u32,
        /// Index in the ring.
        index: u16,
        /// Identity.
        member: MemberKey,
    },
    /// Remove a ring that no VIP leads to any more.
    RemoveRing {
        /// Whose.
        service: Service,
        /// VIP id.
        id: u32,
    },
    /// Clear a next hop that no member names any more.
    RemoveNextHop {
        /// Index in the table.
        id: u16,
        /// Identity.
        key: NextHopKey,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PutNextHop { id, key, .. } => write!(f, "put next hop {id}: {}", key.neighbour),
            Self::CreateRing { service, id } => write!(f, "create ring {id} of {service}"),
            Self::PutMember { service, index, member, up, .. } => {
                let state = if *up { "up" } else { "down" };
                write!(f, "put member {index} of {service}: {}, {state}", member.tunnel)
            }
            Self::WriteSlots { service, ring, .. } => {
                write!(f, "write slots of {service} for {} members", ring.shares().len())
            }
            Self::PutVip { service, id, .. } => write!(f, "put VIP {id}: {service}"),
            Self::PutAddress { address, id, .. } => write!(f, "put VIP address {id}: {address}"),
            Self::RemoveVip { service } => write!(f, "remove VIP {service}"),
            Self::RemoveAddress { address } => write!(f, "remove VIP address {address}"),
            Self::AwaitReaders => f.write_str("wait for packets in flight"),
            Self::MarkDown { service, index, member, .. } => {
                write!(f, "mark member {index} of {service} down: {}", member.tunnel)
            }
            Self::RemoveMember { service, index, member, .. } => {
                write!(f, "remove member {index} of {service}: {}", member.tunnel)
            }
            Self::RemoveRing { service, id } => write!(f, "remove ring {id} of {service}"),
            Self::RemoveNextHop { id, key } => write!(f, "remove next hop {id}: {}", key.neighbour),
        }
    }
}
