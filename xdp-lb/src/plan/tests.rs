//! Plans lead where they should, and every instant on the way is sound.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use xdp_lb_abi::{HashInput, PortRange};

use super::*;
use crate::{
    layout,
    model::{Mode, NextHopSpec, Ports, Protocol},
};

/// Of three numbers, two are services on a range of ports.
fn service(number: u8) -> Service {
    let address = [192, 0, 2, number / 3].into();
    let first = 80 + 100 * u16::from(number);
    let last = if number.is_multiple_of(3) { first } else { first + 99 };
    Service { address, ports: Ports::new(first..=last).expect("ports"), protocol: Protocol::Tcp }
}

fn hash_input() -> impl Strategy<Value = HashInput> {
    proptest::sample::select(HashInput::NAMES.map(|(_, input)| input).to_vec())
}

fn member(number: u8) -> MemberKey {
    let tunnel = if number.is_multiple_of(5) {
        IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(number)])
    } else {
        IpAddr::from([10, 0, 0, number])
    };
    let mode = [Mode::Ipip, Mode::L2, Mode::Local][usize::from(number) % 3];
    MemberKey { tunnel, mode }
}

fn next_hop(number: u8) -> NextHopKey {
    NextHopKey { interface: 2, neighbour: [10, 0, 0, number].into(), source: [10, 0, 0, 254].into() }
}

prop_compose! {
    fn member_spec()(weight in 0..4_u16, up: bool, hop in proptest::option::of(0..4_u8)) -> MemberSpec {
        MemberSpec { weight: weight * 100, up, next_hop: hop.map(next_hop) }
    }
}

prop_compose! {
    fn desired()(
        services in proptest::collection::btree_map(0..6_u8, proptest::collection::btree_map(0..8_u8, member_spec(), 0..6), 0..5),
        macs in proptest::collection::vec(proptest::option::of(0..3_u8), 4),
        hashes in proptest::collection::btree_map(0..6_u8, hash_input(), 0..4),
        local: bool,
    ) -> Desired {
        let services = services.into_iter().map(|(number, members)| {
            (service(number), members.into_iter().map(|(number, spec)| (member(number), spec)).collect())
        });
        let next_hops = (0_u8..).zip(macs).map(|(number, mac)| {
            let spec = NextHopSpec { neighbour_mac: mac.map(|m| [2, 0, 0, 0, 0, m]), egress_mac: [2; 6], mtu: 1500 };
            (next_hop(number), spec)
        });
        let local_addresses = local.then(|| IpAddr::from([192, 0, 2, 1])).into_iter().collect();
        let services: BTreeMap<_, _> = services.collect();
        let hash_inputs = hashes.into_iter().map(|(number, input)| (service(number), input));
        let hash_inputs = hash_inputs.filter(|(service, _)| services.contains_key(service)).collect();
        Desired { services, hash_inputs, local_addresses, next_hops: next_hops.collect() }
    }
}

/// What the program could see: maps as they stand after each change, checked like memory that must not dangle.
#[derive(Default)]
struct World {
    next_hops: BTreeSet<u16>,
    rings: BTreeMap<u32, Ring>,
    vips: BTreeMap<Service, (u32, HashInput)>,
    addresses: BTreeMap<IpAddr, u32>,
}

#[derive(Default)]
struct Ring {
    members: BTreeMap<u16, (MemberKey, Route, bool)>,
    named: BTreeSet<u16>,
    written: bool,
}

