//! Tests of the config: each case is a good file with one thing changed, and what is then reported.

use super::*;

mod defaults;
mod hostile;
mod references;
mod values;

/// A good config of role ingress that uses every key of its role.
const INGRESS: &str = r#"role: ingress
node:
  bpffs: /mnt/bpf
  api_socket: /run/lb/api.sock
  metrics: "[::1]:9000"
interfaces:
  - {name: eth0, mode: generic}
forwarding:
  hash_seed: 0x5ca1ab1e
  decrement_ttl: false
  check_tcp_flags: false
encapsulation: ipip
vips:
  - name: web
    address: 192.0.2.10
    ports: [80, 443]
    protocol: tcp
    backends: web-pool
  - name: dns
    address: 2001:db8:1::10
    ports: [53]
    protocol: udp
    backends: dns-pool
    health_check: {type: tcp, port: 5353, interval: 2s}
pools:
  - name: web-pool
    health_check:
      type: http
      port: 8080
      path: /healthz?full=1
      host: web.example
      status: 200-299
      interval: 1m
      timeout: 500ms
      rise: 1
      fall: 100
    backends:
      - {name: web-1, address: 10.0.0.11, weight: 0}
      - {name: web-2, address: 2001:db8::12, weight: 1000}
  - name: dns-pool
    backends:
      - {name: dns-1, address: 10.0.0.21}
log:
  format: json
  level: debug
icmp: {echo_reply: false, too_big: drop, rate: 50}
"#;

/// A good config of role backend.
const BACKEND: &str = r#"role: backend
interfaces: [{name: eth0}]
backend:
  tunnel_addresses: [10.0.0.11, "2001:db8::11"]
  sources: [10.0.0.0/24, "2001:db8::/64"]
  vips: [192.0.2.10, "2001:db8:1::10"]
  gue_port: 6636
"#;

/// What is reported of `text`, one line each, as `lb-agent check` prints it after the file's name.
fn errors(text: &str) -> Vec<String> {
    parse(text).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

/// What is reported of `good` after its only occurrence of `fragment` has become `changed`.
fn errors_after(good: &str, fragment: &str, changed: &str) -> Vec<String> {
    assert_eq!(good.matches(fragment).count(), 1, "`{fragment}` must occur once, to be clear about what is changed");
    errors(&good.replace(fragment, changed))
}
