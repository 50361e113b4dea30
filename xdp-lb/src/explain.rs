//! The program's own answer for one flow: a second copy of it, on the same forwarding maps but with counters of its
//! own, runs on one packet (`BPF_PROG_TEST_RUN`). What operators read does not move.

use std::net::{IpAddr, SocketAddr};

use aya::{
    Ebpf,
    maps::{MapError, PerCpuArray},
    programs::{ProgramError, TestRun, TestRunOptions, Xdp},
};
use etherparse::{PacketBuilder, PacketBuilderStep};
use xdp_lb_abi::{MemberCounters, Reason, ReasonCounters, map, program};

use crate::{
    installed::{Installed, InstalledService},
    model::{MemberKey, Protocol, Service},
    pins::Pins,
    program::{LoadError, ProgramKind, check_capabilities, load_object},
    tables::{Tables, TablesError},
    totals::packets_by_reason,
};

/// The flow to explain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Client.
    pub from: SocketAddr,
    /// Where it connects to; of the same family.
    pub to: SocketAddr,
    /// TCP (the packet is a SYN) or UDP.
    pub protocol: Protocol,
    /// Index of the interface that the packet comes in by.
    pub interface: u32,
}

impl Question {
    /// The installed services that the packet may be for: that on its port, and that with a range that holds it.
    fn services<'i>(&self, installed: &'i Installed) -> impl Iterator<Item = &'i InstalledService> {
        let Self { to, protocol, .. } = *self;
        let may_be = move |service: &Service| {
            service.address == to.ip() && service.ports.contains(to.port()) && service.protocol == protocol
        };
        installed.services.iter().filter(move |(service, _)| may_be(service)).map(|(_, installed)| installed)
    }
}

/// What the program does with the flow's first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Under which reason it counts the packet.
    pub reason: Reason,
    /// Which backend gets it.
    pub backend: Option<MemberKey>,
    /// Whether the attached program is the one that answered: false if it is of another release or build.
    pub same_program: bool,
}

/// An explanation that cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// Addresses of two families.
    #[error("{from} and {to} are of different families: give two IPv4 or two IPv6 addresses")]
    Families {
        /// Client.
        from: IpAddr,
        /// VIP.
        to: IpAddr,
    },
    /// The program cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A map cannot be read.
    #[error(transparent)]
    Tables(#[from] TablesError),
    /// The program cannot be run.
    #[error("cannot run the program on a test packet")]
    Run {
        /// Why.
        source: Box<ProgramError>,
    },
    /// The program ran, but its counters cannot be read.
    #[error("cannot read what the program counted")]
    Count {
        /// Why.
        source: Box<MapError>,
    },
    /// The program ran and counted nothing.
    #[error("the program's answer makes no sense; please report this with the output of `lbctl version`")]
    NoAnswer,
}

/// Asks the program.
pub fn explain(pins: &Pins, question: &Question) -> Result<Answer, ExplainError> {
    let packet = first_packet(question)?;
    check_capabilities()?;
    let tables = Tables::open(pins)?;
    let (settings, installed) = (tables.settings()?, tables.installed()?);
    let kind = ProgramKind::balancer(&settings);
    let mut copy = load_object(kind, kind.object()?, |loader| {
        for name in [map::VIPS, map::PORT_RANGES, map::RINGS, map::NEXT_HOPS, map::TX_PORTS] {
            loader.map_pin_path(name, pins.map(name));
        }
        loader.map_max_entries(map::MEMBER_COUNTERS, installed.counters().max().unwrap_or(0) + 1);
    })?;
    let run = |source| ExplainError::Run { source: Box::new(source) };
    let xdp: &mut Xdp =
        copy.program_mut(program::XDP_LB).expect("the object holds the program").try_into().map_err(run)?;
    xdp.load().map_err(run)?;
    let same_program = attached_tag(pins) == xdp.info().ok().map(|info| info.tag());
    test_run(xdp, &packet, question.interface).map_err(run)?;

    let counters = copy.map(map::VIP_COUNTERS).expect("the object declares its counters");
    let counted = |source| ExplainError::Count { source: Box::new(source) };
    let counters: PerCpuArray<_, ReasonCounters> = counters.try_into().map_err(counted)?;
    let reason = ids_of(&installed, question)
        .into_iter()
        .find_map(|id| {
            let per_cpu = counters.get(&id, 0).ok()?;
            per_cpu.iter().find_map(|value| packets_by_reason(*value).next()).map(|(reason, _)| reason)
        })
        .ok_or(ExplainError::NoAnswer)?;
    Ok(Answer { reason, backend: counted_member(&copy, &installed, question)?, same_program })
}

