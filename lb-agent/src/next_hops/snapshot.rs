//! From the index's facts to what is published, and the words for what is wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use xdp_lb::model::{NextHopKey, NextHopSpec};

use super::{
    InterfaceState, NextHops,
    facts::{Link, Neighbour, NeighbourKey, Path, Reachability, Refusal, RouteAnswer},
};

/// Puts answers and facts together.
pub(super) fn of(
    answers: &BTreeMap<IpAddr, RouteAnswer>,
    links: &BTreeMap<u32, Link>,
    addresses: &BTreeSet<(u32, IpAddr)>,
    neighbours: &BTreeMap<NeighbourKey, Neighbour>,
) -> NextHops {
    let mut next_hops = NextHops {
        interfaces: links.iter().map(|(index, link)| (*index, interface(link))).collect(),
        local_addresses: addresses.iter().map(|(_, address)| *address).collect(),
        ..NextHops::default()
    };
    for (destination, answer) in answers {
        let way = match answer {
            RouteAnswer::Via(path) => way(*destination, path, links, neighbours),
            RouteAnswer::Local => Way::none(local(*destination)),
            RouteAnswer::Refused(refusal) => Way::none(refused(*destination, refusal)),
        };
        if let Some((key, spec)) = way.next_hop {
            next_hops.routes.insert(*destination, key);
            // Routes that share a next hop may differ in MTU: the smallest suits all.
            let shared = next_hops.next_hops.entry(key).or_insert(spec);
            shared.mtu = shared.mtu.min(spec.mtu);
        }
        if let Some(problem) = way.problem {
            next_hops.problems.insert(*destination, problem);
        }
    }
    next_hops
}

fn interface(link: &Link) -> InterfaceState {
    InterfaceState { name: link.name.clone(), up: link.up(), mac: link.mac, mtu: link.mtu }
}

/// How a destination is reached, and what is wrong with that.
struct Way {
    next_hop: Option<(NextHopKey, NextHopSpec)>,
    problem: Option<String>,
}

impl Way {
    const fn none(problem: String) -> Self {
        Self { next_hop: None, problem: Some(problem) }
    }
}

fn way(
    destination: IpAddr,
    path: &Path,
    links: &BTreeMap<u32, Link>,
    neighbours: &BTreeMap<NeighbourKey, Neighbour>,
) -> Way {
    let Some(link) = links.get(&path.interface) else {
        return Way::none(format!(
            "the route to {destination} names interface {}, which is gone: add a route over another one",
            path.interface
        ));
    };
    let Some(egress_mac) = link.mac else {
        return Way::none(format!(
            "interface {} has no Ethernet header: route {destination} over an Ethernet interface",
            link.name
        ));
    };
    let source = match source(destination, path, link) {
        Ok(source) => source,
        Err(problem) => return Way::none(problem),
    };
    let neighbour = NeighbourKey { interface: path.interface, address: path.gateway.unwrap_or(destination) };
    let known = neighbours.get(&neighbour).filter(|_| link.up());
    let neighbour_mac = known.and_then(|known| known.mac);
    let key = NextHopKey { interface: path.interface, neighbour: neighbour.address, source };
    let spec = NextHopSpec { neighbour_mac, egress_mac, mtu: mtu(path, link) };
    let problem = neighbour_mac.is_none().then(|| unresolved(neighbour.address, known, link));
    Way { next_hop: Some((key, spec)), problem }
}

fn source(destination: IpAddr, path: &Path, link: &Link) -> Result<IpAddr, String> {
    let family = if destination.is_ipv4() { "IPv4" } else { "IPv6" };
    let usable = |source: &IpAddr| source.is_ipv4() == destination.is_ipv4() && !source.is_unspecified();
    let Some(source) = path.source.filter(usable) else {
        return Err(format!(
            "no {family} source address for packets to {destination}: add an {family} address to {}, or give the \
             route a `src`",
            link.name
        ));
    };
    let confined = matches!(source, IpAddr::V6(source) if source.is_unicast_link_local());
    if confined && path.gateway.is_some() {
        return Err(format!(
            "the source address for packets to {destination} would be {source}, which no router forwards (RFC 4291): \
             add a global IPv6 address to {}",
            link.name
        ));
    }
    Ok(source)
}

fn mtu(path: &Path, link: &Link) -> u16 {
    let smallest = path.mtu.map_or(link.mtu, |mtu| mtu.min(link.mtu));
    u16::try_from(smallest).unwrap_or(u16::MAX)
}

fn unresolved(neighbour: IpAddr, known: Option<&Neighbour>, link: &Link) -> String {
    let interface = &link.name;
    if !link.enabled {
        return format!("interface {interface} is down: set it up (ip link set {interface} up)");
    }
    if !link.carrier {
        return format!("interface {interface} has no carrier: check cable, switch port and peer");
    }
    let protocol = if neighbour.is_ipv4() { "ARP" } else { "neighbour discovery" };
    if known.is_some_and(|known| known.reachability == Reachability::Failed) {
        format!(
            "neighbour {neighbour} on {interface} does not answer {protocol}: check that it is up, on this segment and \
             in the right VLAN"
        )
    } else {
        format!(
            "neighbour {neighbour} on {interface} has not answered {protocol} yet: wait, or check that it is on this \
             segment"
        )
    }
}

fn local(destination: IpAddr) -> String {
    format!("{destination} is an address of this node: name another node's tunnel address, or remove it from this node")
}

fn refused(destination: IpAddr, refusal: &Refusal) -> String {
    match refusal {
        Refusal::NoRoute => {
            format!("no route to {destination}: add one (ip route add {destination} via GATEWAY dev INTERFACE)")
        }
        Refusal::Rejected(kind) => {
            format!("the route to {destination} is of type {kind}: replace it by one that leads to the backend")
        }
        Refusal::NotUnicast => format!("{destination} is not a unicast address: correct the backend's address"),
        Refusal::Encapsulated => format!(
            "the route to {destination} adds an encapsulation of its own, which XDP cannot: add a plain route to it"
        ),
        Refusal::Failed(error) => format!(
            "the kernel could not look up the route to {destination} ({error}): try `ip route get {destination}`"
        ),
    }
}
