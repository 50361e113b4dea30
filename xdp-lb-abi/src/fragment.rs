//! Fragments: where the rest of a packet goes whose first fragment was sent to a backend.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Addr, Family};

/// How long a first fragment is remembered, in nanoseconds: as long as Linux waits for the others (`ipfrag_time`).
pub const VALIDITY: u64 = 30_000_000_000;

/// Which packet a fragment belongs to (RFC 791, section 3.2; RFC 8200, section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FragmentKey {
    /// Source address.
    pub source: Addr,
    /// Destination address.
    pub destination: Addr,
    /// Identification as it stands in the packet; 16 bits in IPv4.
    pub identification: u32,
    /// IPv4: protocol. IPv6: 0, for only the first fragment's is certain.
    pub protocol: u8,
    /// IP version: 4 or 6.
    pub family: u8,
    /// Zero: hash keys must have every byte initialised.
    pub zero: u16,
}

impl FragmentKey {
    /// Key of a packet, from its fields as they stand in memory.
    #[inline(always)]
    pub const fn new(source: Addr, destination: Addr, family: Family, protocol: u8, identification: u32) -> Self {
        let protocol = match family {
            Family::V4 => protocol,
            Family::V6 => 0,
        };
        Self { source, destination, identification, protocol, family: family as u8, zero: 0 }
    }
}

/// Where a packet's first fragment went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FragmentOwner {
    /// When, in nanoseconds of the monotonic clock.
    pub seen: u64,
    /// Hash of its flow.
    pub flow: u64,
    /// State word of the member then: its index may have gone to another backend meanwhile.
    pub state: u64,
    /// The service's VIP id.
    pub vip: u32,
    /// Index of the member in its ring.
    pub member: u32,
}
