//! From what is wanted and what is installed to the changes between them: pure, and printable.
//!
//! The order of changes is what keeps every instant sound. Building up: next hop, ring, member, slots, VIP. Tearing
//! down: VIP, then a wait until no packet in flight can hold what it read before, then member, ring, next hop. So a
//! VIP never leads to a ring without slots, nor a slot to a member that is not written.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use xdp_lb_abi::{
    MAX_MEMBER_COUNTERS, MAX_NEXT_HOPS, MAX_VIPS, PortRanges, port_range,
    ring::{MEMBERS, Route},
};

use crate::{
    change::Change,
    installed::{FreeIds, Installed, InstalledMember, InstalledNextHop, InstalledService},
    model::{Desired, MemberKey, MemberSpec, NextHopKey, Service},
    ring::{RingSpec, Share},
};

/// Something that has no room: left out of the plan, the rest stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// All VIP ids are taken.
    #[error("no room for {what}: the VIP table holds {MAX_VIPS} entries; remove VIPs or spread them over more nodes")]
    Vip {
        /// Service or address.
        what: String,
    },
    /// The address has no room for another range of ports.
    #[error("no room for {service}: an address has room for {} ranges of ports; join some", port_range::RANGES)]
    Range {
        /// Which.
        service: Service,
    },
    /// All indices of the ring are taken.
    #[error("no room for {member} in the ring of {service}: a ring holds {} members", MEMBERS - 1)]
    Member {
        /// Whose ring.
        service: Service,
        /// Tunnel address.
        member: IpAddr,
    },
    /// All counters are taken.
    #[error("no room for {member} of {service}: a node counts {MAX_MEMBER_COUNTERS} members over all VIPs")]
    Counter {
        /// Whose ring.
        service: Service,
        /// Tunnel address.
        member: IpAddr,
    },
    /// All next hops are taken.
    #[error("no room for the next hop {neighbour}: a node has {MAX_NEXT_HOPS}; put backends behind gateways")]
    NextHop {
        /// Neighbour.
        neighbour: IpAddr,
    },
}

/// What to do, and what could not be planned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In order.
    pub changes: Vec<Change>,
    /// Left out.
    pub no_room: Vec<NoRoom>,
}

/// The changes that lead from `installed` to `desired`. Empty if there is nothing to do.
pub fn plan(desired: &Desired, installed: &Installed, seed: u64) -> Plan {
    let mut planner = Planner::new(installed, seed);
    planner.put_next_hops(desired);
    planner.create_rings(desired);
    for (service, members) in &desired.services {
        planner.fill_ring(*service, members);
    }
    planner.put_addresses(desired);
    planner.put_vips(desired);
    planner.remove(desired);
    planner.finish()
}

struct Planner<'a> {
    installed: &'a Installed,
    seed: u64,
    /// Installed state with the changes so far: ids given out in this plan are found here.
    ahead: Ahead,
    vip_ids: Lazy<'a>,
    counters: Lazy<'a>,
    next_hop_ids: Lazy<'a>,
    changes: Vec<Change>,
    /// Carried out after everything else, behind a wait for readers.
    afterwards: Vec<Change>,
    no_room: Vec<NoRoom>,
}

/// What this plan has given out so far.
#[derive(Default)]
struct Ahead {
    next_hops: BTreeMap<NextHopKey, u16>,
    rings: BTreeMap<Service, u32>,
    ranges: BTreeMap<IpAddr, (u32, PortRanges)>,
}

/// Free ids, collected when the first is asked for: most plans need none.
struct Lazy<'a> {
    collect: Box<dyn Fn() -> FreeIds + 'a>,
    free: Option<FreeIds>,
}

impl<'a> Lazy<'a> {
    fn new(collect: impl Fn() -> FreeIds + 'a) -> Self {
        Self { collect: Box::new(collect), free: None }
    }

    fn take(&mut self) -> Option<u32> {
        self.free.get_or_insert_with(&self.collect).take()
    }
}

impl<'a> Planner<'a> {
    fn new(installed: &'a Installed, seed: u64) -> Self {
        let hops = || installed.next_hops.values().map(|hop| hop.id.into());
        Self {
            installed,
            seed,
            ahead: Ahead::default(),
            // Id 0 counts what belongs to no VIP and is the ring that leads nowhere; next hop 0 is "unresolved".
            vip_ids: Lazy::new(|| FreeIds::new(installed.vip_ids(), 1, MAX_VIPS)),
            counters: Lazy::new(|| FreeIds::new(installed.counters(), 0, MAX_MEMBER_COUNTERS)),
            next_hop_ids: Lazy::new(move || FreeIds::new(hops(), 1, MAX_NEXT_HOPS)),
            changes: Vec::new(),
            afterwards: Vec::new(),
            no_room: Vec::new(),
        }
    }

    fn put_next_hops(&mut self, desired: &Desired) {
        for (key, spec) in &desired.next_hops {
            let id = match self.installed.next_hops.get(key) {
                Some(InstalledNextHop { spec: now, .. }) if now == spec => continue,
                Some(hop) => hop.id,
                None => {
                    let Some(id) = self.next_hop_ids.take().and_then(|id| u16::try_from(id).ok()) else {
                        self.no_room.push(NoRoom::NextHop { neighbour: key.neighbour });
                        continue;
                    };
                    self.ahead.next_hops.insert(*key, id);
                    id
                }
            };
            self.changes.push(Change::PutNextHop { id, key: *key, spec: *spec });
        }
    }

