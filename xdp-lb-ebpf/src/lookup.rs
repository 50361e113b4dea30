//! Which service a packet is for, and what becomes of packets for none.

use core::ops::ControlFlow::{Break, Continue};

use xdp_lb_abi::{Addr, FragmentOwner, HashInput, Reason, Vip, VipFlags, VipKey, VipKind};

use crate::{
    fragment,
    packet::Frame,
    parse::{Packet, Transport},
    quote::{self, Flow},
    tables::Tables,
    verdict::{Step, Verdict},
};

/// The service that a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Id of the VIP: of its counters and of its ring.
    pub vip: u32,
    /// The member that this fragment's first one went to, and the hash of its flow; 0 if the flow decides.
    pub member: u32,
    /// See `member`.
    pub remembered_flow: u64,
    /// What tells its flows apart.
    pub hash: HashInput,
    /// Address of the client.
    pub client: Addr,
    /// The packet's transport header, which is known to be sound; of an ICMP error the flow that it quotes.
    pub transport: Transport,
}

/// Finds the service: the one on the packet's port, else the one that has it in a range. Everything that is for none
/// gets its verdict here.
#[inline(always)]
pub fn service(frame: &impl Frame, packet: &Packet, tables: &impl Tables) -> Step<Service> {
    let (flow, without) = match packet.transport {
        Ok(transport) => (Ok(Flow { client: packet.source, protocol: packet.protocol, transport }), Reason::NoService),
        Err(Reason::ForwardedIcmpError) => (quote::flow(frame, packet), Reason::IcmpErrorUnmatched),
        Err(reason) => (Err(Verdict::of_no_vip(reason)), reason),
    };
    let reason = match flow {
        Ok(Flow { client, protocol, transport }) => {
            let key = VipKey::of_packet(packet.destination, packet.family, transport.destination_port_be, protocol);
            match tables.vip(&key) {
                Some(vip) if vip.kind() == Some(VipKind::Service) => {
                    return Continue(Service {
                        vip: vip.id,
                        member: 0,
                        remembered_flow: 0,
                        hash: HashInput::decode(vip.hash),
                        client,
                        transport,
                    });
                }
                Some(vip) => return Break(Verdict::new(vip.id, Reason::CorruptTable)),
                None => without,
            }
        }
        Err(verdict) => verdict.reason(),
    };
    let Some(address) = tables.vip(&VipKey::of_address(packet.destination, packet.family)) else {
        return Break(Verdict::of_no_vip(Reason::NotVip));
    };
    if reason == Reason::FragmentUnknown
        && let Some(FragmentOwner { vip, member, flow, .. }) = fragment::owner(packet, tables)
    {
        let transport = Transport { ports: 0, destination_port_be: 0, flags: 0 };
        let (client, hash) = (packet.source, HashInput::FiveTuple);
        return Continue(Service { vip, member, remembered_flow: flow, hash, client, transport });
    }
    match flow {
        Ok(flow) if address.flags.has(VipFlags::HAS_RANGES) => in_range(address, flow, without, tables),
        Ok(_) | Err(_) => Break(without_service(address, reason)),
    }
}

/// Finds the service among the address's ranges; `without` is why there is none.
#[inline(always)]
fn in_range(address: Vip, flow: Flow, without: Reason, tables: &impl Tables) -> Step<Service> {
    let Flow { client, protocol, transport } = flow;
    let Some(ranges) = tables.port_ranges(address.id) else {
        return Break(Verdict::new(address.id, Reason::CorruptTable));
    };
    match ranges.find(u16::from_be(transport.destination_port_be), protocol) {
        Some(range) => Continue(Service {
            vip: range.id.into(),
            member: 0,
            remembered_flow: 0,
            hash: range.hash,
            client,
            transport,
        }),
        None => Break(without_service(address, without)),
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
