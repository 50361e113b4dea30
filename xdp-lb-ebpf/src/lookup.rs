//! Which service a packet is for, and what becomes of packets for none.

use core::ops::ControlFlow::{Break, Continue};

use xdp_lb_abi::{Reason, Vip, VipKey, VipKind};

use crate::{
    parse::{Packet, Transport},
    tables::Tables,
    verdict::{Step, Verdict},
};

/// The service that a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Id of the VIP: of its counters and of its ring.
    pub vip: u32,
    /// The packet's transport header, which is known to be sound.
    pub transport: Transport,
}

/// Finds the service; everything that is for none gets its verdict here.
#[inline(always)]
pub fn service(packet: &Packet, tables: &impl Tables) -> Step<Service> {
    let reason = match packet.transport {
        Ok(transport) => {
            let port_be = transport.destination_port_be;
            let key = VipKey::of_packet(packet.destination, packet.family, port_be, packet.protocol);
            match tables.vip(&key) {
                Some(vip) if vip.kind() == Some(VipKind::Service) => {
                    return Continue(Service { vip: vip.id, transport });
                }
                Some(vip) => return Break(Verdict::new(vip.id, Reason::CorruptTable)),
                None => Reason::NoService,
            }
        }
        Err(reason) => reason,
    };
    Break(match tables.vip(&VipKey::of_address(packet.destination, packet.family)) {
        Some(vip) => without_service(vip, reason),
        None => Verdict::of_no_vip(Reason::NotVip),
    })
}

/// The verdict on a packet that is for a VIP address, but for none of its services. The address's own entry counts it:
/// of a packet with unsound headers nobody knows the service.
#[inline(always)]
fn without_service(address: Vip, reason: Reason) -> Verdict {
    let reason = match (address.kind(), reason) {
        (_, Reason::NeighbourDiscovery) | (Some(VipKind::Address), _) => reason,
        (Some(VipKind::LocalAddress), _) => Reason::LocalAddress,
        (Some(VipKind::Service) | None, _) => Reason::CorruptTable,
    };
    Verdict::new(address.id, reason)
}
