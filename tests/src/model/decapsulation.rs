//! What must become of a packet at a backend that takes packets out of their tunnels.

use std::net::IpAddr;

use xdp_lb_abi::Reason;

use super::{
    forward::updated,
    packet::{number, v4_address, v6_address},
};
use crate::builder::{frame, protocol};

const UDP_HEADER: usize = 8;

/// What a backend accepts.
#[derive(Clone, Debug)]
pub struct Decapsulation {
    /// UDP port of GUE.
    pub gue_port: u16,
    /// Addresses that tunnels end at.
    pub tunnels: Vec<IpAddr>,
    /// Where tunnels may come from: addresses that begin with these bytes.
    pub sources: Vec<Vec<u8>>,
    /// Inner destinations.
    pub vips: Vec<IpAddr>,
}

/// The outer IP header.
struct Outer {
    source: IpAddr,
    destination: IpAddr,
    ecn: u8,
    protocol: u8,
    header: usize,
    length: usize,
    /// What keeps it from being looked into.
    problem: Option<Reason>,
}

/// The inner packet as the outer headers announce it: where it starts, how long it is, and its IP version.
struct Inside {
    at: usize,
    length: usize,
    version: u8,
}

impl Decapsulation {
    /// The reason that is counted, and the frame that goes to the stack unless the packet is dropped.
    pub fn judge(&self, frame: &[u8]) -> (Reason, Vec<u8>) {
        match self.unwrapped(frame) {
            Ok(delivered) => (Reason::Decapsulated, delivered),
            Err(reason) => (reason, frame.to_vec()),
        }
    }

    fn unwrapped(&self, frame: &[u8]) -> Result<Vec<u8>, Reason> {
        let ip = &frame[frame::HEADER..];
        let outer = read_outer(number(frame, 12), ip).ok_or(Reason::NotTunnel)?;
        let inside = self.look_inside(ip, &outer).unwrap_or(Err(Reason::NotTunnel));
        if matches!(inside, Err(Reason::NotTunnel)) || !self.tunnels.contains(&outer.destination) {
            return Err(Reason::NotTunnel);
        }
        if !self.is_source(outer.source) {
            return Err(Reason::SourceRefused);
        }
        let Inside { at, length, version } = inside?;
        if at > ip.len() {
            return Err(Reason::Truncated);
        }
        let inner = ip.get(at..at + length).ok_or(Reason::BadLength)?;
        let (destination, inner_ecn) = read_inner(version, &ip[at..], inner.len()).ok_or(Reason::InnerMalformed)?;
        if !self.vips.contains(&destination) {
            return Err(Reason::InnerNotVip);
        }
        let ecn = combined(outer.ecn, inner_ecn).ok_or(Reason::EcnRefused)?;
        let mut delivered = ip[at..].to_vec();
        if version == 4 {
            let before = number(&delivered, 0);
            delivered[1] = delivered[1] & 0xfc | ecn;
            let sum = updated(number(&delivered, 10), before, number(&delivered, 0));
            if ecn != inner_ecn {
                delivered[10..12].copy_from_slice(&sum.to_be_bytes());
            }
        } else {
            delivered[1] = delivered[1] & 0xcf | ecn << 4;
        }
        let ether_type = if version == 4 { frame::IPV4 } else { frame::IPV6 };
        Ok([&frame[..12], &ether_type.to_be_bytes(), &delivered].concat())
    }

    fn is_source(&self, address: IpAddr) -> bool {
        let octets = match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        // A prefix of an IPv4 address is shorter than four bytes, one of IPv6 addresses is longer.
        self.sources.iter().any(|prefix| octets.starts_with(prefix) && (prefix.len() < 4) == address.is_ipv4())
    }