impl World {
    fn carry_out(&mut self, change: &Change) {
        match change {
            Change::PutNextHop { id, .. } => {
                self.next_hops.insert(*id);
            }
            Change::CreateRing { id, .. } => {
                assert!(self.rings.insert(*id, Ring::default()).is_none(), "ring {id} is in use");
                assert!(!self.addresses.values().any(|used| used == id), "id {id} is an address's");
            }
            Change::PutMember { id, index, member, route, up, new, .. } => {
                let members = &mut self.rings.get_mut(id).expect("a ring before its members").members;
                let before = members.insert(*index, (*member, *route, *up));
                assert_eq!(before.is_none(), *new, "member {index} of ring {id}");
            }
            Change::WriteSlots { id, ring, .. } => {
                let target = self.rings.get_mut(id).expect("a ring before its slots");
                target.named = ring.shares().iter().map(|share| share.index).collect();
                target.written = true;
            }
            Change::PutVip { service, id, hash } => {
                assert!(service.ports.single().is_some(), "{service} has no entry of its own");
                self.vips.insert(*service, (*id, *hash));
            }
            Change::PutAddress { address, id, ranges, .. } => {
                assert!(!self.rings.contains_key(id), "id {id} is a ring's");
                self.addresses.insert(*address, *id);
                self.vips.retain(|service, _| service.address != *address || service.ports.single().is_some());
                let ranges = ranges.words.into_iter().filter_map(PortRange::decode);
                self.vips.extend(ranges.map(|range| {
                    let service = layout::service_of(*address, range).expect("a range of ports");
                    (service, (range.id.into(), range.hash))
                }));
            }
            Change::RemoveVip { service } => {
                self.vips.remove(service);
            }
            Change::RemoveAddress { address } => {
                self.addresses.remove(address);
                self.vips.retain(|service, _| service.address != *address || service.ports.single().is_some());
            }
            Change::AwaitReaders => {}
            Change::MarkDown { id, index, .. } => {
                self.rings.get_mut(id).expect("a ring").members.get_mut(index).expect("a member").2 = false;
            }
            Change::RemoveMember { id, index, .. } => {
                self.rings.get_mut(id).expect("a ring").members.remove(index).expect("a member");
            }
            Change::RemoveRing { id, .. } => {
                self.rings.remove(id).expect("a ring");
            }
            Change::RemoveNextHop { id, .. } => {
                self.next_hops.remove(id);
            }
        }
        self.assert_sound(change);
    }

    fn assert_sound(&self, change: &Change) {
        for (service, (id, _)) in &self.vips {
            assert!(self.rings.get(id).is_some_and(|ring| ring.written), "{service} leads nowhere after {change}");
        }
        for (id, ring) in &self.rings {
            for index in &ring.named {
                let (_, _, up) = ring.members.get(index).unwrap_or_else(|| panic!("ring {id}: slot of none, {change}"));
                assert!(up, "ring {id}: a slot names a member marked down after {change}");
            }
            for (_, route, _) in ring.members.values() {
                let resolved = route.next_hop == 0 || self.next_hops.contains(&route.next_hop);
                assert!(resolved, "ring {id}: next hop {} is gone after {change}", route.next_hop);
            }
        }
    }
}

/// Nothing that readers in flight may hold is taken away before the wait.
fn assert_waits_before_taking_away(changes: &[Change]) {
    let wait = changes.iter().position(|change| matches!(change, Change::AwaitReaders)).unwrap_or(changes.len());
    let takes = |change: &Change| {
        matches!(
            change,
            Change::MarkDown { .. }
                | Change::RemoveMember { .. }
                | Change::RemoveRing { .. }
                | Change::RemoveNextHop { .. }
        )
    };
    assert!(!changes[..wait].iter().any(takes));
    assert!(wait == changes.len() || changes[wait + 1..].iter().all(takes));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sequence_of_wishes_is_reached_in_sound_steps(wishes in proptest::collection::vec(desired(), 1..6)) {
        let (mut installed, mut world) = (Installed::default(), World::default());
        for desired in wishes {
            let plan = plan(&desired, &installed, 1);
            prop_assert!(plan.no_room.is_empty());
            assert_waits_before_taking_away(&plan.changes);
            for change in &plan.changes {
                world.carry_out(change);
                installed.record(change);
            }
            prop_assert_eq!(&super::plan(&desired, &installed, 1), &Plan::default());
            let services: Vec<_> = world.vips.keys().copied().collect();
            prop_assert_eq!(services, desired.services.keys().copied().collect::<Vec<_>>());
            for (service, members) in &desired.services {
                let (id, hash) = world.vips[service];
                prop_assert_eq!(hash, desired.hash_input(service));
                let ring = &world.rings[&id];
                let named: BTreeSet<_> = ring.named.iter().map(|index| ring.members[index].0).collect();
                let usable = members.iter().filter(|(_, spec)| spec.ring_weight() > 0).map(|(member, _)| *member);
                prop_assert_eq!(named, usable.collect::<BTreeSet<_>>());
            }
        }
    }
}

