//! From the service to the frame that leaves.

use std::net::IpAddr;

use xdp_lb_abi::Reason;

use super::{
    Counted, Model, Outcome,
    answer::Told,
    choice::Flow,
    config::{Interface, Mode, Way},
    packet::{Packet, Whole, number},
};
use crate::builder::{Frame, checksum, flow_hash, frame, ipv4, protocol};

/// TTL or hop limit of outer headers.
const OUTER_TTL: u8 = 64;

/// What travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A packet, or its first fragment.
    Packet(Option<Whole>),
    /// An ICMP error.
    Error,
    /// Another fragment of a packet.
    LaterFragment,
}

/// Where a packet's first fragment went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    service: usize,
    backend: usize,
    hash: u64,
}

impl Model {
    /// A packet of one of a service's flows.
    pub(super) fn serve(&mut self, packet: &Packet<'_>, flow: Flow, service: usize) -> Outcome {
        if self.config.check_tcp_flags && flow.has_bad_flags() {
            return stopped(packet, Reason::BadTcpFlags, service);
        }
        let hash = self.hash(flow, service);
        let Some(backend) = self.choose(hash, service) else { return stopped(packet, Reason::NoBackend, service) };
        let owner = Owner { service, backend, hash };
        if let Some(whole) = flow.first_of {
            self.fragments.insert(whole, owner);
        }
        self.pass_on(packet, owner, Kind::Packet(flow.first_of))
    }

    /// An ICMP error about one of a service's flows.
    pub(super) fn pass_on_error(&self, packet: &Packet<'_>, flow: Flow, service: usize) -> Outcome {
        let hash = self.hash(flow, service);
        let Some(backend) = self.choose(hash, service) else { return stopped(packet, Reason::NoBackend, service) };
        self.pass_on(packet, Owner { service, backend, hash }, Kind::Error)
    }

    /// A fragment whose packet's first one went to this owner.
    pub(super) fn pass_on_fragment(&self, packet: &Packet<'_>, owner: Owner) -> Outcome {
        self.pass_on(packet, owner, Kind::LaterFragment)
    }

    fn pass_on(&self, packet: &Packet<'_>, owner: Owner, kind: Kind) -> Outcome {
        let Owner { service, backend: index, hash } = owner;
        let stop = |reason| stopped(packet, reason, service);
        let is_told = matches!(kind, Kind::Packet(_));
        let backend = &self.config.services[service].backends[index];
        let counted = Counted::Service(service);
        if backend.mode == Mode::Local && packet.ttl > 0 {
            let frame = packet.frame.to_vec();
            return Outcome { reason: Reason::LocalBackend, counted, backend: Some(index), frame };
        }
        if packet.ttl == 0 || (packet.ttl == 1 && self.config.decrement_ttl) {
            return match packet.ttl {
                1 if is_told => self.tell(packet, Told::TimeExceeded, counted),
                _ => stop(Reason::TtlExpired),
            };
        }
        let Some((way, neighbour)) = self.config.ways.get(&backend.address).and_then(|way| Some((way, way.neighbour?)))
        else {
            return stop(Reason::NextHopUnresolved);
        };
        let is_redirected = match way.interface {
            Interface::Same => false,
            Interface::Port if self.config.several_interfaces => true,
            Interface::Port | Interface::Closed => return stop(Reason::OtherInterface),
        };
        let outer = outer_length(backend.mode, backend.address);
        if packet.length + outer > usize::from(way.mtu) {
            let may_be_fragmented = !packet.is_v6 && number(packet.ip, 6) & ipv4::DONT_FRAGMENT == 0;
            if !is_told || (may_be_fragmented && !self.config.too_big_reply) {
                return stop(Reason::TooBig);
            }
            return self.tell(packet, Told::TooBig(way.mtu.saturating_sub(outer as u16)), counted);
        }
        let inner = self.inner(packet);
        let ether = Frame { destination: neighbour, source: way.egress, ..Frame::default() };
        let frame = match backend.mode {
            Mode::L2 => ether.around(&inner),
            Mode::Gue => ether.around(&self.in_gue(packet, &inner, way, backend.address, hash)),
            Mode::Ipip | Mode::Local => {
                let number = if packet.is_v6 { protocol::IPV6 } else { protocol::IPV4 };
                ether.around(&[outer_header(packet, way, backend.address, hash, number, 0), inner].concat())
            }
        };
        let reason = match kind {
            _ if is_redirected => Reason::Redirected,
            Kind::Packet(None) => Reason::Forwarded,
            Kind::Packet(Some(_)) => Reason::FirstFragment,
            Kind::Error => Reason::ForwardedIcmpError,
            Kind::LaterFragment => Reason::LaterFragment,
        };
        Outcome { reason, counted, backend: Some(index), frame }
    }

    /// The packet and what is behind it, one hop on.
    fn inner(&self, packet: &Packet<'_>) -> Vec<u8> {
        let mut inner = packet.frame[frame::HEADER..].to_vec();
        if !self.config.decrement_ttl {
            return inner;
        }
        if packet.is_v6 {
            inner[7] -= 1;
        } else {
            let before = number(&inner, 8);
            inner[8] -= 1;
            let sum = updated(number(&inner, 10), before, number(&inner, 8));
            inner[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        inner
    }

    fn in_gue(&self, packet: &Packet<'_>, inner: &[u8], way: &Way, backend: IpAddr, hash: u64) -> Vec<u8> {
        let mut bytes = outer_header(packet, way, backend, hash, protocol::UDP, 8);
        for number in [flow_hash::tunnel_port(hash), self.config.gue_port, packet.length as u16 + 8, 0] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(inner);
        bytes
    }
}

/// RFC 1624, equation 3: a checksum after one of its words has changed.
pub(super) fn updated(checksum: u16, before: u16, after: u16) -> u16 {
    let sum = u32::from(!checksum) + u32::from(!before) + u32::from(after);
    let folded = sum % 0x1_0000 + sum / 0x1_0000;
    !((folded % 0x1_0000 + folded / 0x1_0000) as u16)
}

fn stopped(packet: &Packet<'_>, reason: Reason, service: usize) -> Outcome {
    Outcome { reason, counted: Counted::Service(service), backend: None, frame: packet.frame.to_vec() }
}

fn outer_length(mode: Mode, backend: IpAddr) -> usize {
    let header = if backend.is_ipv4() { 20 } else { 40 };
    match mode {
        Mode::Ipip => header,
        Mode::Gue => header + 8,
        Mode::L2 | Mode::Local => 0,
    }
}

/// The outer IP header in front of the packet and `between` more bytes.
fn outer_header(packet: &Packet<'_>, way: &Way, backend: IpAddr, hash: u64, next: u8, between: usize) -> Vec<u8> {
    let traffic_class = if packet.is_v6 { packet.ip[0] << 4 | packet.ip[1] >> 4 } else { packet.ip[1] };
    let length = (packet.length + between) as u16;
    let mut bytes = Vec::new();
    match (way.source, backend) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            bytes.extend([0x45, traffic_class]);
            bytes.extend((length + 20).to_be_bytes());
            bytes.extend([0, 0, 0x40, 0, OUTER_TTL, next, 0, 0]);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
            let sum = checksum::of(&bytes);
            bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let first = 6 << 28 | u32::from(traffic_class) << 20 | flow_hash::label(hash);
            bytes.extend(first.to_be_bytes());
            bytes.extend(length.to_be_bytes());
            bytes.extend([next, OUTER_TTL]);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            panic!("the way from {} to {backend} has two families", way.source)
        }
    }
    bytes
}
