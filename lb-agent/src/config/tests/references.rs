//! Several fields together: what is used twice, what leads nowhere, what has no place or no room.

use std::fmt::Write;

use rstest::rstest;
use xdp_lb_abi::{MAX_MEMBER_COUNTERS, MAX_VIPS, ring};

use super::*;

#[rstest]
#[case::port_twice_in_a_vip("[80, 443]", "[80, 80]", &[
    "16:17: service 192.0.2.10:80/tcp is already declared in line 16 by VIP `web`; keep one of the two",
])]
#[case::port_in_a_range_of_the_same_vip("[80, 443]", "[80, 1-100]", &[
    "16:17: service 192.0.2.10:1-100/tcp overlaps ports 80 in line 16 by VIP `web`; let every port be in one of them only",
])]
#[case::range_without_a_port_to_check(
    "[53]\n    protocol: udp\n    backends: dns-pool\n    health_check: {type: tcp, port: 5353,",
    "any\n    protocol: udp\n    backends: dns-pool\n    health_check: {type: tcp,",
    &["21:12: ports any have a health check that does not say which port to ask; give the health check a `port`"],
)]
#[case::overlapping_ranges("[53]", "[50-60, 60-70, 70-75]", &[
    "21:20: service [2001:db8:1::10]:60-70/udp overlaps ports 50-60 in line 21 by VIP `dns`; let every port be in one of \
     them only",
])]
#[case::any_port_twice("[53]", "[1-65535, 1-65535]", &[
    "21:22: service [2001:db8:1::10]:any/udp is already declared in line 21 by VIP `dns`; keep one of the two",
])]
#[case::nine_ranges("[53]", "[1-2, 3-4, 5-6, 7-8, 11-12, 13-14, 15-16, 17-18, 20, 21-22]", &[
    "21:65: 2001:db8:1::10 has more than 8 ranges of ports; join ranges, or use several VIP addresses",
])]
#[case::service_of_two_vips(
    "  - name: dns\n    address: 2001:db8:1::10\n    ports: [53]\n    protocol: udp",
    "  - name: dns\n    address: 192.0.2.10\n    ports: [443]\n    protocol: tcp",
    &["21:13: service 192.0.2.10:443/tcp is already declared in line 16 by VIP `web`; keep one of the two"],
)]
#[case::vip_name_twice("name: dns\n", "name: web\n", &[
    "19:11: two VIPs have the name `web`, the first in line 14; give each its own name",
])]
#[case::pool_name_twice("  - name: dns-pool", "  - name: web-pool", &[
    "23:15: there is no pool `dns-pool`; add a pool of that name under `pools`",
    "40:11: two pools have the name `web-pool`, the first in line 26; give each its own name",
])]
#[case::backend_name_twice("name: web-2", "name: web-1", &[
    "39:16: two backends of this pool have the name `web-1`, the first in line 38; give each its own name",
])]
#[case::backend_address_twice("2001:db8::12", "10.0.0.11", &[
    "39:32: two backends of this pool have 10.0.0.11, the first in line 38; keep one of them; its weight sets its share",
])]
#[case::backend_with_a_vips_address("10.0.0.21", "192.0.2.10", &[
    "42:32: 192.0.2.10 is the address of the VIP in line 14; write the backend's own address: tunnelled packets are sent \
     to it",
])]
#[case::misspelt_pool("backends: dns-pool", "backends: dsn-pool", &[
    "23:15: there is no pool `dsn-pool`; did you mean `dns-pool`?",
])]
#[case::interface_twice("  - {name: eth0, mode: generic}", "  - {name: eth0}\n  - {name: eth0}", &[
    "8:5: interface `eth0` is listed twice, first in line 7; keep one of the two",
])]
#[case::section_of_the_other_role("log:\n", "backend: {vips: 7}\nlog:\n", &[
    "43:1: `backend` has no place on a node of role ingress; remove it, or set `role: backend`",
])]
fn what_does_not_fit_together_is_reported(#[case] fragment: &str, #[case] changed: &str, #[case] expected: &[&str]) {
    assert_eq!(errors_after(INGRESS, fragment, changed), expected);
}

#[rstest]
#[case::ingress_without_vips("role: ingress\ninterfaces: [{name: eth0}]", &[
    "1:1: the config needs the key `vips`, which is missing; add `vips`",
])]
#[case::ingress_without_interfaces("role: ingress", &[
    "1:1: the config needs the key `interfaces`, which is missing; add `interfaces`",
    "1:1: the config needs the key `vips`, which is missing; add `vips`",
])]
#[case::backend_without_its_section("role: backend\ninterfaces: [{name: eth0}]", &[
    "1:1: the config needs the key `backend`, which is missing; add `backend`",
])]
#[case::vips_without_pools(
    "role: ingress\n\
     interfaces: [{name: eth0}]\n\
     vips: [{name: a, address: 192.0.2.1, ports: [1], protocol: tcp, backends: p}]",
    &["3:75: there is no pool `p`; add a pool of that name under `pools`"],
)]
fn what_a_role_needs_is_reported(#[case] text: &str, #[case] expected: &[&str]) {
    assert_eq!(errors(text), expected);
}

