//! Binds the packet path to the kernel: what both programs share.

use core::{mem::MaybeUninit, ptr};

use aya_ebpf::{
    bindings::xdp_action,
    helpers::{bpf_csum_diff, bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    programs::XdpContext,
};
use xdp_lb_abi::{Reason, ReasonCounters, ReasonKind};

use crate::{
    packet::{Frame, MAX_SUM, NoRoom},
    verdict::Verdict,
};

/// A frame in the driver's hands.
pub struct XdpFrame {
    context: XdpContext,
}

// SAFETY: the kernel keeps `data..data_end` mapped and writable while the program runs, and the verifier checks every
// access against it. `bpf_xdp_adjust_head` and `bpf_xdp_adjust_tail` change both, and they are read again for every window.
unsafe impl Frame for XdpFrame {
    #[inline(always)]
    fn data(&self) -> usize {
        self.context.data()
    }

    #[inline(always)]
    fn data_end(&self) -> usize {
        self.context.data_end()
    }

    #[inline(always)]
    fn length(&self) -> u64 {
        // SAFETY: the context is the one the program was called with.
        unsafe { bpf_xdp_get_buff_len(self.context.ctx) }
    }

    #[inline(always)]
    fn grow_head(&mut self, bytes: usize) -> Result<(), NoRoom> {
        self.adjust_head(-(bytes as u32).cast_signed())
    }

    #[inline(always)]
    fn shrink_head(&mut self, bytes: usize) -> Result<(), NoRoom> {
        self.adjust_head((bytes as u32).cast_signed())
    }

    #[inline(always)]
    fn shrink_tail(&mut self, bytes: usize) -> Result<(), NoRoom> {
        // SAFETY: the context is the one the program was called with.
        match unsafe { bpf_xdp_adjust_tail(self.context.ctx, -(bytes as u32).cast_signed()) } {
            0 => Ok(()),
            _ => Err(NoRoom),
        }
    }

    /// Through the stack: the offset is a number to the helper, not part of a packet pointer, so that the verifier need
    /// not tell apart what comes behind by where it is.
    #[inline(always)]
    fn sum<const N: usize>(&self, offset: usize) -> Option<u64> {
        const { assert!(N <= MAX_SUM && (N < 4 || N.is_multiple_of(4)), "whole words, and no more than there is room for") };
        let mut copy = MaybeUninit::<[u32; MAX_SUM / 4]>::uninit();
        let start = copy.as_mut_ptr().cast::<u32>();
        if N < 4 {
            // SAFETY: a local variable.
            unsafe { start.write_volatile(0) };
        }
        // SAFETY: the context is the one the program was called with, and `N` bytes fit.
        if unsafe { bpf_xdp_load_bytes(self.context.ctx, offset as u32, start.cast(), N as u32) } != 0 {
            return None;
        }
        // SAFETY: the bytes were written above.
        let sum = unsafe { bpf_csum_diff(ptr::null_mut(), 0, start, N.next_multiple_of(4) as u32, 0) };
        Some(sum.cast_unsigned() & 0xffff_ffff)
    }

    #[inline(always)]
    fn ingress_interface(&self) -> u32 {
        self.context.ingress_ifindex() as u32
    }
}

impl XdpFrame {
    /// The frame of a program's context.
    #[inline(always)]
    pub const fn new(context: XdpContext) -> Self {
        Self { context }
    }

    /// Tells user space about the verdict on this frame, through aya-log.
    #[cfg(feature = "debug-log")]
    #[inline(always)]
    pub fn trace(&self, verdict: Verdict) {
        aya_log_ebpf::debug!(&self.context, "vip {}: {}", verdict.vip(), verdict.reason().name());
    }

    /// Nothing, in a build without `debug-log`.
    #[cfg(not(feature = "debug-log"))]
    #[inline(always)]
    pub const fn trace(&self, _: Verdict) {}

    #[inline(always)]
    fn adjust_head(&mut self, bytes: i32) -> Result<(), NoRoom> {
        // SAFETY: the context is the one the program was called with.
        match unsafe { bpf_xdp_adjust_head(self.context.ctx, bytes) } {
            0 => Ok(()),
            _ => Err(NoRoom),
        }
    }
}

/// Adds a packet to a counter value.
///
/// # Safety
///
/// `counters` must point to the running CPU's value. Programs are not preempted by each other, so plain additions do.
#[inline(always)]
pub unsafe fn count(counters: *mut ReasonCounters, verdict: Verdict, bytes: u64) {
    // SAFETY: by contract nothing else writes while the program runs; user space copies through the kernel.
    let counters = unsafe { &mut *counters };
    counters.bytes += bytes;
    let reason = verdict.reason() as usize;
    // LLVM knows that every reason has a counter, and may compute reasons in ways that hide it from the verifier. Read
    // this way, the number is hidden from LLVM, and compared where the verifier sees it.
    // SAFETY: a local variable.
    let reason = unsafe { (&raw const reason).read_volatile() };
    if let Some(packets) = counters.packets.get_mut(reason) {
        *packets += 1;
    }
}

/// What the driver is to do.
#[inline(always)]
pub const fn action(verdict: Verdict) -> u32 {
    if matches!(verdict.reason(), Reason::Redirected) {
        return xdp_action::XDP_REDIRECT;
    }
    match verdict.reason().kind() {
        ReasonKind::Forward | ReasonKind::Reply => xdp_action::XDP_TX,
        ReasonKind::Pass | ReasonKind::Deliver => xdp_action::XDP_PASS,
        ReasonKind::Drop => xdp_action::XDP_DROP,
    }
}

/// Never called: the packet path has no way to panic, and the verifier would refuse a program with one.
#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
