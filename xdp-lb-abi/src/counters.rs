//! Per-CPU counters.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Reason;

/// Room for reasons in a counter value.
pub const REASON_SLOTS: usize = 47;

/// What became of the packets of one VIP (or of one program): six cache lines, of which forwarding touches the first.
///
/// The number of packets is the sum over all reasons, because every packet is counted under exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ReasonCounters {
    /// Bytes of all packets as they arrived, Ethernet header included.
    pub bytes: u64,
    /// Packets by [`Reason`].
    pub packets: [u64; REASON_SLOTS],
}

impl ReasonCounters {
    /// Nothing counted.
    pub const ZERO: Self = Self { bytes: 0, packets: [0; REASON_SLOTS] };

    /// Packets under one reason.
    pub const fn of(&self, reason: Reason) -> u64 {
        self.packets[reason as usize]
    }

    /// All packets.
    pub fn total(&self) -> u64 {
        self.packets.iter().sum()
    }
}

/// What was sent to one member of one VIP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MemberCounters {
    /// Packets forwarded.
    pub packets: u64,
    /// Bytes forwarded, as they arrived (Ethernet header included, encapsulation not).
    pub bytes: u64,
}

const _: () = assert!(Reason::ALL.len() <= REASON_SLOTS);
