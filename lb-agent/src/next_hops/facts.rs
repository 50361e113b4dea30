//! What the kernel tells about links, addresses, neighbours and routes, reduced to what next hops depend on.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Mac;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Interface index.
    pub(super) index: u32,
    /// Name.
    pub(super) name: String,
    /// Set up by the operator.
    pub(super) enabled: bool,
    /// The other side is there.
    pub(super) carrier: bool,
    /// Address, for Ethernet only.
    pub(super) mac: Option<Mac>,
    /// L3 MTU in bytes.
    pub(super) mtu: u32,
}

impl Link {
    /// Whether packets can leave.
    pub(super) const fn up(&self) -> bool {
        self.enabled && self.carrier
    }
}

/// Identity of a neighbour entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NeighbourKey {
    /// Interface index.
    pub(super) interface: u32,
    /// The neighbour's address.
    pub(super) address: IpAddr,
}

/// A neighbour entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Neighbour {
    /// How sure the kernel is of it.
    pub(super) reachability: Reachability,
    /// Its MAC, as far as known.
    pub(super) mac: Option<Mac>,
    /// The kernel keeps it resolved by itself (`managed`).
    pub(super) managed: bool,
    /// It bears this agent's mark: the agent made it and may remove it.
    pub(super) ours: bool,
}

impl Neighbour {
    /// Whether the entry stays usable without our help.
    pub(super) const fn kept(&self) -> bool {
        self.managed || matches!(self.reachability, Reachability::Fixed)
    }
}

/// The kernel's `NUD_*` states, as far as they matter for forwarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reachability {
    /// Its MAC may be used (`REACHABLE`, `STALE`, `DELAY`, `PROBE`).
    Resolved,
    /// The operator (or the device) said what its MAC is (`PERMANENT`, `NOARP`): not to be touched.
    Fixed,
    /// Asked, no answer yet (`INCOMPLETE`, `NONE`).
    Resolving,
    /// It did not answer (`FAILED`).
    Failed,
}

/// The kernel's answer about the route to one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RouteAnswer {
    /// Packets leave this way.
    Via(Path),
    /// The destination is an address of this node.
    Local,
    /// There is no way that we can use.
    Refused(Refusal),
}

/// A way to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// Index of the egress interface.
    pub(super) interface: u32,
    /// The gateway; `None` where the destination is on-link. May be IPv6 for an IPv4 destination (RFC 5549).
    pub(super) gateway: Option<IpAddr>,
    /// The address that the kernel would send from.
    pub(super) source: Option<IpAddr>,
    /// The route's own MTU.
    pub(super) mtu: Option<u32>,
}

/// Why a destination has no way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No route matches.
    NoRoute,
    /// The route says so: `unreachable`, `blackhole`, `prohibit`, `throw`.
    Rejected(&'static str),
    /// The destination is a broadcast, anycast or multicast address.
    NotUnicast,
    /// The route adds an encapsulation (MPLS, segment routing).
    Encapsulated,
    /// The look-up failed.
    Failed(String),
}

/// Something changed in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    LinkChanged(Link),
    LinkRemoved(u32),
    AddressAdded { interface: u32, address: IpAddr },
    AddressRemoved { interface: u32, address: IpAddr },
    NeighbourChanged(NeighbourKey, Neighbour),
    NeighbourRemoved(NeighbourKey),
    RoutesChanged(Scope),
}

/// Which destinations a change of routes may concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those in a prefix: one route changed.
    Prefix(IpNet),
    /// All: a rule or a shared nexthop object changed.
    Everything,
}

/// A full reading of the kernel's tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) links: Vec<Link>,
    pub(super) addresses: Vec<(u32, IpAddr)>,
    pub(super) neighbours: Vec<(NeighbourKey, Neighbour)>,
}
