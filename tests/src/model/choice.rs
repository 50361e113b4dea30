//! Which backend of a service a flow goes to.

use std::net::{IpAddr, Ipv6Addr};

use super::{Model, config::Hash, packet::Whole};
use crate::builder::flow_hash;

/// What is known of a packet with ports, or of the one that an ICMP error is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) source: IpAddr,
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) protocol: u8,
    /// Of the packet itself.
    pub(super) tcp_flags: Option<u8>,
    /// Of a packet's first fragment: which packet.
    pub(super) first_of: Option<Whole>,
}

impl Flow {
    /// Whether these are TCP flags that no sender sets.
    pub(super) fn has_bad_flags(&self) -> bool {
        let Some(flags) = self.tcp_flags else { return false };
        let (fin, syn, rst, ack) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0, flags & 16 != 0);
        (syn && (fin || rst)) || !(syn || rst || ack)
    }
}

impl Model {
    /// The flow's hash at a service.
    pub(super) fn hash(&self, flow: Flow, service: usize) -> u64 {
        let nobody = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let (source, source_port, port) = match self.config.services[service].hash {
            Hash::FiveTuple => (flow.source, flow.source_port, flow.destination_port),
            Hash::SourceAddress => (flow.source, 0, 0),
            Hash::IgnoreSourcePort => (flow.source, 0, flow.destination_port),
            Hash::DestinationPort => (nobody, 0, flow.destination_port),
        };
        flow_hash::of(self.config.hash_seed, source, source_port, port)
    }

    /// The backend that the flow's slot names.
    pub(super) fn choose(&self, hash: u64, service: usize) -> Option<usize> {
        self.rings[service][flow_hash::slot(hash)]
    }
}
