//! What the packet path needs from the maps.
//!
//! User space writes rings and next hops in place, through a memory mapping, while packets are on their way. So they
//! are never borrowed: [`Ring`] and [`NextHopEntry`] read one aligned word at a time, each exactly once.

use core::mem::offset_of;

use xdp_lb_abi::{
    Addr, FragmentKey, FragmentOwner, Gates, Member, NextHop, PortRange, PortRanges, Slot, SourceKey, Vip, VipKey,
    port_range, ring,
};

use crate::{bounds, verdict::Verdict};

/// The tables of the load balancer, and what it was loaded with.
pub trait Tables {
    /// The service or VIP address with this key.
    fn vip(&self, key: &VipKey) -> Option<Vip>;

    /// The port ranges of a VIP address.
    fn port_ranges(&self, vip: u32) -> Option<RangesEntry>;

    /// The ring of a service.
    fn ring(&self, vip: u32) -> Option<Ring>;

    /// The next hop with this index.
    fn next_hop(&self, index: u16) -> Option<NextHopEntry>;

    /// Has the frame leave by this interface, should the verdict be [`xdp_lb_abi::Reason::Redirected`]. False if the
    /// program does not run there.
    fn redirect(&self, interface: u32) -> bool;

    /// Counts a packet: `bytes` is the length of the frame as it arrived.
    fn count(&self, verdict: Verdict, bytes: u64);

    /// Counts a packet that goes to a member.
    fn count_member(&self, counter: u32, bytes: u64);

    /// What is remembered of a packet's first fragment.
    fn fragment(&self, key: &FragmentKey) -> Option<FragmentOwner>;

    /// Remembers a packet's first fragment.
    fn remember_fragment(&self, key: &FragmentKey, owner: &FragmentOwner);

    /// Nanoseconds of the monotonic clock.
    fn now(&self) -> u64;

    /// Whether one more answer may be sent now; takes a token if so.
    fn may_reply(&self) -> bool;

    /// Seed of the flow hash.
    fn hash_seed(&self) -> u64;

    /// Optional features.
    fn gates(&self) -> Gates;

    /// UDP port that GUE packets are sent to.
    fn gue_port(&self) -> u16;
}

/// The tables of the decapsulation program.
pub trait Tunnels {
    /// Whether tunnelled packets may be sent to this address.
    fn is_tunnel(&self, key: &VipKey) -> bool;

    /// Whether tunnelled packets may come from this address.
    fn is_source(&self, key: &SourceKey) -> bool;

    /// Whether this address is accepted inside a tunnel.
    fn is_vip(&self, key: &VipKey) -> bool;

    /// UDP port that GUE packets arrive at.
    fn gue_port(&self) -> u16;

    /// Counts a packet: `bytes` is the length of the frame as it arrived.
    fn count(&self, verdict: Verdict, bytes: u64);
}

/// A ring in use (see [`xdp_lb_abi::ring`]).
#[derive(Clone, Copy, Debug)]
pub struct Ring(*const u64);

impl Ring {
    /// The ring at this address.
    ///
    /// # Safety
    ///
    /// The words must stay readable as long as the ring is used. They may change at any time, a word at a time.
    #[inline(always)]
    pub const unsafe fn new(words: *const [u64; ring::WORDS]) -> Self {
        Self(words.cast())
    }

    /// The slot with this index.
    #[inline(always)]
    pub fn slot(self, index: usize) -> Slot {
        debug_assert!(index < ring::SLOTS, "`FlowHash::slot` is the only source of indices");
        // SAFETY: `new`'s contract, and the slots are `SLOTS` aligned words at this offset.
        let slot = unsafe { self.0.cast::<u16>().byte_add(ring::SLOTS_OFFSET + index * size_of::<u16>()) };
        // SAFETY: as above.
        Slot::decode(unsafe { slot.read_volatile() })
    }

    /// The route word of a member.
    #[inline(always)]
    pub fn route(self, member: u16) -> u64 {
        self.member_word(member, offset_of!(Member, route))
    }

    /// The state word of a member.
    #[inline(always)]
    pub fn state(self, member: u16) -> u64 {
        self.member_word(member, offset_of!(Member, state))
    }

    /// The tunnel address of a member.
    #[inline(always)]
    pub fn tunnel(self, member: u16) -> Addr {
        let at = offset_of!(Member, tunnel);
        Addr::from_words([self.member_word(member, at), self.member_word(member, at + size_of::<u64>())])
    }

    #[inline(always)]
    fn member_word(self, member: u16, offset: usize) -> u64 {
        // The mask repeats what `Slot::decode` has done, where the verifier sees it next to the access.
        let index = member as usize & (ring::MEMBERS - 1);
        // SAFETY: `new`'s contract; the members are `MEMBERS` aligned values at this offset, of four words each.
        let word = unsafe { self.0.byte_add(ring::MEMBERS_OFFSET + index * size_of::<Member>() + offset) };
        // SAFETY: as above.
        unsafe { word.read_volatile() }
    }
}

/// A VIP address's port ranges in use (see [`PortRanges`]).
#[derive(Clone, Copy, Debug)]
pub struct RangesEntry(*const PortRanges);

impl RangesEntry {
    /// The ranges at this address.
    ///
    /// # Safety
    ///
    /// As for [`Ring::new`].
    #[inline(always)]
    pub const unsafe fn new(entry: *const PortRanges) -> Self {
        Self(entry)
    }

    /// The range that takes packets for this port (host order) and IP protocol.
    #[inline(always)]
    pub fn find(self, port: u16, protocol: u8) -> Option<PortRange> {
        for index in 0..port_range::RANGES {
            // SAFETY: `new`'s contract; the entry is this many aligned words.
            let word = unsafe { self.0.cast::<u64>().add(index) };
            // SAFETY: as above.
            let word = unsafe { word.read_volatile() };
            if PortRange::decode(word).is_some_and(|range| range.takes(port, protocol)) {
                // Or everything behind would be verified for every range that may take a packet.
                return PortRange::decode(bounds::forget(word, word));
            }
        }
        None
    }
}

/// A next hop in use (see [`NextHop`]).
#[derive(Clone, Copy, Debug)]
pub struct NextHopEntry(*const NextHop);

impl NextHopEntry {
    /// The next hop at this address.
    ///
    /// # Safety
    ///
    /// As for [`Ring::new`].
    #[inline(always)]
    pub const unsafe fn new(entry: *const NextHop) -> Self {
        Self(entry)
    }

    /// The neighbour's link word; 0 while it is unresolved.
    #[inline(always)]
    pub fn link(self) -> u64 {
        self.word(offset_of!(NextHop, link))
    }

    /// The egress interface's link word.
    #[inline(always)]
    pub fn egress(self) -> u64 {
        self.word(offset_of!(NextHop, egress))
    }

    /// Index of the egress interface.
    #[inline(always)]
    pub fn interface(self) -> u64 {
        self.word(offset_of!(NextHop, interface))
    }

    /// Source of the outer header.
    #[inline(always)]
    pub fn source(self) -> Addr {
        let at = offset_of!(NextHop, source);
        Addr::from_words([self.word(at), self.word(at + size_of::<u64>())])
    }

    #[inline(always)]
    fn word(self, offset: usize) -> u64 {
        // SAFETY: `new`'s contract, and the callers name fields of the entry, all of them aligned words.
        let word = unsafe { self.0.cast::<u64>().byte_add(offset) };
        // SAFETY: as above.
        unsafe { word.read_volatile() }
    }
}
