//! Requests, byte for byte: the attributes that iproute2 6.1 was seen to send (the kernel takes them in any order).

use netlink_packet_core::Emitable as _;

use super::*;

fn bytes(message: &RouteNetlinkMessage) -> Vec<u8> {
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

const KEY: NeighbourKey = NeighbourKey { interface: 2, address: IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 0, 2)) };

#[test]
fn an_entry_is_kept_as_ip_neighbour_replace_managed_extern_learn_protocol_does() {
    let request = keep_neighbour(&Installation { key: KEY, exists: true });
    assert_eq!(request.flags, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
    let expected = [
        [2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0x10, 0].as_slice(), // AF_INET, ifindex 2, NUD_NONE, NTF_EXT_LEARNED
        &[8, 0, 1, 0, 10, 9, 0, 2],                         // NDA_DST
        &[5, 0, 12, 0, 108, 0, 0, 0],                       // NDA_PROTOCOL, padded
        &[8, 0, 15, 0, 1, 0, 0, 0],                         // NDA_FLAGS_EXT: NTF_EXT_MANAGED
    ];
    assert_eq!(bytes(&request.message), expected.concat());
}

#[test]
fn an_entry_that_appeared_meanwhile_is_not_overwritten() {
    let request = keep_neighbour(&Installation { key: KEY, exists: false });
    assert_eq!(request.flags, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
}

#[test]
fn a_route_is_asked_for_as_ip_route_get_does() {
    let request = route(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
    let expected = [
        [2, 32, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0].as_slice(), // AF_INET, /32, RTM_F_LOOKUP_TABLE
        &[8, 0, 1, 0, 192, 0, 2, 1],                         // RTA_DST
    ];
    assert_eq!(bytes(&request.message), expected.concat());
}
