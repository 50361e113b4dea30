//! Where packets to a destination leave.

use xdp_lb::model::NextHopKey;

use crate::node::{Node, mac_towards, next_hop, parse, problem};

fn key(node: &Node, interface: &str, neighbour: &str, source: &str) -> NextHopKey {
    NextHopKey { interface: node.index(interface), neighbour: parse(neighbour), source: parse(source) }
}

#[test]
fn a_backend_on_the_link_is_its_own_next_hop() {
    let node = Node::new();
    let mut watcher = node.watch(&["10.0.0.2", "fd00:0::2"]);
    for (destination, source) in [("10.0.0.2", "10.0.0.1"), ("fd00:0::2", "fd00:0::1")] {
        watcher.until("a resolved next hop", |now| mac_towards(now, destination).is_some());
        let (found, spec) = next_hop(watcher.current(), destination).expect("a next hop");
        assert_eq!(found, key(&node, "eth0", destination, source));
        assert_eq!(spec.neighbour_mac, Some(node.near_mac("eth0")));
        assert_eq!(spec.egress_mac, node.mac("eth0"));
        assert_eq!(spec.mtu, 1500);
        assert_eq!(problem(watcher.current(), destination), "");
    }
    let interface = &watcher.current().interfaces[&node.index("eth0")];
    assert_eq!((interface.name.as_str(), interface.up, interface.mtu), ("eth0", true, 1500));
    assert!(watcher.current().local_addresses.contains(&parse("10.0.1.1")));
}

#[test]
fn backends_behind_a_gateway_share_its_next_hop() {
    let node = Node::new();
    node.run("ip route add default via 10.0.0.2");
    node.run("ip route add default via fd00:0::2");
    let mut watcher = node.watch(&["192.0.2.1", "203.0.113.7", "2001:db8::1", "2001:db8:f::2"]);
    watcher.until("no problem", |now| now.problems.is_empty());
    let now = watcher.current();
    assert_eq!(now.routes[&parse("192.0.2.1")], key(&node, "eth0", "10.0.0.2", "10.0.0.1"));
    assert_eq!(now.routes[&parse("203.0.113.7")], now.routes[&parse("192.0.2.1")]);
    assert_eq!(now.routes[&parse("2001:db8::1")], key(&node, "eth0", "fd00:0::2", "fd00:0::1"));
    assert_eq!(now.next_hops.len(), 2);
}

#[test]
fn the_first_value_answers_for_every_destination() {
    let node = Node::new();
    let watcher = node.watch(&["10.0.0.2", "192.0.2.1", "10.0.0.1"]);
    for destination in ["10.0.0.2", "192.0.2.1", "10.0.0.1"] {
        assert!(watcher.current().covers(parse(destination)), "{destination}");
    }
    assert!(mac_towards(watcher.current(), "10.0.0.2").is_some(), "a neighbour that answers at once is waited for");
}

#[test]
fn a_route_change_is_followed() {
    let node = Node::new();
    node.run("ip route add 192.0.2.0/24 via 10.0.0.2");
    let mut watcher = node.watch(&["192.0.2.1", "10.0.0.2"]);
    node.run("ip route replace 192.0.2.0/24 via 10.0.1.2");
    let taken = watcher.until("the new gateway", |now| {
        next_hop(now, "192.0.2.1").is_some_and(|(key, _)| key.neighbour == parse("10.0.1.2"))
    });
    println!("route change followed in {taken:?}");
    watcher.until("its MAC", |now| mac_towards(now, "192.0.2.1") == Some(node.near_mac("eth1")));
    node.run("ip route del 192.0.2.0/24");
    watcher.until("the loss", |now| problem(now, "192.0.2.1").starts_with("no route to 192.0.2.1: add one"));
    assert_eq!(watcher.current().next_hops.len(), 1);
}

#[test]
fn a_rule_that_leads_elsewhere_is_followed() {
    let node = Node::new();
    node.run("ip route add 192.0.2.0/24 via 10.0.0.2");
    node.run("ip route add 192.0.2.0/24 via 10.0.1.2 table 7");
    let mut watcher = node.watch(&["192.0.2.1"]);
    node.run("ip rule add to 192.0.2.0/24 lookup 7");
    watcher.until("the other table's gateway", |now| mac_towards(now, "192.0.2.1") == Some(node.near_mac("eth1")));
}

#[test]
fn a_nexthop_object_that_is_replaced_is_followed() {
    let node = Node::new();
    node.run("ip nexthop add id 1 via 10.0.0.2 dev eth0");
    node.run("ip route add 192.0.2.0/24 nhid 1");
    let mut watcher = node.watch(&["192.0.2.1"]);
    node.run("ip nexthop replace id 1 via 10.0.1.2 dev eth1");
    watcher.until("the new gateway", |now| mac_towards(now, "192.0.2.1") == Some(node.near_mac("eth1")));
}

