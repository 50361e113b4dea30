//! What IP packets carry.

use std::net::IpAddr;

use super::{checksum, protocol};

/// Flags of TCP (RFC 9293, section 3.1).
pub mod tcp_flag {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Opens a connection.
    pub const SYN: u8 = 0x02;
    /// Resets a connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer counts.
    pub const URG: u8 = 0x20;
}

/// What an IP header can carry.
pub trait Payload {
    /// Its protocol number.
    fn protocol(&self) -> u8;

    /// Its bytes between these addresses, which checksums cover.
    fn bytes(&self, source: IpAddr, destination: IpAddr) -> Vec<u8>;
}

/// A TCP segment.
#[derive(Clone, Debug)]
pub struct Tcp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Flags (see [`tcp_flag`]).
    pub flags: u8,
    /// Options: whole words of four bytes.
    pub options: Vec<u8>,
    /// Header length in words of four bytes; the true one unless given.
    pub header_words: Option<u8>,
    /// Data.
    pub data: Vec<u8>,
}

impl Tcp {
    /// A segment in the midst of a connection, with a little data.
    pub fn between(source: u16, destination: u16) -> Self {
        let flags = tcp_flag::ACK | tcp_flag::PSH;
        Self { source, destination, flags, options: Vec::new(), header_words: None, data: b"GET / HTTP/1.1".to_vec() }
    }

    /// The first segment of a connection.
    pub fn syn(source: u16, destination: u16) -> Self {
        Self { flags: tcp_flag::SYN, data: Vec::new(), ..Self::between(source, destination) }
    }
}

impl Payload for Tcp {
    fn protocol(&self) -> u8 {
        protocol::TCP
    }

    fn bytes(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let true_words = ((20 + self.options.len()) / 4) as u8;
        let mut bytes = Vec::new();
        bytes.extend(self.source.to_be_bytes());
        bytes.extend(self.destination.to_be_bytes());
        bytes.extend(0x0102_0304_u32.to_be_bytes());
        bytes.extend(0x0506_0708_u32.to_be_bytes());
        bytes.push(self.header_words.unwrap_or(true_words) << 4);
        bytes.push(self.flags);
        bytes.extend(0xffff_u16.to_be_bytes());
        bytes.extend([0, 0, 0, 0]);
        bytes.extend(&self.options);
        bytes.extend(&self.data);
        let checksum = checksum::of_segment(source, destination, protocol::TCP, &bytes);
        bytes[16..18].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }
}

/// A UDP datagram (RFC 768).
#[derive(Clone, Debug)]
pub struct Udp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Length of header and data; the true one unless given.
    pub length: Option<u16>,
    /// Data.
    pub data: Vec<u8>,
}

impl Udp {
    /// A datagram with a little data.
    pub fn between(source: u16, destination: u16) -> Self {
        Self { source, destination, length: None, data: b"query".to_vec() }
    }
}

impl Payload for Udp {
    fn protocol(&self) -> u8 {
        protocol::UDP
    }

    fn bytes(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let true_length = (8 + self.data.len()) as u16;
        let mut bytes = Vec::new();
        bytes.extend(self.source.to_be_bytes());
        bytes.extend(self.destination.to_be_bytes());
        bytes.extend(self.length.unwrap_or(true_length).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(&self.data);
        let checksum = match checksum::of_segment(source, destination, protocol::UDP, &bytes) {
            // Zero stands for "no checksum", so a sum of zero is sent as its other form.
            0 => 0xffff,
            checksum => checksum,
        };
        bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }
}

/// Anything else, as it is.
#[derive(Clone, Debug)]
pub struct Raw {
    /// Protocol number.
    pub protocol: u8,
    /// Bytes.
    pub bytes: Vec<u8>,
}

impl Raw {
    /// An echo request (RFC 792).
    pub fn echo_request() -> Self {
        Self { protocol: protocol::ICMP, bytes: vec![8, 0, 0xf7, 0xff, 0, 0, 0, 0] }
    }

    /// An `ICMPv6` message of this type, with a body of zeros.
    pub fn icmpv6(message: u8) -> Self {
        let mut bytes = vec![0; 24];
        bytes[0] = message;
        Self { protocol: protocol::ICMPV6, bytes }
    }
}

impl Payload for Raw {
    fn protocol(&self) -> u8 {
        self.protocol
    }

    fn bytes(&self, _source: IpAddr, _destination: IpAddr) -> Vec<u8> {
        self.bytes.clone()
    }
}