#[rstest]
#[case::sections_of_the_other_role("interfaces:", "vips: []\npools: []\nforwarding: {}\ninterfaces:", &[
    "2:1: `vips` has no place on a node of role backend; remove it, or set `role: ingress`",
    "3:1: `pools` has no place on a node of role backend; remove it, or set `role: ingress`",
    "4:1: `forwarding` has no place on a node of role backend; remove it, or set `role: ingress`",
])]
#[case::address_twice("\"2001:db8:1::10\"", "192.0.2.10", &[
    "6:22: 192.0.2.10 stands in this list twice, first in line 6; keep one of the two",
])]
#[case::tunnel_address_that_is_a_vip("[10.0.0.11,", "[192.0.2.10,", &[
    "4:22: 192.0.2.10 is in `vips` too, in line 6; write this node's own address: tunnelled packets are sent to it",
])]
#[case::family_without_a_source(", \"2001:db8::/64\"", "", &[
    "4:33: no prefix in `sources` is IPv6, so 2001:db8::11 would accept nothing; add the ingress nodes' prefix of that \
     family, or remove the address",
])]
fn what_does_not_fit_together_on_a_backend_is_reported(
    #[case] fragment: &str,
    #[case] changed: &str,
    #[case] expected: &[&str],
) {
    assert_eq!(errors_after(BACKEND, fragment, changed), expected);
}

#[test]
fn every_error_of_a_file_is_reported_at_once() {
    let text = r"role: ingress
interfaces: [{name: eth0, mode: fast}]
vips:
  - {name: web, address: 192.0.2.300, ports: [80, 0], protocol: tcp, backends: web-pool}
  - {name: web, address: 192.0.2.11, ports: [80], protocol: tcp, backends: other}
pools:
  - name: web-pool
    health_check: {type: http, interval: 5}
    backends:
      - {name: web-1, address: 10.0.0.11, weigth: 5}
      - {name: web-2, address: 10.0.0.11}
";
    assert_eq!(
        errors(text),
        [
            "2:33: `fast` is not a mode; known here: native, generic, native-or-generic",
            "4:26: `192.0.2.300` is not an IP address; write one IPv4 or IPv6 address, without prefix length or port",
            "4:51: a port of 0 is out of range; write a whole number from 1 to 65535",
            "5:12: two VIPs have the name `web`, the first in line 4; give each its own name",
            "5:76: there is no pool `other`; add a pool of that name under `pools`",
            "8:42: duration `5` has no unit; add one: 5ms, 5s or 5m",
            "10:43: a backend has no key `weigth`; did you mean `weight`?",
            "11:32: two backends of this pool have 10.0.0.11, the first in line 10; keep one of them; its weight sets its share",
        ]
    );
}

/// A config with `vips` VIPs of `ports` ports each, all with one pool of `backends` backends.
fn sized(vips: usize, ports: usize, backends: usize) -> String {
    let mut text = String::from("role: ingress\ninterfaces: [{name: eth0}]\nvips:\n");
    let ports: Vec<_> = (1..=ports).map(|port| port.to_string()).collect();
    let address = |net: u8, index: usize| format!("{net}.{}.{}.1", index >> 8, index & 0xff);
    for vip in 0..vips {
        let (address, ports) = (address(20, vip), ports.join(", "));
        writeln!(text, "- {{name: v{vip}, address: {address}, ports: [{ports}], protocol: tcp, backends: p}}")
            .expect("writing to a string");
    }
    text.push_str("pools:\n- name: p\n  backends:\n");
    for backend in 0..backends {
        writeln!(text, "  - {{name: b{backend}, address: {}}}", address(10, backend)).expect("writing to a string");
    }
    text
}

#[test]
fn a_ring_has_room_for_so_many_backends() {
    assert_eq!(errors(&sized(1, 1, ring::MEMBERS - 1)), [""; 0]);
    assert_eq!(
        errors(&sized(1, 1, ring::MEMBERS)),
        ["7:3: 1024 backends in one pool; a ring holds 1023; split the pool over several VIPs"]
    );
}

#[test]
fn a_node_has_room_for_so_many_services_and_addresses() {
    let entries = MAX_VIPS as usize - 1;
    assert_eq!(errors(&sized(1, entries - 1, 1)), [""; 0]);
    assert_eq!(
        errors(&sized(1, entries, 1)),
        [
            "3:1: 4095 services and 1 VIP addresses need 4096 entries; a node has 4095; spread the VIPs over several groups \
             of ingress nodes"
        ]
    );
    assert_eq!(errors(&sized(entries / 2, 1, 1)), [""; 0]);
    assert_eq!(errors(&sized(entries / 2 + 1, 1, 1)).len(), 1);
}

#[test]
fn a_node_has_room_for_so_many_members() {
    let services = MAX_MEMBER_COUNTERS as usize / 1000;
    assert_eq!(errors(&sized(1, services, 1000)), [""; 0]);
    assert_eq!(
        errors(&sized(1, services + 1, 1000)),
        ["3:1: all services together have 132000 backends (one counted for each service it is in); a node has room \
             for 131072; use smaller pools, or spread the VIPs over several groups of ingress nodes"]
    );
}
