//! Configs for beds. The `node` section is added when they are written to a host.

use std::{fmt::Write as _, net::IpAddr, time::Duration};

use crate::{
    bed::{Bed, Host, INTERFACE, VIP_V4, VIP_V6},
    http::nginx::PORT,
};

/// How often, and how, backends are checked in beds: as fast as tests need it.
#[derive(Clone, Copy, Debug)]
pub struct HealthCheck {
    /// Time between two checks.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Successes in a row that bring a backend up.
    pub rise: u32,
    /// Failures in a row that take a backend down.
    pub fall: u32,
}

impl HealthCheck {
    /// What beds use unless a test is about it.
    pub const FAST: Self =
        Self { interval: Duration::from_millis(300), timeout: Duration::from_millis(200), rise: 2, fall: 2 };

    /// The longest time between a server's death and the last packet sent to it.
    pub fn failover_limit(&self) -> Duration {
        self.interval * self.fall + self.timeout
    }

    fn yaml(&self) -> String {
        let (interval, timeout) = (self.interval.as_millis(), self.timeout.as_millis());
        let (rise, fall) = (self.rise, self.fall);
        format!(
            "{{type: http, port: {PORT}, path: /healthz, interval: {interval}ms, timeout: {timeout}ms, rise: {rise}, fall: {fall}}}"
        )
    }
}

/// The backend role on `host`: takes tunnelled packets from the bed's load balancer, for both VIPs.
pub fn backend(bed: &Bed, host: &Host) -> String {
    let ([v4, v6], [lb_v4, lb_v6]) = (host.addresses(), bed.lb.addresses());
    format!(
        "role: backend
interfaces:
  - name: {INTERFACE}
backend:
  tunnel_addresses: [\"{v4}\", \"{v6}\"]
  sources: [\"{lb_v4}/32\", \"{lb_v6}/128\"]
  vips: [\"{VIP_V4}\", \"{VIP_V6}\"]
"
    )
}

/// The ingress role: HTTP on both VIPs, balanced over `backends`, each a name and a tunnel address.
pub fn ingress<'b>(backends: impl IntoIterator<Item = (&'b str, IpAddr)>, check: HealthCheck) -> String {
    let check = check.yaml();
    let mut text = format!(
        "role: ingress
interfaces:
  - name: {INTERFACE}
vips:
  - {{name: web-v4, address: \"{VIP_V4}\", ports: [{PORT}], protocol: tcp, backends: web}}
  - {{name: web-v6, address: \"{VIP_V6}\", ports: [{PORT}], protocol: tcp, backends: web}}
pools:
  - name: web
    health_check: {check}
    backends:
"
    );
    for (name, address) in backends {
        writeln!(text, "      - {{name: {name}, address: \"{address}\"}}").expect("writing to a string cannot fail");
    }
    text
}

/// Tunnel addresses that lead through every combination of families: backends take IPv4 and IPv6 in turn, and each gets
/// traffic of both.
pub fn mixed_tunnels(bed: &Bed) -> impl Iterator<Item = (&str, IpAddr)> {
    bed.backends.iter().enumerate().map(|(index, host)| (host.name(), host.addresses()[index % 2]))
}

/// The same the other way round: IPv6 and IPv4 in turn.
pub fn swapped_tunnels(bed: &Bed) -> impl Iterator<Item = (&str, IpAddr)> {
    bed.backends.iter().enumerate().map(|(index, host)| (host.name(), host.addresses()[(index + 1) % 2]))
}

/// The same ingress config with a UDP service at this port of both VIPs.
pub fn with_udp(ingress: &str, port: u16) -> String {
    let services = format!(
        "vips:
  - {{name: udp-v4, address: \"{VIP_V4}\", ports: [{port}], protocol: udp, backends: web}}
  - {{name: udp-v6, address: \"{VIP_V6}\", ports: [{port}], protocol: udp, backends: web}}
"
    );
    ingress.replacen("vips:\n", &services, 1)
}
