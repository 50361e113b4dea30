//! Single fields: unknown, missing, of the wrong type, out of range.

use rstest::rstest;

use super::*;

#[rstest]
#[case::unknown_key_with_a_neighbour("    ports: [80, 443]", "    port: [80, 443]", &[
    "14:5: a VIP needs the key `ports`, which is missing; add `ports`",
    "16:5: a VIP has no key `port`; did you mean `ports`?",
])]
#[case::unknown_key_without_one("encapsulation: ipip", "colour: red", &[
    "12:1: the config has no key `colour`; known here: role, node, interfaces, log, encapsulation, backend, forwarding, \
     icmp, pools, vips",
])]
#[case::missing_key("name: eth0, ", "", &[
    "7:5: an interface needs the key `name`, which is missing; add `name`",
])]
#[case::missing_role("role: ingress\n", "", &[
    "1:1: the config needs the key `role`, which is missing; add `role`",
])]
#[case::key_twice("  level: debug", "  level: debug\n  level: info", &[
    "46:3: key `level` stands here twice, first in line 45; keep one of the two",
])]
#[case::key_without_value("  level: debug", "  level:", &[
    "45:3: `level` has no value; give it one or remove the key",
])]
#[case::mapping_for_a_value("level: debug", "level: {is: debug}", &[
    "45:10: this must be a single value, and is a mapping (`key: value`); write one value",
])]
#[case::value_for_a_mapping("{type: tcp, port: 5353, interval: 2s}", "tcp", &[
    "24:19: a health check is written as `key: value`, this is a single value; write its keys indented below, or as \
     `{key: value, ...}`",
])]
#[case::value_for_a_list("[53]", "53", &[
    "21:12: this must be a list, and is a single value; write `[a, b]`, or one element a line after `- `",
])]
#[case::no_ports("[53]", "[]", &[
    "21:12: this list is empty; add an element, or remove what needs none",
])]
#[case::port_zero("[53]", "[0]", &[
    "21:13: a port of 0 is out of range; write a whole number from 1 to 65535",
])]
#[case::port_too_large("[80, 443]", "[80, 65536]", &[
    "16:17: a port of 65536 is out of range; write a whole number from 1 to 65535",
])]
#[case::port_larger_than_any_integer("[53]", "[99999999999999999999999999]", &[
    "21:13: a port of 99999999999999999999 is out of range; write a whole number from 1 to 65535",
])]
#[case::port_in_quotes("[53]", "['53']", &[
    "21:13: this must be a number, and is text in quotes: `53`; remove the quotes",
])]
#[case::port_by_name("[53]", "[domain]", &[
    "21:13: `domain` is not a port; write a whole number from 1 to 65535",
])]
#[case::range_upside_down("[53]", "[54-53]", &[
    "21:13: `54-53` is not a range of ports; write FIRST-LAST without spaces, from 1 to 65535, the lower first; or \
     `ports: any`",
])]
#[case::range_from_port_zero("[53]", "[0-53]", &[
    "21:13: `0-53` is not a range of ports; write FIRST-LAST without spaces, from 1 to 65535, the lower first; or \
     `ports: any`",
])]
#[case::range_without_end("[53]", "[1024-]", &[
    "21:13: `1024-` is not a range of ports; write FIRST-LAST without spaces, from 1 to 65535, the lower first; or \
     `ports: any`",
])]
#[case::any_port_in_a_list("[53]", "[any]", &[
    "21:13: `any` is not a port; write a whole number from 1 to 65535",
])]
#[case::unknown_hash("[53]", "[53]\n    hash: source-adress", &[
    "22:11: `source-adress` is not what flows can be told apart by; did you mean `source-address`?",
])]
#[case::negative_weight("weight: 0}", "weight: -1}", &[
    "38:51: `-1` is not a weight; write a whole number from 0 to 1000",
])]
#[case::weight_too_large("weight: 1000", "weight: 1001", &[
    "39:54: a weight of 1001 is out of range; write a whole number from 0 to 1000",
])]
#[case::unknown_protocol("protocol: udp", "protocol: sctp", &[
    "22:15: `sctp` is not a protocol; known here: tcp, udp",
])]
#[case::misspelt_choice("mode: generic", "mode: Generic", &[
    "7:24: `Generic` is not a mode; did you mean `generic`?",
])]
#[case::unknown_encapsulation("ipip", "gre", &[
    "12:16: `gre` is not an encapsulation; did you mean `gue`?",
])]
#[case::two_backends_that_are_this_node("ipip", "local", &[
    "39:32: two backends of this pool are `local`, the first in line 38; keep `local` for the one that is this node",
])]
#[case::both_roles("role: ingress", "role: both", &[
    "1:7: a node with both roles needs inline decapsulation, which this version does not have; run the backend role on \
     other nodes",
])]
#[case::truth_by_another_word("decrement_ttl: false", "decrement_ttl: no", &[
    "10:18: `no` is neither true nor false; write true or false",
])]
#[case::octal("8080", "08080", &["29:13: `08080` is not a port; write a whole number from 1 to 65535"])]
#[case::seed_with_a_sign("0x5ca1ab1e", "0x+1", &[
    "9:14: `0x+1` is not a 64-bit number; write decimal digits, or 0x and up to 16 hexadecimal digits",
])]
#[case::seed_too_long("0x5ca1ab1e", "0x10000000000000000", &[
    "9:14: `0x10000000000000000` is not a 64-bit number; write decimal digits, or 0x and up to 16 hexadecimal digits",
])]
#[case::relative_path("/mnt/bpf", "bpf", &[
    "3:10: path `bpf` is relative; write an absolute path, beginning with /",
])]
#[case::socket_path_too_long("/run/lb/api.sock", &format!("/{}", "s".repeat(107)), &[
    "4:15: a path of 108 bytes is too long for a unix socket; write one of at most 107 bytes",
])]
#[case::listen_address_without_port("\"[::1]:9000\"", "127.0.0.1", &[
    "5:12: `127.0.0.1` is not an address with a port; write ADDRESS:PORT, such as 127.0.0.1:9477 or \"[::1]:9477\"",
])]
#[case::interface_name_too_long("name: eth0", "name: enp0s31f6.1000.20", &[
    "7:12: `enp0s31f6.1000.20` cannot be the name of an interface; write 1 to 15 characters as `ip link` shows them",
])]
#[case::interface_name_with_a_slash("name: eth0", "name: eth/0", &[
    "7:12: `eth/0` cannot be the name of an interface; write 1 to 15 characters as `ip link` shows them",
])]
#[case::name_with_a_space("name: web\n", "name: our web\n", &[
    "14:11: `our web` is not a name; write 1 to 63 letters, digits, `-`, `_` or `.`",
])]
#[case::escape_sequence_in_a_name("name: web\n", "name: \"\\e[2J\"\n", &[
    "14:11: `\\u{1b}[2J` is not a name; write 1 to 63 letters, digits, `-`, `_` or `.`",
])]
fn a_field_is_reported(#[case] fragment: &str, #[case] changed: &str, #[case] expected: &[&str]) {
    assert_eq!(errors_after(INGRESS, fragment, changed), expected);
}

