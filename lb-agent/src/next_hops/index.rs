//! The state behind the next hops: facts in, work and snapshots out. No I/O, no clock.
//!
//! Routes are not mirrored: the kernel is asked about each destination, and asked again when an event may have changed
//! its answer. Until then the last answer stands.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter, mem,
    net::IpAddr,
};

use super::{
    NextHops,
    facts::{Event, Link, Neighbour, NeighbourKey, Reachability, Reading, RouteAnswer, Scope},
    snapshot,
};

/// Neighbour entries to create, refresh or remove in the kernel.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct NeighbourWork {
    /// Entries to keep resolved.
    pub(super) install: Vec<Installation>,
    /// Entries of ours that no route needs any more.
    pub(super) remove: Vec<NeighbourKey>,
}

/// One entry to keep resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Installation {
    /// The entry.
    pub(super) key: NeighbourKey,
    /// Whether it exists already. If not, one that appears meanwhile is somebody else's and must not be overwritten.
    pub(super) exists: bool,
}

/// Most entries that are handed over at once: events have to be read in between, or they would be lost.
const WORK_BATCH: usize = 256;

/// What is known of the kernel's tables, and which answers are out of date.
#[derive(Debug, Default)]
pub(super) struct Index {
    destinations: BTreeSet<IpAddr>,
    /// There were destinations once. Until then nobody has said what is needed, and nothing is removed.
    told: bool,
    answers: BTreeMap<IpAddr, RouteAnswer>,
    /// Destinations whose route must be asked for (again).
    stale: BTreeSet<IpAddr>,
    links: BTreeMap<u32, Link>,
    addresses: BTreeSet<(u32, IpAddr)>,
    neighbours: BTreeMap<NeighbourKey, Neighbour>,
    /// Neighbours on the way to a destination.
    wanted: BTreeSet<NeighbourKey>,
    to_install: BTreeSet<NeighbourKey>,
    to_remove: BTreeSet<NeighbourKey>,
}

impl Index {
    /// Takes the destinations that matter from now on.
    pub(super) fn set_destinations(&mut self, destinations: BTreeSet<IpAddr>) {
        self.told |= !destinations.is_empty();
        self.answers.retain(|destination, _| destinations.contains(destination));
        self.stale.retain(|destination| destinations.contains(destination));
        self.stale.extend(destinations.difference(&self.destinations));
        self.destinations = destinations;
        self.settle_wanted();
    }

    /// Replaces all facts by a full reading. Every route has to be asked for again.
    pub(super) fn replace(&mut self, reading: Reading) {
        self.links = reading.links.into_iter().map(|link| (link.index, link)).collect();
        self.addresses = reading.addresses.into_iter().collect();
        let before = mem::take(&mut self.neighbours);
        self.neighbours = reading
            .neighbours
            .into_iter()
            .map(|(key, neighbour)| (key, with_last_mac(neighbour, before.get(&key))))
            .collect();
        self.stale.clone_from(&self.destinations);
        self.settle_wanted();
    }

    /// Takes one change. Returns whether the next hops may differ now.
    pub(super) fn apply(&mut self, event: Event) -> bool {
        match event {
            Event::LinkChanged(link) => self.put_link(link),
            Event::LinkRemoved(interface) => self.remove_link(interface),
            Event::AddressAdded { interface, address } => {
                let changed = self.addresses.insert((interface, address));
                changed && self.doubt_all()
            }
            Event::AddressRemoved { interface, address } => {
                let changed = self.addresses.remove(&(interface, address));
                changed && self.doubt_all()
            }
            Event::NeighbourChanged(key, neighbour) => self.put_neighbour(key, neighbour),
            Event::NeighbourRemoved(key) => self.remove_neighbour(key),
            Event::RoutesChanged(scope) => self.doubt(scope),
        }
    }

    /// Destinations whose route must be asked for.
    pub(super) fn stale(&self) -> Vec<IpAddr> {
        self.stale.iter().copied().collect()
    }

    /// Whether any route must be asked for.
    pub(super) fn is_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Takes the kernel's answers about routes.
    pub(super) fn answer(&mut self, answers: impl IntoIterator<Item = (IpAddr, RouteAnswer)>) {
        for (destination, answer) in answers {
            if self.destinations.contains(&destination) {
                self.stale.remove(&destination);
                self.answers.insert(destination, answer);
            }
        }
        self.settle_wanted();
    }

    /// Hands over a part of what is to be done about neighbour entries; `None` when nothing is left. Each piece is
    /// handed over once; a full reading brings back what did not succeed.
    pub(super) fn take_neighbour_work(&mut self) -> Option<NeighbourWork> {
        if self.to_install.is_empty() && self.to_remove.is_empty() {
            return None;
        }
        let install = take_some(&mut self.to_install)
            .map(|key| Installation { key, exists: self.neighbours.contains_key(&key) })
            .collect();
        Some(NeighbourWork { install, remove: take_some(&mut self.to_remove).collect() })
    }

