//! What an operator wants the data plane to do, without names, clocks or map ids.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
    ops::RangeInclusive,
    str::FromStr,
};

use serde::{Deserialize, Serialize};
pub use xdp_lb_abi::HashInput;
use xdp_lb_abi::{Encapsulation, Family};

pub use xdp_lb_abi::Mode;

/// Largest weight of a backend. A slot is the unit of share: beyond this ratio the smallest backends would get none.
pub const MAX_WEIGHT: u16 = 1000;

/// Transport protocol of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// IP protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// The protocol with this IP protocol number, if it is one we balance.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl FromStr for Protocol {
    type Err = UnknownProtocol;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            _ => Err(UnknownProtocol(text.to_owned())),
        }
    }
}

/// A protocol name other than `tcp` and `udp`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither tcp nor udp")]
pub struct UnknownProtocol(pub String);

/// The ports of a service: one, or those from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ports {
    first: NonZeroU16,
    last: NonZeroU16,
}

impl Ports {
    /// Every port there is.
    pub const ANY: Self = Self { first: NonZeroU16::MIN, last: NonZeroU16::MAX };

    /// The ports of the range; `None` if it is empty or holds port 0, which nobody listens on.
    pub const fn new(range: RangeInclusive<u16>) -> Option<Self> {
        match (NonZeroU16::new(*range.start()), NonZeroU16::new(*range.end())) {
            (Some(first), Some(last)) if first.get() <= last.get() => Some(Self { first, last }),
            _ => None,
        }
    }

    /// The lowest.
    pub const fn first(self) -> u16 {
        self.first.get()
    }

    /// The highest.
    pub const fn last(self) -> u16 {
        self.last.get()
    }

    /// The port, if it is just one.
    pub fn single(self) -> Option<u16> {
        (self.first == self.last).then_some(self.first.get())
    }

    /// Whether `port` is one of them.
    pub const fn contains(self, port: u16) -> bool {
        self.first.get() <= port && port <= self.last.get()
    }

    /// Whether a port is in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (*self, self.single()) {
            (Self::ANY, _) => f.write_str("any"),
            (_, Some(port)) => port.fmt(f),
            (Self { first, last }, None) => write!(f, "{first}-{last}"),
        }
    }
}

/// What clients connect to: VIP address, ports and protocol.
///
/// Where services on the same address overlap, the one on a single port takes its port out of the range of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Service {
    /// VIP address.
    pub address: IpAddr,
    /// Ports.
    pub ports: Ports,
    /// Protocol.
    pub protocol: Protocol,
}

impl Service {
    /// The service on one port, which is not 0.
    ///
    /// # Panics
    ///
    /// If the port is 0.
    pub const fn new(address: IpAddr, port: u16, protocol: Protocol) -> Self {
        let ports = Ports::new(port..=port).expect("a port other than 0");
        Self { address, ports, protocol }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, ports, protocol } = self;
        match (address, ports.single()) {
            (_, Some(port)) => write!(f, "{}/{protocol}", SocketAddr::new(*address, port)),
            (IpAddr::V4(v4), None) => write!(f, "{v4}:{ports}/{protocol}"),
            (IpAddr::V6(v6), None) => write!(f, "[{v6}]:{ports}/{protocol}"),
        }
    }
}

/// Identity of a backend within a VIP: where its packets are sent, and how. Equal on all nodes; names are for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberKey {
    /// Where its packets are sent: destination of the outer header, or whose MAC they get. It comes first, so that
    /// the order of members, and with it the ring, is the same on nodes that reach a member differently.
    pub tunnel: IpAddr,
    /// How its packets travel.
    pub mode: Mode,
}

impl MemberKey {
    /// How packets reach the member.
    pub fn encapsulation(&self) -> Encapsulation {
        Encapsulation::new(self.mode, Family::from(&self.tunnel))
    }
}

/// One backend as one VIP wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberSpec {
    /// Share of the ring relative to the other members, 0 to [`MAX_WEIGHT`]; 0 takes no new traffic.
    pub weight: u16,
    /// Whether the backend is healthy for this VIP.
    pub up: bool,
    /// The way to the backend; `None` while there is no route.
    pub next_hop: Option<NextHopKey>,
}

impl MemberSpec {
    /// Weight in the ring: nothing for a backend that is down.
    pub const fn ring_weight(&self) -> u16 {
        if self.up { self.weight } else { 0 }
    }
}

/// Identity of a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NextHopKey {
    /// Index of the egress interface.
    pub interface: u32,
    /// Gateway, or the backend itself where it is on-link.
    pub neighbour: IpAddr,
    /// Source of the outer header: this node's address on the way there, of the outer header's family.
    pub source: IpAddr,
}

/// What is known of a next hop now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHopSpec {
    /// MAC of the neighbour; `None` while it is unresolved.
    pub neighbour_mac: Option<[u8; 6]>,
    /// MAC of the egress interface.
    pub egress_mac: [u8; 6],
    /// Smallest of the link's and the route's L3 MTU, in bytes.
    pub mtu: u16,
}

/// All that the data plane of this node should do: the input of `plan`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Services with their members.
    pub services: BTreeMap<Service, BTreeMap<MemberKey, MemberSpec>>,
    /// What tells a service's flows apart, where it is not the five-tuple.
    pub hash_inputs: BTreeMap<Service, HashInput>,
    /// VIP addresses that are bound on this node too: what matches no service is passed up, not dropped.
    pub local_addresses: BTreeSet<IpAddr>,
    /// Next hops that members name.
    pub next_hops: BTreeMap<NextHopKey, NextHopSpec>,
}

impl Desired {
    /// What tells the service's flows apart.
    pub fn hash_input(&self, service: &Service) -> HashInput {
        self.hash_inputs.get(service).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_written_as_people_write_it() {
        for (address, ports, written) in [
            ("192.0.2.10", 80..=80, "192.0.2.10:80/tcp"),
            ("192.0.2.10", 8000..=8999, "192.0.2.10:8000-8999/tcp"),
            ("2001:db8::10", 443..=443, "[2001:db8::10]:443/tcp"),
            ("2001:db8::10", 1..=65_535, "[2001:db8::10]:any/tcp"),
        ] {
            let address = address.parse().expect("an address literal");
            let ports = Ports::new(ports).expect("ports");
            assert_eq!(Service { address, ports, protocol: Protocol::Tcp }.to_string(), written);
        }
    }

    #[test]
    fn ports_are_neither_none_nor_port_0() {
        #[expect(clippy::reversed_empty_ranges, reason = "this is what must be refused")]
        let refused = [0..=0, 0..=80, 81..=80];
        assert_eq!(refused.map(Ports::new), [None, None, None]);
    }
}
