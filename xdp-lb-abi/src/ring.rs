//! Layout of a ring: all that the program needs to know about a VIP's backends, in one map value.
//!
//! A ring is the single value of a memory-mappable inner array, `[u64; WORDS]`, with four regions:
//!
//! ```text
//! header (64 bytes) | slots [u16; SLOTS] | members [Member; MEMBERS] | moves [u32; MOVES]
//! ```
//!
//! User space maps the value and stores slots in place, one atomic word at a time; nothing ever copies a whole ring.
//! A ring of zeros is valid: every slot names member 0, which is no member, so packets are dropped as `no_backend`.
//! The value is an array type because kernel 6.1 refuses an outer update whose inner value is a struct.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Addr, Family};

/// Slots of a ring: a prime, so that every permutation step of Maglev visits every slot.
pub const SLOTS: usize = 65_537;
/// Members of a ring, member 0 (no member) included.
pub const MEMBERS: usize = 1024;
/// Room for moves: slots that are changing hands name an entry of this region.
pub const MOVES: usize = 4096;

/// Byte offset of the slots.
pub const SLOTS_OFFSET: usize = 64;
/// Byte offset of the members: aligned to a member, so that none straddles a cache line.
pub const MEMBERS_OFFSET: usize = (SLOTS_OFFSET + SLOTS * 2).next_multiple_of(size_of::<Member>());
/// Byte offset of the moves.
pub const MOVES_OFFSET: usize = MEMBERS_OFFSET + MEMBERS * size_of::<Member>();
/// Length of a ring in 64-bit words.
pub const WORDS: usize = (MOVES_OFFSET + MOVES * size_of::<u32>()) / size_of::<u64>();

/// Index of the header word that holds the fingerprint of what the slots were built from; 0 while they are written.
pub const HEADER_FINGERPRINT: usize = 0;

/// Where a slot leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Index into the members; 0 is no member.
    Member(u16),
    /// Index into the moves.
    Move(u16),
}

impl Slot {
    const MOVE: u16 = 0x8000;

    /// Reads the slot's word. Indices are masked, so they are in bounds whatever the word holds.
    #[inline(always)]
    pub const fn decode(word: u16) -> Self {
        if word & Self::MOVE == 0 {
            Self::Member(word & (MEMBERS as u16 - 1))
        } else {
            Self::Move(word & (MOVES as u16 - 1))
        }
    }

    /// The word that is stored.
    pub const fn encode(self) -> u16 {
        match self {
            Self::Member(index) => index & (MEMBERS as u16 - 1),
            Self::Move(index) => Self::MOVE | (index & (MOVES as u16 - 1)),
        }
    }
}

/// How packets reach a member, whatever the family of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Mode {
    /// IP in IP.
    Ipip = 0,
    /// Nothing but the Ethernet addresses changes: the member is on-link and holds the VIP.
    L2 = 1,
    /// The member is this node: packets go to its own stack, which holds the VIP.
    Local = 2,
    /// IP in UDP (GUE).
    Gue = 3,
}

impl Mode {
    /// The least of them.
    pub const FIRST: Self = Self::Ipip;
    /// The greatest of them.
    pub const LAST: Self = Self::Gue;
}

/// How packets reach a member: a [`Mode`] and the family of the member's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Encapsulation {
    /// IP in IPv4, protocol 4 (RFC 2003) or 41 (RFC 4213).
    Ipip4 = 1,
    /// IP in IPv6, next header 4 or 41 (RFC 2473).
    Ipip6 = 2,
    /// To the MAC of an IPv4 address, as it is.
    L2V4 = 3,
    /// To the MAC of an IPv6 address, as it is.
    L2V6 = 4,
    /// To this node's own stack; the address is IPv4.
    LocalV4 = 5,
    /// To this node's own stack; the address is IPv6.
    LocalV6 = 6,
    /// IP in UDP in IPv4: GUE, variant 1 (draft-ietf-intarea-gue).
    Gue4 = 7,
    /// IP in UDP in IPv6: GUE, variant 1.
    Gue6 = 8,
}

impl Encapsulation {
    /// Every value, in the order of its numbers.
    pub const ALL: [Self; 8] =
        [Self::Ipip4, Self::Ipip6, Self::L2V4, Self::L2V6, Self::LocalV4, Self::LocalV6, Self::Gue4, Self::Gue6];

    /// The way to a member whose address is of this family.
    pub const fn new(mode: Mode, family: Family) -> Self {
        Self::ALL[mode as usize * 2 + matches!(family, Family::V6) as usize]
    }

