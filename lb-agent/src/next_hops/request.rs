//! Netlink requests: dumps, route look-ups, neighbour entries.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::AddressMessage,
    link::{LinkAttribute, LinkExtentMask, LinkMessage},
    neighbour::{NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage},
    route::{RouteAttribute, RouteFlags, RouteMessage, RouteProtocol},
};

use super::{facts::NeighbourKey, index::Installation};

/// Marks neighbour entries as this agent's, for its own later runs; others (Cilium) keep managed entries too.
/// Linux leaves the numbers above `RTPROT_STATIC` to user space; this one is in no `rt_protos` that we know of.
pub(super) const MARK: RouteProtocol = RouteProtocol::Other(108);

/// A request and its flags beyond `NLM_F_REQUEST`.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) message: RouteNetlinkMessage,
    pub(super) flags: u16,
}

/// All links.
pub(super) fn links() -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    message.attributes = vec![LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])];
    RouteNetlinkMessage::GetLink(message)
}

/// All addresses.
pub(super) fn addresses() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetAddress(AddressMessage::default())
}

/// All neighbour entries of IPv4 and IPv6.
pub(super) fn neighbours() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default())
}

/// The way that a packet to `destination` would take now: `ip route get`. Without `RTM_F_FIB_MATCH`, or the source
/// address would be missing.
pub(super) fn route(destination: IpAddr) -> Request {
    let mut message = RouteMessage::default();
    message.header.address_family = family(destination);
    message.header.destination_prefix_length = if destination.is_ipv4() { 32 } else { 128 };
    message.header.flags = RouteFlags::LookupTable;
    message.attributes = vec![RouteAttribute::Destination(destination.into())];
    Request { message: RouteNetlinkMessage::GetRoute(message), flags: 0 }
}

/// Has the kernel keep an entry resolved: `ip neighbour replace ADDRESS dev INTERFACE managed extern_learn`. Kernels
/// from 5.16 do; older ones ignore the flag. `extern_learn` exempts the entry from garbage collection and its limits.
pub(super) fn keep_neighbour(installation: &Installation) -> Request {
    let mut message = neighbour(installation.key);
    message.header.flags = NeighbourFlags::ExtLearned;
    message.attributes.push(NeighbourAttribute::Protocol(MARK));
    message.attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
    let or_create = if installation.exists { NLM_F_REPLACE } else { NLM_F_EXCL };
    Request { message: RouteNetlinkMessage::NewNeighbour(message), flags: NLM_F_ACK | NLM_F_CREATE | or_create }
}

/// Has the kernel act as if a packet was sent to the neighbour, which starts resolution or confirmation as needed.
pub(super) fn use_neighbour(key: NeighbourKey) -> Request {
    let mut message = neighbour(key);
    message.header.flags = NeighbourFlags::Use;
    Request { message: RouteNetlinkMessage::NewNeighbour(message), flags: NLM_F_ACK | NLM_F_CREATE }
}

/// Removes an entry.
pub(super) fn remove_neighbour(key: NeighbourKey) -> Request {
    Request { message: RouteNetlinkMessage::DelNeighbour(neighbour(key)), flags: NLM_F_ACK }
}

/// Reads one entry back.
pub(super) fn get_neighbour(key: NeighbourKey) -> Request {
    Request { message: RouteNetlinkMessage::GetNeighbour(neighbour(key)), flags: 0 }
}

fn neighbour(key: NeighbourKey) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(key.address);
    message.header.ifindex = key.interface;
    message.attributes = vec![NeighbourAttribute::Destination(key.address.into())];
    message
}

const fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

#[cfg(test)]
mod tests;
