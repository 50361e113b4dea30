//! Fragments: only the first one carries ports, so the others follow it by what is remembered of it.

use xdp_lb_abi::{FragmentKey, FragmentOwner, fragment::VALIDITY};

use crate::{flow::FlowHash, parse::Packet, select::Backend, tables::Tables};

/// Which part of a packet a packet is. One word: as small fields it would not share its place well (see
/// [`crate::Verdict`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment(u64);

impl Fragment {
    /// No fragment: a whole packet.
    pub const WHOLE: Self = Self(0);
    const FIRST: u64 = 1 << 32;
    const LATER: u64 = 1 << 33;

    /// The first fragment of the packet with this identification, as it stands in memory.
    #[inline(always)]
    pub const fn first(identification: u32) -> Self {
        Self(Self::FIRST | identification as u64)
    }

    /// Another one.
    #[inline(always)]
    pub const fn later(identification: u32) -> Self {
        Self(Self::LATER | identification as u64)
    }

    /// Whether it has ports, and others will follow.
    #[inline(always)]
    pub const fn is_first(self) -> bool {
        self.0 & Self::FIRST != 0
    }

    /// Whether it has no ports.
    #[inline(always)]
    pub const fn is_later(self) -> bool {
        self.0 & Self::LATER != 0
    }
}

/// The key under which the packet's first fragment is remembered.
#[inline(always)]
const fn key(packet: &Packet) -> FragmentKey {
    FragmentKey::new(packet.source, packet.destination, packet.family, packet.protocol, packet.fragment.0 as u32)
}

/// Where the first fragment of this later one went, if that is known and still true.
#[inline(always)]
pub fn owner(packet: &Packet, tables: &impl Tables) -> Option<FragmentOwner> {
    let owner = tables.fragment(&key(packet))?;
    let ring = tables.ring(owner.vip)?;
    let is_current =
        tables.now().wrapping_sub(owner.seen) <= VALIDITY && ring.state(owner.member as u16) == owner.state;
    is_current.then_some(owner)
}

/// Remembers where a first fragment goes.
#[inline(always)]
pub fn remember(vip: u32, packet: &Packet, flow: FlowHash, backend: &Backend, tables: &impl Tables) {
    let Some(ring) = tables.ring(vip) else { return };
    let state = ring.state(backend.member);
    let member = backend.member.into();
    tables
        .remember_fragment(&key(packet), &FragmentOwner { seen: tables.now(), flow: flow.word(), state, vip, member });
}
