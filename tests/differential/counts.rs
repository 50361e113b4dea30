//! What is counted, and what must be.

use std::collections::BTreeMap;

use xdp_lb_abi::Reason;
use xdp_lb_tests::model::{Counted, Outcome};

/// Packets by place and reason, bytes by place, packets and bytes by service and backend. Zeros are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) packets: BTreeMap<(Counted, Reason), u64>,
    pub(crate) bytes: BTreeMap<Counted, u64>,
    pub(crate) members: BTreeMap<(usize, usize), (u64, u64)>,
}

impl Counts {
    /// Counts a packet of so many bytes.
    pub(crate) fn add(&mut self, outcome: &Outcome, bytes: u64) {
        *self.packets.entry((outcome.counted, outcome.reason)).or_default() += 1;
        *self.bytes.entry(outcome.counted).or_default() += bytes;
        if let (Counted::Service(service), Some(backend)) = (outcome.counted, outcome.backend) {
            let (member_packets, member_bytes) = self.members.entry((service, backend)).or_default();
            *member_packets += 1;
            *member_bytes += bytes;
        }
    }

    /// What has been counted since.
    pub(crate) fn since(&self, before: &Self) -> Self {
        fn changed<K: Ord + Copy>(after: &BTreeMap<K, u64>, before: &BTreeMap<K, u64>) -> BTreeMap<K, u64> {
            let change = |(key, count): (&K, &u64)| (*key, count - before.get(key).copied().unwrap_or(0));
            after.iter().map(change).filter(|(_, count)| *count > 0).collect()
        }
        let members = self.members.iter().map(|(key, (packets, bytes))| {
            let (packets_before, bytes_before) = before.members.get(key).copied().unwrap_or_default();
            (*key, (packets - packets_before, bytes - bytes_before))
        });
        Self {
            packets: changed(&self.packets, &before.packets),
            bytes: changed(&self.bytes, &before.bytes),
            members: members.filter(|(_, counts)| *counts != (0, 0)).collect(),
        }
    }
}
