//! The ring's promises, for any members and weights.

use std::{collections::BTreeMap, net::Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::model::Mode;

fn member(number: u32) -> MemberKey {
    MemberKey { tunnel: Ipv4Addr::from(0x0a00_0000 + number).into(), mode: Mode::Ipip }
}

fn equal_shares(count: u16) -> Vec<Share> {
    (1..=count).map(|index| Share { member: member(index.into()), index, weight: 100 }).collect()
}

fn counts(slots: &[u16]) -> BTreeMap<u16, u32> {
    slots.iter().fold(BTreeMap::new(), |mut counts, index| {
        *counts.entry(*index).or_default() += 1;
        counts
    })
}

fn shares() -> impl Strategy<Value = Vec<Share>> {
    proptest::collection::btree_map(0..10_000_u32, 1..=1000_u16, 1..60).prop_map(|weights| {
        (1..).zip(weights).map(|(index, (number, weight))| Share { member: member(number), index, weight }).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_order_of_inputs_does_not_matter(shares in shares(), seed: u64) {
        let mut reversed = shares.clone();
        reversed.reverse();
        let (one, other) = (RingSpec::new(seed, shares), RingSpec::new(seed, reversed));
        prop_assert_eq!(one.fingerprint(), other.fingerprint());
        prop_assert_eq!(one.build(), other.build());
    }

    #[test]
    fn slots_are_proportional_to_weight(shares in shares(), seed: u64) {
        let total: f64 = shares.iter().map(|share| f64::from(share.weight)).sum();
        let counts = counts(&RingSpec::new(seed, shares.clone()).build());
        for share in shares {
            let fair = 65_537.0 * f64::from(share.weight) / total;
            let got = f64::from(counts.get(&share.index).copied().unwrap_or(0));
            // A slot cannot be split: below a hundred slots one slot is more than 1 %.
            prop_assert!((got - fair).abs() <= (fair * 0.01).max(1.0), "{got} slots, fair {fair}");
        }
    }

    #[test]
    fn removing_a_member_moves_little_but_its_own_slots(count in 3..60_u16, gone in 0..60_u16, seed: u64) {
        let shares = equal_shares(count);
        let gone = gone % count + 1;
        let before = RingSpec::new(seed, shares.clone()).build();
        let after = RingSpec::new(seed, shares.into_iter().filter(|share| share.index != gone)).build();
        let collateral = before.iter().zip(&after).filter(|(b, a)| **b != gone && b != a).count();
        // The paper's figure 12: a few per cent of entries change beside those of the backend that left.
        prop_assert!(collateral < SLOTS / 10, "{collateral} of {SLOTS} slots moved needlessly");
        prop_assert!(after.iter().all(|index| *index != gone && *index != 0));
    }

    #[test]
    fn a_fingerprint_tells_different_rings_apart(shares in shares(), seed: u64, weight in 1..=1000_u16) {
        let mut changed = shares.clone();
        changed[0].weight = weight;
        let (one, other) = (RingSpec::new(seed, shares.clone()), RingSpec::new(seed, changed.clone()));
        prop_assert_eq!(one.fingerprint() == other.fingerprint(), shares == changed);
    }
}

#[test]
fn a_ring_without_shares_names_no_member() {
    let spec = RingSpec::new(7, [Share { member: member(1), index: 1, weight: 0 }]);
    assert!(spec.build().iter().all(|index| *index == 0));
    assert_ne!(spec.fingerprint(), 0);
}

#[test]
fn slots_stay_what_they_are_from_release_to_release() {
    // Nodes of different releases share VIPs during an upgrade: a change of these numbers breaks connections.
    let slots = RingSpec::new(42, equal_shares(10)).build();
    let mut hasher = SipHasher24::new_with_keys(0, 0);
    for index in slots {
        hasher.write_u16(index);
    }
    assert_eq!(hasher.finish(), 17_629_383_756_251_816_429, "the slots of an existing ring changed");
}
