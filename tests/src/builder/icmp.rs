//! ICMP (RFC 792) and `ICMPv6` (RFC 4443) messages.

use std::net::IpAddr;

use super::{Payload, checksum, protocol};

/// A message: type, code, the rest of the header, and what follows.
#[derive(Clone, Debug)]
pub struct Icmp {
    /// Whether it is an `ICMPv6` message, whose checksum covers the addresses.
    pub is_v6: bool,
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The four bytes behind the checksum.
    pub rest: [u8; 4],
    /// What follows.
    pub body: Vec<u8>,
    /// Checksum; the right one unless given.
    pub checksum: Option<u16>,
}

impl Icmp {
    /// An ICMP message.
    pub fn v4(kind: u8, code: u8, rest: [u8; 4], body: &[u8]) -> Self {
        Self { is_v6: false, kind, code, rest, body: body.to_vec(), checksum: None }
    }

    /// An `ICMPv6` message.
    pub fn v6(kind: u8, code: u8, rest: [u8; 4], body: &[u8]) -> Self {
        Self { is_v6: true, ..Self::v4(kind, code, rest, body) }
    }

    /// An echo request to this VIP.
    pub fn echo_request(vip: IpAddr, rest: [u8; 4], body: &[u8]) -> Self {
        if vip.is_ipv4() { Self::v4(8, 0, rest, body) } else { Self::v6(128, 0, rest, body) }
    }

    /// The reply to an echo request.
    pub fn echo_reply(vip: IpAddr, rest: [u8; 4], body: &[u8]) -> Self {
        if vip.is_ipv4() { Self::v4(0, 0, rest, body) } else { Self::v6(129, 0, rest, body) }
    }
}

impl Payload for Icmp {
    fn protocol(&self) -> u8 {
        if self.is_v6 { protocol::ICMPV6 } else { protocol::ICMP }
    }

    fn bytes(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let mut bytes = vec![self.kind, self.code, 0, 0];
        bytes.extend(self.rest);
        bytes.extend(&self.body);
        let right = if self.is_v6 {
            checksum::of_segment(source, destination, protocol::ICMPV6, &bytes)
        } else {
            checksum::of(&bytes)
        };
        bytes[2..4].copy_from_slice(&self.checksum.unwrap_or(right).to_be_bytes());
        bytes
    }
}
