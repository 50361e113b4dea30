//! The decapsulation program of backends: maps and the entry.
#![no_std]
#![no_main]

use aya_ebpf::{
    Global,
    btf_maps::{HashMap, LpmTrie, PerCpuArray, lpm_trie::Key},
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use xdp_lb_abi::{DEFAULT_GUE_PORT, MAX_VIPS, ReasonCounters, SourceKey, TunnelSource, VipKey};
use xdp_lb_ebpf::{
    Tunnels, Verdict, decapsulate,
    program::{self, XdpFrame},
};

/// Room for addresses and for prefixes.
const ENTRIES: usize = MAX_VIPS as usize;

#[btf_map]
static DECAP_TUNNELS: HashMap<VipKey, u32, ENTRIES> = HashMap::new();

#[btf_map]
static DECAP_VIPS: HashMap<VipKey, u32, ENTRIES> = HashMap::new();

#[btf_map]
static DECAP_SOURCES: LpmTrie<[u8; TunnelSource::LEN], u32, ENTRIES> = LpmTrie::new();

#[btf_map]
static DECAP_COUNTERS: PerCpuArray<ReasonCounters, 1> = PerCpuArray::new();

#[unsafe(no_mangle)]
static GUE_PORT: Global<u16> = Global::new(DEFAULT_GUE_PORT);

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

struct Maps;

impl Tunnels for Maps {
    #[inline(always)]
    fn is_tunnel(&self, key: &VipKey) -> bool {
        DECAP_TUNNELS.get_ptr(key).is_some()
    }

    #[inline(always)]
    fn is_source(&self, key: &SourceKey) -> bool {
        const { assert!(size_of::<SourceKey>() == size_of::<Key<[u8; TunnelSource::LEN]>>()) };
        // SAFETY: both are a word with the length in bits and then the data; the target has no alignment.
        let key = unsafe { &*core::ptr::from_ref(key).cast() };
        DECAP_SOURCES.get(key).is_some()
    }

    #[inline(always)]
    fn is_vip(&self, key: &VipKey) -> bool {
        DECAP_VIPS.get_ptr(key).is_some()
    }

    #[inline(always)]
    fn gue_port(&self) -> u16 {
        GUE_PORT.load()
    }

    #[inline(always)]
    fn count(&self, verdict: Verdict, bytes: u64) {
        if let Some(counters) = DECAP_COUNTERS.get_ptr_mut(0) {
            // SAFETY: the value of this CPU.
            unsafe { program::count(counters, verdict, bytes) }
        }
    }
}

/// Called for every frame that a backend's interface receives.
#[xdp(frags)]
fn xdp_decap(context: XdpContext) -> u32 {
    let mut frame = XdpFrame::new(context);
    let verdict = decapsulate(&mut frame, &Maps);
    frame.trace(verdict);
    program::action(verdict)
}
