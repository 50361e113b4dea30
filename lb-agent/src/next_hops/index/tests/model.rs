//! A small kernel that tells about every change, and random stories told by it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use ipnet::IpNet;
use proptest::prelude::*;

use super::{
    super::{
        super::facts::{
            Event, Link, Neighbour, NeighbourKey, Path, Reachability, Reading, Refusal, RouteAnswer, Scope,
        },
        Index, NeighbourWork,
    },
    link,
};

/// Addresses 10.0.0.0 and so on: the first are destinations, any may be a gateway.
const ADDRESSES: u8 = 6;
const DESTINATIONS: u8 = 4;
const LINKS: u32 = 2;

fn address(number: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, number).into()
}

/// What happens to the kernel or to the agent.
#[derive(Clone, Debug)]
enum Step {
    Destinations(BTreeSet<u8>),
    Route(u8, Option<(u32, Option<u8>)>),
    Carrier(u32, bool),
    LinkRemoved(u32),
    LinkAdded(u32),
    /// A host gets this MAC, or falls silent.
    Host(u32, u8, Option<u8>),
    Permanent(u32, u8),
    Flush,
    Overrun,
}

fn step() -> impl Strategy<Value = Step> {
    let link = || 1..=LINKS;
    let host = || 0..ADDRESSES;
    prop_oneof![
        prop::collection::btree_set(0..DESTINATIONS, 0..=usize::from(DESTINATIONS)).prop_map(Step::Destinations),
        (0..DESTINATIONS, prop::option::of((link(), prop::option::of(host()))))
            .prop_map(|(to, via)| Step::Route(to, via)),
        (link(), any::<bool>()).prop_map(|(link, carrier)| Step::Carrier(link, carrier)),
        link().prop_map(Step::LinkRemoved),
        link().prop_map(Step::LinkAdded),
        (link(), host(), prop::option::of(1_u8..3)).prop_map(|(link, host, mac)| Step::Host(link, host, mac)),
        (link(), host()).prop_map(|(link, host)| Step::Permanent(link, host)),
        Just(Step::Flush),
        Just(Step::Overrun),
    ]
}

/// The kernel's tables, and what answers on the wire.
#[derive(Default)]
struct Kernel {
    links: BTreeMap<u32, Link>,
    routes: BTreeMap<u8, (u32, Option<u8>)>,
    hosts: BTreeMap<(u32, u8), u8>,
    neighbours: BTreeMap<NeighbourKey, Neighbour>,
    /// Events that were not read yet; `None` when the buffer ran over.
    events: Option<Vec<Event>>,
}

impl Kernel {
    fn tell(&mut self, event: Event) {
        if let Some(events) = &mut self.events {
            events.push(event);
        }
    }

    fn route(&self, destination: IpAddr) -> RouteAnswer {
        let number = (0..ADDRESSES).find(|number| address(*number) == destination).expect("a destination");
        match self.routes.get(&number) {
            Some((interface, gateway)) => RouteAnswer::Via(Path {
                interface: *interface,
                gateway: gateway.map(address),
                source: Some(address(200)),
                mtu: None,
            }),
            None => RouteAnswer::Refused(Refusal::NoRoute),
        }
    }

    fn put_link(&mut self, link: Link) {
        self.links.insert(link.index, link.clone());
        self.tell(Event::LinkChanged(link));
    }

    /// Sets an entry as the wire answers.
    fn resolve(&mut self, key: NeighbourKey, entry: Neighbour) {
        let host = (0..ADDRESSES).find(|number| address(*number) == key.address).expect("a host");
        let mac = self.hosts.get(&(key.interface, host)).map(|last| [2, 0, 0, 0, 0, *last]);
        let reachability = if mac.is_some() { Reachability::Resolved } else { Reachability::Failed };
        self.put_neighbour(key, Neighbour { reachability, mac, ..entry });
    }

    fn put_neighbour(&mut self, key: NeighbourKey, neighbour: Neighbour) {
        self.neighbours.insert(key, neighbour);
        self.tell(Event::NeighbourChanged(key, neighbour));
    }

