//! What the kernel programs and user space must agree on byte for byte: map names, keys and values, limits, reasons.
//!
//! Everything here is plain data. Layouts and byte order live in this crate and nowhere else; whoever changes a layout
//! moves [`ABI_VERSION`], because maps of the old layout may still be pinned on a machine that is being upgraded.
#![no_std]

pub mod address;
pub mod counters;
pub mod decap;
pub mod fragment;
pub mod next_hop;
pub mod port_range;
pub mod reason;
pub mod ring;
pub mod settings;
pub mod vip;

pub use address::{Addr, Family};
pub use counters::{MemberCounters, ReasonCounters};
pub use decap::{SourceKey, TunnelSource};
pub use fragment::{FragmentKey, FragmentOwner};
pub use next_hop::NextHop;
pub use port_range::{PortRange, PortRanges};
pub use reason::{Reason, ReasonKind};
pub use ring::{Encapsulation, Member, Mode, Slot};
pub use settings::{Gates, Settings};
pub use vip::{HashInput, Vip, VipFlags, VipKey, VipKind};

/// Version of every layout in this crate; part of the pin directory's name (`xdp-lb/v<ABI_VERSION>`).
pub const ABI_VERSION: u32 = 2;

/// UDP port of GUE unless configured otherwise: the one registered for it.
pub const DEFAULT_GUE_PORT: u16 = 6080;

/// Entries of the VIP table: services plus one entry for each VIP address.
pub const MAX_VIPS: u32 = 4096;

/// Member counters of a node; every member of every VIP has one.
pub const MAX_MEMBER_COUNTERS: u32 = 131_072;

/// Next hops of a node.
pub const MAX_NEXT_HOPS: u32 = 16_384;

/// Interfaces that the program runs on.
pub const MAX_INTERFACES: u32 = 64;

/// Fragmented packets that are remembered at a time; the least recently used make room.
pub const MAX_FRAGMENTS: u32 = 16_384;

/// Names of the maps, as the programs declare them and as they are pinned under `maps/`.
pub mod map {
    /// `HashMap<VipKey, Vip>`: which service or VIP address a packet belongs to.
    pub const VIPS: &str = "VIPS";
    /// `Array<PortRanges>`, indexed by the VIP id of an address's own entry: services that take more than one port there.
    pub const PORT_RANGES: &str = "PORT_RANGES";
    /// `ArrayOfMaps` of one-element arrays, indexed by VIP id; each inner value is a ring (see [`crate::ring`]).
    pub const RINGS: &str = "RINGS";
    /// Memory-mappable `Array<NextHop>`, indexed by next-hop id.
    pub const NEXT_HOPS: &str = "NEXT_HOPS";
    /// `PerCpuArray<ReasonCounters>`, indexed by VIP id; id 0 counts what belongs to no VIP.
    pub const VIP_COUNTERS: &str = "VIP_COUNTERS";
    /// `PerCpuArray<MemberCounters>`, indexed by a member's counter index.
    pub const MEMBER_COUNTERS: &str = "MEMBER_COUNTERS";
    /// `LruHashMap<FragmentKey, FragmentOwner>`: where the first fragments of packets went.
    pub const FRAGMENTS: &str = "FRAGMENTS";
    /// `PerCpuArray<u64>` with one element: when this CPU's bucket of ICMP answers is full again, in nanoseconds.
    pub const REPLY_PACING: &str = "REPLY_PACING";
    /// `Array<Settings>` with one element: what the running program was loaded with.
    pub const SETTINGS: &str = "SETTINGS";
    /// `DevMapHash`: interfaces that packets may leave by, index to index.
    pub const TX_PORTS: &str = "TX_PORTS";
    /// `HashMap<VipKey, u32>`: addresses that tunnelled packets may be sent to on a backend (port and protocol are 0).
    pub const DECAP_TUNNELS: &str = "DECAP_TUNNELS";
    /// `HashMap<VipKey, u32>`: VIP addresses that a backend accepts inside a tunnel (port and protocol are 0).
    pub const DECAP_VIPS: &str = "DECAP_VIPS";
    /// `LpmTrie<[u8; 20], u32>`: prefixes that tunnelled packets may come from (see [`crate::TunnelSource`]).
    pub const DECAP_SOURCES: &str = "DECAP_SOURCES";
    /// `PerCpuArray<ReasonCounters>` with one element: what the decapsulation program did.
    pub const DECAP_COUNTERS: &str = "DECAP_COUNTERS";
}

/// Names of the programs, as they are pinned under `programs/`.
pub mod program {
    /// The load balancer.
    pub const XDP_LB: &str = "xdp_lb";
    /// The decapsulation program of nodes that are only backends.
    pub const XDP_DECAP: &str = "xdp_decap";
}

/// Names of the read-only globals that are set when a program is loaded.
pub mod global {
    /// `u64`: seed of the flow hash; equal on all nodes that share VIPs.
    pub const HASH_SEED: &str = "HASH_SEED";
    /// `u64`: least time between two answers of a CPU, in nanoseconds (see [`crate::settings::icmp_interval`]).
    pub const ICMP_INTERVAL: &str = "ICMP_INTERVAL";
    /// `u64`: [`crate::Gates`] of the optional features.
    pub const GATES: &str = "GATES";
    /// `u16`: UDP port of GUE packets, in host order.
    pub const GUE_PORT: &str = "GUE_PORT";
}

/// Declares a type to be plain data for aya's typed maps.
///
/// The bounds are the proof: `IntoBytes` refuses padding, `FromBytes` refuses invalid bit patterns.
macro_rules! plain_data {
    ($($type:ty),+ $(,)?) => {$(
        const _: () = {
            const fn plain<T: zerocopy::IntoBytes + zerocopy::FromBytes + Copy + 'static>() {}
            plain::<$type>();
        };
        // SAFETY: the bounds above hold, so every bit pattern is a value and every byte is initialised.
        #[cfg(feature = "user")]
        unsafe impl aya::Pod for $type {}
    )+};
}
plain_data!(FragmentKey, FragmentOwner, VipKey, Vip, PortRanges, NextHop, ReasonCounters, MemberCounters, Settings);
