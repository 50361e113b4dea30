//! The index against stories, and against a small model of a kernel.

mod model;

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    super::{
        Mac, NextHops,
        facts::{Event, Link, Neighbour, NeighbourKey, Path, Reachability, Reading, Refusal, RouteAnswer, Scope},
    },
    Index, Installation, NeighbourWork,
};

const NEAR: Mac = [2, 0, 0, 0, 0, 1];
const OTHER: Mac = [2, 0, 0, 0, 0, 2];

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn set(addresses: &[&str]) -> BTreeSet<IpAddr> {
    addresses.iter().map(|address| ip(address)).collect()
}

fn link(index: u32) -> Link {
    let mac = Some([2, 0, 0, 0, 1, index as u8]);
    Link { index, name: format!("eth{index}"), enabled: true, carrier: true, mac, mtu: 1500 }
}

fn neighbour(reachability: Reachability, mac: Option<Mac>) -> Neighbour {
    Neighbour { reachability, mac, managed: true, ours: true }
}

fn key(address: &str) -> NeighbourKey {
    NeighbourKey { interface: 1, address: ip(address) }
}

fn path(gateway: Option<&str>) -> Path {
    Path { interface: 1, gateway: gateway.map(ip), source: Some(ip("10.0.0.1")), mtu: None }
}

fn via(gateway: &str) -> RouteAnswer {
    RouteAnswer::Via(path(Some(gateway)))
}

/// An index with one link and one backend behind the gateway 10.0.0.254, whose entry is installed.
fn index_with_gateway() -> Index {
    let mut index = Index::default();
    index.set_destinations(set(&["192.0.2.1"]));
    index.replace(Reading { links: vec![link(1)], ..Reading::default() });
    index.answer([(ip("192.0.2.1"), via("10.0.0.254"))]);
    let wanted = Installation { key: key("10.0.0.254"), exists: false };
    assert_eq!(index.take_neighbour_work(), Some(NeighbourWork { install: vec![wanted], remove: vec![] }));
    change(&mut index, Reachability::Resolved, Some(NEAR));
    index
}

/// The kernel tells about the gateway's entry. Returns whether it matters.
fn change(index: &mut Index, reachability: Reachability, mac: Option<Mac>) -> bool {
    index.apply(Event::NeighbourChanged(key("10.0.0.254"), neighbour(reachability, mac)))
}

fn gateway_mac(index: &Index) -> Option<Mac> {
    index.snapshot().next_hops.values().next().and_then(|spec| spec.neighbour_mac)
}

fn problem(next_hops: &NextHops) -> &str {
    next_hops.problems.values().next().map_or("", String::as_str)
}

#[test]
fn a_probe_does_not_take_the_mac_away_but_a_failure_does() {
    let mut index = index_with_gateway();
    assert!(!change(&mut index, Reachability::Resolved, Some(NEAR)), "nothing new");
    change(&mut index, Reachability::Resolving, None);
    assert_eq!(gateway_mac(&index), Some(NEAR));
    assert!(change(&mut index, Reachability::Failed, None));
    assert_eq!(gateway_mac(&index), None);
    assert!(problem(&index.snapshot()).contains("10.0.0.254 on eth1 does not answer ARP"));
}

#[test]
fn a_neighbour_that_falls_silent_is_asked_again_once() {
    let mut index = index_with_gateway();
    change(&mut index, Reachability::Failed, None);
    let again = Installation { key: key("10.0.0.254"), exists: true };
    assert_eq!(index.take_neighbour_work().map(|work| work.install), Some(vec![again]));
    change(&mut index, Reachability::Resolving, None);
    change(&mut index, Reachability::Failed, None);
    assert_eq!(index.take_neighbour_work(), None);
    change(&mut index, Reachability::Resolved, Some(OTHER));
    assert_eq!(gateway_mac(&index), Some(OTHER));
}

#[test]
fn a_full_reading_in_the_middle_of_a_probe_keeps_the_last_mac() {
    let mut index = index_with_gateway();
    let neighbours = vec![(key("10.0.0.254"), neighbour(Reachability::Resolving, None))];
    index.replace(Reading { links: vec![link(1)], neighbours, ..Reading::default() });
    assert_eq!(gateway_mac(&index), Some(NEAR));
}

