//! What a program is loaded with.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Optional features, one bit each. The verifier removes the code of a feature whose bit is clear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Gates(pub u64);

impl Gates {
    /// Lower the inner TTL or hop limit by one, as a router on the way would (RFC 2003, section 3.1). It ends the loop
    /// that forms when a backend does not hold the VIP and sends the packet back to the router.
    pub const DECREMENT_TTL: Self = Self(1 << 0);
    /// Drop TCP packets with flags that no sender sets together.
    pub const CHECK_TCP_FLAGS: Self = Self(1 << 1);
    /// Answer echo requests to VIP addresses.
    pub const ECHO_REPLY: Self = Self(1 << 2);
    /// Tell senders of packets that are too long, although they may be fragmented (IPv4 without "don't fragment").
    pub const TOO_BIG_REPLY: Self = Self(1 << 3);
    /// Send packets out of other interfaces than they came in by, where the program runs there too.
    pub const SEVERAL_INTERFACES: Self = Self(1 << 8);

    /// Whether all features of `other` are on.
    #[inline(always)]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With the features of `other` switched on or off.
    #[must_use]
    pub const fn with(self, other: Self, on: bool) -> Self {
        if on { Self(self.0 | other.0) } else { Self(self.0 & !other.0) }
    }
}

/// Nanoseconds between two answers of a CPU that may send `rate` of them per second.
pub const fn icmp_interval(rate: u32) -> u64 {
    match rate {
        0 => u64::MAX / 2,
        rate => 1_000_000_000 / rate as u64,
    }
}

/// The single value of the settings map: what the attached program was loaded with, for tools that come later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Settings {
    /// [`crate::ABI_VERSION`] of the writer.
    pub abi_version: u32,
    /// [`crate::ring::SLOTS`] of the writer.
    pub ring_slots: u32,
    /// Seed of the flow hash.
    pub hash_seed: u64,
    /// Optional features.
    pub gates: Gates,
    /// UDP port that GUE packets are sent to.
    pub gue_port: u16,
    /// Zero.
    pub zero: u16,
    /// ICMP answers per second and CPU (see [`icmp_interval`]).
    pub icmp_rate: u32,
}
