//! Numbers of the protocols that the programs read and write.

/// Length of an Ethernet header without VLAN tag.
pub const ETHERNET_LEN: usize = 14;
/// Length of an IPv4 header without options.
pub const IPV4_LEN: usize = 20;
/// Length of an IPv6 header without extension headers.
pub const IPV6_LEN: usize = 40;
/// Length of a TCP header without options.
pub const TCP_LEN: usize = 20;
/// Length of a UDP header.
pub const UDP_LEN: usize = 8;
/// Length of what all `ICMPv6` messages begin with: type, code, checksum.
pub const ICMPV6_LEN: usize = 4;
/// Length of the header of the ICMP and `ICMPv6` messages that matter here: type, code, checksum, and four bytes whose
/// meaning depends on the type.
pub const ICMP_LEN: usize = 8;

/// Ether types in network order: as they stand in the frame.
pub mod ether_type {
    /// IPv4.
    pub const IPV4_BE: u16 = 0x0800_u16.to_be();
    /// IPv6.
    pub const IPV6_BE: u16 = 0x86dd_u16.to_be();
}

/// IP protocol numbers.
pub mod protocol {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IPv4 in IP (RFC 2003).
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 in IP (RFC 4213).
    pub const IPV6: u8 = 41;
    /// IPv6 hop-by-hop options.
    pub const IPV6_HOP_BY_HOP: u8 = 0;
    /// IPv6 routing header.
    pub const IPV6_ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub const IPV6_FRAGMENT: u8 = 44;
    /// Authentication header (RFC 4302).
    pub const AUTHENTICATION: u8 = 51;
    /// `ICMPv6`.
    pub const ICMPV6: u8 = 58;
    /// IPv6 destination options.
    pub const IPV6_DESTINATION_OPTIONS: u8 = 60;
}

/// Types of ICMP messages (RFC 792).
pub mod icmp {
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Error: destination unreachable.
    pub const DESTINATION_UNREACHABLE: u8 = 3;
    /// Code of "destination unreachable": fragmentation needed and not allowed (RFC 1191).
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 8;
    /// Error: time exceeded.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Error: parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 12;
}

/// Types of `ICMPv6` messages (RFC 4443).
pub mod icmpv6 {
    /// Error: destination unreachable.
    pub const DESTINATION_UNREACHABLE: u8 = 1;
    /// Error: packet too big.
    pub const PACKET_TOO_BIG: u8 = 2;
    /// Error: time exceeded.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Error: parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 4;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 128;
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 129;
}

/// The IPv6 fragment header (RFC 8200, section 4.5).
pub mod ipv6_fragment {
    /// Length.
    pub const LEN: usize = 8;
    /// Offset of the protocol of the whole packet.
    pub const NEXT_HEADER: usize = 0;
    /// Offset of the two bytes with fragment offset and "more fragments".
    pub const POSITION: usize = 2;
    /// Bits of these bytes, in network order: all clear in a packet that is whole (RFC 6946).
    pub const POSITION_MASK_BE: u16 = 0xfff9_u16.to_be();
    /// The fragment offset among them: clear in the first fragment.
    pub const OFFSET_MASK_BE: u16 = 0xfff8_u16.to_be();
    /// Offset of the four bytes of the identification.
    pub const IDENTIFICATION: usize = 4;
}

/// TCP flags, as bits of the header's byte 13 (RFC 9293, section 3.1).
pub mod tcp_flag {
    /// The sender is done.
    pub const FIN: u8 = 1 << 0;
    /// Opens a connection.
    pub const SYN: u8 = 1 << 1;
    /// Aborts a connection.
    pub const RST: u8 = 1 << 2;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 1 << 4;
}

/// IPv4 "more fragments" and fragment offset, in network order: all clear in a packet that is whole.
pub const IPV4_FRAGMENT_MASK_BE: u16 = 0x3fff_u16.to_be();
/// IPv4 fragment offset, in network order: clear in whole packets and first fragments.
pub const IPV4_OFFSET_MASK_BE: u16 = 0x1fff_u16.to_be();
/// IPv4 "don't fragment", with everything else in that field zero.
pub const IPV4_DONT_FRAGMENT: u16 = 0x4000;
/// `ICMPv6` types of neighbour discovery: router solicitation to redirect (RFC 4861, section 4).
pub const NEIGHBOUR_DISCOVERY: core::ops::RangeInclusive<u8> = 133..=137;

/// Traffic class from the first word of an IPv6 header in host order.
#[inline(always)]
pub const fn traffic_class(first_word: u32) -> u8 {
    (first_word >> 20) as u8
}
