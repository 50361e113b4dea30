//! What becomes of a packet, and how steps say so.

use core::{fmt, ops::ControlFlow};

use xdp_lb_abi::Reason;

/// VIP id under which packets are counted that belong to no VIP.
pub const NO_VIP: u32 = 0;

/// What becomes of a packet: one reason, counted once, at one VIP.
///
/// One word, because in a [`Step`] it shares its place with what the step returns. As two small fields it would make
/// LLVM take the words of addresses apart, and store them to the stack unaligned, which the verifier refuses.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// From the lowest bit: the VIP (32 bits), the reason (16 bits), the MTU (16 bits).
    word: u64,
}

impl Verdict {
    /// A verdict on a packet that belongs to `vip`.
    #[inline(always)]
    pub const fn new(vip: u32, reason: Reason) -> Self {
        Self { word: (reason as u64) << 32 | vip as u64 }
    }

    /// A verdict on a packet that belongs to no VIP.
    #[inline(always)]
    pub const fn of_no_vip(reason: Reason) -> Self {
        Self::new(NO_VIP, reason)
    }

    /// The same verdict, with the MTU that the packet's sender is told.
    #[inline(always)]
    pub const fn with_mtu(self, mtu: u16) -> Self {
        Self { word: self.word | (mtu as u64) << 48 }
    }

    /// The MTU that the packet's sender is told; 0 unless the packet is too big.
    #[inline(always)]
    pub const fn mtu(self) -> u16 {
        (self.word >> 48) as u16
    }

    /// The VIP (service or address) whose counters take the packet.
    #[inline(always)]
    pub const fn vip(self) -> u32 {
        self.word as u32
    }

    /// Why; what becomes of the packet follows from it.
    #[inline(always)]
    pub const fn reason(self) -> Reason {
        // SAFETY: `new` is the only way to make a verdict, and it put a reason there.
        unsafe { core::mem::transmute::<u8, Reason>((self.word >> 32) as u8) }
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verdict").field("vip", &self.vip()).field("reason", &self.reason()).finish()
    }
}

/// Result of a step: go on with a value, or stop with a verdict. Most packets on a node are none of our business, so a
/// stop is not an error.
pub type Step<T> = ControlFlow<Verdict, T>;