#[rstest]
#[case::no_address(
    "web.example",
    "`web.example` is not an IP address; write one IPv4 or IPv6 address, without prefix \
                                   length or port"
)]
#[case::prefix(
    "192.0.2.0/24",
    "`192.0.2.0/24` is not an IP address; write one IPv4 or IPv6 address, without prefix \
                                length or port"
)]
#[case::unspecified("0.0.0.0", "0.0.0.0 is an unspecified address; write the address of one host")]
#[case::unspecified_v6("'::'", ":: is the unspecified address; write the address of one host")]
#[case::broadcast("255.255.255.255", "255.255.255.255 is the broadcast address; write the address of one host")]
#[case::multicast("224.0.0.1", "224.0.0.1 is a multicast address; write the address of one host")]
#[case::multicast_v6("ff02::1", "ff02::1 is a multicast address; write the address of one host")]
#[case::loopback(
    "127.0.0.1",
    "127.0.0.1 is a loopback address, which never leaves its machine; write the address of \
                               one host"
)]
#[case::loopback_v6(
    "'::1'",
    "::1 is a loopback address, which never leaves its machine; write the address of one \
                              host"
)]
#[case::link_local(
    "fe80::1",
    "fe80::1 is a link-local address, which means nothing off its link; write a routed \
                               address"
)]
#[case::mapped("'::ffff:192.0.2.1'", "::ffff:192.0.2.1 is an IPv4 address in IPv6 notation; write 192.0.2.1")]
fn an_address_that_no_host_can_have_is_reported(#[case] address: &str, #[case] expected: &str) {
    assert_eq!(errors_after(INGRESS, "192.0.2.10", address), [format!("15:14: {expected}")]);
    assert_eq!(errors_after(INGRESS, "10.0.0.21", address), [format!("42:32: {expected}")]);
}

