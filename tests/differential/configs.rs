//! Configurations that nobody has thought of.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use fastrand::Rng;
use xdp_lb_tests::{
    builder::protocol,
    model::config::{Backend, Config, Hash, Interface, Mode, Service, Way},
};

const MODES: [Mode; 4] = [Mode::Ipip, Mode::Gue, Mode::L2, Mode::Local];
const HASHES: [Hash; 4] = [Hash::FiveTuple, Hash::SourceAddress, Hash::IgnoreSourcePort, Hash::DestinationPort];
const MTUS: [u16; 9] = [0, 68, 100, 576, 1280, 1320, 1500, 1600, 9000];
/// Backends to choose from, by family.
const BACKENDS: u8 = 4;

/// The VIP addresses that there may be.
pub(crate) fn vips() -> Vec<IpAddr> {
    (1..=3).flat_map(|n| [v4(192, n), v6(1, n)]).collect()
}

fn v4(net: u8, last: u8) -> IpAddr {
    Ipv4Addr::new(net, 0, 2, last).into()
}

fn v6(net: u16, last: u8) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, last.into()).into()
}

pub(crate) fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}

fn is(rng: &mut Rng, percent: u8) -> bool {
    rng.u8(..100) < percent
}

/// A config.
pub(crate) fn random(rng: &mut Rng) -> Config {
    let backends: Vec<IpAddr> = (1..=BACKENDS).flat_map(|n| [v4(10, n), v6(0xa, n)]).collect();
    let mut services = Vec::new();
    let mut local_addresses = BTreeSet::new();
    for vip in vips() {
        // One address is left without services, so that there is one that is no VIP.
        if is(rng, 20) {
            continue;
        }
        if is(rng, 15) {
            local_addresses.insert(vip);
        }
        for protocol in [protocol::TCP, protocol::UDP] {
            services.extend(ports(rng).into_iter().map(|(first_port, last_port)| Service {
                address: vip,
                first_port,
                last_port,
                protocol,
                hash: if is(rng, 50) { Hash::FiveTuple } else { pick(rng, &HASHES) },
                backends: members(rng, &backends),
            }));
        }
    }
    local_addresses.retain(|address| services.iter().any(|service| service.address == *address));
    Config {
        hash_seed: if is(rng, 10) { 0 } else { rng.u64(..) },
        gue_port: if is(rng, 50) { 6080 } else { rng.u16(1..) },
        decrement_ttl: is(rng, 75),
        check_tcp_flags: is(rng, 75),
        echo_reply: is(rng, 80),
        too_big_reply: is(rng, 75),
        several_interfaces: is(rng, 60),
        has_answers: is(rng, 90),
        local_addresses,
        services,
        ways: ways(rng, &backends),
    }
}

/// Ranges that do not overlap, and single ports inside and outside of them.
fn ports(rng: &mut Rng) -> Vec<(u16, u16)> {
    let mut ports = Vec::new();
    let mut singles = BTreeSet::new();
    for _ in 0..rng.u8(0..3) {
        singles.insert(pick(rng, &[1, 53, 80, 443, 8000, 8080, 65_535]));
    }
    ports.extend(singles.into_iter().map(|port| (port, port)));
    match rng.u8(..4) {
        0 => ports.push((1, 65_535)),
        1 => ports.extend([(8000, 8999), (9000, 9001)]),
        2 => ports.push((79, rng.u16(81..))),
        _ => {}
    }
    ports
}

fn members(rng: &mut Rng, backends: &[IpAddr]) -> Vec<Backend> {
    let mut of: Vec<IpAddr> = backends.to_vec();
    rng.shuffle(&mut of);
    of.truncate(rng.usize(0..=backends.len()));
    let common = pick(rng, &MODES);
    of.into_iter()
        .map(|address| Backend {
            address,
            mode: if is(rng, 50) { common } else { pick(rng, &MODES) },
            weight: if is(rng, 10) { 0 } else { pick(rng, &[1, 7, 100, 1000]) },
            is_up: is(rng, 85),
        })
        .collect()
}

fn ways(rng: &mut Rng, backends: &[IpAddr]) -> BTreeMap<IpAddr, Way> {
    let mut ways = BTreeMap::new();
    for backend in backends {
        if is(rng, 7) {
            continue;
        }
        let source = if backend.is_ipv4() { v4(10, 200) } else { v6(0xa, 200) };
        let mut neighbour = [0; 6];
        rng.fill(&mut neighbour);
        neighbour[0] = 2;
        let way = Way {
            interface: if is(rng, 75) {
                Interface::Same
            } else {
                pick(rng, &[Interface::Port, Interface::Port, Interface::Closed])
            },
            source,
            neighbour: is(rng, 92).then_some(neighbour),
            egress: [2, 0xff, 0, 0, 0, rng.u8(..)],
            mtu: if is(rng, 40) { 1500 } else { pick(rng, &MTUS) },
        };
        ways.insert(*backend, way);
    }
    ways
}
