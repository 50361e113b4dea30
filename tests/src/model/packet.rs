//! Reading a packet that is for a VIP address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use xdp_lb_abi::Reason;

use super::choice::Flow;
use crate::builder::{frame, protocol};

/// Extension headers that are walked past.
const MOST_EXTENSIONS: usize = 4;

/// A frame with a whole IP header in it.
#[derive(Clone, Debug)]
pub(super) struct Packet<'a> {
    /// All of it.
    pub(super) frame: &'a [u8],
    /// What lies in one piece behind the Ethernet header.
    pub(super) ip: &'a [u8],
    /// Length of the frame without its Ethernet header.
    pub(super) room: usize,
    pub(super) is_v6: bool,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) ttl: u8,
    /// Length by its header.
    pub(super) length: usize,
}

/// What a packet for a VIP address turns out to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Look {
    /// TCP or UDP.
    Flow(Flow),
    /// An echo request.
    Echo,
    /// An ICMP error.
    Error,
    /// Neighbour discovery.
    NeighbourDiscovery,
    /// A fragment without ports.
    LaterFragment(Whole),
    /// None of these.
    Refused(Reason),
}

/// Which packet a fragment is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Whole {
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
    /// IPv4 only.
    protocol: Option<u8>,
}

/// Where the part behind the IP headers starts, and its protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payload {
    pub(super) protocol: u8,
    pub(super) at: usize,
    /// Of the packet's first fragment.
    pub(super) first_of: Option<Whole>,
}

pub(super) fn number(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn v4_address(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
}

pub(super) fn v6_address(bytes: &[u8], at: usize) -> Ipv6Addr {
    Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[at..at + 16]).expect("sixteen bytes"))
}

impl<'a> Packet<'a> {
    /// `None` if there is no IP header of the kind that the frame announces.
    pub(super) fn read(frame: &'a [u8], linear: usize) -> Option<Self> {
        let ip = frame.get(frame::HEADER..linear.min(frame.len()))?;
        let room = frame.len() - frame::HEADER;
        match (number(frame, 12), ip.first()? >> 4) {
            (frame::IPV4, 4) if ip.len() >= 20 => Some(Self {
                frame,
                ip,
                room,
                is_v6: false,
                source: v4_address(ip, 12).into(),
                destination: v4_address(ip, 16).into(),
                ttl: ip[8],
                length: usize::from(number(ip, 2)),
            }),
            (frame::IPV6, 6) if ip.len() >= 40 => Some(Self {
                frame,
                ip,
                room,
                is_v6: true,
                source: v6_address(ip, 8).into(),
                destination: v6_address(ip, 24).into(),
                ttl: ip[7],
                length: usize::from(number(ip, 4)) + 40,
            }),
            _ => None,
        }
    }

    /// Looks behind the IP headers.
    pub(super) fn look(&self) -> Look {
        match self.payload() {
            Ok(payload) => self.look_at(payload).unwrap_or_else(Look::Refused),
            Err(look) => look,
        }
    }

    /// Walks past the IP headers.
    pub(super) fn payload(&self) -> Result<Payload, Look> {
        if self.is_v6 { self.behind_extensions() } else { self.behind_options() }
    }

    fn behind_options(&self) -> Result<Payload, Look> {
        let header = usize::from(self.ip[0] & 0xf) * 4;
        if header < 20 || self.length < header {
            return Err(Look::Refused(Reason::BadLength));
        }
        let whole = self.whole(number(self.ip, 4).into(), Some(self.ip[9]));
        let (is_followed, offset) = (number(self.ip, 6) & 0x2000 != 0, number(self.ip, 6) & 0x1fff);
        if offset != 0 {
            return Err(self.later(whole));
        }
        Ok(Payload { protocol: self.ip[9], at: header, first_of: is_followed.then_some(whole) })
    }

    fn later(&self, whole: Whole) -> Look {
        if self.length > self.room { Look::Refused(Reason::BadLength) } else { Look::LaterFragment(whole) }
    }

    fn whole(&self, identification: u32, protocol: Option<u8>) -> Whole {
        Whole { source: self.source, destination: self.destination, identification, protocol }
    }