    /// Neighbours on the way to a destination that neither the kernel nor the operator keeps resolved.
    pub(super) fn unkept(&self) -> Vec<NeighbourKey> {
        let kept = |key: &&NeighbourKey| self.neighbours.get(key).is_some_and(Neighbour::kept);
        self.wanted.iter().filter(|key| !kept(key)).copied().collect()
    }

    /// Whether a neighbour has been asked and may still answer.
    pub(super) fn awaits_neighbours(&self) -> bool {
        let failed = |neighbour: &Neighbour| neighbour.reachability == Reachability::Failed;
        self.wanted.iter().any(|key| self.neighbours.get(key).is_none_or(|known| known.mac.is_none() && !failed(known)))
    }

    /// The next hops as they follow from the facts.
    pub(super) fn snapshot(&self) -> NextHops {
        snapshot::of(&self.answers, &self.links, &self.addresses, &self.neighbours)
    }

    fn put_link(&mut self, link: Link) -> bool {
        let before = self.links.get(&link.index);
        let changed = before != Some(&link);
        // A new link carries no route yet; the kernel drops IPv4 routes of a link that goes down without telling.
        if before.is_some_and(|before| before.up() != link.up()) {
            self.doubt_all();
        }
        self.links.insert(link.index, link);
        changed
    }

    fn remove_link(&mut self, interface: u32) -> bool {
        let known = self.links.remove(&interface).is_some();
        self.addresses.retain(|(owner, _)| *owner != interface);
        self.neighbours.retain(|key, _| key.interface != interface);
        self.to_install.retain(|key| key.interface != interface);
        self.to_remove.retain(|key| key.interface != interface);
        known && self.doubt_all()
    }

    fn put_neighbour(&mut self, key: NeighbourKey, neighbour: Neighbour) -> bool {
        let before = self.neighbours.get(&key).copied();
        let now = with_last_mac(neighbour, before.as_ref());
        self.neighbours.insert(key, now);
        if !self.wanted.contains(&key) {
            // While answers are due it may be needed in a moment; the answers decide.
            if now.ours && self.told && self.stale.is_empty() {
                self.to_remove.insert(key);
            }
            return false;
        }
        // An entry that is new without being kept, or is no longer kept. One that never was is probed on a timer.
        let lost = !now.kept() && before.is_none_or(|before| before.kept());
        // The kernel would wait some seconds before it asks the whole segment, where a new MAC may answer.
        let silent = now.reachability == Reachability::Failed && before.is_some_and(|before| before.mac.is_some());
        if lost || silent {
            self.to_install.insert(key);
        }
        before.is_none_or(|before| (before.mac, before.reachability) != (now.mac, now.reachability))
    }

    fn remove_neighbour(&mut self, key: NeighbourKey) -> bool {
        self.to_remove.remove(&key);
        let known = self.neighbours.remove(&key).is_some();
        let wanted = self.wanted.contains(&key);
        if wanted {
            self.to_install.insert(key);
        }
        known && wanted
    }

    fn doubt(&mut self, scope: Scope) -> bool {
        match scope {
            Scope::Everything => self.doubt_all(),
            Scope::Prefix(prefix) => {
                let before = self.stale.len();
                self.stale.extend(self.destinations.range(prefix.network()..=prefix.broadcast()));
                self.stale.len() != before
            }
        }
    }

    fn doubt_all(&mut self) -> bool {
        self.stale.clone_from(&self.destinations);
        true
    }

    /// Brings `wanted` and the work on neighbours in line with the answers.
    fn settle_wanted(&mut self) {
        self.wanted =
            self.answers.iter().filter_map(|(destination, answer)| self.neighbour_of(*destination, answer)).collect();
        self.to_install = self.unkept().into_iter().collect();
        // While answers are due, an entry that looks unneeded may be needed again in a moment.
        self.to_remove = if self.told && self.stale.is_empty() {
            let unneeded =
                |(key, neighbour): &(&NeighbourKey, &Neighbour)| neighbour.ours && !self.wanted.contains(key);
            self.neighbours.iter().filter(unneeded).map(|(key, _)| *key).collect()
        } else {
            BTreeSet::new()
        };
    }

    fn neighbour_of(&self, destination: IpAddr, answer: &RouteAnswer) -> Option<NeighbourKey> {
        let RouteAnswer::Via(path) = answer else { return None };
        let link = self.links.get(&path.interface)?;
        (link.up() && link.mac.is_some())
            .then(|| NeighbourKey { interface: path.interface, address: path.gateway.unwrap_or(destination) })
    }
}

fn take_some(keys: &mut BTreeSet<NeighbourKey>) -> impl Iterator<Item = NeighbourKey> {
    iter::from_fn(|| keys.pop_first()).take(WORK_BATCH)
}

/// While an entry is being resolved again its last MAC stays in use: a short probe must not stop traffic.
fn with_last_mac(now: Neighbour, before: Option<&Neighbour>) -> Neighbour {
    let mac = match now.reachability {
        Reachability::Resolved | Reachability::Fixed => now.mac,
        Reachability::Resolving => now.mac.or(before.and_then(|before| before.mac)),
        Reachability::Failed => None,
    };
    Neighbour { mac, ..now }
}

#[cfg(test)]
mod tests;
