//! Services that take a range of ports.
//!
//! A VIP address's own entry says whether it has any ([`crate::VipFlags::HAS_RANGES`]); they stand in a cache line at the
//! entry's id. A service on a single port has an entry of its own in the VIP table, which goes first.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::HashInput;

/// Ranges that one VIP address has room for.
pub const RANGES: usize = 8;

/// One service that takes a range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// Lowest port, host order.
    pub first: u16,
    /// Highest port.
    pub last: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// What tells the service's flows apart.
    pub hash: HashInput,
    /// VIP id of the service; never 0.
    pub id: u16,
}

impl PortRange {
    /// Reads the word; 0 stands for none.
    #[inline(always)]
    pub const fn decode(word: u64) -> Option<Self> {
        if word == 0 {
            return None;
        }
        Some(Self {
            first: word as u16,
            last: (word >> 16) as u16,
            protocol: (word >> 32) as u8,
            hash: HashInput::decode((word >> 40) as u8),
            id: (word >> 48) as u16,
        })
    }

    /// The word that is stored.
    pub const fn encode(self) -> u64 {
        let Self { first, last, protocol, hash, id } = self;
        first as u64 | (last as u64) << 16 | (protocol as u64) << 32 | (hash as u64) << 40 | (id as u64) << 48
    }

    /// Whether packets for this port (host order) and IP protocol are the service's.
    #[inline(always)]
    pub const fn takes(self, port: u16, protocol: u8) -> bool {
        self.first <= port && port <= self.last && self.protocol == protocol
    }
}

/// The ranges of a VIP address: words of [`PortRange`], in no order. The kernel stores each word whole, and a range keeps
/// its place as long as it is there: a packet on its way sees it before and after a change of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PortRanges {
    /// One word each; 0 is unused.
    pub words: [u64; RANGES],
}

const _: () = assert!(size_of::<PortRanges>() == 64);
const _: () = assert!(crate::MAX_VIPS <= u16::MAX as u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_survives_encoding_and_takes_what_is_in_it() {
        let range = PortRange { first: 8000, last: 8999, protocol: 17, hash: HashInput::DestinationPort, id: 4095 };
        assert_eq!(PortRange::decode(range.encode()), Some(range));
        assert_eq!(PortRange::decode(0), None);
        assert!(range.takes(8000, 17) && range.takes(8999, 17));
        assert!(!range.takes(7999, 17) && !range.takes(9000, 17) && !range.takes(8500, 6));
    }
}
