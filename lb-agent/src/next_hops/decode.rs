//! From netlink messages to facts.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage},
    neighbour::{
        NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage, NeighbourState,
    },
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia},
};

use super::{
    Mac,
    facts::{Event, Link, Neighbour, NeighbourKey, Path, Reachability, Reading, Refusal, RouteAnswer, Scope},
    request::MARK,
};

/// What a notification says; `None` for what next hops do not depend on.
#[expect(clippy::wildcard_enum_match_arm, reason = "rtnetlink has dozens of messages that are not subscribed to")]
pub(super) fn event(message: RouteNetlinkMessage) -> Option<Event> {
    match message {
        RouteNetlinkMessage::NewLink(message) => link(&message).map(Event::LinkChanged),
        // A bridge tells with its own family that a port left: the port's link lives on.
        RouteNetlinkMessage::DelLink(message) => (message.header.interface_family == AddressFamily::Unspec)
            .then_some(Event::LinkRemoved(message.header.index)),
        RouteNetlinkMessage::NewAddress(message) => {
            address(&message).map(|(interface, address)| Event::AddressAdded { interface, address })
        }
        RouteNetlinkMessage::DelAddress(message) => {
            address(&message).map(|(interface, address)| Event::AddressRemoved { interface, address })
        }
        RouteNetlinkMessage::NewNeighbour(message) => {
            neighbour(&message).map(|(key, neighbour)| Event::NeighbourChanged(key, neighbour))
        }
        RouteNetlinkMessage::DelNeighbour(message) => neighbour(&message).map(|(key, _)| Event::NeighbourRemoved(key)),
        RouteNetlinkMessage::NewRoute(message) | RouteNetlinkMessage::DelRoute(message) => {
            Some(Event::RoutesChanged(scope(&message)))
        }
        RouteNetlinkMessage::NewRule(_) | RouteNetlinkMessage::DelRule(_) => {
            Some(Event::RoutesChanged(Scope::Everything))
        }
        _ => None,
    }
}

/// Adds one message of a dump to a reading.
pub(super) fn read(message: RouteNetlinkMessage, reading: &mut Reading) {
    match event(message) {
        Some(Event::LinkChanged(link)) => reading.links.push(link),
        Some(Event::AddressAdded { interface, address }) => reading.addresses.push((interface, address)),
        Some(Event::NeighbourChanged(key, neighbour)) => reading.neighbours.push((key, neighbour)),
        Some(
            Event::LinkRemoved(_) | Event::AddressRemoved { .. } | Event::NeighbourRemoved(_) | Event::RoutesChanged(_),
        )
        | None => {}
    }
}

/// What the kernel answered to a route look-up.
pub(super) fn answer(reply: Result<Option<RouteNetlinkMessage>, io::Error>) -> RouteAnswer {
    match reply {
        Ok(Some(RouteNetlinkMessage::NewRoute(message))) => route(&message),
        Ok(_) => RouteAnswer::Refused(Refusal::Failed("the answer is not a route".to_owned())),
        Err(error) => RouteAnswer::Refused(refusal(&error)),
    }
}

/// IPv4 look-ups that end in a route without a way fail with the errno of its type (`fib_props` in Linux'
/// `net/ipv4/fib_semantics.c`); IPv6 ones likewise (`fib6_prop`).
fn refusal(error: &io::Error) -> Refusal {
    #[expect(clippy::wildcard_enum_match_arm, reason = "every other errno is told as it is")]
    match error.kind() {
        io::ErrorKind::NetworkUnreachable => Refusal::NoRoute,
        io::ErrorKind::HostUnreachable => Refusal::Rejected("unreachable"),
        io::ErrorKind::PermissionDenied => Refusal::Rejected("prohibit"),
        io::ErrorKind::InvalidInput => Refusal::Rejected("blackhole"),
        _ => Refusal::Failed(error.to_string()),
    }
}

fn route(message: &RouteMessage) -> RouteAnswer {
    #[expect(clippy::wildcard_enum_match_arm, reason = "every other type is one that we cannot send to")]
    match message.header.kind {
        RouteType::Unicast => path(message),
        RouteType::Local => RouteAnswer::Local,
        RouteType::BlackHole => RouteAnswer::Refused(Refusal::Rejected("blackhole")),
        RouteType::Unreachable => RouteAnswer::Refused(Refusal::Rejected("unreachable")),
        RouteType::Prohibit => RouteAnswer::Refused(Refusal::Rejected("prohibit")),
        RouteType::Throw => RouteAnswer::Refused(Refusal::Rejected("throw")),
        _ => RouteAnswer::Refused(Refusal::NotUnicast),
    }
}

