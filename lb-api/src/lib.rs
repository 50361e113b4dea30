//! The control API's JSON documents.
//!
//! The agent serves them on its unix socket; `lbctl` prints them. When the agent is dead, `lbctl` fills the same
//! documents from the pinned maps: what only the agent knows (names, health) is then absent.
//!
//! | request | document |
//! | --- | --- |
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/vips` | `[`[`Vip`]`]` |
//! | `GET /v1/backends` | `[`[`Backend`]`]` |
//! | `GET /v1/stats` | [`Stats`] |
#![forbid(unsafe_code)]

pub mod report;

pub use report::{Report, ReportError};

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use xdp_lb::model::Ports;
use xdp_lb_abi::Encapsulation;

/// Where the agent listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/lb-agent/api.sock";
/// `GET`: [`Status`].
pub const PATH_STATUS: &str = "/v1/status";
/// `GET`: a list of [`Vip`].
pub const PATH_VIPS: &str = "/v1/vips";
/// `GET`: a list of [`Backend`].
pub const PATH_BACKENDS: &str = "/v1/backends";
/// `GET`: [`Stats`].
pub const PATH_STATS: &str = "/v1/stats";

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Balances.
    Ingress,
    /// Decapsulates for its VIPs.
    Backend,
}

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// In the driver.
    Native,
    /// In the kernel's generic path: several times slower.
    Generic,
}

/// `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the agent, or of lbctl where the agent is not running.
    pub version: String,
    /// Version of the map layouts.
    pub abi_version: u32,
    /// What the node does; absent if nothing is installed.
    pub role: Option<Role>,
    /// Directory of the pins.
    pub pins: PathBuf,
    /// The daemon; absent when it is not running.
    pub agent: Option<Agent>,
    /// Where a program is or should be attached.
    pub interfaces: Vec<Interface>,
    /// What is wrong, one sentence each; empty when all is well.
    pub problems: Vec<String>,
    /// Packets by reason over all VIPs since the counters were made, zeros left out.
    pub packets: BTreeMap<String, u64>,
}

/// The daemon itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Process id.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// Whether desired state has been installed at least once.
    pub ready: bool,
    /// Its config file.
    pub config: Config,
}

/// The config file as the agent sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Path.
    pub file: PathBuf,
    /// Number of times a config was taken over since the start; 1 after the start.
    pub generation: u64,
    /// Why the newest version of the file was refused; absent while the running config is the newest.
    pub error: Option<String>,
}

/// An interface with our program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Name.
    pub name: String,
    /// Kernel's index; absent if the interface does not exist.
    pub index: Option<u32>,
    /// How the program is attached; absent if it is not.
    pub mode: Option<Mode>,
    /// Id of the attached program, as in `bpftool prog`.
    pub program_id: Option<u32>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vip {
    /// Name in the config; absent without agent.
    pub name: Option<String>,
    /// VIP address.
    pub address: IpAddr,
    /// Port, or the lowest of a range.
    pub port: u16,
    /// The highest port: the same as `port` unless the service has a range of them.
    pub last_port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// What tells its flows apart: `five-tuple`, `source-address`, `ignore-source-port` or `destination-port`.
    pub hash: String,
    /// Members in the order of their addresses.
    pub members: Vec<Member>,
    /// Bytes of all packets for this service as they arrived.
    pub bytes: u64,
    /// Packets by reason, zeros left out.
    pub packets: BTreeMap<String, u64>,
}

impl Vip {
    /// What identifies the service: `address:ports/protocol`, IPv6 addresses in brackets. The ports are one, `first-last`,
    /// or `any`.
    pub fn service(&self) -> String {
        let ports = Ports::new(self.port..=self.last_port);
        match (self.address, ports.filter(|ports| ports.single().is_none())) {
            (address, None) => format!("{}/{}", SocketAddr::new(address, self.port), self.protocol),
            (IpAddr::V4(v4), Some(ports)) => format!("{v4}:{ports}/{}", self.protocol),
            (IpAddr::V6(v6), Some(ports)) => format!("[{v6}]:{ports}/{}", self.protocol),
        }
    }

    /// Whether packets for this port are the service's, unless another has the port to itself.
    pub const fn takes(&self, port: u16) -> bool {
        self.port <= port && port <= self.last_port
    }
}

/// One backend of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Name in the config; absent without agent.
    pub name: Option<String>,
    /// Where its packets are sent.
    pub address: IpAddr,
    /// How packets reach it: `ipip4`, `ipip6`, `gue4`, `gue6`, `l2` or `local`.
    pub encapsulation: String,
    /// Configured weight; absent without agent.
    pub weight: Option<u16>,
    /// Whether it may take traffic.
    pub up: bool,
    /// Slots of the ring that name it.
    pub slots: u32,
    /// The way to it; absent while there is none.
    pub next_hop: Option<NextHop>,
    /// Packets sent to it for this service.
    pub packets: u64,
    /// Bytes sent to it for this service.
    pub bytes: u64,
}

impl Member {
    /// Whether the backend is the node itself, to which there is no way to find.
    pub fn is_local(&self) -> bool {
        self.encapsulation == Encapsulation::LocalV4.name()
    }

    /// Whether packets for it reach the wire, or the node's own stack.
    pub fn is_reachable(&self) -> bool {
        self.is_local() || self.next_hop.as_ref().is_some_and(|hop| hop.mac.is_some())
    }
}

/// Where packets for a backend leave the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextHop {
    /// Name of the egress interface (`#N` if only its index is known).
    pub interface: String,
    /// Gateway, or the backend itself.
    pub neighbour: IpAddr,
    /// MAC of the neighbour; absent while it is unresolved.
    pub mac: Option<String>,
    /// Source of the outer header.
    pub source: IpAddr,
    /// MTU in bytes.
    pub mtu: u16,
}

/// One backend over all services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Name in the config; absent without agent.
    pub name: Option<String>,
    /// Where its packets are sent.
    pub address: IpAddr,
    /// The services it is a member of, as `address:port/protocol`, with its state there.
    pub services: Vec<BackendService>,
    /// Packets sent to it.
    pub packets: u64,
    /// Bytes sent to it.
    pub bytes: u64,
}

/// `GET /v1/stats`: what became of the packets since the counters were made. Every packet counts in exactly one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// All packets: the sum of everything below, or what the decapsulation program did.
    pub total: Counts,
    /// What belongs to no VIP address.
    pub other: Counts,
    /// What is for a VIP address and for none of its services.
    pub addresses: Vec<VipAddress>,
    /// Services.
    pub vips: Vec<Vip>,
}

/// Packets and bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Bytes of all packets as they arrived.
    pub bytes: u64,
    /// Packets by reason, zeros left out.
    pub packets: BTreeMap<String, u64>,
}

/// A VIP address and what arrives for none of its services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VipAddress {
    /// VIP address.
    pub address: IpAddr,
    /// Whether it is bound on this node too: what matches no service is then for the node's own stack.
    pub local: bool,
    /// Packets for none of its services.
    pub counts: Counts,
}

/// A backend's part in one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendService {
    /// `address:port/protocol`.
    pub service: String,
    /// Whether it may take traffic there.
    pub up: bool,
    /// What the health check says; absent without agent.
    pub health: Option<Health>,
}

/// What a health check says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `up`, `down`, `unknown` (no result yet) or `unchecked`.
    pub state: String,
    /// Why the last failed check failed; absent after a success.
    pub last_error: Option<String>,
    /// Seconds since the state last changed.
    pub since_seconds: u64,
}
