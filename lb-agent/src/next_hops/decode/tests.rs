//! Messages that mean something else than they seem to.

use netlink_packet_core::DefaultNla;
use netlink_packet_route::route::{RouteLwEnCapType, RouteMetric};

use super::*;

fn link_message() -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = 3;
    message.header.link_layer_type = LinkLayerType::Ether;
    message.header.flags = LinkFlags::Up | LinkFlags::LowerUp;
    message.attributes = vec![
        LinkAttribute::IfName("eth0".to_owned()),
        LinkAttribute::Mtu(1500),
        LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]),
    ];
    message
}

fn route_message(attributes: Vec<RouteAttribute>) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.kind = RouteType::Unicast;
    message.attributes = attributes;
    message
}

fn neighbour_message(attributes: Vec<NeighbourAttribute>) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.ifindex = 3;
    message.header.state = NeighbourState::Stale;
    message.attributes = vec![NeighbourAttribute::Destination(Ipv4Addr::new(10, 0, 0, 2).into())];
    message.attributes.extend(attributes);
    message
}

#[test]
fn a_link_is_up_when_it_is_set_up_and_has_a_carrier() {
    let decoded = link(&link_message()).expect("a link");
    assert!(decoded.up());
    assert_eq!((decoded.index, decoded.mtu, decoded.mac), (3, 1500, Some([2, 0, 0, 0, 0, 1])));
    let mut message = link_message();
    message.header.flags = LinkFlags::Up;
    assert!(!link(&message).expect("a link").up());
}

#[test]
fn only_ethernet_has_a_mac() {
    let mut message = link_message();
    message.header.link_layer_type = LinkLayerType::Loopback;
    assert_eq!(link(&message).expect("a link").mac, None);
}

#[test]
fn a_port_that_leaves_a_bridge_is_not_a_link_that_went() {
    let mut message = link_message();
    assert_eq!(event(RouteNetlinkMessage::DelLink(message.clone())), Some(Event::LinkRemoved(3)));
    message.header.interface_family = AddressFamily::Bridge;
    assert_eq!(event(RouteNetlinkMessage::DelLink(message.clone())), None);
    assert_eq!(event(RouteNetlinkMessage::NewLink(message)), None);
}

#[test]
fn a_wireless_event_is_not_a_link() {
    let mut message = link_message();
    message.attributes.truncate(1);
    assert_eq!(link(&message), None);
}

#[test]
fn of_a_point_to_point_address_the_local_end_counts() {
    let mut message = AddressMessage::default();
    message.header.index = 3;
    let (own, other) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    message.attributes = vec![AddressAttribute::Address(other.into()), AddressAttribute::Local(own.into())];
    assert_eq!(address(&message), Some((3, own.into())));
}

#[test]
fn only_entries_with_all_three_marks_are_ours() {
    let managed = NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed);
    let mut message = neighbour_message(vec![managed.clone(), NeighbourAttribute::Protocol(MARK)]);
    message.header.flags = NeighbourFlags::ExtLearned;
    let ours = |message: &NeighbourMessage| neighbour(message).expect("an entry").1.ours;
    assert!(ours(&message));
    message.header.flags = NeighbourFlags::empty();
    assert!(!ours(&message));
    let mut message = neighbour_message(vec![managed]);
    message.header.flags = NeighbourFlags::ExtLearned;
    assert!(!ours(&message), "another program's");
}

#[test]
fn a_proxy_entry_and_a_bridge_s_forwarding_entry_are_no_neighbours() {
    let mut message = neighbour_message(vec![]);
    message.header.flags = NeighbourFlags::Proxy;
    assert_eq!(neighbour(&message), None);
    let mut message = neighbour_message(vec![]);
    message.attributes = vec![NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, 1])];
    assert_eq!(neighbour(&message), None);
}

#[test]
fn a_default_route_concerns_its_own_family() {
    let mut message = route_message(vec![]);
    assert_eq!(scope(&message), Scope::Prefix("0.0.0.0/0".parse().expect("a prefix")));
    message.header.address_family = AddressFamily::Inet6;
    assert_eq!(scope(&message), Scope::Prefix("::/0".parse().expect("a prefix")));
    message.header.address_family = AddressFamily::Mpls;
    assert_eq!(scope(&message), Scope::Everything);
}

#[test]
fn a_way_has_the_gateway_of_either_family_and_the_route_s_mtu() {
    let metrics = RouteAttribute::Metrics(vec![RouteMetric::Hoplimit(64), RouteMetric::Mtu(1400)]);
    let gateway: IpAddr = "fe80::1".parse().expect("an address");
    let RouteAnswer::Via(way) = path(&route_message(vec![
        RouteAttribute::Oif(3),
        RouteAttribute::Via(RouteVia::from(gateway)),
        RouteAttribute::PrefSource(Ipv4Addr::new(10, 0, 0, 1).into()),
        metrics,
    ])) else {
        panic!("a way")
    };
    assert_eq!((way.interface, way.gateway, way.mtu), (3, Some(gateway), Some(1400)));
}

#[test]
fn a_route_with_an_encapsulation_is_no_way() {
    let encapsulated = route_message(vec![RouteAttribute::Oif(3), RouteAttribute::EncapType(RouteLwEnCapType::Mpls)]);
    assert_eq!(path(&encapsulated), RouteAnswer::Refused(Refusal::Encapsulated));
}

#[test]
fn attributes_of_later_kernels_are_passed_over() {
    let mut message = neighbour_message(vec![NeighbourAttribute::Other(DefaultNla::new(200, vec![1, 2, 3, 4]))]);
    message.header.state = NeighbourState::Other(0x400);
    assert_eq!(neighbour(&message).expect("an entry").1.reachability, Reachability::Resolving);
}
