//! The config file: from text to a checked [`Config`], or every error with its place.
//!
//! Three steps, each of which goes on after an error so that one run shows all of them: [`yaml`] turns text into a tree
//! with positions, [`schema`] reads the tree's fields, [`check`] compares fields with each other. Only when none of them
//! had anything to report is the result assembled.
//!
//! What needs the machine (does an interface exist, can it do native XDP) is not decided here.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use lb_api::Role;
use xdp_lb::model::{HashInput, MemberKey, Mode, Service};

pub use xdp_lb::attach::ModeChoice;
use xdp_lb_abi::DEFAULT_GUE_PORT;

mod assemble;
mod check;
mod decode;
mod diagnostic;
mod load;
pub mod reload;
mod scalar;
mod schema;
mod yaml;

pub use diagnostic::Diagnostic;
pub use load::{LoadError, MAX_FILE_BYTES, load};

/// A config without errors: defaults filled in, names resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What this node does.
    pub role: Role,
    /// Where things are on this machine.
    pub node: Node,
    /// Where the program is attached; never empty, names differ.
    pub interfaces: Vec<Interface>,
    /// What the program is loaded with (role ingress).
    pub forwarding: Forwarding,
    /// What the program answers itself.
    pub icmp: Icmp,
    /// Services with their backends; empty for role backend.
    pub services: BTreeMap<Service, ServiceConfig>,
    /// What is decapsulated; present for role backend only.
    pub backend: Option<BackendRole>,
    /// How the agent logs.
    pub log: Log,
}

impl Config {
    /// Addresses that the node needs a way to: those of backends that are not the node itself.
    pub fn destinations(&self) -> BTreeSet<IpAddr> {
        let backends = self.services.values().flat_map(|service| &service.backends);
        backends.filter(|backend| backend.encapsulation != Mode::Local).map(|backend| backend.address).collect()
    }
}

/// Where things are on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Mount point of the BPF file system.
    pub bpffs: PathBuf,
    /// Unix socket of the control API.
    pub api_socket: PathBuf,
    /// Where `/metrics`, `/livez` and `/readyz` are served.
    pub metrics: SocketAddr,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            bpffs: PathBuf::from("/sys/fs/bpf"),
            api_socket: PathBuf::from(lb_api::DEFAULT_SOCKET),
            metrics: SocketAddr::from(([127, 0, 0, 1], 9477)),
        }
    }
}

/// An interface that the program is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Name.
    pub name: String,
    /// Where in the kernel the program may run.
    pub mode: ModeChoice,
    /// Its line in the file, for errors that only show when the program is attached.
    pub line: usize,
}

/// What the load balancer's program is loaded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// Seed of the flow hash.
    pub hash_seed: u64,
    /// Lower the inner TTL or hop limit by one.
    pub decrement_ttl: bool,
    /// Drop TCP packets with flags that no sender sets together.
    pub check_tcp_flags: bool,
    /// UDP port that GUE packets are sent to.
    pub gue_port: u16,
}

impl Default for Forwarding {
    fn default() -> Self {
        Self { hash_seed: 0, decrement_ttl: true, check_tcp_flags: true, gue_port: DEFAULT_GUE_PORT }
    }
}

/// What the program answers itself, in the VIPs' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// Answer echo requests to VIP addresses.
    pub echo_reply: bool,
    /// Tell senders of packets that are too long for the way to a backend, also where they may be fragmented.
    pub too_big_reply: bool,
    /// Answers per second and CPU, at least 1.
    pub rate: u32,
}

impl Default for Icmp {
    fn default() -> Self {
        Self { echo_reply: true, too_big_reply: true, rate: 1000 }
    }
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceConfig {
    /// Name of its VIP.
    pub name: String,
    /// What tells its flows apart.
    pub hash: HashInput,
    /// Backends; names and addresses differ, at most as many as a ring holds. May be empty.
    pub backends: Vec<BackendConfig>,
    /// How they are checked; `None` counts every backend as up.
    pub check: Option<CheckTemplate>,
}

/// One backend of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendConfig {
    /// Name.
    pub name: String,
    /// Where its packets are sent: destination of the outer header, or whose MAC they get. It may be of another family
    /// than the VIP.
    pub address: IpAddr,
    /// How its packets travel.
    pub encapsulation: Mode,
    /// Share of new connections relative to the other backends of the pool.
    pub weight: u16,
}

impl BackendConfig {
    /// Who it is in the maps.
    pub const fn member(&self) -> MemberKey {
        MemberKey { tunnel: self.address, mode: self.encapsulation }
    }
}

/// A health check without its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckTemplate {
    /// What is asked of the backend.
    pub kind: TemplateKind,
    /// Port to ask; `None` is the service's.
    pub port: Option<u16>,
    /// Time from one check to the next.
    pub interval: Duration,
    /// Time that one check may take; shorter than the interval.
    pub timeout: Duration,
    /// Checks in a row that must pass before a backend that is down counts as up.
    pub rise: u32,
    /// Checks in a row that must fail before a backend that is up counts as down.
    pub fall: u32,
}

/// What a health check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateKind {
    /// Whether a connection can be opened.
    Tcp,
    /// Whether `GET` is answered with one of the wanted status codes.
    Http {
        /// Path and query.
        path: String,
        /// `Host` header; `None` is the backend's address.
        host: Option<String>,
        /// Status codes that pass.
        status: StatusRange,
    },
}

/// HTTP status codes from `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StatusRange {
    /// Lowest.
    pub first: u16,
    /// Highest; not below `first`.
    pub last: u16,
}

impl StatusRange {
    /// Whether the range holds `status`.
    pub const fn contains(self, status: u16) -> bool {
        self.first <= status && status <= self.last
    }
}

impl std::fmt::Display for StatusRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

/// What a node of role backend takes out of tunnels. No list is empty or holds an entry twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendRole {
    /// Outer destinations that are accepted.
    pub tunnel_addresses: Vec<IpAddr>,
    /// Outer sources that are accepted.
    pub sources: Vec<IpNet>,
    /// Inner destinations that are accepted.
    pub vips: Vec<IpAddr>,
    /// UDP port that GUE packets arrive at.
    pub gue_port: u16,
}

/// How the agent logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// Shape of a line.
    pub format: LogFormat,
    /// Least important level that is written.
    pub level: tracing::Level,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: tracing::Level::INFO }
    }
}

/// Shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Reads a config.
///
/// # Errors
///
/// Every error of the text, in the order of their places.
pub fn parse(text: &str) -> Result<Config, Vec<Diagnostic>> {
    let mut report = diagnostic::Report::default();
    let document = yaml::read(text, &mut report).and_then(|root| schema::document(&root, &mut report));
    if let Ok(document) = &document {
        check::document(document, &mut report);
    }
    // Only a document without errors is assembled: the checks above are what bounds the size of the result.
    report.finish()?;
    document.and_then(assemble::config).map_err(|_reported| unreachable!("an error was reported, and none was found"))
}

#[cfg(test)]
mod tests;
