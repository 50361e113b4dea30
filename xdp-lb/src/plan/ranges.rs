//! Services on ranges of ports: which place of their address each has.

use std::{collections::BTreeSet, net::IpAddr};

use xdp_lb_abi::{PortRange, PortRanges};

use super::{Change, NoRoom, Planner};
use crate::{
    layout,
    model::{Desired, Service},
};

impl Planner<'_> {
    /// The ranges of an address with those that are wanted, each in its place. Those that are not wanted any more stay
    /// unless their place is needed: they are removed once packets find the others.
    pub(super) fn ranges(&mut self, desired: &Desired, address: IpAddr, now: PortRanges) -> PortRanges {
        let wanted: Vec<(Service, PortRange)> = desired
            .services
            .keys()
            .filter(|service| service.address == address && service.ports.single().is_none())
            .filter_map(|service| {
                let installed = self.installed.services.get(service).map(|service| service.id);
                let id = installed.or_else(|| self.ahead.rings.get(service).copied())?;
                Some((*service, layout::port_range(service, id, desired.hash_input(service))))
            })
            .collect();
        let mut ranges = now;
        let is_wanted = |word: u64| PortRange::decode(word).is_some_and(|r| wanted.iter().any(|(_, w)| w.id == r.id));
        for (service, range) in &wanted {
            let same = |word: &u64| PortRange::decode(*word).is_some_and(|now| now.id == range.id);
            let place = ranges.words.iter().position(same);
            let place = place.or_else(|| ranges.words.iter().position(|word| *word == 0));
            match place.or_else(|| ranges.words.iter().position(|word| !is_wanted(*word))) {
                Some(place) => ranges.words[place] = range.encode(),
                None => self.no_room.push(NoRoom::Range { service: *service }),
            }
        }
        ranges
    }

    /// Takes ranges that are not wanted any more from addresses that stay.
    pub(super) fn remove_ranges(&mut self, desired: &Desired) {
        let addresses: BTreeSet<IpAddr> = desired.services.keys().map(|s| s.address).collect();
        for address in addresses {
            let installed = self.installed.addresses.get(&address).map(|now| (now.id, now.ranges));
            let Some((id, now)) = self.ahead.ranges.get(&address).copied().or(installed) else { continue };
            let is_wanted = |word: u64| {
                PortRange::decode(word)
                    .and_then(|range| layout::service_of(address, range))
                    .is_some_and(|service| desired.services.contains_key(&service))
            };
            let ranges = PortRanges { words: now.words.map(|word| if is_wanted(word) { word } else { 0 }) };
            if ranges != now {
                let local = desired.local_addresses.contains(&address);
                self.changes.push(Change::PutAddress { address, id, local, ranges });
            }
        }
    }
}
