//! Rates: the difference of two readings of the counters, per second.

use std::{collections::BTreeMap, time::Duration};

use lb_api::{Counts, Member, Stats, Vip, VipAddress};
use serde::Serialize;

/// What `lbctl stats --watch` prints.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Rates {
    /// Time between the readings.
    pub(crate) seconds: f64,
    /// All numbers of packets and bytes are per second, rounded.
    pub(crate) per_second: Stats,
}

impl Rates {
    /// Rates between two readings. What is new counts from zero, and what was counted anew since has no rate.
    pub(crate) fn between(before: &Stats, after: Stats, elapsed: Duration) -> Self {
        let per = PerSecond { micros: elapsed.as_micros().max(1) };
        let address = |now: VipAddress| {
            let was = before.addresses.iter().find(|was| was.address == now.address);
            VipAddress { counts: per.counts(was.map(|was| &was.counts), now.counts), ..now }
        };
        let vip = |now: Vip| {
            let was = before.vips.iter().find(|was| was.service() == now.service());
            per.vip(was, now)
        };
        let per_second = Stats {
            total: per.counts(Some(&before.total), after.total),
            other: per.counts(Some(&before.other), after.other),
            addresses: after.addresses.into_iter().map(address).collect(),
            vips: after.vips.into_iter().map(vip).collect(),
        };
        Self { seconds: elapsed.as_secs_f64(), per_second }
    }
}

struct PerSecond {
    micros: u128,
}

impl PerSecond {
    fn rate(&self, before: u64, after: u64) -> u64 {
        let difference = u128::from(after.saturating_sub(before));
        u64::try_from((difference * 1_000_000 + self.micros / 2) / self.micros).unwrap_or(u64::MAX)
    }

    fn packets(&self, before: Option<&BTreeMap<String, u64>>, after: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
        let was = |reason: &str| before.and_then(|before| before.get(reason)).copied().unwrap_or(0);
        let rates = after.into_iter().map(|(reason, now)| {
            let rate = self.rate(was(&reason), now);
            (reason, rate)
        });
        rates.filter(|(_, rate)| *rate > 0).collect()
    }

    fn counts(&self, before: Option<&Counts>, after: Counts) -> Counts {
        Counts {
            bytes: self.rate(before.map_or(0, |before| before.bytes), after.bytes),
            packets: self.packets(before.map(|before| &before.packets), after.packets),
        }
    }

    fn vip(&self, before: Option<&Vip>, after: Vip) -> Vip {
        let member = |now: Member| {
            let was = before.and_then(|vip| vip.members.iter().find(|was| was.address == now.address));
            Member {
                packets: self.rate(was.map_or(0, |was| was.packets), now.packets),
                bytes: self.rate(was.map_or(0, |was| was.bytes), now.bytes),
                ..now
            }
        };
        Vip {
            bytes: self.rate(before.map_or(0, |before| before.bytes), after.bytes),
            packets: self.packets(before.map(|before| &before.packets), after.packets),
            members: after.members.into_iter().map(member).collect(),
            ..after
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::samples;

    #[test]
    fn a_rate_is_the_difference_by_time() {
        let (before, mut after) = (samples::stats(), samples::stats());
        after.total.bytes += 3000;
        after.vips[0].packets.insert("forwarded".to_owned(), before.vips[0].packets["forwarded"] + 300);
        after.vips[0].members[0].packets += 200;
        let rates = Rates::between(&before, after, Duration::from_secs(2)).per_second;
        assert_eq!(rates.total.bytes, 1500);
        assert_eq!(rates.vips[0].packets, [("forwarded".to_owned(), 150)].into());
        assert_eq!(rates.vips[0].members[0].packets, 100);
        assert_eq!(rates.vips[0].members[1].packets, 0);
    }

    #[test]
    fn what_is_new_counts_from_zero_and_what_was_counted_anew_has_no_rate() {
        let (mut before, after) = (samples::stats(), samples::stats());
        before.vips.clear();
        before.total.bytes = u64::MAX;
        let expected = after.vips[0].bytes;
        let rates = Rates::between(&before, after, Duration::from_secs(1)).per_second;
        assert_eq!((rates.vips[0].bytes, rates.total.bytes), (expected, 0));
    }
}
