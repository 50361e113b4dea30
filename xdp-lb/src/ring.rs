//! Weighted Maglev: from members and weights to the slots of a ring.
//!
//! Every node that has the same members, weights and seed builds the same slots, whatever the order of its inputs.
//! The algorithm is that of the Maglev paper (Eisenbud et al., NSDI 2016, section 3.4); weights let a member take its
//! turn only in the share of rounds that its weight is of the largest weight.

use std::hash::Hasher;

use siphasher::sip::SipHasher24;
use xdp_lb_abi::ring::SLOTS;

use crate::model::MemberKey;

/// One member's part in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    /// Who.
    pub member: MemberKey,
    /// Index of the member in its VIP's ring, which is what its slots hold.
    pub index: u16,
    /// How much, relative to the others; never 0.
    pub weight: u16,
}

/// What a ring is built from: shares in the order of their members, each member once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RingSpec {
    seed: u64,
    shares: Vec<Share>,
}

impl RingSpec {
    /// Shares without weight are left out.
    pub fn new(seed: u64, shares: impl IntoIterator<Item = Share>) -> Self {
        let mut shares: Vec<Share> = shares.into_iter().filter(|share| share.weight > 0).collect();
        shares.sort_unstable();
        shares.dedup_by_key(|share| share.member);
        Self { seed, shares }
    }

    /// The shares in the order of their members.
    pub fn shares(&self) -> &[Share] {
        &self.shares
    }

    /// A number that differs whenever the slots might: stored beside them, so that an agent that restarts knows
    /// without building them whether they are what it wants. Never 0, which marks slots that are being written.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.seed, FINGERPRINT);
        hasher.write_u64(SLOTS as u64);
        for share in &self.shares {
            hash_member(&mut hasher, share.member);
            hasher.write_u16(share.index);
            hasher.write_u16(share.weight);
        }
        hasher.finish().max(1)
    }

    /// The slots: for each, the index of its member. All 0 (no member) if there are no shares.
    pub fn build(&self) -> Vec<u16> {
        let mut slots = vec![0; SLOTS];
        let mut taken = vec![false; SLOTS];
        let mut turns: Vec<Turn> = self.shares.iter().map(|share| Turn::new(self.seed, share)).collect();
        let Some(most) = self.shares.iter().map(|share| u32::from(share.weight)).max() else {
            return slots;
        };
        let mut free = SLOTS;
        loop {
            for turn in &mut turns {
                turn.credit += turn.weight;
                if turn.credit < most {
                    continue;
                }
                turn.credit -= most;
                let slot = turn.next_free(&taken);
                taken[slot] = true;
                slots[slot] = turn.index;
                free -= 1;
                if free == 0 {
                    return slots;
                }
            }
        }
    }
}

// Keys of the three uses of the hash: distinct, so that they are independent of one another.
const FINGERPRINT: u64 = u64::from_be_bytes(*b"ring/fp1");
const OFFSET: u64 = u64::from_be_bytes(*b"ring/off");
const SKIP: u64 = u64::from_be_bytes(*b"ring/skp");

/// The mode is left out: a backend that is remote for one node is local for itself, and both must build the same ring.
fn hash_member(hasher: &mut SipHasher24, member: MemberKey) {
    hasher.write_u8(if member.tunnel.is_ipv4() { 1 } else { 2 });
    hasher.write(&xdp_lb_abi::Addr::from(member.tunnel).octets());
}

/// A member's walk through its own permutation of the slots.
struct Turn {
    index: u16,
    weight: u32,
    credit: u32,
    next: usize,
    skip: usize,
}

impl Turn {
    fn new(seed: u64, share: &Share) -> Self {
        let hash = |purpose| {
            let mut hasher = SipHasher24::new_with_keys(seed, purpose);
            hash_member(&mut hasher, share.member);
            usize::try_from(hasher.finish() >> 1).expect("63 bits fit a 64-bit usize")
        };
        Self {
            index: share.index,
            weight: u32::from(share.weight),
            credit: 0,
            next: hash(OFFSET) % SLOTS,
            // SLOTS is prime, so any step but 0 visits every slot.
            skip: hash(SKIP) % (SLOTS - 1) + 1,
        }
    }

    /// The first slot of the permutation that nobody has; there must be one.
    fn next_free(&mut self, taken: &[bool]) -> usize {
        loop {
            let slot = self.next;
            self.next += self.skip;
            if self.next >= SLOTS {
                self.next -= SLOTS;
            }
            if !taken[slot] {
                return slot;
            }
        }
    }
}

#[cfg(test)]
mod tests;
