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
    /// Extension headers before the payload, in their order.
    pub extensions: Vec<Extension>,
    /// Version; 6 unless a sender errs.
    pub version: u8,
    /// Payload length; the true one unless given.
    pub payload_length: Option<u16>,
}

/// An extension header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extension {
    /// A fragment header (section 4.5): offset in units of eight bytes, and whether more fragments follow.
    Fragment {
        /// Offset in units of eight bytes.
        offset: u16,
        /// Whether more fragments follow.
        is_followed: bool,
    },
    /// Hop-by-hop options with nothing but padding (section 4.3): so many units of eight bytes.
    HopByHop(u8),
    /// Destination options with nothing but padding (section 4.6): so many units of eight bytes.
    DestinationOptions(u8),
    /// A routing header without segments left (section 4.4) and this type.
    Routing(u8),
    /// An authentication header (RFC 4302, section 2) with a check value of this many words of four bytes.
    Authentication(u8),
    /// Any other header, with these bytes after its next header field.
    Other(u8, Vec<u8>),
}

impl Extension {
    fn number(&self) -> u8 {
        match self {
            Self::Fragment { .. } => protocol::IPV6_FRAGMENT,
            Self::HopByHop(_) => protocol::IPV6_HOP_BY_HOP,
            Self::DestinationOptions(_) => protocol::IPV6_OPTIONS,
            Self::Routing(_) => protocol::IPV6_ROUTING,
            Self::Authentication(_) => protocol::AUTHENTICATION,
            Self::Other(number, _) => *number,
        }
    }

    fn bytes(&self, next_header: u8) -> Vec<u8> {
        let rest = match self {
            Self::Fragment { offset, is_followed } => {
                let [high, low] = (offset << 3 | u16::from(*is_followed)).to_be_bytes();
                vec![0, high, low, 0x12, 0x34, 0x56, 0x78]
            }
            Self::HopByHop(units) | Self::DestinationOptions(units) => padding(*units),
            Self::Routing(kind) => vec![0, *kind, 0, 0, 0, 0, 0],
            Self::Authentication(words) => {
                // The length counts words of four bytes, less two; in front of the check value there are three.
                let fixed = [words + 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7];
                [&fixed[..], &vec![0xcc; usize::from(*words) * 4]].concat()
            }
            Self::Other(_, rest) => rest.clone(),
        };
        [&[next_header][..], &rest].concat()
    }
}

/// The length, which does not count the first unit, and options of type 1 (`PadN`), at most 256 bytes each.
fn padding(units: u8) -> Vec<u8> {
    let mut bytes = vec![units - 1];
    let mut left = usize::from(units) * 8 - 2;
    while left > 0 {
        let option = left.min(256);
        bytes.extend([1, (option - 2) as u8]);
        bytes.extend(vec![0; option - 2]);
        left -= option;
    }
    bytes
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
            extensions: Vec::new(),
            version: 6,
            payload_length: None,
        }
    }

    /// The packet that carries `payload`.
    pub fn carrying(&self, payload: &impl Payload) -> Vec<u8> {
        let mut behind = payload.bytes(self.source.into(), self.destination.into());
        let mut next_header = payload.protocol();
        for extension in self.extensions.iter().rev() {
            behind.splice(..0, extension.bytes(next_header));
            next_header = extension.number();
        }
        let first_word = u32::from(self.version) << 28 | u32::from(self.traffic_class) << 20 | self.flow_label;

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
