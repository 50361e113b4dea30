//! IPv4 packets (RFC 791, section 3.1).

use std::net::Ipv4Addr;

use super::{Payload, checksum};

/// "More fragments" in [`Ipv4::flags_and_offset`].
pub const MORE_FRAGMENTS: u16 = 0x2000;
/// "Don't fragment" in [`Ipv4::flags_and_offset`].
pub const DONT_FRAGMENT: u16 = 0x4000;

/// An IPv4 header.
#[derive(Clone, Debug)]
pub struct Ipv4 {
    /// Source.
    pub source: Ipv4Addr,
    /// Destination.
    pub destination: Ipv4Addr,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Identification.
    pub identification: u16,
    /// Flags, and the fragment's offset in units of eight bytes.
    pub flags_and_offset: u16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol; the payload's unless given.
    pub protocol: Option<u8>,
    /// Options: whole words of four bytes.
    pub options: Vec<u8>,
    /// Version; 4 unless a sender errs.
    pub version: u8,
    /// Header length in words of four bytes; the true one unless given.
    pub header_words: Option<u8>,
    /// Total length; the true one unless given.
    pub total_length: Option<u16>,
    /// Header checksum; the right one unless given.
    pub checksum: Option<u16>,
}

impl Ipv4 {
    /// A plain header.
    pub fn between(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Self {
            source,
            destination,
            traffic_class: 0,
            identification: 0x1234,
            flags_and_offset: DONT_FRAGMENT,
            ttl: 61,
            protocol: None,
            options: Vec::new(),
            version: 4,
            header_words: None,
            total_length: None,
            checksum: None,
        }
    }

    /// The packet that carries `payload`.
    pub fn carrying(&self, payload: &impl Payload) -> Vec<u8> {
        let payload_bytes = payload.bytes(self.source.into(), self.destination.into());
        let header_length = 20 + self.options.len();
        let true_words = (header_length / 4) as u8;
        let true_length = (header_length + payload_bytes.len()) as u16;

        let mut bytes = Vec::new();
        bytes.push(self.version << 4 | self.header_words.unwrap_or(true_words));
        bytes.push(self.traffic_class);
        bytes.extend(self.total_length.unwrap_or(true_length).to_be_bytes());
        bytes.extend(self.identification.to_be_bytes());
        bytes.extend(self.flags_and_offset.to_be_bytes());
        bytes.push(self.ttl);
        bytes.push(self.protocol.unwrap_or(payload.protocol()));
        bytes.extend([0, 0]);
        bytes.extend(self.source.octets());
        bytes.extend(self.destination.octets());
        bytes.extend(&self.options);
        let checksum = self.checksum.unwrap_or_else(|| checksum::of(&bytes));
        bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
        bytes.extend(payload_bytes);
        bytes
    }
}
