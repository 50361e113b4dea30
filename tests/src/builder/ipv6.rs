//! IPv6 packets (RFC 8200).

use std::net::Ipv6Addr;

use super::{Payload, protocol};

/// An IPv6 header.
#[derive(Clone, Debug)]
pub struct Ipv6 {
    /// Source.
    pub source: Ipv6Addr,
    /// Destination.
    pub destination: Ipv6Addr,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Flow label: 20 bits.
    pub flow_label: u32,
    /// Hop limit.
    pub hop_limit: u8,
    /// Next header; the extension's or the payload's unless given.
    pub next_header: Option<u8>,
    /// An extension header before the payload.
    pub extension: Option<Extension>,
    /// Version; 6 unless a sender errs.
    pub version: u8,
    /// Payload length; the true one unless given.
    pub payload_length: Option<u16>,
}

/// An extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// A fragment header (section 4.5): offset in units of eight bytes, and whether more fragments follow.
    Fragment {
        /// Offset in units of eight bytes.
        offset: u16,
        /// Whether more fragments follow.
        is_followed: bool,
    },
    /// Destination options with nothing but padding (section 4.6).
    Padding,
}

impl Extension {
    fn number(self) -> u8 {
        match self {
            Self::Fragment { .. } => protocol::IPV6_FRAGMENT,
            Self::Padding => protocol::IPV6_OPTIONS,
        }
    }

    fn bytes(self, next_header: u8) -> [u8; 8] {
        match self {
            Self::Fragment { offset, is_followed } => {
                let [high, low] = (offset << 3 | u16::from(is_followed)).to_be_bytes();
                [next_header, 0, high, low, 0x12, 0x34, 0x56, 0x78]
            }
            // A length of 0 is one unit of eight bytes; option 1 (PadN) with four bytes of padding fills it.
            Self::Padding => [next_header, 0, 1, 4, 0, 0, 0, 0],
        }
    }
}

impl Ipv6 {
    /// A plain header.
    pub fn between(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self {
            source,
            destination,
            traffic_class: 0,
            flow_label: 0xb_eef1,
            hop_limit: 61,
            next_header: None,
            extension: None,
            version: 6,
            payload_length: None,
        }
    }

    /// The packet that carries `payload`.
    pub fn carrying(&self, payload: &impl Payload) -> Vec<u8> {
        let mut behind = Vec::new();
        if let Some(extension) = self.extension {
            behind.extend(extension.bytes(payload.protocol()));
        }
        behind.extend(payload.bytes(self.source.into(), self.destination.into()));
        let first_word = u32::from(self.version) << 28 | u32::from(self.traffic_class) << 20 | self.flow_label;
        let next_header = self.extension.map_or_else(|| payload.protocol(), Extension::number);

        let mut bytes = Vec::new();
        bytes.extend(first_word.to_be_bytes());
        bytes.extend(self.payload_length.unwrap_or(behind.len() as u16).to_be_bytes());
        bytes.push(self.next_header.unwrap_or(next_header));
        bytes.push(self.hop_limit);
        bytes.extend(self.source.octets());
        bytes.extend(self.destination.octets());
        bytes.extend(behind);
        bytes
    }
}