#[rstest]
#[case::type_missing("port: 1", &["24:19: a health check needs the key `type`, which is missing; add `type`"])]
#[case::type_missing_with_http_keys("path: /x", &[
    "24:19: a health check needs the key `type`, which is missing; add `type`",
])]
#[case::unknown_type("type: https", &["24:26: `https` is not a type of health check; did you mean `http`?"])]
#[case::path_of_a_tcp_check("type: tcp, path: /", &[
    "24:31: `path` has no meaning for a check of type tcp; remove it, or set `type: http`",
])]
#[case::no_unit("type: tcp, interval: 5", &["24:41: duration `5` has no unit; add one: 5ms, 5s or 5m"])]
#[case::unknown_unit("type: tcp, interval: 5 parsecs", &[
    "24:41: `5 parsecs` is not a duration; write a whole number and a unit: 500ms, 2s or 1m",
])]
#[case::zero_interval("type: tcp, interval: 0s", &["24:41: duration `0s` is out of range; write 10ms to 3600s"])]
#[case::zero_timeout("type: tcp, timeout: 0ms", &["24:40: duration `0ms` is out of range; write 1ms to 3600s"])]
#[case::huge_interval("type: tcp, interval: 4294967295m", &[
    "24:41: duration `4294967295m` is out of range; write 10ms to 3600s",
])]
#[case::timeout_as_long_as_the_interval("type: tcp, interval: 2s, timeout: 2s", &[
    "24:54: timeout 2s is not shorter than the interval of 2s; set `timeout` below `interval`",
])]
#[case::interval_below_the_default_timeout("type: tcp, interval: 1s", &[
    "24:41: timeout 1s (the default) is not shorter than the interval of 1s; set `timeout` below `interval`",
])]
#[case::no_rise("type: tcp, rise: 0", &[
    "24:37: a number of checks of 0 is out of range; write a whole number from 1 to 100",
])]
#[case::too_much_fall("type: tcp, fall: 101", &[
    "24:37: a number of checks of 101 is out of range; write a whole number from 1 to 100",
])]
#[case::status_that_does_not_exist("type: http, status: 200-600", &[
    "24:40: `200-600` is neither a status code nor a range of them; write a code from 100 to 599, or a range such as \
     200-399",
])]
#[case::status_backwards("type: http, status: 399-200", &[
    "24:40: `399-200` is neither a status code nor a range of them; write a code from 100 to 599, or a range such as \
     200-399",
])]
#[case::relative_path("type: http, path: healthz", &[
    "24:38: `healthz` is not the path of a request; write a path beginning with /, with spaces and the like as %20",
])]
#[case::second_request_in_the_path("type: http, path: \"/ HTTP/1.1\\r\\nX: y\"", &[
    "24:38: `/ HTTP/1.1\\r\\nX: y` is not the path of a request; write a path beginning with /, with spaces and the \
     like as %20",
])]
#[case::second_header_in_the_host("type: http, host: \"a\\r\\nX: y\"", &[
    "24:38: `a\\r\\nX: y` is not a host name; write NAME or NAME:PORT, without scheme, path or spaces",
])]
#[case::host_with_a_scheme("type: http, host: 'http://web.example'", &[
    "24:38: `http://web.example` is not a host name; write NAME or NAME:PORT, without scheme, path or spaces",
])]
fn a_health_check_is_reported(#[case] check: &str, #[case] expected: &[&str]) {
    let changed = format!("{{{check}}}");
    assert_eq!(errors_after(INGRESS, "{type: tcp, port: 5353, interval: 2s}", &changed), expected);
}

#[rstest]
#[case::host_bits("10.0.0.0/24", "10.0.0.1/24", "5:13: 10.0.0.1/24 has bits set behind its length; write 10.0.0.0/24")]
#[case::no_length("10.0.0.0/24", "10.0.0.1", "5:13: prefix 10.0.0.1 has no length; write 10.0.0.1/32")]
#[case::length_too_large(
    "10.0.0.0/24",
    "10.0.0.0/33",
    "5:13: `10.0.0.0/33` is not a prefix; write ADDRESS/LENGTH, such as 10.0.0.0/24 or \"2001:db8::/64\""
)]
#[case::everybody(
    "10.0.0.0/24",
    "0.0.0.0/0",
    "5:13: 0.0.0.0/0 accepts tunnelled packets from everybody; write the prefixes of the ingress nodes"
)]
#[case::mapped(
    "2001:db8::/64",
    "::ffff:10.0.0.0/120",
    "5:26: ::ffff:10.0.0.0/120 is an IPv4 prefix in IPv6 notation; write it as IPv4"
)]
fn a_prefix_is_reported(#[case] prefix: &str, #[case] changed: &str, #[case] expected: &str) {
    assert!(errors_after(BACKEND, prefix, changed).contains(&expected.to_owned()), "{changed} is not reported");
}
