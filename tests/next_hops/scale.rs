//! Many destinations.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use crate::node::{Node, Watcher, parse};

fn behind_the_gateway(count: u32) -> impl Iterator<Item = IpAddr> {
    let first = u32::from(Ipv4Addr::new(172, 16, 0, 0));
    (0..count).map(move |offset| Ipv4Addr::from(first + offset).into())
}

#[test]
fn ten_thousand_destinations_are_looked_up_at_once_and_again_when_the_default_route_changes() {
    let node = Node::new();
    node.run("ip route add default via 10.0.0.2");
    let started = Instant::now();
    let mut watcher = Watcher::start(&node, behind_the_gateway(10_000).collect());
    println!("first value for 10,000 destinations in {:?}", started.elapsed());
    assert_eq!(watcher.current().routes.len(), 10_000);
    watcher.values_until_quiet(Duration::from_secs(1));
    node.run("ip route replace default via 10.0.1.2");
    let taken = watcher.until("all of them to move", |now| {
        now.next_hops.len() == 1 && now.routes.values().all(|key| key.neighbour == parse("10.0.1.2"))
    });
    println!("10,000 destinations moved in {taken:?}");
}

/// Commands that change routes to and fro between two gateways.
fn route_changes(count: u32) -> String {
    let command = |index| {
        let gateway = if index % 2 == 0 { "10.0.0.2" } else { "10.0.1.2" };
        let prefix = Ipv4Addr::from(u32::from(Ipv4Addr::new(172, 16, 0, 0)) + (index % 251) * 4);
        format!("route replace {prefix}/30 via {gateway}\n")
    };
    (0..count).map(command).collect()
}

#[test]
fn a_storm_of_route_events_is_survived_and_its_end_is_seen() {
    let node = Node::new();
    node.run("ip route add default via 10.0.0.2");
    let mut watcher = Watcher::start(&node, behind_the_gateway(1000).collect());
    node.run_batch(&route_changes(20_000));
    node.run("ip route add 172.16.0.0/32 via 10.0.1.2");
    let taken = watcher.until("the last change", |now| now.routes[&parse("172.16.0.0")].neighbour == parse("10.0.1.2"));
    println!("end of the storm seen in {taken:?}");
}

#[test]
fn events_that_the_kernel_could_not_deliver_are_made_up_for() {
    let node = Node::new();
    node.run("ip route add default via 10.0.0.2");
    let mut watcher = node.watch(&["192.0.2.1", "10.0.0.2"]);
    watcher.while_paused(|| {
        node.run_batch(&route_changes(20_000));
        node.run("ip route add 192.0.2.1 via 10.0.1.2");
    });
    let taken =
        watcher.until("what changed last", |now| now.routes[&parse("192.0.2.1")].neighbour == parse("10.0.1.2"));
    println!("lost events made up for in {taken:?}");
}

#[test]
fn five_thousand_neighbours_on_one_link_are_kept() {
    let node = Node::new();
    node.run("ip address add 172.16.0.1/16 dev eth0");
    node.run_near("ip route add local 172.16.128.0/17 dev eth0");
    let first = u32::from(Ipv4Addr::new(172, 16, 128, 1));
    let destinations = (0..5000).map(|offset| IpAddr::from(Ipv4Addr::from(first + offset)));
    let started = Instant::now();
    let mut watcher = Watcher::start(&node, destinations.collect());
    println!("first value for 5,000 neighbours in {:?}", started.elapsed());
    watcher.until("all to be resolved", |now| now.problems.is_empty());
    println!("all resolved after {:?}", started.elapsed());
    assert_eq!(watcher.current().next_hops.len(), 5000);
}
