//! Health checks: whether a backend answers, asked often enough to notice when it stops.
//!
//! [`state`] decides from results alone, without clock or network; [`probe`] makes one check; [`checker`] repeats many of
//! them and publishes what changed. Which services and backends a check speaks for is its users' business: equal checks
//! are one check.

use std::{net::SocketAddr, time::Duration};

use crate::config::{BackendConfig, CheckTemplate, StatusRange, TemplateKind};
use xdp_lb::model::Service;

pub mod checker;
pub mod probe;
pub mod state;

pub use checker::{CheckStatus, Checker, Counters, Outcomes, Statuses};
pub use state::State;

/// The port that an HTTP `Host` header leaves out (RFC 9110, section 4.2.1).
const HTTP_PORT: u16 = 80;

/// One check, complete with its target. It is its own identity: equal checks of several services run once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckSpec {
    /// Whom to ask.
    pub target: SocketAddr,
    /// What to ask.
    pub kind: CheckKind,
    /// Time from one check to the next, varied by a tenth of it.
    pub interval: Duration,
    /// Time that one check may take.
    pub timeout: Duration,
    /// Passes in a row until a backend that is down counts as up.
    pub rise: u32,
    /// Failures in a row until a backend that is up counts as down.
    pub fall: u32,
}

/// What a check asks of its target.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CheckKind {
    /// Whether a connection can be opened.
    Tcp,
    /// Whether `GET` is answered with one of the wanted status codes.
    Http {
        /// Path and query.
        path: String,
        /// `Host` header.
        host: String,
        /// Status codes that pass.
        status: StatusRange,
    },
}

impl CheckSpec {
    /// The check that `template` means for `backend` as a member of `service`. A config whose service has a range of
    /// ports names the port to ask.
    pub fn new(template: &CheckTemplate, service: &Service, backend: &BackendConfig) -> Self {
        let target = SocketAddr::new(backend.address, template.port.unwrap_or(service.ports.first()));
        let kind = match &template.kind {
            TemplateKind::Tcp => CheckKind::Tcp,
            TemplateKind::Http { path, host, status } => CheckKind::Http {
                path: path.clone(),
                host: host.clone().unwrap_or_else(|| default_host(target)),
                status: *status,
            },
        };
        let CheckTemplate { interval, timeout, rise, fall, .. } = *template;
        Self { target, kind, interval, timeout, rise, fall }
    }
}

fn default_host(target: SocketAddr) -> String {
    match target {
        _ if target.port() != HTTP_PORT => target.to_string(),
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use xdp_lb::model::Protocol;

    use super::*;

    #[rstest]
    #[case::the_services_port("10.0.0.11", None, "10.0.0.11:443", "10.0.0.11:443")]
    #[case::a_port_of_its_own("10.0.0.11", Some(8080), "10.0.0.11:8080", "10.0.0.11:8080")]
    #[case::the_default_port("10.0.0.11", Some(80), "10.0.0.11:80", "10.0.0.11")]
    #[case::ipv6("2001:db8::11", Some(8080), "[2001:db8::11]:8080", "[2001:db8::11]:8080")]
    #[case::ipv6_and_the_default_port("2001:db8::11", Some(80), "[2001:db8::11]:80", "[2001:db8::11]")]
    fn a_check_without_host_asks_for_the_backends_address(
        #[case] address: &str,
        #[case] port: Option<u16>,
        #[case] target: &str,
        #[case] expected_host: &str,
    ) {
        let address = address.parse().expect("an address literal");
        let service = Service::new(address, 443, Protocol::Tcp);
        let backend =
            BackendConfig { name: "web-1".to_owned(), address, encapsulation: xdp_lb::model::Mode::Ipip, weight: 100 };
        let status = StatusRange { first: 200, last: 399 };
        let template = CheckTemplate {
            kind: TemplateKind::Http { path: "/".to_owned(), host: None, status },
            port,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            rise: 2,
            fall: 3,
        };
        let check = CheckSpec::new(&template, &service, &backend);
        assert_eq!(check.target.to_string(), target);
        assert_eq!(check.kind, CheckKind::Http { path: "/".to_owned(), host: expected_host.to_owned(), status });
    }
}
