//! Test beds: hosts made of network namespaces, wired as the load balancer's surroundings are.
//!
//! ```text
//!                      198.51.100.0/24              10.0.0.0/24, one Ethernet segment
//!             client ------------------- router --+------ lb       XDP_TX back to where packets came from
//!                                           |     +------ web-1    holds the VIP, answers the client directly
//!                                           |     +------ web-2
//!                                           +------------ web-3    10.0.3.0/24: reached by way of the router
//! ```
//!
//! The router sends what is for a VIP to the load balancer. Every third backend is on a network of its own, so that the
//! load balancer has backends on its link and backends behind a gateway. All of it exists in IPv6 too.
//!
//! Beds share nothing, so tests that have one each may run at the same time, as may several runs.

mod namespace;
mod pass_program;
mod process;
mod scratch;
mod topology;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

pub use self::{
    namespace::Namespace,
    process::Process,
    scratch::{BpfFs, Scratch},
};

/// The VIP that the router sends to the load balancer and that backends hold.
pub const VIP_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
/// The VIP in IPv6.
pub const VIP_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);

/// Name of every host's interface.
pub const INTERFACE: &str = "eth0";

/// Name of the load balancer's second interface, where it has one.
pub const BACK_INTERFACE: &str = "eth1";

/// A machine: its namespace, a directory, and a BPF file system of its own.
///
/// Fields are dropped in this order: pins go before the interfaces they refer to.
#[derive(Debug)]
pub struct Host {
    name: String,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
    bpffs: BpfFs,
    namespace: Namespace,
    directory: PathBuf,
}

impl Host {
    fn create(scratch: &Scratch, name: &str, (v4, v6): (Ipv4Addr, Ipv6Addr)) -> Result<Self> {
        let namespace = Namespace::create(format!("{}-{name}", scratch.name()))?;
        let directory = scratch.path().join(name);
        fs::create_dir(&directory).with_context(|| format!("create {}", directory.display()))?;
        let bpffs = BpfFs::mount(directory.join("bpf"))?;
        Ok(Self { name: name.to_owned(), v4, v6, bpffs, namespace, directory })
    }

    /// Name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// IPv4 address of its interface.
    pub fn v4(&self) -> Ipv4Addr {
        self.v4
    }

    /// IPv6 address of its interface.
    pub fn v6(&self) -> Ipv6Addr {
        self.v6
    }

    /// Both addresses.
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }

    /// Its network namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Mount point of its BPF file system.
    pub fn bpffs(&self) -> &Path {
        self.bpffs.path()
    }

    /// A file in its directory.
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    /// Writes a file into its directory.
    pub fn write(&self, file: &str, content: &str) -> Result<PathBuf> {
        let path = self.path(file);
        fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    /// Runs a command on the host to its end; its standard output.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        self.namespace.run(program, arguments)
    }

    /// Runs an XDP program that passes everything on the host's interface, until what is returned is closed.
    pub fn attach_pass_program(&self) -> Result<OwnedFd> {
        pass_program::attach_to(&self.namespace, INTERFACE)
    }

    /// Starts `program` on the host; its output goes to `<name>.log` in the host's directory.
    pub fn spawn(&self, name: &str, program: &str, arguments: &[&str]) -> Result<Process> {
        let mut command = self.namespace.command(program)?;
        command.args(arguments);
        Process::spawn(&format!("{name} on {}", self.name), command, &self.path(&format!("{name}.log")))
    }
}

/// A client, a router, a load balancer and backends.
///
/// Fields are dropped in this order: hosts before the directory that holds theirs.
#[derive(Debug)]
pub struct Bed {
    /// Sends requests.
    pub client: Host,
    /// Stands between all others.
    pub router: Host,
    /// Where the ingress role runs.
    pub lb: Host,
    /// Where the backend role runs, named `web-1`, `web-2` and so on.
    pub backends: Vec<Host>,
    /// Keeps the router's pass program attached.
    _pass_program: OwnedFd,
    _scratch: Scratch,
}

impl Bed {
    /// Builds a bed with this number of backends.
    pub fn new(backends: u8) -> Result<Self> {
        topology::build(backends)
    }

    /// Takes the load balancer's interface away and makes another one of the same name, as when a driver is reloaded. It
    /// can transmit as long as what is returned is kept.
    pub fn replace_lb_interface(&self) -> Result<OwnedFd> {
        self.router.run("ip", &["link", "delete", self.lb.name()])?;
        topology::connect_lb(&self.router, &self.lb)
    }

    /// Gives the load balancer a second interface, [`BACK_INTERFACE`], on a network of its own with the router, by which
    /// it reaches the backends that are behind the router. It can transmit as long as what is returned is kept.
    pub fn connect_back(&self) -> Result<OwnedFd> {
        topology::connect_back(&self.router, &self.lb, &self.backends)
    }

    /// Every host.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        [&self.client, &self.router, &self.lb].into_iter().chain(&self.backends)
    }
}
