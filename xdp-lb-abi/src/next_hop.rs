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
        let mut bytes = [0; 8];
        let (mac, mtu) = bytes.split_at_mut(6);
        mac.copy_from_slice(&self.mac);
        mtu.copy_from_slice(&self.mtu.to_ne_bytes());
        u64::from_ne_bytes(bytes)
    }

    /// Reads the word.
    pub const fn decode(word: u64) -> Self {
        let bytes = word.to_ne_bytes();
        let mut mac = [0; 6];
        mac.copy_from_slice(bytes.split_at(6).0);
        Self { mac, mtu: Self::mtu_of(word) }
    }

    /// The MTU of a stored word, without taking the address apart.
    #[inline(always)]
    pub const fn mtu_of(word: u64) -> u16 {
        if cfg!(target_endian = "little") { (word >> 48) as u16 } else { word as u16 }
    }

    /// The first 12 bytes of a frame, destination and source MAC, from the words of a next hop: as they stand in
    /// memory, 8 bytes and 4 bytes.
    #[inline(always)]
    pub const fn frame_addresses(link: u64, egress: u64) -> (u64, u32) {
        let (destination, source) = (u64::from_le(link), u64::from_le(egress));
        (((destination & 0xffff_ffff_ffff) | (source << 48)).to_le(), ((source >> 16) as u32).to_le())
    }
}

const _: () = assert!(size_of::<NextHop>() == 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_survives_encoding_and_gives_the_addresses_of_a_frame() {
        let neighbour = Link { mac: [1, 2, 3, 4, 5, 6], mtu: 1500 };
        let egress = Link { mac: [7, 8, 9, 10, 11, 12], mtu: 0 };
        assert_eq!(Link::decode(neighbour.encode()), neighbour);
        let (first, rest) = Link::frame_addresses(neighbour.encode(), egress.encode());
        assert_eq!(first.to_ne_bytes(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(rest.to_ne_bytes(), [9, 10, 11, 12]);
    }
}