    fn behind_extensions(&self) -> Result<Payload, Look> {
        let (mut protocol, mut at, mut first_of) = (self.ip[6], 40, None);
        for walked in 0.. {
            let is_extension = matches!(
                protocol,
                protocol::IPV6_HOP_BY_HOP
                    | protocol::IPV6_ROUTING
                    | protocol::IPV6_FRAGMENT
                    | protocol::IPV6_OPTIONS
                    | protocol::AUTHENTICATION
            );
            if !is_extension || walked == MOST_EXTENSIONS {
                break;
            }
            let header = self.ip.get(at..at + 8).ok_or(Look::Refused(Reason::Truncated))?;
            let units = usize::from(header[1]);
            at += match protocol {
                protocol::IPV6_FRAGMENT => {
                    let identification = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
                    let whole = self.whole(identification, None);
                    let (offset, is_followed) = (number(header, 2) / 8, number(header, 2) % 2 == 1);
                    if offset != 0 {
                        return Err(self.later(whole));
                    }
                    first_of = is_followed.then_some(whole).or(first_of);
                    8
                }
                protocol::AUTHENTICATION => (units + 2) * 4,
                _ => (units + 1) * 8,
            };
            protocol = header[0];
        }
        if at > self.length {
            return Err(Look::Refused(Reason::BadLength));
        }
        Ok(Payload { protocol, at, first_of })
    }

    fn look_at(&self, payload: Payload) -> Result<Look, Reason> {
        match (payload.protocol, self.is_v6) {
            (protocol::TCP, _) => self.tcp(payload),
            (protocol::UDP, _) => self.udp(payload),
            (protocol::ICMP | protocol::ICMPV6, _) if payload.first_of.is_some() => Err(Reason::Fragment),
            (protocol::ICMP, false) => self.icmp(payload.at, 8, &[3, 11, 12]),
            (protocol::ICMPV6, true) => self.icmp(payload.at, 128, &[1, 2, 3, 4]),
            _ => Err(Reason::UnsupportedProtocol),
        }
    }

    fn tcp(&self, payload: Payload) -> Result<Look, Reason> {
        let at = payload.at;
        let header = self.ip.get(at..at + 20).ok_or(Reason::Truncated)?;
        let length = usize::from(header[12] >> 4) * 4;
        if at + length > self.ip.len() {
            return Err(Reason::Truncated);
        }
        if length < 20 || at + length > self.length || self.length > self.room {
            return Err(Reason::BadLength);
        }
        Ok(Look::Flow(self.flow(protocol::TCP, header, payload)))
    }

    fn udp(&self, payload: Payload) -> Result<Look, Reason> {
        let at = payload.at;
        let header = self.ip.get(at..at + 8).ok_or(Reason::Truncated)?;
        let length = usize::from(number(header, 4));
        let goes_on = payload.first_of.is_some();
        if length < 8 || at + 8 > self.length || (at + length > self.length && !goes_on) || self.length > self.room {
            return Err(Reason::BadLength);
        }
        Ok(Look::Flow(self.flow(protocol::UDP, header, payload)))
    }

    fn flow(&self, protocol: u8, header: &[u8], payload: Payload) -> Flow {
        Flow {
            source: self.source,
            source_port: number(header, 0),
            destination_port: number(header, 2),
            protocol,
            tcp_flags: if protocol == protocol::TCP { Some(header[13]) } else { None },
            first_of: payload.first_of,
        }
    }

    fn icmp(&self, at: usize, echo_request: u8, errors: &[u8]) -> Result<Look, Reason> {
        let header = self.ip.get(at..at + if self.is_v6 { 4 } else { 8 }).ok_or(Reason::Truncated)?;
        let is_neighbour_discovery = self.is_v6 && (133..=137).contains(&header[0]) && self.ttl == 255;
        if is_neighbour_discovery {
            return Ok(Look::NeighbourDiscovery);
        }
        let is_echo = header[..2] == [echo_request, 0];
        let is_error = errors.contains(&header[0]);
        if !is_echo && !is_error {
            return Err(Reason::UnsupportedProtocol);
        }
        if at + 8 > self.length || self.length > self.room {
            return Err(Reason::BadLength);
        }
        Ok(if is_echo { Look::Echo } else { Look::Error })
    }
}
