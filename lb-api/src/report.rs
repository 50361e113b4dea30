//! The documents as the pinned maps tell them: everything but what only the agent knows (names, weights, health).
//!
//! The agent starts from the same documents and adds what it knows.

use std::{
    collections::BTreeMap,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use xdp_lb::{
    Installed, Pins, Tables,
    attach::{self, AttachError},
    installed::{InstalledMember, InstalledService},
    interface,
    model::{MemberKey, Service},
    pins::PinsError,
    tables::TablesError,
    totals::{self, Totals, packets_by_reason},
};
use xdp_lb_abi::{ABI_VERSION, ReasonCounters, program};

use crate::{Backend, BackendService, Counts, Interface, Member, Mode, NextHop, Role, Stats, Status, Vip, VipAddress};

/// What is installed on a node, read at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Directory of the pins.
    pub pins: PathBuf,
    /// What the node does.
    pub role: Role,
    /// Where a program is attached.
    pub interfaces: Vec<Interface>,
    /// What became of the packets, with services and their members.
    pub stats: Stats,
}

/// A report that cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// No pins of any release.
    #[error("nothing is installed under {}: start lb-agent, or name its BPF file system with --bpffs", path.display())]
    NotInstalled {
        /// Where pins would be.
        path: PathBuf,
    },
    /// Not allowed.
    #[error("not allowed to read {}: run as root", path.display())]
    Denied {
        /// The directory.
        path: PathBuf,
    },
    /// The directory cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An interface cannot be looked up.
    #[error("cannot ask the kernel about the interface {interface}")]
    Interface {
        /// Its name.
        interface: String,
        /// Why.
        source: io::Error,
    },
    /// The pin directory.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// A pinned link.
    #[error(transparent)]
    Link(#[from] AttachError),
    /// A map.
    #[error(transparent)]
    Tables(#[from] TablesError),
}

impl Report {
    /// Reads the pinned links and maps.
    pub fn read(pins: &Pins) -> Result<Self, ReportError> {
        let role = role(pins)?;
        let stats = match role {
            Role::Ingress => read_stats(pins)?,
            Role::Backend => decapsulation_stats(&totals::decapsulation(pins)?),
        };
        Ok(Self { pins: pins.root(), role, interfaces: interfaces(pins)?, stats })
    }

    /// The status without an agent; `version` is the reader's.
    pub fn status(self, version: &str) -> Status {
        Status {
            version: version.to_owned(),
            abi_version: ABI_VERSION,
            role: Some(self.role),
            problems: problems(&self.interfaces, &self.stats.vips),
            pins: self.pins,
            agent: None,
            interfaces: self.interfaces,
            packets: self.stats.total.packets,
        }
    }
}

/// What the node does: which program is pinned.
pub fn role(pins: &Pins) -> Result<Role, ReportError> {
    pins.check_bpffs()?;
    let programs = pins.root().join("programs");
    if let Err(source) = fs::read_dir(&programs) {
        if source.kind() != io::ErrorKind::NotFound {
            return Err(unreadable(&programs, source));
        }
        pins.check_abi()?;
        return Err(ReportError::NotInstalled { path: pins.root() });
    }
    let is_pinned = |name| pins.program(name).exists();
    if is_pinned(program::XDP_LB) {
        Ok(Role::Ingress)
    } else if is_pinned(program::XDP_DECAP) {
        Ok(Role::Backend)
    } else {
        Err(ReportError::NotInstalled { path: pins.root() })
    }
}

fn unreadable(path: &Path, source: io::Error) -> ReportError {
    let path = path.to_owned();
    if source.kind() == io::ErrorKind::PermissionDenied {
        ReportError::Denied { path }
    } else {
        ReportError::Unreadable { path, source }
    }
}

/// The interfaces that have a pinned link. Where the link is dead or gone from its interface, `mode` and `program_id`
/// are absent.
pub fn interfaces(pins: &Pins) -> Result<Vec<Interface>, ReportError> {
    pins.linked_interfaces()?.into_iter().map(|name| linked_interface(pins, name)).collect()
}

fn linked_interface(pins: &Pins, name: String) -> Result<Interface, ReportError> {
    let linked = attach::linked_index(pins, &name)?;
    let found = match linked {
        Some(index) => interface::Interface::by_index(index),
        None => interface::Interface::by_name(&name),
    };
    let found = found.map_err(|source| ReportError::Interface { interface: name.clone(), source })?;
    let Some(found) = found else {
        return Ok(Interface { name, index: None, mode: None, program_id: None });
    };
    // A program on an interface that our link does not lead to is somebody else's.
    let xdp = found.xdp.filter(|_| linked.is_some());
    Ok(Interface {
        name: found.name,
        index: Some(found.index),
        mode: xdp.and_then(|xdp| xdp.mode).map(Mode::from),
        program_id: xdp.map(|xdp| xdp.program_id),
    })
}

impl From<interface::Mode> for Mode {
    fn from(mode: interface::Mode) -> Self {
        match mode {
            interface::Mode::Native => Self::Native,
            interface::Mode::Generic => Self::Generic,
        }
    }
}

fn read_stats(pins: &Pins) -> Result<Stats, ReportError> {
    let tables = Tables::open(pins)?;
    let installed = tables.installed()?;
    let totals = totals::Counters::open(pins)?.read(&installed)?;
    let (slots, names) = (slots(&tables, &installed)?, interface_names(&installed)?);
    Ok(stats(&installed, &totals, &slots, &|index| names.get(&index).cloned()))
}

/// Slots of every service's members: VIP id, then member index, to their number.
pub fn slots(tables: &Tables, installed: &Installed) -> Result<BTreeMap<u32, BTreeMap<u16, u32>>, TablesError> {
    installed.services.values().map(|service| Ok((service.id, tables.slot_counts(service.id)?))).collect()
}

/// Names of the interfaces that next hops leave by, by index; those that no longer exist are left out.
pub fn interface_names(installed: &Installed) -> Result<BTreeMap<u32, String>, ReportError> {
    let mut names = BTreeMap::new();
    for hop in installed.next_hops.keys() {
        if !names.contains_key(&hop.interface) {
            let found = interface::Interface::by_index(hop.interface)
                .map_err(|source| ReportError::Interface { interface: format!("#{}", hop.interface), source })?;
            names.extend(found.map(|found| (found.index, found.name)));
        }
    }
    Ok(names)
}

/// What became of the packets of a node that balances.
pub fn stats(
    installed: &Installed,
    totals: &Totals,
    slots: &BTreeMap<u32, BTreeMap<u16, u32>>,
    interface_name: &dyn Fn(u32) -> Option<String>,
) -> Stats {
    let addresses = installed.addresses.iter().map(|(address, entry)| VipAddress {
        address: *address,
        local: entry.local,
        counts: (&totals.vip(entry.id)).into(),
    });
    Stats {
        total: (&totals.sum()).into(),
        other: (&totals.vip(0)).into(),
        addresses: addresses.collect(),
        vips: vips(installed, totals, slots, interface_name),
    }
}

/// What became of the packets of a node that decapsulates.
pub fn decapsulation_stats(counters: &ReasonCounters) -> Stats {
    Stats { total: counters.into(), other: Counts::default(), addresses: Vec::new(), vips: Vec::new() }
}

impl From<&ReasonCounters> for Counts {
    fn from(counters: &ReasonCounters) -> Self {
        Self { bytes: counters.bytes, packets: by_name(counters) }
    }
}

fn by_name(counters: &ReasonCounters) -> BTreeMap<String, u64> {
    packets_by_reason(*counters).map(|(reason, packets)| (reason.name().to_owned(), packets)).collect()
}

/// The services, without what only the agent knows. `slots` is what [`slots`] gives.
pub fn vips(
    installed: &Installed,
    totals: &Totals,
    slots: &BTreeMap<u32, BTreeMap<u16, u32>>,
    interface_name: &dyn Fn(u32) -> Option<String>,
) -> Vec<Vip> {
    let next_hops: BTreeMap<u16, NextHop> =
        installed.next_hops.iter().map(|(key, hop)| (hop.id, next_hop(key, &hop.spec, interface_name))).collect();
    let vip = |(service, state): (&Service, &InstalledService)| {
        let counters = totals.vip(state.id);
        let slots = slots.get(&state.id);
        let member = |(key, member): (&MemberKey, &InstalledMember)| Member {
            slots: slots.and_then(|slots| slots.get(&member.index)).copied().unwrap_or(0),
            next_hop: next_hops.get(&member.route.next_hop).cloned(),
            ..bare_member(key, member, totals)
        };
        Vip {
            name: None,
            address: service.address,
            port: service.ports.first(),
            last_port: service.ports.last(),
            protocol: service.protocol.to_string(),
            hash: state.hash.name().to_owned(),
            members: state.members.iter().map(member).collect(),
            bytes: counters.bytes,
            packets: by_name(&counters),
        }
    };
    installed.services.iter().map(vip).collect()
}

fn bare_member(key: &MemberKey, member: &InstalledMember, totals: &Totals) -> Member {
    let counters = totals.member(member.route.counter);
    Member {
        name: None,
        address: key.tunnel,
        encapsulation: key.encapsulation().name().to_owned(),
        weight: None,
        up: member.up,
        slots: 0,
        next_hop: None,
        packets: counters.packets,
        bytes: counters.bytes,
    }
}

fn next_hop(
    key: &xdp_lb::model::NextHopKey,
    spec: &xdp_lb::model::NextHopSpec,
    interface_name: &dyn Fn(u32) -> Option<String>,
) -> NextHop {
    NextHop {
        interface: interface_name(key.interface).unwrap_or_else(|| format!("#{}", key.interface)),
        neighbour: key.neighbour,
        mac: spec.neighbour_mac.map(|mac| mac.map(|byte| format!("{byte:02x}")).join(":")),
        source: key.source,
        mtu: spec.mtu,
    }
}

/// The backends over all services, in the order of their addresses; names are those of the members, health is absent.
pub fn backends(vips: &[Vip]) -> Vec<Backend> {
    let mut backends = BTreeMap::<IpAddr, Backend>::new();
    for vip in vips {
        for member in &vip.members {
            let backend = backends.entry(member.address).or_insert_with(|| Backend {
                name: None,
                address: member.address,
                services: Vec::new(),
                packets: 0,
                bytes: 0,
            });
            backend.name = backend.name.take().or_else(|| member.name.clone());
            backend.services.push(BackendService { service: vip.service(), up: member.up, health: None });
            backend.packets += member.packets;
            backend.bytes += member.bytes;
        }
    }
    backends.into_values().collect()
}

/// What is wrong with what is installed, one sentence each with its remedy.
pub fn problems(interfaces: &[Interface], vips: &[Vip]) -> Vec<String> {
    let interfaces = interfaces.iter().filter_map(interface_problem);
    let services = vips.iter().filter_map(service_problem);
    let mut problems: Vec<_> = interfaces.chain(services).collect();
    // A backend is a member of many services; its way out is the same for all of them.
    let ways: BTreeMap<_, _> = vips
        .iter()
        .flat_map(|vip| &vip.members)
        .filter(|member| member.slots > 0)
        .filter_map(|member| Some((member.address, way_problem(member)?)))
        .collect();
    problems.extend(ways.into_values());
    problems
}

fn interface_problem(interface: &Interface) -> Option<String> {
    let name = &interface.name;
    match interface {
        Interface { mode: Some(Mode::Generic), .. } => {
            Some(format!("{name} runs the program in generic mode: several times slower than native"))
        }
        Interface { program_id: Some(_), .. } => None,
        Interface { index: Some(_), .. } => Some(format!(
            "the program does not run on {name}, which was re-created after it was attached: restart lb-agent"
        )),
        Interface { index: None, .. } => Some(format!(
            "the interface {name} is gone: create it again and restart lb-agent, or take it out of the config"
        )),
    }
}

fn service_problem(vip: &Vip) -> Option<String> {
    if vip.members.iter().any(|member| member.slots > 0) {
        return None;
    }
    Some(without_backend(&vip.service(), vip.members.is_empty()))
}

/// What is wrong with a service that has no usable backend: none at all, or none that is up and has a weight.
pub fn without_backend(service: &str, has_none: bool) -> String {
    let why = if has_none { "has no backends" } else { "has no backend that takes traffic" };
    format!("{service} {why}, so its packets are dropped: see `lbctl vip show {service}`")
}

fn way_problem(member: &Member) -> Option<String> {
    let address = member.address;
    if member.is_local() {
        return None;
    }
    match &member.next_hop {
        Some(NextHop { mac: Some(_), .. }) => None,
        Some(NextHop { neighbour, interface, .. }) => Some(format!(
            "packets for the backend {address} are dropped, because the neighbour {neighbour} does not answer on \
             {interface}: check that it is up and on that segment"
        )),
        None => {
            Some(format!("packets for the backend {address} are dropped, because there is no route to it: add one"))
        }
    }
}

#[cfg(test)]
mod tests;
