//! The load balancer: maps, globals and the entry.
#![no_std]
#![no_main]

use aya_ebpf::{
    Global,
    bindings::BPF_F_MMAPABLE,
    btf_maps::{Array, ArrayOfMaps, DevMapHash, HashMap, LruHashMap, PerCpuArray},
    helpers::bpf_ktime_get_ns,
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use xdp_lb_abi::{
    DEFAULT_GUE_PORT, FragmentKey, FragmentOwner, Gates, MAX_FRAGMENTS, MAX_INTERFACES, MAX_MEMBER_COUNTERS,
    MAX_NEXT_HOPS, MAX_VIPS, MemberCounters, NextHop, PortRanges, ReasonCounters, Settings, Vip, VipKey, ring,
};
use xdp_lb_ebpf::{
    Tables, Verdict, balance, pacing,
    program::{self, XdpFrame},
    tables::{NextHopEntry, RangesEntry, Ring},
};

const MMAPABLE: usize = BPF_F_MMAPABLE as usize;

#[btf_map]
static VIPS: HashMap<VipKey, Vip, { MAX_VIPS as usize }> = HashMap::new();

#[btf_map]
static PORT_RANGES: Array<PortRanges, { MAX_VIPS as usize }> = Array::new();

#[btf_map]
static RINGS: ArrayOfMaps<Array<[u64; ring::WORDS], 1, MMAPABLE>, { MAX_VIPS as usize }> = ArrayOfMaps::new();

#[btf_map]
static NEXT_HOPS: Array<NextHop, { MAX_NEXT_HOPS as usize }, MMAPABLE> = Array::new();

#[btf_map]
static VIP_COUNTERS: PerCpuArray<ReasonCounters, { MAX_VIPS as usize }> = PerCpuArray::new();

#[btf_map]
static MEMBER_COUNTERS: PerCpuArray<MemberCounters, { MAX_MEMBER_COUNTERS as usize }> = PerCpuArray::new();

#[btf_map]
static FRAGMENTS: LruHashMap<FragmentKey, FragmentOwner, { MAX_FRAGMENTS as usize }> = LruHashMap::new();

#[btf_map]
static REPLY_PACING: PerCpuArray<u64, 1> = PerCpuArray::new();

#[btf_map]
static TX_PORTS: DevMapHash<{ MAX_INTERFACES as usize }> = DevMapHash::new();

/// Not read here: declared so that it is made and pinned with the program it describes.
#[btf_map]
static SETTINGS: Array<Settings, 1> = Array::new();

#[unsafe(no_mangle)]
static HASH_SEED: Global<u64> = Global::new(0);

#[unsafe(no_mangle)]
static ICMP_INTERVAL: Global<u64> = Global::new(0);

#[unsafe(no_mangle)]
static GATES: Global<u64> = Global::new(0);

#[unsafe(no_mangle)]
static GUE_PORT: Global<u16> = Global::new(DEFAULT_GUE_PORT);

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

struct Maps;

impl Tables for Maps {
    #[inline(always)]
    fn vip(&self, key: &VipKey) -> Option<Vip> {
        // SAFETY: the value is copied before the program touches the map again. User space may replace it meanwhile,
        // by another entry for the key or, after a removal, for another key: that packet gets one or the other's service.
        unsafe { VIPS.get(key) }.copied()
    }

    #[inline(always)]
    fn port_ranges(&self, vip: u32) -> Option<RangesEntry> {
        // SAFETY: elements of an array live as long as the map.
        PORT_RANGES.get_ptr(vip).map(|entry| unsafe { RangesEntry::new(entry) })
    }

    #[inline(always)]
    fn ring(&self, vip: u32) -> Option<Ring> {
        // SAFETY: the kernel keeps the inner map until the program has returned.
        RINGS.get_value_ptr_mut(vip, &0).map(|words| unsafe { Ring::new(words) })
    }

    #[inline(always)]
    fn next_hop(&self, index: u16) -> Option<NextHopEntry> {
        // SAFETY: elements of an array live as long as the map.
        NEXT_HOPS.get_ptr(index.into()).map(|entry| unsafe { NextHopEntry::new(entry) })
    }

    #[inline(always)]
    fn redirect(&self, interface: u32) -> bool {
        TX_PORTS.redirect(interface, 0).is_ok()
    }

    #[inline(always)]
    fn count(&self, verdict: Verdict, bytes: u64) {
        if let Some(counters) = VIP_COUNTERS.get_ptr_mut(verdict.vip()) {
            // SAFETY: the value of this CPU.
            unsafe { program::count(counters, verdict, bytes) }
        }
    }

    #[inline(always)]
    fn count_member(&self, counter: u32, bytes: u64) {
        if let Some(counters) = MEMBER_COUNTERS.get_ptr_mut(counter) {
            // SAFETY: the value of this CPU, which no other program writes while this one runs.
            let counters = unsafe { &mut *counters };
            counters.packets += 1;
            counters.bytes += bytes;
        }
    }

    #[inline(always)]
    fn fragment(&self, key: &FragmentKey) -> Option<FragmentOwner> {
        // SAFETY: the value is copied at once. Another CPU may replace it meanwhile by that of another packet: then this
        // fragment goes where that packet goes, which cannot put it together and drops it.
        unsafe { FRAGMENTS.get(key) }.copied()
    }

    #[inline(always)]
    fn remember_fragment(&self, key: &FragmentKey, owner: &FragmentOwner) {
        // A failure shows when the next fragment comes, which is unknown then.
        let _ = FRAGMENTS.insert(key, owner, 0);
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: the helper has no preconditions.
        unsafe { bpf_ktime_get_ns() }
    }

    #[inline(always)]
    fn may_reply(&self) -> bool {
        let Some(next) = REPLY_PACING.get_ptr_mut(0) else { return false };
        let now = self.now();
        // SAFETY: the value of this CPU, which no other program writes while this one runs.
        pacing::admit(unsafe { &mut *next }, now, ICMP_INTERVAL.load())
    }

    #[inline(always)]
    fn hash_seed(&self) -> u64 {
        HASH_SEED.load()
    }

    #[inline(always)]
    fn gates(&self) -> Gates {
        Gates(GATES.load())
    }

    #[inline(always)]
    fn gue_port(&self) -> u16 {
        GUE_PORT.load()
    }
}

/// Called for every frame that an ingress interface receives.
#[xdp(frags)]
fn xdp_lb(context: XdpContext) -> u32 {
    let mut frame = XdpFrame::new(context);
    let verdict = balance(&mut frame, &Maps);
    frame.trace(verdict);
    program::action(verdict)
}
