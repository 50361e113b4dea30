//! What an operator wants the data plane to do, without names, clocks or map ids.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};
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

/// What clients connect to: VIP address, port and protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Service {
    /// VIP address.
    pub address: IpAddr,
    /// Port, never 0.
    pub port: u16,
    /// Protocol.
    pub protocol: Protocol,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", SocketAddr::new(self.address, self.port), self.protocol)
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
    /// VIP addresses that are bound on this node too: what matches no service is passed up, not dropped.
    pub local_addresses: BTreeSet<IpAddr>,
    /// Next hops that members name.
    pub next_hops: BTreeMap<NextHopKey, NextHopSpec>,
}