    fn create_rings(&mut self, desired: &Desired) {
        for service in desired.services.keys().filter(|service| !self.installed.services.contains_key(service)) {
            if let Some(id) = self.vip_ids.take() {
                self.ahead.rings.insert(*service, id);
                self.changes.push(Change::CreateRing { service: *service, id });
            } else {
                self.no_room.push(NoRoom::Vip { what: service.to_string() });
            }
        }
    }

    fn fill_ring(&mut self, service: Service, members: &BTreeMap<MemberKey, MemberSpec>) {
        let empty = InstalledService::default();
        let (id, now) = match (self.installed.services.get(&service), self.ahead.rings.get(&service)) {
            (Some(now), _) => (now.id, now),
            (None, Some(id)) => (*id, &empty),
            (None, None) => return,
        };
        let used = || now.members.values().map(|member| member.index.into());
        let mut indices = Lazy::new(move || FreeIds::new(used(), 1, MEMBERS as u32));
        let mut shares = Vec::new();
        for (member, spec) in members {
            let current = now.members.get(member).copied();
            let Some((index, counter)) = self.place(service, *member, current, &mut indices) else { continue };
            let next_hop = spec.next_hop.and_then(|key| self.next_hop_id(&key)).unwrap_or(0);
            let route = Route { counter, next_hop, encapsulation: Some(member.encapsulation()) };
            let member = *member;
            shares.push(Share { member, index, weight: spec.ring_weight() });
            match current {
                Some(m) if m.route == route && (m.up || !spec.up) => {}
                // A member that goes down is marked so only after its slots have gone to others.
                Some(m) => {
                    let up = m.up || spec.up;
                    self.changes.push(Change::PutMember { service, id, index, member, route, up, new: false });
                }
                None => {
                    self.changes.push(Change::PutMember { service, id, index, member, route, up: spec.up, new: true });
                }
            }
            if current.is_some_and(|m| m.up && !spec.up) {
                self.afterwards.push(Change::MarkDown { service, id, index, member });
            }
        }
        let ring = RingSpec::new(self.seed, shares);
        if ring.fingerprint() != now.fingerprint {
            self.changes.push(Change::WriteSlots { service, id, ring });
        }
        let gone = now.members.iter().filter(|(member, _)| !members.contains_key(member));
        self.afterwards.extend(gone.map(|(member, m)| Change::RemoveMember {
            service,
            id,
            index: m.index,
            member: *member,
        }));
    }

    /// Index and counter of a member: those it has, or new ones.
    fn place(
        &mut self,
        service: Service,
        member: MemberKey,
        current: Option<InstalledMember>,
        indices: &mut Lazy<'_>,
    ) -> Option<(u16, u32)> {
        if let Some(current) = current {
            return Some((current.index, current.route.counter));
        }
        let Some(index) = indices.take().and_then(|index| u16::try_from(index).ok()) else {
            self.no_room.push(NoRoom::Member { service, member: member.tunnel });
            return None;
        };
        let Some(counter) = self.counters.take() else {
            self.no_room.push(NoRoom::Counter { service, member: member.tunnel });
            return None;
        };
        Some((index, counter))
    }

    fn next_hop_id(&self, key: &NextHopKey) -> Option<u16> {
        let installed = self.installed.next_hops.get(key).map(|hop| hop.id);
        installed.or_else(|| self.ahead.next_hops.get(key).copied())
    }

    fn put_addresses(&mut self, desired: &Desired) {
        let addresses: BTreeSet<IpAddr> = desired.services.keys().map(|s| s.address).collect();
        for address in addresses {
            let local = desired.local_addresses.contains(&address);
            let installed = self.installed.addresses.get(&address);
            let ranges = self.ranges(desired, address, installed.map_or(PortRanges::default(), |now| now.ranges));
            let id = match installed {
                Some(now) if now.local == local && now.ranges == ranges => continue,
                Some(now) => now.id,
                None => {
                    let Some(id) = self.vip_ids.take() else {
                        self.no_room.push(NoRoom::Vip { what: address.to_string() });
                        continue;
                    };
                    id
                }
            };
            self.changes.push(Change::PutAddress { address, id, local, ranges });
            self.ahead.ranges.insert(address, (id, ranges));
        }
    }

    fn put_vips(&mut self, desired: &Desired) {
        for service in desired.services.keys().filter(|service| service.ports.single().is_some()) {
            let hash = desired.hash_input(service);
            let new = self.ahead.rings.get(service).copied();
            let changed = self.installed.services.get(service).filter(|now| now.hash != hash).map(|now| now.id);
            if let Some(id) = new.or(changed) {
                self.changes.push(Change::PutVip { service: *service, id, hash });
            }
        }
    }

    fn remove(&mut self, desired: &Desired) {
        self.remove_ranges(desired);
        for (service, now) in &self.installed.services {
            if !desired.services.contains_key(service) {
                if service.ports.single().is_some() {
                    self.changes.push(Change::RemoveVip { service: *service });
                }
                self.afterwards.push(Change::RemoveRing { service: *service, id: now.id });
            }
        }
        for address in self.installed.addresses.keys() {
            if !desired.services.keys().any(|service| service.address == *address) {
                self.changes.push(Change::RemoveAddress { address: *address });
            }
        }
        for (key, hop) in &self.installed.next_hops {
            if !desired.next_hops.contains_key(key) {
                self.afterwards.push(Change::RemoveNextHop { id: hop.id, key: *key });
            }
        }
    }

    fn finish(mut self) -> Plan {
        if !self.afterwards.is_empty() {
            self.changes.push(Change::AwaitReaders);
            self.changes.append(&mut self.afterwards);
        }
        Plan { changes: self.changes, no_room: self.no_room }
    }
}

mod ranges;
#[cfg(test)]
mod tests;
