//! Which MAC packets are sent to.

use std::time::Duration;

use xdp_lb_tests::poll;

use crate::node::{Node, SOON, mac_towards, next_hop, parse, problem};

/// What `ip neighbour` says about one entry.
fn entry(node: &Node, address: &str) -> String {
    let all = node.run("ip neighbour");
    all.lines().find(|line| line.starts_with(&format!("{address} "))).unwrap_or_default().to_owned()
}

fn is_kept(node: &Node, address: &str) -> bool {
    entry(node, address).contains("managed extern_learn")
}

fn until(what: &str, holds: impl Fn() -> bool) {
    poll::until(what, SOON, || holds().then_some(())).expect(what);
}

#[test]
fn the_kernel_is_told_to_keep_the_neighbours_that_are_needed() {
    let node = Node::new();
    node.run("ip route add 192.0.2.0/24 via 10.0.1.2");
    let watcher = node.watch(&["10.0.0.2", "192.0.2.1", "fd00:0::2"]);
    for address in ["10.0.0.2", "10.0.1.2", "fd00::2"] {
        assert!(is_kept(&node, address), "{}", entry(&node, address));
    }
    watcher.set([parse("10.0.0.2")]);
    until("the unneeded entries to go", || !is_kept(&node, "10.0.1.2") && !is_kept(&node, "fd00::2"));
    assert!(is_kept(&node, "10.0.0.2"));
}

#[test]
fn entries_stay_when_the_agent_stops_and_are_found_again_when_it_starts() {
    let node = Node::new();
    drop(node.watch(&["10.0.0.2", "10.0.1.2"]));
    assert!(is_kept(&node, "10.0.0.2") && is_kept(&node, "10.0.1.2"));
    // Before anybody says what is needed, nothing is removed.
    let watcher = node.watch(&[]);
    assert!(is_kept(&node, "10.0.0.2") && is_kept(&node, "10.0.1.2"));
    watcher.set([parse("10.0.0.2")]);
    until("what an earlier run left to go", || !is_kept(&node, "10.0.1.2"));
    assert!(is_kept(&node, "10.0.0.2"));
}

#[test]
fn entries_of_others_are_left_alone() {
    let node = Node::new();
    node.run("ip neighbour add 10.0.0.2 lladdr 02:00:00:00:00:77 dev eth0 nud permanent");
    node.run("ip neighbour add 10.0.1.2 dev eth1 managed extern_learn");
    let watcher = node.watch(&["10.0.0.2"]);
    assert_eq!(mac_towards(watcher.current(), "10.0.0.2"), Some([2, 0, 0, 0, 0, 0x77]));
    assert!(entry(&node, "10.0.0.2").contains("PERMANENT"));
    watcher.set([parse("fd00:0::2")]);
    until("the new entry", || is_kept(&node, "fd00::2"));
    assert!(is_kept(&node, "10.0.1.2"), "another program's entry");
    assert!(entry(&node, "10.0.0.2").contains("PERMANENT"), "the operator's entry");
}

#[test]
fn an_entry_that_the_operator_makes_permanent_is_obeyed_and_kept_again_when_it_is_removed() {
    let node = Node::new();
    let mut watcher = node.watch(&["10.0.0.2"]);
    node.run("ip neighbour replace 10.0.0.2 lladdr 02:00:00:00:00:77 dev eth0 nud permanent");
    watcher.until("the operator's MAC", |now| mac_towards(now, "10.0.0.2") == Some([2, 0, 0, 0, 0, 0x77]));
    node.run("ip neighbour del 10.0.0.2 dev eth0");
    watcher.until("the real MAC", |now| mac_towards(now, "10.0.0.2") == Some(node.near_mac("eth0")));
    assert!(is_kept(&node, "10.0.0.2"));
}

#[test]
fn a_gateway_that_announces_a_new_mac_is_followed_at_once() {
    let node = Node::new();
    node.run_near("sysctl -qw net.ipv4.conf.eth0.arp_notify=1");
    node.run("ip route add default via 10.0.0.2");
    let mut watcher = node.watch(&["192.0.2.1"]);
    watcher.until("the old MAC", |now| mac_towards(now, "192.0.2.1") == Some(node.near_mac("eth0")));
    let before = watcher.current().routes.clone();
    node.run_near("ip link set eth0 address 02:00:00:00:00:99");
    let taken = watcher.until("the new MAC", |now| mac_towards(now, "192.0.2.1") == Some([2, 0, 0, 0, 0, 0x99]));
    println!("announced MAC followed in {taken:?}");
    assert_eq!(watcher.current().routes, before, "only the next hop changed");
}

#[test]
fn a_gateway_that_silently_takes_a_new_mac_is_found_by_the_kernel_s_probes() {
    let node = Node::new();
    for (setting, value) in [("base_reachable_time_ms", 1000), ("delay_first_probe_time", 1)] {
        node.run(&format!("sysctl -qw net.ipv4.neigh.eth0.{setting}={value}"));
    }
    let mut watcher = node.watch(&["10.0.0.2"]);
    node.run_near("ip link set eth0 address 02:00:00:00:00:99");
    let limit = Duration::from_secs(30);
    let taken = watcher.within(limit, "the new MAC", |now| mac_towards(now, "10.0.0.2") == Some([2, 0, 0, 0, 0, 0x99]));
    println!("silent MAC change followed in {taken:?}");
}

#[test]
fn a_flush_goes_unnoticed() {
    let node = Node::new();
    let mut watcher = node.watch(&["10.0.0.2", "fd00:0::2"]);
    watcher.until("both", |now| now.problems.is_empty());
    node.run("ip neighbour flush all");
    until("both to be kept again", || is_kept(&node, "10.0.0.2") && is_kept(&node, "fd00::2"));
    for value in watcher.values_until_quiet(Duration::from_millis(300)) {
        assert!(value.problems.is_empty(), "traffic would have stopped: {value:#?}");
    }
}

#[test]
fn a_neighbour_that_does_not_answer_is_a_problem_until_it_does() {
    let node = Node::new();
    let mut watcher = node.watch(&["10.0.0.50", "fd00:0::50"]);
    let (_, spec) = next_hop(watcher.current(), "10.0.0.50").expect("a next hop, not resolved");
    assert_eq!(spec.neighbour_mac, None);
    assert!(problem(watcher.current(), "10.0.0.50").contains("has not answered ARP yet"));
    let limit = Duration::from_secs(10);
    watcher.within(limit, "failure", |now| {
        problem(now, "10.0.0.50").contains("10.0.0.50 on eth0 does not answer ARP")
            && problem(now, "fd00:0::50").contains("does not answer neighbour discovery")
    });
    node.run_near("ip address add 10.0.0.50/24 dev eth0");
    let taken = watcher.within(limit, "an answer", |now| mac_towards(now, "10.0.0.50").is_some());
    println!("appearing neighbour found in {taken:?}");
}