#[test]
fn a_gateway_with_a_new_mac_is_one_change() {
    let mut desired = Desired::default();
    let spec = NextHopSpec { neighbour_mac: Some([2; 6]), egress_mac: [4; 6], mtu: 1500 };
    desired.next_hops.insert(next_hop(1), spec);
    for number in 0..4 {
        let spec = MemberSpec { weight: 1, up: true, next_hop: Some(next_hop(1)) };
        desired.services.insert(service(number), (1..50).map(|m| (member(m), spec)).collect());
    }
    let mut installed = Installed::default();
    plan(&desired, &installed, 0).changes.iter().for_each(|change| installed.record(change));
    let spec = NextHopSpec { neighbour_mac: Some([6; 6]), ..spec };
    desired.next_hops.insert(next_hop(1), spec);
    let plan = plan(&desired, &installed, 0);
    assert_eq!(plan.changes, [Change::PutNextHop { id: 1, key: next_hop(1), spec }]);
}

#[test]
fn a_full_ring_says_so_and_keeps_the_rest() {
    let spec = MemberSpec { weight: 1, up: true, next_hop: None };
    let members = (0..1030_u32)
        .map(|n| (MemberKey { tunnel: std::net::Ipv4Addr::from(0x0a00_0000 + n).into(), mode: Mode::Ipip }, spec));
    let desired = Desired { services: [(service(0), members.collect())].into(), ..Desired::default() };
    let plan = plan(&desired, &Installed::default(), 0);
    assert_eq!(plan.no_room.len(), 1030 - (MEMBERS - 1));
    assert!(plan.changes.iter().any(|change| matches!(change, Change::PutVip { .. })));
}

fn on_ports(ports: std::ops::RangeInclusive<u16>) -> Service {
    Service { ports: Ports::new(ports).expect("ports"), ..service(0) }
}

/// Carries out the plan for these services, each without backends, and gives the address's ranges after each change.
fn install(installed: &mut Installed, services: &[Service]) -> Vec<PortRanges> {
    let services = services.iter().map(|service| (*service, BTreeMap::new())).collect();
    let plan = plan(&Desired { services, ..Desired::default() }, installed, 0);
    plan.changes.iter().for_each(|change| installed.record(change));
    let ranges = plan
        .changes
        .iter()
        .map(|change| if let Change::PutAddress { ranges, .. } = change { Some(*ranges) } else { None });
    ranges.flatten().collect()
}

#[test]
fn a_range_keeps_its_place_while_others_come_and_go() {
    let mut installed = Installed::default();
    let [low, middle, high] = [on_ports(1000..=1999), on_ports(2000..=2999), on_ports(3000..=3999)];
    let [both] = install(&mut installed, &[middle, high])[..] else { panic!("one change") };
    // The new range is there before the old one goes.
    let [three, without] = install(&mut installed, &[low, high])[..] else { panic!("two changes") };
    assert_eq!(three.words[..2], both.words[..2]);
    assert_eq!((without.words[0], without.words[1], without.words[2]), (0, both.words[1], three.words[2]));
    assert!(install(&mut installed, &[low, high]).is_empty());
}

#[test]
fn an_address_has_room_for_eight_ranges_and_says_so() {
    let range = |number: u16| on_ports(1000 * number..=1000 * number + 9);
    let mut installed = Installed::default();
    let services: Vec<_> = (1..=8).map(range).collect();
    install(&mut installed, &services);
    let others: Vec<_> = (11..=18).map(range).collect();
    assert_eq!(install(&mut installed, &others).len(), 1, "the old ranges give way");
    let nine = (1..=9).map(|number| (range(number), BTreeMap::new())).collect();
    let plan = plan(&Desired { services: nine, ..Desired::default() }, &Installed::default(), 0);
    assert_eq!(plan.no_room, [NoRoom::Range { service: range(9) }]);
}
