//! The VIP table: which service, or which VIP address, a packet belongs to.

use core::net::IpAddr;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Addr, Family};

/// Key of the VIP table.
///
/// A service is (address, port, protocol). A VIP address has one more entry, with port and protocol 0, that says what
/// becomes of packets for none of its services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VipKey {
    /// Destination address.
    pub addr: Addr,
    /// Destination port as it stands in the packet (network order).
    pub port_be: u16,
    /// IP protocol number (RFC 790 registry): 6 TCP, 17 UDP; 0 for the address's own entry.
    pub protocol: u8,
    /// IP version: 4 or 6.
    pub family: u8,
    /// Zero: hash keys must have every byte initialised.
    pub zero: u32,
}

impl VipKey {
    /// Key of the address's own entry.
    #[inline(always)]
    pub const fn of_address(addr: Addr, family: Family) -> Self {
        Self::of_packet(addr, family, 0, 0)
    }

    /// Key of the service that a packet is for, from its fields as they stand in memory.
    ///
    /// The small fields are put together in a register and stored as one word: the kernel hashes the key by words, and
    /// on current CPUs a load that spans several younger stores waits until they have left the store buffer.
    #[inline(always)]
    pub const fn of_packet(addr: Addr, family: Family, port_be: u16, protocol: u8) -> Self {
        let [high, low] = addr.words();
        let tail = u16::from_le(port_be) as u64 | (protocol as u64) << 16 | (family as u64) << 24;
        zerocopy::transmute!([high, low, tail.to_le()])
    }

    /// Key of the service `ip:port` with the given IP protocol number.
    pub fn of_service(ip: IpAddr, port: u16, protocol: u8) -> Self {
        Self { addr: ip.into(), port_be: port.to_be(), protocol, family: Family::from(&ip) as u8, zero: 0 }
    }

    /// The address of this key; `None` if the family is neither 4 nor 6.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.family {
            4 => Some(self.addr.to_ip(Family::V4)),
            6 => Some(self.addr.to_ip(Family::V6)),
            _ => None,
        }
    }

    /// The port in host order.
    pub const fn port(&self) -> u16 {
        u16::from_be(self.port_be)
    }
}

/// What an entry of the VIP table stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum VipKind {
    /// A service: packets go to the member that its ring names.
    Service = 1,
    /// A VIP address that is not bound on this node: what matches no service is dropped.
    Address = 2,
    /// A VIP address that is also bound on this node: what matches no service is for this node's own stack.
    LocalAddress = 3,
}

/// Value of the VIP table: eight bytes, replaced as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Vip {
    /// Index of the ring (services only) and of the counters. Never 0.
    pub id: u32,
    /// A [`VipKind`].
    pub kind: u8,
    /// Bits of [`VipFlags`].
    pub flags: VipFlags,
    /// A [`HashInput`] (services only).
    pub hash: u8,
    /// Zero.
    pub zero: u8,
}

/// Properties of an entry of the VIP table, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct VipFlags(pub u8);

impl VipFlags {
    /// A VIP address that has services on ranges of ports (see [`crate::port_range`]).
    pub const HAS_RANGES: Self = Self(1 << 0);

    /// Whether all bits of `other` are set.
    #[inline(always)]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What tells the flows of a service apart, and so decides which packets go to the same backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum HashInput {
    /// Source address and both ports: each connection by itself.
    #[default]
    FiveTuple = 0,
    /// The source address: all that a client sends to the service.
    SourceAddress = 1,
    /// Source address and destination port: all that a client sends to one port.
    IgnoreSourcePort = 2,
    /// The destination port: all that anybody sends to one port.
    DestinationPort = 3,
}

impl HashInput {
    /// Every value, with its name in config, tables and documents.
    pub const NAMES: [(&str, Self); 4] = [
        ("five-tuple", Self::FiveTuple),
        ("source-address", Self::SourceAddress),
        ("ignore-source-port", Self::IgnoreSourcePort),
        ("destination-port", Self::DestinationPort),
    ];

    /// Reads the byte; what this version does not know is the five-tuple.
    #[inline(always)]
    pub const fn decode(byte: u8) -> Self {
        match byte {
            1 => Self::SourceAddress,
            2 => Self::IgnoreSourcePort,
            3 => Self::DestinationPort,
            _ => Self::FiveTuple,
        }
    }

    /// Name in config, tables and documents.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize].0
    }
}

impl Vip {
    /// An entry of the given kind.
    pub const fn new(id: u32, kind: VipKind) -> Self {
        Self { id, kind: kind as u8, flags: VipFlags(0), hash: 0, zero: 0 }
    }

    /// The same entry with this hash input.
    #[must_use]
    pub const fn with_hash(self, hash: HashInput) -> Self {
        Self { hash: hash as u8, ..self }
    }

    /// The same entry with these flags.
    #[must_use]
    pub const fn with_flags(self, flags: VipFlags) -> Self {
        Self { flags, ..self }
    }

    /// The kind, or `None` if the table holds a value of another version.
    pub const fn kind(&self) -> Option<VipKind> {
        match self.kind {
            1 => Some(VipKind::Service),
            2 => Some(VipKind::Address),
            3 => Some(VipKind::LocalAddress),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_input_survives_its_byte_and_its_name() {
        for (number, (name, input)) in HashInput::NAMES.into_iter().enumerate() {
            assert_eq!((input as usize, input.name(), HashInput::decode(input as u8)), (number, name, input));
        }
    }

    #[test]
    fn both_sides_put_the_same_key_together() {
        for text in ["192.0.2.1", "2001:db8::7"] {
            let ip: IpAddr = text.parse().expect("an address literal");
            let (addr, family) = (Addr::from(ip), Family::from(&ip));
            assert_eq!(VipKey::of_packet(addr, family, 443u16.to_be(), 6), VipKey::of_service(ip, 443, 6));
            assert_eq!(VipKey::of_packet(addr, family, 0, 0), VipKey::of_address(addr, family));
        }
    }
}