/// The member that the copy has counted the packet for.
fn counted_member(copy: &Ebpf, installed: &Installed, question: &Question) -> Result<Option<MemberKey>, ExplainError> {
    let counters = copy.map(map::MEMBER_COUNTERS).expect("the object declares its counters");
    let counted = |source| ExplainError::Count { source: Box::new(source) };
    let counters: PerCpuArray<_, MemberCounters> = counters.try_into().map_err(counted)?;
    for (key, member) in question.services(installed).flat_map(|service| &service.members) {
        let per_cpu = counters.get(&member.route.counter, 0).map_err(counted)?;
        if per_cpu.iter().any(|value| value.packets > 0) {
            return Ok(Some(*key));
        }
    }
    Ok(None)
}

/// The VIP ids that the packet may be counted under.
fn ids_of(installed: &Installed, question: &Question) -> Vec<u32> {
    let services = question.services(installed).map(|service| service.id);
    let address = installed.addresses.get(&question.to.ip()).map(|address| address.id);
    services.chain(address).chain([0]).collect()
}

fn attached_tag(pins: &Pins) -> Option<u64> {
    let attached = Xdp::from_pin(pins.program(program::XDP_LB), aya_obj::programs::XdpAttachType::Interface).ok()?;
    Some(attached.info().ok()?.tag())
}

/// `struct xdp_md` of the kernel's `include/uapi/linux/bpf.h`, as bytes.
fn context(length: usize, interface: u32) -> [u8; 24] {
    let mut context = [0; 24];
    // data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex
    context[4..8].copy_from_slice(&(length as u32).to_ne_bytes());
    context[12..16].copy_from_slice(&interface.to_ne_bytes());
    context
}

fn test_run(xdp: &Xdp, packet: &[u8], interface: u32) -> Result<(), ProgramError> {
    let mut output = vec![0; packet.len() + 256];
    let context = context(packet.len(), interface);
    let options = TestRunOptions {
        data_in: Some(packet),
        data_out: Some(&mut output),
        ctx_in: Some(&context),
        ..TestRunOptions::default()
    };
    xdp.test_run(options).map(drop)
}

fn first_packet(question: &Question) -> Result<Vec<u8>, ExplainError> {
    let (from, to) = (question.from, question.to);
    let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let ip = match (from.ip(), to.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => ethernet.ipv4(source.octets(), destination.octets(), 64),
        (IpAddr::V6(source), IpAddr::V6(destination)) => ethernet.ipv6(source.octets(), destination.octets(), 64),
        (source, destination) => return Err(ExplainError::Families { from: source, to: destination }),
    };
    Ok(transport(ip, question.protocol, from.port(), to.port()))
}

fn transport(ip: PacketBuilderStep<etherparse::IpHeaders>, protocol: Protocol, from: u16, to: u16) -> Vec<u8> {
    let mut packet = Vec::new();
    let written = match protocol {
        Protocol::Tcp => ip.tcp(from, to, 0, 65_535).syn().write(&mut packet, &[]),
        Protocol::Udp => ip.udp(from, to).write(&mut packet, b"explain"),
    };
    written.expect("a packet of a few bytes fits a vector");
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_across_families_is_refused() {
        let question = Question {
            from: "192.0.2.1:1".parse().expect("an address"),
            to: "[2001:db8::1]:2".parse().expect("an address"),
            protocol: Protocol::Tcp,
            interface: 1,
        };
        assert!(matches!(first_packet(&question), Err(ExplainError::Families { .. })));
    }
}
