//! What is installed, as the planner sees it: ids and identities, no slots and no counters.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use xdp_lb_abi::{HashInput, PortRange, PortRanges, ring::Route};

use crate::{
    change::Change,
    layout,
    model::{MemberKey, NextHopKey, NextHopSpec, Service},
};

/// All that stands in the forwarding maps. Read from them at the start, then kept up to date change by change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    /// Services with their rings.
    pub services: BTreeMap<Service, InstalledService>,
    /// VIP addresses' own entries.
    pub addresses: BTreeMap<IpAddr, InstalledAddress>,
    /// Next hops.
    pub next_hops: BTreeMap<NextHopKey, InstalledNextHop>,
}

/// A service and its ring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstalledService {
    /// VIP id.
    pub id: u32,
    /// What tells its flows apart.
    pub hash: HashInput,
    /// What the slots were built from; 0 if they must be written anew.
    pub fingerprint: u64,
    /// Members by identity.
    pub members: BTreeMap<MemberKey, InstalledMember>,
}

/// A member of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstalledMember {
    /// Index in the ring.
    pub index: u16,
    /// Counter, next hop, encapsulation.
    pub route: Route,
    /// Whether it is marked up.
    pub up: bool,
}

/// A VIP address's own entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InstalledAddress {
    /// VIP id.
    pub id: u32,
    /// Whether the address is bound on this node.
    pub local: bool,
    /// Its services on ranges of ports.
    pub ranges: PortRanges,
}

/// A next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstalledNextHop {
    /// Index in the table.
    pub id: u16,
    /// What it holds.
    pub spec: NextHopSpec,
}

impl Installed {
    /// Takes over a change that has been carried out.
    pub fn record(&mut self, change: &Change) {
        match change {
            Change::PutNextHop { id, key, spec } => {
                self.next_hops.insert(*key, InstalledNextHop { id: *id, spec: *spec });
            }
            Change::CreateRing { service, id } => {
                self.services.insert(*service, InstalledService { id: *id, ..InstalledService::default() });
            }
            Change::PutMember { service, index, member, route, up, .. } => {
                if let Some(installed) = self.services.get_mut(service) {
                    let member_state = InstalledMember { index: *index, route: *route, up: *up };
                    installed.members.insert(*member, member_state);
                }
            }
            Change::WriteSlots { service, ring, .. } => {
                if let Some(installed) = self.services.get_mut(service) {
                    installed.fingerprint = ring.fingerprint();
                }
            }
            Change::PutAddress { address, id, local, ranges } => {
                self.addresses.insert(*address, InstalledAddress { id: *id, local: *local, ranges: *ranges });
                for range in ranges.words.into_iter().filter_map(PortRange::decode) {
                    let installed = layout::service_of(*address, range).and_then(|s| self.services.get_mut(&s));
                    if let Some(installed) = installed {
                        installed.hash = range.hash;
                    }
                }
            }
            Change::PutVip { service, hash, .. } => {
                if let Some(installed) = self.services.get_mut(service) {
                    installed.hash = *hash;
                }
            }
            // The service's ring is recorded when it is created and forgotten when it is removed.
            Change::RemoveVip { .. } | Change::AwaitReaders => {}
            Change::RemoveAddress { address, .. } => {
                self.addresses.remove(address);
            }
            Change::MarkDown { service, member, .. } => {
                if let Some(installed) = self.services.get_mut(service).and_then(|s| s.members.get_mut(member)) {
                    installed.up = false;
                }
            }
            Change::RemoveMember { service, member, .. } => {
                if let Some(installed) = self.services.get_mut(service) {
                    installed.members.remove(member);
                }
            }
            Change::RemoveRing { service, .. } => {
                self.services.remove(service);
            }
            Change::RemoveNextHop { key, .. } => {
                self.next_hops.remove(key);
            }
        }
    }

    pub(crate) fn vip_ids(&self) -> impl Iterator<Item = u32> {
        self.services.values().map(|s| s.id).chain(self.addresses.values().map(|a| a.id))
    }

    pub(crate) fn counters(&self) -> impl Iterator<Item = u32> {
        self.services.values().flat_map(|s| s.members.values().map(|m| m.route.counter))
    }
}

/// Hands out the smallest numbers that are not in use.
#[derive(Clone, Debug)]
pub(crate) struct FreeIds {
    used: BTreeSet<u32>,
    next: u32,
    end: u32,
}

impl FreeIds {
    /// Numbers from `first` up to but not including `end`.
    pub(crate) fn new(used: impl Iterator<Item = u32>, first: u32, end: u32) -> Self {
        Self { used: used.collect(), next: first, end }
    }

    /// The next free number, or `None` when all are in use.
    pub(crate) fn take(&mut self) -> Option<u32> {
        while self.next < self.end {
            let id = self.next;
            self.next += 1;
            if !self.used.contains(&id) {
                return Some(id);
            }
        }
        None
    }
}
