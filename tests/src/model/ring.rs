//! Weighted Maglev: which backend each slot of a ring names.

use std::{hash::Hasher as _, net::IpAddr};

use siphasher::sip::SipHasher24;

use super::config::Backend;

const SLOTS: u64 = 65_537;

struct Walk {
    backend: usize,
    weight: u64,
    credit: u64,
    at: u64,
    step: u64,
}

/// The backends by slot.
pub(super) fn build(backends: &[Backend], seed: u64) -> Vec<Option<usize>> {
    let mut ring = vec![None; SLOTS as usize];
    let mut usable: Vec<usize> =
        (0..backends.len()).filter(|n| backends[*n].is_up && backends[*n].weight > 0).collect();
    // IPv4 addresses are less than IPv6 addresses.
    usable.sort_by_key(|n| backends[*n].address);
    let mut walks: Vec<Walk> = usable.into_iter().map(|n| walk(n, &backends[n], seed)).collect();
    let Some(largest) = walks.iter().map(|walk| walk.weight).max() else { return ring };
    let mut free = SLOTS;
    loop {
        for walk in &mut walks {
            walk.credit += walk.weight;
            if walk.credit < largest {
                continue;
            }
            walk.credit -= largest;
            while ring[walk.at as usize].is_some() {
                walk.at = (walk.at + walk.step) % SLOTS;
            }
            ring[walk.at as usize] = Some(walk.backend);
            free -= 1;
            if free == 0 {
                return ring;
            }
        }
    }
}

fn walk(index: usize, backend: &Backend, seed: u64) -> Walk {
    let digest = |key: &[u8; 8]| {
        let mut hasher = SipHasher24::new_with_keys(seed, u64::from_be_bytes(*key));
        match backend.address {
            IpAddr::V4(v4) => {
                hasher.write(&[1]);
                hasher.write(&v4.to_ipv6_mapped().octets());
            }
            IpAddr::V6(v6) => {
                hasher.write(&[2]);
                hasher.write(&v6.octets());
            }
        }
        hasher.finish() / 2
    };
    let (at, step) = (digest(b"ring/off") % SLOTS, digest(b"ring/skp") % (SLOTS - 1) + 1);
    Walk { backend: index, weight: u64::from(backend.weight), credit: 0, at, step }
}