#[test]
fn an_entry_that_is_flushed_is_installed_again() {
    let mut index = index_with_gateway();
    index.apply(Event::NeighbourRemoved(key("10.0.0.254")));
    let again = Installation { key: key("10.0.0.254"), exists: false };
    assert_eq!(index.take_neighbour_work().map(|work| work.install), Some(vec![again]));
}

#[test]
fn a_permanent_entry_is_used_and_left_alone() {
    let mut index = index_with_gateway();
    let permanent = Neighbour { reachability: Reachability::Fixed, mac: Some(OTHER), managed: false, ours: false };
    index.apply(Event::NeighbourChanged(key("10.0.0.254"), permanent));
    index.answer([]);
    assert_eq!(gateway_mac(&index), Some(OTHER));
    assert_eq!(index.take_neighbour_work(), None);
}

#[test]
fn an_entry_that_others_stop_keeping_is_taken_over() {
    let mut index = index_with_gateway();
    let unkept = Neighbour { reachability: Reachability::Resolved, mac: Some(NEAR), managed: false, ours: false };
    index.apply(Event::NeighbourChanged(key("10.0.0.254"), unkept));
    assert_eq!(index.unkept(), [key("10.0.0.254")]);
    let over = Installation { key: key("10.0.0.254"), exists: true };
    assert_eq!(index.take_neighbour_work().map(|work| work.install), Some(vec![over]));
    index.apply(Event::NeighbourChanged(key("10.0.0.254"), unkept));
    assert_eq!(index.take_neighbour_work(), None, "a kernel that keeps nothing is not asked in a loop");
}

#[test]
fn an_entry_is_removed_only_after_every_answer_is_in() {
    let mut index = index_with_gateway();
    index.set_destinations(set(&["192.0.2.2"]));
    assert_eq!(index.take_neighbour_work(), None);
    index.answer([(ip("192.0.2.2"), via("10.0.0.253"))]);
    let work = index.take_neighbour_work().expect("work");
    assert_eq!(work.remove, [key("10.0.0.254")]);
    assert_eq!(work.install.len(), 1);
}

#[test]
fn an_entry_of_ours_that_turns_up_after_it_was_needed_is_removed() {
    let mut index = index_with_gateway();
    let late = key("10.0.0.253");
    index.apply(Event::NeighbourChanged(late, neighbour(Reachability::Resolving, None)));
    assert_eq!(index.take_neighbour_work().map(|work| work.remove), Some(vec![late]));
}

#[test]
fn nothing_is_removed_before_anybody_said_what_is_needed() {
    let mut index = Index::default();
    let neighbours = vec![(key("10.0.0.254"), neighbour(Reachability::Resolved, Some(NEAR)))];
    index.replace(Reading { links: vec![link(1)], neighbours, ..Reading::default() });
    index.answer([]);
    assert_eq!(index.take_neighbour_work(), None);
}

#[test]
fn a_route_change_concerns_the_destinations_in_its_prefix() {
    let mut index = Index::default();
    let all = set(&["10.1.0.1", "10.2.0.1", "2001:db8::1"]);
    index.set_destinations(all.clone());
    index.answer(all.iter().map(|destination| (*destination, RouteAnswer::Local)));
    let mut stale_after = |prefix: &str| {
        index.apply(Event::RoutesChanged(Scope::Prefix(prefix.parse().expect("a prefix"))));
        let stale: BTreeSet<_> = index.stale().into_iter().collect();
        index.answer(stale.iter().map(|destination| (*destination, RouteAnswer::Local)));
        stale
    };
    assert_eq!(stale_after("10.1.0.0/16"), set(&["10.1.0.1"]));
    assert_eq!(stale_after("10.3.0.0/16"), set(&[]));
    assert_eq!(stale_after("0.0.0.0/0"), set(&["10.1.0.1", "10.2.0.1"]));
    assert_eq!(stale_after("::/0"), set(&["2001:db8::1"]));
}

