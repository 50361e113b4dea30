//! What a data plane is given, as plain text: it is also the form in which found differences are kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

/// All that a balancer is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the program")]
pub struct Config {
    /// Seed of rings and flow hash.
    pub hash_seed: u64,
    /// UDP port of GUE.
    pub gue_port: u16,
    /// Whether TTLs are lowered.
    pub decrement_ttl: bool,
    /// Whether TCP flags are checked.
    pub check_tcp_flags: bool,
    /// Whether pings are answered.
    pub echo_reply: bool,
    /// Whether senders of packets that may be fragmented are told that they are too long.
    pub too_big_reply: bool,
    /// Whether packets may leave by another interface than they came in by.
    pub several_interfaces: bool,
    /// Whether answers may be sent at all: as many as there are packets, or none.
    pub has_answers: bool,
    /// VIP addresses that are bound on the node.
    pub local_addresses: BTreeSet<IpAddr>,
    /// Services.
    pub services: Vec<Service>,
    /// The ways to backends, by their address; a backend that has none has no route.
    pub ways: BTreeMap<IpAddr, Way>,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// VIP address.
    pub address: IpAddr,
    /// Lowest port.
    pub first_port: u16,
    /// Highest port.
    pub last_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// What tells its flows apart.
    pub hash: Hash,
    /// Backends; no two with the same address.
    pub backends: Vec<Backend>,
}

/// What tells the flows of a service apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hash {
    /// Addresses and ports.
    FiveTuple,
    /// The source address.
    SourceAddress,
    /// Source address and destination port.
    IgnoreSourcePort,
    /// The destination port.
    DestinationPort,
}

/// A backend of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    /// Address.
    pub address: IpAddr,
    /// How packets reach it.
    pub mode: Mode,
    /// Weight.
    pub weight: u16,
    /// Whether it is up.
    pub is_up: bool,
}

/// How packets reach a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// IP in IP.
    Ipip,
    /// IP in UDP.
    Gue,
    /// As they are, to the backend's MAC.
    L2,
    /// The backend is this node.
    Local,
}

/// An interface, as packets see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interface {
    /// That by which they came in.
    Same,
    /// Another one that the program runs on.
    Port,
    /// One that it does not run on.
    Closed,
}

/// The way to a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// Where it leaves.
    pub interface: Interface,
    /// The node's address on this way, of the backend's family.
    pub source: IpAddr,
    /// MAC of the neighbour, if it is known.
    pub neighbour: Option<[u8; 6]>,
    /// MAC of the node.
    pub egress: [u8; 6],
    /// Longest packet.
    pub mtu: u16,
}

impl Config {
    /// Whether a service has this address.
    pub(super) fn has_address(&self, address: IpAddr) -> bool {
        self.services.iter().any(|service| service.address == address)
    }

    /// The service that takes a port: that on the single port goes first.
    pub(super) fn service_of(&self, address: IpAddr, protocol: u8, port: u16) -> Option<usize> {
        let takes = |service: &Service| {
            service.address == address
                && service.protocol == protocol
                && (service.first_port..=service.last_port).contains(&port)
        };
        let single = |service: &Service| takes(service) && service.first_port == service.last_port;
        let position = |is: &dyn Fn(&Service) -> bool| self.services.iter().position(is);
        position(&single).or_else(|| position(&takes))
    }
}