fn path(message: &RouteMessage) -> RouteAnswer {
    let (mut interface, mut gateway, mut source, mut mtu) = (None, None, None, None);
    for attribute in &message.attributes {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the other attributes do not matter to a next hop")]
        match attribute {
            RouteAttribute::Oif(index) => interface = Some(*index),
            RouteAttribute::Gateway(address) => gateway = ip(address),
            RouteAttribute::Via(RouteVia::Inet(address)) => gateway = Some(IpAddr::V4(*address)),
            RouteAttribute::Via(RouteVia::Inet6(address)) => gateway = Some(IpAddr::V6(*address)),
            RouteAttribute::PrefSource(address) => source = ip(address),
            RouteAttribute::Metrics(metrics) => mtu = metrics.iter().find_map(mtu_of).or(mtu),
            RouteAttribute::EncapType(_) | RouteAttribute::Encap(_) => {
                return RouteAnswer::Refused(Refusal::Encapsulated);
            }
            _ => {}
        }
    }
    interface.map_or(RouteAnswer::Refused(Refusal::NoRoute), |interface| {
        RouteAnswer::Via(Path { interface, gateway, source, mtu })
    })
}

const fn mtu_of(metric: &RouteMetric) -> Option<u32> {
    if let RouteMetric::Mtu(mtu) = metric { Some(*mtu) } else { None }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        RouteAddress::Mpls(_) | RouteAddress::Other(_) | _ => None,
    }
}

fn scope(message: &RouteMessage) -> Scope {
    let destination = message
        .attributes
        .iter()
        .find_map(|attribute| if let RouteAttribute::Destination(address) = attribute { ip(address) } else { None });
    // A default route has no destination attribute.
    let network = match (destination, message.header.address_family) {
        (Some(destination), _) => Some(destination),
        (None, AddressFamily::Inet) => Some(Ipv4Addr::UNSPECIFIED.into()),
        (None, AddressFamily::Inet6) => Some(Ipv6Addr::UNSPECIFIED.into()),
        (None, _) => None,
    };
    network
        .and_then(|network| IpNet::new(network, message.header.destination_prefix_length).ok())
        .map_or(Scope::Everything, Scope::Prefix)
}

fn link(message: &LinkMessage) -> Option<Link> {
    if message.header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let (mut name, mut mtu, mut mac) = (None, None, None);
    for attribute in &message.attributes {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the other attributes do not matter to a next hop")]
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text.clone()),
            LinkAttribute::Mtu(bytes) => mtu = Some(*bytes),
            LinkAttribute::Address(bytes) => mac = Mac::try_from(bytes.as_slice()).ok(),
            _ => {}
        }
    }
    Some(Link {
        index: message.header.index,
        name: name?,
        enabled: message.header.flags.contains(LinkFlags::Up),
        carrier: message.header.flags.contains(LinkFlags::LowerUp),
        mac: mac.filter(|_| message.header.link_layer_type == LinkLayerType::Ether),
        // Wireless events come as link messages without it.
        mtu: mtu?,
    })
}

fn address(message: &AddressMessage) -> Option<(u32, IpAddr)> {
    let (mut local, mut address) = (None, None);
    for attribute in &message.attributes {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the other attributes do not matter to a next hop")]
        match attribute {
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Address(ip) => address = Some(*ip),
            _ => {}
        }
    }
    // On a point-to-point link `address` is the other end's.
    local.or(address).map(|address| (message.header.index, address))
}

fn neighbour(message: &NeighbourMessage) -> Option<(NeighbourKey, Neighbour)> {
    let flags = message.header.flags;
    if flags.contains(NeighbourFlags::Proxy) {
        return None;
    }
    let (mut address, mut mac, mut ext_flags, mut protocol) = (None, None, NeighbourExtFlags::empty(), None);
    for attribute in &message.attributes {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the other attributes do not matter to a next hop")]
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => address = Some(IpAddr::V4(*ip)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => address = Some(IpAddr::V6(*ip)),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = Mac::try_from(bytes.as_slice()).ok(),
            NeighbourAttribute::ExtFlags(flags) => ext_flags = *flags,
            NeighbourAttribute::Protocol(number) => protocol = Some(*number),
            _ => {}
        }
    }
    let managed = ext_flags.contains(NeighbourExtFlags::Managed);
    let key = NeighbourKey { interface: message.header.ifindex, address: address? };
    let ours = managed && flags.contains(NeighbourFlags::ExtLearned) && protocol == Some(MARK);
    Some((key, Neighbour { reachability: reachability(message.header.state), mac, managed, ours }))
}

const fn reachability(state: NeighbourState) -> Reachability {
    match state {
        NeighbourState::Reachable | NeighbourState::Stale | NeighbourState::Delay | NeighbourState::Probe => {
            Reachability::Resolved
        }
        NeighbourState::Permanent | NeighbourState::Noarp => Reachability::Fixed,
        NeighbourState::Failed => Reachability::Failed,
        NeighbourState::Incomplete | NeighbourState::None | NeighbourState::Other(_) | _ => Reachability::Resolving,
    }
}

#[cfg(test)]
mod tests;
