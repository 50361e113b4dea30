//! From what the sources say to what the data plane should do: pure.

use std::collections::BTreeMap;

use xdp_lb::model::{Desired, HashInput, MemberKey, MemberSpec, Mode, NextHopKey};

use crate::{
    checks,
    config::{BackendConfig, Config},
    health::Statuses,
    next_hops::NextHops,
};

/// Puts config, health and next hops together.
pub fn assemble(config: &Config, health: &Statuses, next_hops: &NextHops) -> Desired {
    let mut desired = Desired::default();
    for (service, settings) in &config.services {
        let members: BTreeMap<MemberKey, MemberSpec> = settings
            .backends
            .iter()
            .map(|backend| {
                let check = checks::check_of(*service, settings, backend);
                let spec = MemberSpec {
                    weight: backend.weight,
                    up: check.is_none_or(|check| checks::is_up(health, &check)),
                    next_hop: next_hop(backend, next_hops),
                };
                (backend.member(), spec)
            })
            .collect();
        for key in members.values().filter_map(|member| member.next_hop) {
            if let Some(spec) = next_hops.next_hops.get(&key) {
                desired.next_hops.insert(key, *spec);
            }
        }
        if next_hops.local_addresses.contains(&service.address) {
            desired.local_addresses.insert(service.address);
        }
        if settings.hash != HashInput::default() {
            desired.hash_inputs.insert(*service, settings.hash);
        }
        desired.services.insert(*service, members);
    }
    desired
}

/// The way to a backend, if there is one that its encapsulation can take.
fn next_hop(backend: &BackendConfig, next_hops: &NextHops) -> Option<NextHopKey> {
    let key = next_hops.routes.get(&backend.address)?;
    match backend.encapsulation {
        Mode::Ipip | Mode::Gue => Some(*key),
        // A gateway would route the packet by its destination, the VIP: back to this node.
        Mode::L2 => (key.neighbour == backend.address).then_some(*key),
        Mode::Local => None,
    }
}
