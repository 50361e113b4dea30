//! Packets for tests, byte by byte, and what must become of them.
//!
//! Nothing here uses the data plane's code: a bug there must not be able to hide behind the same bug here. So this is
//! slow and obvious on purpose: every checksum is computed over the whole header, every field is written where its RFC
//! draws it. Whatever a sender can get wrong can be said too.

pub mod checksum;
pub mod flow_hash;
pub mod frame;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod transport;
pub mod tunnel;

pub use self::{
    frame::Frame,
    icmp::Icmp,
    ipv4::Ipv4,
    ipv6::Ipv6,
    transport::{Payload, Raw, Tcp, Udp},
    tunnel::Tunnel,
};

/// Numbers of protocols, as in the IANA registry "Assigned Internet Protocol Numbers".
pub mod protocol {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IPv4 in IP.
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 in IP.
    pub const IPV6: u8 = 41;
    /// Hop-by-hop options of IPv6.
    pub const IPV6_HOP_BY_HOP: u8 = 0;
    /// Routing header of IPv6.
    pub const IPV6_ROUTING: u8 = 43;
    /// Fragment header of IPv6.
    pub const IPV6_FRAGMENT: u8 = 44;
    /// Authentication header.
    pub const AUTHENTICATION: u8 = 51;
    /// `ICMPv6`.
    pub const ICMPV6: u8 = 58;
    /// Destination options of IPv6.
    pub const IPV6_OPTIONS: u8 = 60;
    /// SCTP.
    pub const SCTP: u8 = 132;
}