#[test]
fn source_and_mtu_come_from_the_route() {
    let node = Node::new();
    node.run("ip address add 198.51.100.9/32 dev lo");
    node.run("ip route add 192.0.2.0/24 via 10.0.0.2 src 198.51.100.9 mtu 1400");
    let mut watcher = node.watch(&["192.0.2.1"]);
    let (key, spec) = next_hop(watcher.current(), "192.0.2.1").expect("a next hop");
    assert_eq!((key.source, spec.mtu), (parse("198.51.100.9"), 1400));
    node.run("ip link set eth0 mtu 1300");
    watcher.until("the link's smaller MTU", |now| next_hop(now, "192.0.2.1").is_some_and(|(_, spec)| spec.mtu == 1300));
}

#[test]
fn an_ipv4_backend_behind_an_ipv6_gateway_keeps_an_ipv4_source() {
    let node = Node::new();
    node.run("ip route add 192.0.2.0/24 via inet6 fd00:0::2 dev eth0");
    let mut watcher = node.watch(&["192.0.2.1"]);
    watcher.until("a resolved next hop", |now| mac_towards(now, "192.0.2.1") == Some(node.near_mac("eth0")));
    let (found, _) = next_hop(watcher.current(), "192.0.2.1").expect("a next hop");
    assert_eq!(found, key(&node, "eth0", "fd00:0::2", "10.0.0.1"));
}

#[test]
fn a_route_that_leads_nowhere_is_a_problem_with_a_remedy() {
    let node = Node::new();
    node.run("ip route add unreachable 192.0.2.1");
    node.run("ip route add blackhole 192.0.2.2");
    node.run("ip route add prohibit 192.0.2.3");
    node.run("ip route add unreachable 2001:db8::1");
    node.run("ip route add blackhole 2001:db8::2");
    let destinations = [
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
        "192.0.2.4",
        "10.0.0.1",
        "10.0.0.255",
        "2001:db8::1",
        "2001:db8::2",
        "2001:db8::4",
        "fd00:0::1",
    ];
    let watcher = node.watch(&destinations);
    let expected = [
        "type unreachable",
        "type blackhole",
        "type prohibit",
        "no route to",
        "is an address of this node",
        "not a unicast address",
        "type unreachable",
        "type blackhole",
        "no route to",
        "is an address of this node",
    ];
    for (destination, expected) in destinations.into_iter().zip(expected) {
        let problem = problem(watcher.current(), destination);
        assert!(problem.contains(expected), "{destination}: {problem}");
        assert_eq!(next_hop(watcher.current(), destination), None);
    }
}

#[test]
fn an_interface_without_ethernet_header_is_a_problem() {
    let node = Node::new();
    node.run("ip tuntap add tun0 mode tun");
    node.run("ip link set tun0 up");
    node.run("ip address add 10.9.0.1/24 dev tun0");
    let watcher = node.watch(&["10.9.0.2"]);
    let problem = problem(watcher.current(), "10.9.0.2");
    assert!(problem.starts_with("interface tun0 has no Ethernet header"), "{problem}");
}

#[test]
fn a_link_that_goes_down_and_comes_back_is_followed() {
    let node = Node::new();
    let mut watcher = node.watch(&["10.0.0.2"]);
    assert!(mac_towards(watcher.current(), "10.0.0.2").is_some());
    node.run_near("ip link set eth0 down");
    let taken = watcher.until("the loss of carrier", |now| problem(now, "10.0.0.2").contains("eth0 has no carrier"));
    println!("carrier loss followed in {taken:?}");
    assert_eq!(mac_towards(watcher.current(), "10.0.0.2"), None);
    node.run_near("ip link set eth0 up");
    let taken = watcher.until("recovery", |now| mac_towards(now, "10.0.0.2") == Some(node.near_mac("eth0")));
    println!("carrier back followed in {taken:?}");
    node.run("ip link set eth0 down");
    watcher.until("the loss of the route", |now| problem(now, "10.0.0.2").starts_with("no route to"));
    node.run("ip link set eth0 up");
    watcher.until("recovery", |now| mac_towards(now, "10.0.0.2") == Some(node.near_mac("eth0")));
    node.run("ip link del eth0");
    watcher.until("the loss of the link", |now| problem(now, "10.0.0.2").starts_with("no route to"));
}

#[test]
fn destinations_come_and_go() {
    let node = Node::new();
    let mut watcher = node.watch(&[]);
    assert!(watcher.current().routes.is_empty());
    watcher.set([parse("10.0.0.2")]);
    let taken = watcher.until("the new one", |now| now.covers(parse("10.0.0.2")));
    println!("new destination answered in {taken:?}");
    watcher.set([parse("10.0.1.2")]);
    watcher.until("the other one", |now| now.covers(parse("10.0.1.2")) && !now.covers(parse("10.0.0.2")));
}
