//! Services on ranges of ports, and what becomes of ports outside.

use std::net::IpAddr;

use xdp_lb::{
    Installed, Tables,
    model::{HashInput, Ports, Protocol, Service},
};
use xdp_lb_abi::Reason;
use xdp_lb_tests::builder::{Tcp, Udp, frame::frame};

use crate::{
    balancer::{Balancer, CountedAt, Expected},
    forwarding::packet_to,
    world::{BACKEND_V4, BACKEND_V6, CLIENT_PORT, V4_IN_V4, V6_IN_V6, Way, World},
};

const VIPS: [IpAddr; 2] = [IpAddr::V4(V4_IN_V4), IpAddr::V6(V6_IN_V6)];

fn service(address: IpAddr, ports: std::ops::RangeInclusive<u16>, protocol: Protocol) -> Service {
    Service { address, ports: Ports::new(ports).expect("ports"), protocol }
}

/// TCP on two ranges and on a port inside the first, UDP on any port.
fn world() -> World {
    VIPS.into_iter().fold(World::empty(), |world, vip| {
        world
            .with_service(service(vip, 8000..=8999, Protocol::Tcp), &[Way::plain(BACKEND_V4)])
            .with_service(service(vip, 9001..=9002, Protocol::Tcp), &[Way::plain(BACKEND_V6)])
            .with(vip, 8080, Protocol::Tcp, &[Way::plain(BACKEND_V6)])
            .with_service(service(vip, 1..=65_535, Protocol::Udp), &[Way::plain(BACKEND_V6)])
    })
}

#[test]
fn a_port_leads_to_the_service_that_has_it() {
    use Protocol::{Tcp as T, Udp as U};
    let world = world();
    let mut balancer = Balancer::new(&world);
    for vip in VIPS {
        for (port, protocol, found) in [
            (7999, T, None),
            (8000, T, Some((8000..=8999, BACKEND_V4))),
            (8999, T, Some((8000..=8999, BACKEND_V4))),
            (9000, T, None),
            (8080, T, Some((8080..=8080, BACKEND_V6))),
            (9001, T, Some((9001..=9002, BACKEND_V6))),
            (9002, T, Some((9001..=9002, BACKEND_V6))),
            (9003, T, None),
            (0, U, None),
            (1, U, Some((1..=65_535, BACKEND_V6))),
            (8080, U, Some((1..=65_535, BACKEND_V6))),
            (65_535, U, Some((1..=65_535, BACKEND_V6))),
        ] {
            let incoming = frame(&match protocol {
                T => packet_to(vip, &Tcp::syn(CLIENT_PORT, port)),
                U => packet_to(vip, &Udp::between(CLIENT_PORT, port)),
            });
            let expected = match found {
                None => Expected::Unchanged(Reason::NoService, CountedAt::Address(vip)),
                Some((ports, backend)) => {
                    let service = service(vip, ports, protocol);
                    Expected::Forwarded { service, backend, frame: world.tunnel(backend).wrap(&incoming) }
                }
            };
            balancer.check(&format!("{vip}, port {port}, {protocol}"), &incoming, &expected);
        }
    }
}

#[test]
fn an_agent_that_restarts_finds_its_ranges() {
    let service = service(VIPS[0], 8000..=8999, Protocol::Tcp);
    let world = world().hashing(service, HashInput::SourceAddress);
    let balancer = Balancer::new(&world);
    let found: Installed = Tables::open(balancer.pins()).expect("the maps").installed().expect("what is installed");
    assert_eq!(found, *balancer.installed());
    assert_eq!(found.services[&service].hash, HashInput::SourceAddress);
    assert_eq!(xdp_lb::plan(&world.desired, &found, world.hash_seed).changes, []);
}