#[test]
fn links_that_come_up_empty_handed_do_not_cause_look_ups() {
    let mut index = index_with_gateway();
    assert!(index.apply(Event::LinkChanged(link(2))), "it is published");
    assert!(!index.apply(Event::LinkChanged(link(2))), "nothing new");
    assert!(!index.is_stale());
    index.apply(Event::LinkChanged(Link { carrier: false, ..link(2) }));
    assert!(index.is_stale());
}

#[test]
fn a_link_without_carrier_resolves_nothing() {
    let mut index = index_with_gateway();
    index.apply(Event::LinkChanged(Link { carrier: false, ..link(1) }));
    assert_eq!(gateway_mac(&index), None);
    assert!(problem(&index.snapshot()).starts_with("interface eth1 has no carrier"));
    index.apply(Event::LinkChanged(Link { enabled: false, ..link(1) }));
    assert!(problem(&index.snapshot()).starts_with("interface eth1 is down"));
}

#[test]
fn routes_that_share_a_next_hop_take_the_smallest_mtu() {
    let mut index = index_with_gateway();
    index.set_destinations(set(&["192.0.2.1", "192.0.2.2"]));
    let narrow = Path { mtu: Some(1280), ..path(Some("10.0.0.254")) };
    index.answer([(ip("192.0.2.2"), RouteAnswer::Via(narrow))]);
    let mtus: Vec<_> = index.snapshot().next_hops.values().map(|spec| spec.mtu).collect();
    assert_eq!(mtus, [1280]);
}

#[test]
fn a_jumbo_mtu_beyond_the_width_of_the_field_is_capped() {
    let mut index = index_with_gateway();
    index.apply(Event::LinkChanged(Link { mtu: 70_000, ..link(1) }));
    assert_eq!(index.snapshot().next_hops.values().map(|spec| spec.mtu).max(), Some(u16::MAX));
}

#[rstest::rstest]
#[case::no_route(RouteAnswer::Refused(Refusal::NoRoute), "no route to 192.0.2.1: add one")]
#[case::blackhole(RouteAnswer::Refused(Refusal::Rejected("blackhole")), "is of type blackhole: replace it")]
#[case::encapsulated(RouteAnswer::Refused(Refusal::Encapsulated), "adds an encapsulation of its own")]
#[case::broadcast(RouteAnswer::Refused(Refusal::NotUnicast), "192.0.2.1 is not a unicast address")]
#[case::failed(RouteAnswer::Refused(Refusal::Failed("out of memory".to_owned())), "(out of memory)")]
#[case::local(RouteAnswer::Local, "192.0.2.1 is an address of this node")]
#[case::no_link(RouteAnswer::Via(Path { interface: 9, ..path(None) }), "names interface 9, which is gone")]
#[case::no_source(RouteAnswer::Via(Path { source: None, ..path(None) }), "no IPv4 source address")]
#[case::wrong_family(RouteAnswer::Via(Path { source: Some(ip("fd00::1")), ..path(None) }), "no IPv4 source address")]
fn a_destination_without_a_way_says_why(#[case] answer: RouteAnswer, #[case] expected: &str) {
    let mut index = index_with_gateway();
    index.answer([(ip("192.0.2.1"), answer)]);
    let snapshot = index.snapshot();
    assert!(problem(&snapshot).contains(expected), "{}", problem(&snapshot));
    assert_eq!((snapshot.routes.len(), snapshot.next_hops.len()), (0, 0));
}

#[test]
fn a_link_local_source_does_for_the_link_only() {
    let mut index = index_with_gateway();
    index.set_destinations(set(&["fd00::2", "2001:db8::1"]));
    let on_link = Path { source: Some(ip("fe80::1")), ..path(None) };
    let routed = Path { gateway: Some(ip("fe80::2")), ..on_link };
    index.answer([(ip("fd00::2"), RouteAnswer::Via(on_link)), (ip("2001:db8::1"), RouteAnswer::Via(routed))]);
    let snapshot = index.snapshot();
    assert!(snapshot.routes.contains_key(&ip("fd00::2")));
    assert!(snapshot.problems[&ip("2001:db8::1")].contains("add a global IPv6 address to eth1"));
}