    /// `None` if it is no tunnel.
    fn look_inside(&self, ip: &[u8], outer: &Outer) -> Option<Result<Inside, Reason>> {
        let at = outer.header;
        match (outer.protocol, outer.problem) {
            (protocol::IPV4 | protocol::IPV6, Some(problem)) => Some(Err(problem)),
            (protocol::IPV4, None) => Some(Ok(Inside { at, length: outer.length - at, version: 4 })),
            (protocol::IPV6, None) => Some(Ok(Inside { at, length: outer.length - at, version: 6 })),
            (protocol::UDP, None) => self.look_into_udp(ip, outer),
            _ => None,
        }
    }

    fn look_into_udp(&self, ip: &[u8], outer: &Outer) -> Option<Result<Inside, Reason>> {
        let header = ip.get(outer.header..outer.header + UDP_HEADER)?;
        if number(header, 2) != self.gue_port {
            return None;
        }
        let length = usize::from(number(header, 4));
        if length < UDP_HEADER || outer.header + length > outer.length {
            return Some(Err(Reason::BadLength));
        }
        let at = outer.header + UDP_HEADER;
        Some(match ip.get(at..at + 20).map(|inner| inner[0] >> 4) {
            Some(version @ (4 | 6)) => Ok(Inside { at, length: length - UDP_HEADER, version }),
            _ => Err(Reason::InnerMalformed),
        })
    }
}

fn read_outer(ether_type: u16, ip: &[u8]) -> Option<Outer> {
    match (ether_type, ip.first()? >> 4) {
        (frame::IPV4, 4) if ip.len() >= 20 => {
            let (header, length) = (usize::from(ip[0] & 0xf) * 4, usize::from(number(ip, 2)));
            let is_fragment = number(ip, 6) & 0x3fff != 0;
            let is_bad = header < 20 || length < header;
            let problem = is_fragment.then_some(Reason::Fragment).or(is_bad.then_some(Reason::BadLength));
            let (source, destination) = (v4_address(ip, 12).into(), v4_address(ip, 16).into());
            Some(Outer { source, destination, ecn: ip[1] & 3, protocol: ip[9], header, length, problem })
        }
        (frame::IPV6, 6) if ip.len() >= 40 => {
            let (source, destination) = (v6_address(ip, 8).into(), v6_address(ip, 24).into());
            let (ecn, header, length) = (ip[1] >> 4 & 3, 40, 40 + usize::from(number(ip, 4)));
            let (protocol, problem) = match ip[6] {
                protocol::IPV6_FRAGMENT => (ip.get(40..48)?[0], Some(Reason::Fragment)),
                protocol => (protocol, None),
            };
            Some(Outer { source, destination, ecn, protocol, header, length, problem })
        }
        _ => None,
    }
}

/// Destination and ECN of an inner packet that is whole within `room` bytes.
fn read_inner(version: u8, ip: &[u8], room: usize) -> Option<(IpAddr, u8)> {
    if ip.first()? >> 4 != version {
        return None;
    }
    if version == 4 {
        let header = ip.get(..20)?;
        let (words, length) = (usize::from(header[0] & 0xf), usize::from(number(header, 2)));
        let is_sound = words >= 5 && length >= words * 4 && length <= room;
        is_sound.then(|| (v4_address(header, 16).into(), header[1] & 3))
    } else {
        let header = ip.get(..40)?;
        let is_sound = 40 + usize::from(number(header, 4)) <= room;
        is_sound.then(|| (v6_address(header, 24).into(), header[1] >> 4 & 3))
    }
}

/// RFC 6040, figure 4: the ECN field of the packet that leaves the tunnel; `None` if it must be dropped.
fn combined(outer: u8, inner: u8) -> Option<u8> {
    const NOT_CAPABLE: u8 = 0;
    const CAPABLE_1: u8 = 1;
    const CAPABLE_0: u8 = 2;
    const CONGESTED: u8 = 3;
    match (inner, outer) {
        (NOT_CAPABLE, CONGESTED) => None,
        (NOT_CAPABLE, _) => Some(NOT_CAPABLE),
        (CONGESTED, _) | (_, CONGESTED) => Some(CONGESTED),
        (CAPABLE_0, CAPABLE_1) => Some(CAPABLE_1),
        _ => Some(inner),
    }
}
