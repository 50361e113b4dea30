//! Documents for the tests of printers.

use std::net::IpAddr;

use lb_api::{
    Agent, Backend, BackendService, Config, Counts, Health, Interface, Member, Mode, NextHop, Role, Stats, Status, Vip,
    VipAddress,
};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address literal")
}

/// A node with a running agent and one problem.
pub(crate) fn status() -> Status {
    Status {
        version: "1.2.3".to_owned(),
        abi_version: 1,
        role: Some(Role::Ingress),
        pins: "/sys/fs/bpf/xdp-lb/v1".into(),
        agent: Some(Agent {
            pid: 42,
            uptime_seconds: 7_300,
            ready: true,
            config: Config { file: "/etc/lb-agent.yaml".into(), generation: 2, error: None },
        }),
        interfaces: vec![
            Interface { name: "eth0".to_owned(), index: Some(2), mode: Some(Mode::Native), program_id: Some(77) },
            Interface { name: "eth1".to_owned(), index: None, mode: None, program_id: None },
        ],
        problems: vec!["the interface eth1 is gone".to_owned()],
        packets: [("forwarded".to_owned(), 1200), ("no_service".to_owned(), 3)].into(),
    }
}

/// Two members, one of them down and unreachable, as the agent tells it.
pub(crate) fn vip() -> Vip {
    let hop = NextHop {
        interface: "eth0".to_owned(),
        neighbour: ip("10.0.0.1"),
        mac: Some("02:00:00:00:00:01".to_owned()),
        source: ip("10.0.0.2"),
        mtu: 1500,
    };
    let up = Member {
        name: Some("web-1".to_owned()),
        address: ip("10.0.0.11"),
        encapsulation: "ipip4".to_owned(),
        weight: Some(100),
        up: true,
        slots: 65_537,
        next_hop: Some(hop.clone()),
        packets: 1200,
        bytes: 1_250_000,
    };
    let down = Member {
        name: Some("web-2".to_owned()),
        address: ip("10.0.0.12"),
        up: false,
        slots: 0,
        next_hop: Some(NextHop { mac: None, neighbour: ip("10.0.0.12"), ..hop }),
        packets: 0,
        bytes: 0,
        ..up.clone()
    };
    Vip {
        name: Some("web".to_owned()),
        address: ip("192.0.2.10"),
        port: 80,
        last_port: 80,
        protocol: "tcp".to_owned(),
        hash: "five-tuple".to_owned(),
        members: vec![up, down],
        bytes: 1_250_100,
        packets: [("forwarded".to_owned(), 1200), ("bad_length".to_owned(), 1)].into(),
    }
}

/// The same on an IPv6 address, as the maps tell it.
pub(crate) fn nameless_vip() -> Vip {
    let members = vip().members.into_iter().map(|member| Member { name: None, weight: None, ..member });
    Vip { name: None, address: ip("2001:db8::10"), port: 443, last_port: 443, members: members.collect(), ..vip() }
}

/// One service, its address, and what is for no VIP.
pub(crate) fn stats() -> Stats {
    let counts = |bytes, reason: &str, packets| Counts { bytes, packets: [(reason.to_owned(), packets)].into() };
    Stats {
        total: Counts {
            bytes: 1_250_700,
            packets: [
                ("forwarded".to_owned(), 1200),
                ("bad_length".to_owned(), 1),
                ("no_service".to_owned(), 3),
                ("not_vip".to_owned(), 4),
            ]
            .into(),
        },
        other: counts(400, "not_vip", 4),
        addresses: vec![VipAddress { address: ip("192.0.2.10"), local: false, counts: counts(200, "no_service", 3) }],
        vips: vec![vip()],
    }
}

/// The two backends, one with a failing health check.
pub(crate) fn backends() -> Vec<Backend> {
    let part = |up, state: &str, last_error: Option<&str>| BackendService {
        service: "192.0.2.10:80/tcp".to_owned(),
        up,
        health: Some(Health { state: state.to_owned(), last_error: last_error.map(str::to_owned), since_seconds: 61 }),
    };
    let backend = |name: &str, address, part, packets, bytes| Backend {
        name: Some(name.to_owned()),
        address: ip(address),
        services: vec![part],
        packets,
        bytes,
    };
    vec![
        backend("web-1", "10.0.0.11", part(true, "up", None), 1200, 1_250_000),
        backend("web-2", "10.0.0.12", part(false, "down", Some("connection refused")), 0, 0),
    ]
}
