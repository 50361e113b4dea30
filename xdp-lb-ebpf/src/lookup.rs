//! Which service a packet is for, and what becomes of packets for none.

use core::ops::ControlFlow::{Break, Continue};

use xdp_lb_abi::{HashInput, Reason, Vip, VipFlags, VipKey, VipKind};

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
    /// What tells its flows apart.
    pub hash: HashInput,
    /// The packet's transport header, which is known to be sound.
    pub transport: Transport,
}

/// Finds the service: the one on the packet's port, else the one that has it in a range. Everything that is for none
/// gets its verdict here.
#[inline(always)]
pub fn service(packet: &Packet, tables: &impl Tables) -> Step<Service> {
    let reason = match packet.transport {
        Ok(transport) => {
            let port_be = transport.destination_port_be;
            let key = VipKey::of_packet(packet.destination, packet.family, port_be, packet.protocol);
            match tables.vip(&key) {
                Some(vip) if vip.kind() == Some(VipKind::Service) => {
                    return Continue(Service { vip: vip.id, hash: HashInput::decode(vip.hash), transport });
                }
                Some(vip) => return Break(Verdict::new(vip.id, Reason::CorruptTable)),
                None => Reason::NoService,
            }
        }
        Err(reason) => reason,
    };
    let Some(address) = tables.vip(&VipKey::of_address(packet.destination, packet.family)) else {
        return Break(Verdict::of_no_vip(Reason::NotVip));
    };
    match packet.transport {
        Ok(transport) if address.flags.has(VipFlags::HAS_RANGES) => {
            in_range(address, packet.protocol, transport, tables)
        }
        Ok(_) | Err(_) => Break(without_service(address, reason)),
    }
}

/// Finds the service among the address's ranges.
#[inline(always)]
fn in_range(address: Vip, protocol: u8, transport: Transport, tables: &impl Tables) -> Step<Service> {
    let Some(ranges) = tables.port_ranges(address.id) else {
        return Break(Verdict::new(address.id, Reason::CorruptTable));
    };
    match ranges.find(u16::from_be(transport.destination_port_be), protocol) {
        Some(range) => Continue(Service { vip: range.id.into(), hash: range.hash, transport }),
        None => Break(without_service(address, Reason::NoService)),
    }
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
