//! ICMP errors: which flow they are about.

use std::net::IpAddr;

use xdp_lb_abi::Reason;

use super::{
    Model,
    choice::Flow,
    packet::{Packet, number, v4_address, v6_address},
};
use crate::builder::protocol;

/// What an error says about the packet that it is about.
struct Quote {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    ports_at: usize,
}

impl Model {
    /// The flow, seen from its client, and its service.
    pub(super) fn flow_of_error(&self, packet: &Packet<'_>) -> Result<(usize, Flow), Reason> {
        let start = packet.payload().map_err(|_| Reason::IcmpErrorUnmatched)?.at + 8;
        // What is behind the packet is not quoted.
        let end = packet.length.min(packet.ip.len());
        let quoted = packet.ip.get(start..end).ok_or(Reason::Truncated)?;
        let quote = if packet.is_v6 { quote_v6(quoted)? } else { quote_v4(quoted)? };
        let is_ours = quote.source == packet.destination && [protocol::TCP, protocol::UDP].contains(&quote.protocol);
        if !is_ours {
            return Err(Reason::IcmpErrorUnmatched);
        }
        let ports = quoted.get(quote.ports_at..quote.ports_at + 8).ok_or(Reason::Truncated)?;
        let flow = Flow {
            source: quote.destination,
            source_port: number(ports, 2),
            destination_port: number(ports, 0),
            protocol: quote.protocol,
            tcp_flags: None,
            first_of: None,
        };
        let service = self.config.service_of(packet.destination, flow.protocol, flow.destination_port);
        service.map(|service| (service, flow)).ok_or(Reason::IcmpErrorUnmatched)
    }
}

fn quote_v4(quoted: &[u8]) -> Result<Quote, Reason> {
    let header = quoted.get(..20).ok_or(Reason::Truncated)?;
    let ports_at = usize::from(header[0] & 0xf) * 4;
    let is_later_fragment = number(header, 6) & 0x1fff != 0;
    if header[0] >> 4 != 4 || ports_at < 20 || is_later_fragment {
        return Err(Reason::IcmpErrorUnmatched);
    }
    Ok(Quote {
        source: v4_address(header, 12).into(),
        destination: v4_address(header, 16).into(),
        protocol: header[9],
        ports_at,
    })
}

fn quote_v6(quoted: &[u8]) -> Result<Quote, Reason> {
    let header = quoted.get(..40).ok_or(Reason::Truncated)?;
    if header[0] >> 4 != 6 {
        return Err(Reason::IcmpErrorUnmatched);
    }
    Ok(Quote {
        source: v6_address(header, 8).into(),
        destination: v6_address(header, 24).into(),
        protocol: header[6],
        ports_at: 40,
    })
}
