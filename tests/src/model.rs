//! A second data plane, written down from `docs/packet-path.md` alone: what must become of a packet.
//!
//! It shares no code with the programs: own parser, own arithmetic, own rings. It copies, allocates and computes every
//! checksum anew, because it is there to be obviously right, not fast. Where it and a program differ, one of the three
//! is wrong: the program, the document or this.

mod answer;
mod choice;
pub mod config;
mod decapsulation;
mod errors;
mod forward;
mod packet;
mod ring;

use std::{collections::HashMap, net::IpAddr};

use xdp_lb_abi::Reason;

pub use self::{config::Config, decapsulation::Decapsulation};
use self::{
    forward::Owner,
    packet::{Look, Packet, Whole},
};

/// What must become of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The reason that is counted; it implies the verdict.
    pub reason: Reason,
    /// Where it is counted.
    pub counted: Counted,
    /// The service's member that it counts for too: its index in [`config::Service::backends`].
    pub backend: Option<usize>,
    /// The frame that leaves, or stays.
    pub frame: Vec<u8>,
}

/// What a packet counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// No VIP.
    Nowhere,
    /// A VIP address and none of its services.
    Address(IpAddr),
    /// The service with this index in [`Config::services`].
    Service(usize),
}

/// A data plane that holds what a config says.
#[derive(Clone, Debug)]
pub struct Model {
    config: Config,
    /// Which backend each slot names, by service.
    rings: Vec<Vec<Option<usize>>>,
    /// Where first fragments went.
    fragments: HashMap<Whole, Owner>,
}

impl Model {
    /// Builds the rings.
    pub fn new(config: &Config) -> Self {
        let rings = config.services.iter().map(|service| ring::build(&service.backends, config.hash_seed)).collect();
        Self { config: config.clone(), rings, fragments: HashMap::new() }
    }

    /// Forgets all fragments.
    pub fn forget(&mut self) {
        self.fragments.clear();
    }

    /// What must become of a frame of which the first `linear` bytes lie in one piece.
    pub fn judge(&mut self, frame: &[u8], linear: usize) -> Outcome {
        let unchanged = |reason, counted| Outcome { reason, counted, backend: None, frame: frame.to_vec() };
        let Some(packet) = Packet::read(frame, linear) else { return unchanged(Reason::NotIp, Counted::Nowhere) };
        let vip = packet.destination;
        if !self.config.has_address(vip) {
            return unchanged(Reason::NotVip, Counted::Nowhere);
        }
        let look = packet.look();
        let flow = match &look {
            Look::Flow(flow) => self.config.service_of(vip, flow.protocol, flow.destination_port),
            Look::Echo | Look::Error | Look::Refused(_) | Look::NeighbourDiscovery | Look::LaterFragment(_) => None,
        };
        if let (Look::Flow(flow), Some(service)) = (&look, flow) {
            return self.serve(&packet, *flow, service);
        }
        if let Look::Error = look
            && let Ok((service, flow)) = self.flow_of_error(&packet)
        {
            return self.pass_on_error(&packet, flow, service);
        }
        if let Look::LaterFragment(whole) = look
            && let Some(owner) = self.fragments.get(&whole)
        {
            return self.pass_on_fragment(&packet, *owner);
        }
        let at = Counted::Address(vip);
        if let Look::NeighbourDiscovery = look {
            return unchanged(Reason::NeighbourDiscovery, at);
        }
        if self.config.local_addresses.contains(&vip) {
            return unchanged(Reason::LocalAddress, at);
        }
        match look {
            Look::Flow(_) => unchanged(Reason::NoService, at),
            Look::LaterFragment(_) => unchanged(Reason::FragmentUnknown, at),
            Look::Refused(reason) => unchanged(reason, at),
            Look::Echo => self.answer_echo(&packet, at),
            Look::Error | Look::NeighbourDiscovery => {
                unchanged(self.flow_of_error(&packet).err().unwrap_or(Reason::IcmpErrorUnmatched), at)
            }
        }
    }
}