    /// The value with this number.
    #[inline(always)]
    const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Ipip4,
            2 => Self::Ipip6,
            3 => Self::L2V4,
            4 => Self::L2V6,
            5 => Self::LocalV4,
            6 => Self::LocalV6,
            7 => Self::Gue4,
            8 => Self::Gue6,
            _ => return None,
        })
    }

    /// Family of the member's address, which is that of the outer header where there is one.
    #[inline(always)]
    pub const fn family(self) -> Family {
        match self {
            Self::Ipip4 | Self::L2V4 | Self::LocalV4 | Self::Gue4 => Family::V4,
            Self::Ipip6 | Self::L2V6 | Self::LocalV6 | Self::Gue6 => Family::V6,
        }
    }

    /// How packets travel.
    #[inline(always)]
    pub const fn mode(self) -> Mode {
        match self {
            Self::Ipip4 | Self::Ipip6 => Mode::Ipip,
            Self::L2V4 | Self::L2V6 => Mode::L2,
            Self::LocalV4 | Self::LocalV6 => Mode::Local,
            Self::Gue4 | Self::Gue6 => Mode::Gue,
        }
    }

    /// Name in documents and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipip4 => "ipip4",
            Self::Ipip6 => "ipip6",
            Self::L2V4 | Self::L2V6 => "l2",
            Self::LocalV4 | Self::LocalV6 => "local",
            Self::Gue4 => "gue4",
            Self::Gue6 => "gue6",
        }
    }
}

/// One backend as one VIP sees it: 32 bytes, four words that are each stored whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Member {
    /// Where packets are sent: destination of the outer header, or whose MAC they get.
    pub tunnel: Addr,
    /// Next hop, counter and encapsulation (see [`Route`]).
    pub route: u64,
    /// Incarnation (upper 63 bits) and whether the member is up (lowest bit).
    pub state: u64,
}

impl Member {
    /// No member: what index 0 and unused indices hold.
    pub const NONE: Self = Self { tunnel: Addr::UNSPECIFIED, route: 0, state: 0 };

    /// Whether the member takes traffic.
    pub const fn is_up(&self) -> bool {
        self.state & 1 != 0
    }

    /// How often this index has been given to a backend.
    pub const fn incarnation(&self) -> u64 {
        self.state >> 1
    }

    /// The state word.
    pub const fn pack_state(incarnation: u64, up: bool) -> u64 {
        (incarnation << 1) | up as u64
    }
}

/// A member's route word: what changes together when a backend's next hop changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Index into the member counters.
    pub counter: u32,
    /// Index into the next hops; 0 is unresolved.
    pub next_hop: u16,
    /// How packets reach the member; `None` for no member.
    pub encapsulation: Option<Encapsulation>,
}

impl Route {
    /// Reads the route word.
    #[inline(always)]
    pub const fn decode(word: u64) -> Self {
        let encapsulation = Encapsulation::from_number((word >> 48) as u8);
        Self { counter: word as u32, next_hop: (word >> 32) as u16, encapsulation }
    }

    /// The word that is stored.
    pub const fn encode(self) -> u64 {
        let encapsulation = match self.encapsulation {
            Some(encapsulation) => encapsulation as u64,
            None => 0,
        };
        self.counter as u64 | (self.next_hop as u64) << 32 | encapsulation << 48
    }
}

const _: () = {
    assert!(size_of::<Member>() == 32);
    assert!(MEMBERS.is_power_of_two() && MOVES.is_power_of_two());
    assert!(MOVES_OFFSET.is_multiple_of(8));
    assert!((MOVES_OFFSET + MOVES * size_of::<u32>()).is_multiple_of(8));
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_and_routes_survive_encoding() {
        for slot in [Slot::Member(0), Slot::Member(1023), Slot::Move(0), Slot::Move(4095)] {
            assert_eq!(Slot::decode(slot.encode()), slot);
        }
        for encapsulation in Encapsulation::ALL.map(Some).into_iter().chain([None]) {
            let route = Route { counter: 131_071, next_hop: 16_383, encapsulation };
            assert_eq!(Route::decode(route.encode()), route);
        }
    }

    #[test]
    fn mode_and_family_make_the_encapsulation() {
        for encapsulation in Encapsulation::ALL {
            assert_eq!(Encapsulation::new(encapsulation.mode(), encapsulation.family()), encapsulation);
        }
    }

    #[test]
    fn a_ring_of_zeros_leads_to_no_member() {
        assert_eq!(Slot::decode(0), Slot::Member(0));
        assert_eq!(Route::decode(Member::NONE.route).encapsulation, None);
    }
}