    fn forget(&mut self, which: impl Fn(&NeighbourKey, &Neighbour) -> bool) {
        for key in
            self.neighbours.extract_if(.., |key, entry| which(key, entry)).map(|(key, _)| key).collect::<Vec<_>>()
        {
            self.tell(Event::NeighbourRemoved(key));
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Destinations(_) => {}
            Step::Route(to, way) => {
                match way {
                    Some((interface, _)) if !self.links.contains_key(interface) => return,
                    Some(way) => self.routes.insert(*to, *way),
                    None => self.routes.remove(to),
                };
                self.tell(Event::RoutesChanged(Scope::Prefix(IpNet::from(address(*to)))));
            }
            Step::Carrier(index, carrier) => {
                if let Some(link) = self.links.get(index).cloned() {
                    self.put_link(Link { carrier: *carrier, ..link });
                }
            }
            Step::LinkAdded(index) => {
                if !self.links.contains_key(index) {
                    self.put_link(link(*index));
                }
            }
            Step::LinkRemoved(index) => {
                if self.links.remove(index).is_some() {
                    self.forget(|key, _| key.interface == *index);
                    self.routes.retain(|_, (interface, _)| interface != index);
                    self.tell(Event::LinkRemoved(*index));
                }
            }
            Step::Host(index, host, mac) => {
                match mac {
                    Some(mac) => self.hosts.insert((*index, *host), *mac),
                    None => self.hosts.remove(&(*index, *host)),
                };
                let key = NeighbourKey { interface: *index, address: address(*host) };
                if let Some(entry) = self.neighbours.get(&key).filter(|entry| entry.managed).copied() {
                    self.resolve(key, entry);
                }
            }
            Step::Permanent(interface, host) => {
                if self.links.contains_key(interface) {
                    let key = NeighbourKey { interface: *interface, address: address(*host) };
                    let (reachability, mac) = (Reachability::Fixed, Some([2, 0, 0, 0, 0, 99]));
                    self.put_neighbour(key, Neighbour { reachability, mac, managed: false, ours: false });
                }
            }
            Step::Flush => self.forget(|_, entry| entry.reachability != Reachability::Fixed),
            Step::Overrun => self.events = None,
        }
    }

    fn perform(&mut self, work: NeighbourWork) {
        for installation in work.install {
            let exists = self.neighbours.contains_key(&installation.key);
            if self.links.contains_key(&installation.key.interface) && (installation.exists || !exists) {
                let entry = Neighbour { reachability: Reachability::Resolving, mac: None, managed: true, ours: true };
                self.resolve(installation.key, entry);
            }
        }
        self.forget(|key, _| work.remove.contains(key));
    }

    fn reading(&self) -> Reading {
        Reading {
            links: self.links.values().cloned().collect(),
            addresses: Vec::new(),
            neighbours: self.neighbours.iter().map(|(key, neighbour)| (*key, *neighbour)).collect(),
        }
    }
}

/// What the watcher does until nothing is left to do.
fn settle(index: &mut Index, kernel: &mut Kernel) {
    for _ in 0..10 {
        match kernel.events.replace(Vec::new()) {
            Some(events) => events.into_iter().for_each(|event| {
                index.apply(event);
            }),
            None => index.replace(kernel.reading()),
        }
        index.answer(index.stale().into_iter().map(|destination| (destination, kernel.route(destination))));
        while let Some(work) = index.take_neighbour_work() {
            kernel.perform(work);
        }
        if kernel.events.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
    }
    panic!("events and work never end");
}

fn check(index: &Index, kernel: &Kernel, destinations: &BTreeSet<IpAddr>) -> Result<(), TestCaseError> {
    let now = index.snapshot();
    for destination in destinations {
        prop_assert!(now.covers(*destination), "{destination} has neither route nor problem");
    }
    for (destination, key) in &now.routes {
        prop_assert!(destinations.contains(destination));
        let unresolved = now.next_hops[key].neighbour_mac.is_none();
        prop_assert_eq!(unresolved, now.problems.contains_key(destination), "{}", destination);
    }
    let named: BTreeSet<_> = now.routes.values().collect();
    prop_assert_eq!(named, now.next_hops.keys().collect::<BTreeSet<_>>(), "next hops that nothing names");

    let mut fresh = Index::default();
    fresh.set_destinations(destinations.clone());
    fresh.replace(kernel.reading());
    fresh.answer(destinations.iter().map(|destination| (*destination, kernel.route(*destination))));
    prop_assert_eq!(fresh.snapshot(), now, "following differs from reading");
    if index.told {
        let strays = kernel.neighbours.iter().filter(|(key, entry)| entry.ours && !fresh.wanted.contains(key));
        prop_assert_eq!(strays.count(), 0, "entries of ours that nothing needs");
    }
    let unkept = fresh.wanted.iter().filter(|key| !kernel.neighbours.get(key).is_some_and(Neighbour::kept));
    prop_assert_eq!(unkept.count(), 0, "needed neighbours that nobody keeps");
    Ok(())
}

proptest! {
    #[test]
    fn following_events_ends_where_reading_everything_would(steps in prop::collection::vec((step(), any::<bool>()), 1..40)) {
        let mut kernel = Kernel { events: Some(Vec::new()), ..Kernel::default() };
        let mut index = Index::default();
        let mut destinations = BTreeSet::new();
        for (step, settles) in steps {
            kernel.step(&step);
            if let Step::Destinations(numbers) = &step {
                destinations = numbers.iter().map(|number| address(*number)).collect();
                index.set_destinations(destinations.clone());
            }
            if settles {
                settle(&mut index, &mut kernel);
                check(&index, &kernel, &destinations)?;
            }
        }
        settle(&mut index, &mut kernel);
        check(&index, &kernel, &destinations)?;
    }
}
