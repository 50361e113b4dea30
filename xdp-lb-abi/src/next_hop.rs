//! Next hops: where an encapsulated packet leaves this node.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Addr;

/// One next hop: a cache line of eight words. User space maps the table and stores each word whole, so a neighbour
/// that changes its MAC is one store. Index 0 is never used: it stands for "unresolved".
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NextHop {
    /// MAC of the neighbour, and the L3 MTU on the way to it (see [`Link`]). Zero while unresolved.
    pub link: u64,
    /// MAC of the egress interface, and zero (see [`Link`]).
    pub egress: u64,
    /// Index of the egress interface; upper half zero.
    pub interface: u64,
    /// Source of the outer header; its family is that of the members that use this next hop.
    pub source: Addr,
    /// Address of the neighbour: identity for user space, not read by the program.
    pub neighbour: Addr,
    /// Family of `neighbour` and `source` as IP versions, for user space: `neighbour | source << 8`; 0 if unused.
    pub families: u64,
}

impl NextHop {
    /// An unused entry.
    pub const NONE: Self =
        Self { link: 0, egress: 0, interface: 0, source: Addr::UNSPECIFIED, neighbour: Addr::UNSPECIFIED, families: 0 };
}

/// A MAC address and a 16-bit number in one word, as they are stored: bytes 0..6 and 6..8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// MAC address.
    pub mac: [u8; 6],
    /// MTU in bytes (Ethernet payload), or zero.
    pub mtu: u16,
}

impl Link {
    /// The word that is stored.
    pub const fn encode(self) -> u64 {
        let [a, b, c, d, e, f] = self.mac;
        let [g, h] = self.mtu.to_ne_bytes();
        u64::from_ne_bytes([a, b, c, d, e, f, g, h])
    }

    /// Reads the word.
    pub const fn decode(word: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
        Self { mac: [a, b, c, d, e, f], mtu: u16::from_ne_bytes([g, h]) }
    }
}

const _: () = assert!(size_of::<NextHop>() == 64);
