//! Which backend takes a flow, and tables that hold what this version does not know.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    panic, thread,
};

use aya::maps::{Array, HashMap, Map, MapData};
use xdp_lb::model::{HashInput, Ports, Protocol, Service};
use xdp_lb_abi::{Reason, Vip, VipKey, VipKind, map, ring};
use xdp_lb_tests::builder::{Ipv4, Tcp, flow_hash, frame::frame};

use crate::{
    balancer::{Balancer, CountedAt, Expected, Expected::Unchanged},
    world::{BACKEND_V4, BACKEND_V6, CLIENT_PORT, CLIENT_V4, HTTP, V4_IN_V4, Way, World},
};

const SERVICE: Service = Service::new(IpAddr::V4(V4_IN_V4), HTTP, Protocol::Tcp);

type Words = [u64; ring::WORDS];

fn open(path: std::path::PathBuf) -> Map {
    Map::from_map_data(MapData::from_pin(path).expect("the pin")).expect("a known type")
}

fn ring_of(balancer: &Balancer, service: Service) -> Array<MapData, Words> {
    open(balancer.pins().ring(balancer.id(CountedAt::Service(service)))).try_into().expect("an array")
}

/// The slots of a ring, read from its bytes.
fn slots(words: &Words) -> Vec<u16> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let slots = &bytes[ring::SLOTS_OFFSET..][..ring::SLOTS * 2];
    slots.chunks(2).map(|pair| u16::from_ne_bytes([pair[0], pair[1]])).collect()
}

/// Runs a test that reads rings: one is a single map value, which aya passes on the stack, several times over.
fn on_a_large_stack(test: fn()) {
    let thread = thread::Builder::new().stack_size(64 << 20).spawn(test).expect("a thread");
    thread.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked));
}

#[test]
fn every_flow_goes_to_the_backend_that_its_slot_names() {
    on_a_large_stack(follow_flows);
}

#[test]
fn flows_are_told_apart_by_what_their_service_says() {
    on_a_large_stack(follow_hash_inputs);
}

#[test]
fn a_table_with_unknown_values_is_told_apart() {
    on_a_large_stack(spoil_tables);
}

fn follow_flows() {
    let third = IpAddr::from([10, 0, 3, 13]);
    let ways = [BACKEND_V4, BACKEND_V6, third].map(Way::plain);
    let world = World::empty().with(V4_IN_V4, HTTP, Protocol::Tcp, &ways);
    let mut balancer = Balancer::new(&world);
    let slots = slots(&ring_of(&balancer, SERVICE).get(&0, 0).expect("the ring"));
    let by_index = balancer.members(SERVICE);
    let mut flows: BTreeMap<IpAddr, u32> = BTreeMap::new();
    for port in (1024..=u16::MAX).step_by(127) {
        let incoming = frame(&Ipv4::between(CLIENT_V4, V4_IN_V4).carrying(&Tcp::syn(port, HTTP)));
        let hash = flow_hash::of(world.hash_seed, CLIENT_V4.into(), port, HTTP);
        let backend = by_index[&slots[flow_hash::slot(hash)]];
        *flows.entry(backend).or_default() += 1;
        let frame = world.tunnel(backend).wrap(&incoming);
        let expected = Expected::Forwarded { service: SERVICE, backend, frame };
        balancer.check(&format!("source port {port}"), &incoming, &expected);
    }
    assert_eq!(flows.len(), 3, "every backend takes flows: {flows:?}");
}

/// The source address and ports that stand for a flow, whose other parts do not matter.
fn hashed(input: HashInput, source: [u8; 4], source_port: u16, port: u16) -> (IpAddr, u16, u16) {
    match input {
        HashInput::FiveTuple => (source.into(), source_port, port),
        HashInput::SourceAddress => (source.into(), 0, 0),
        HashInput::IgnoreSourcePort => (source.into(), 0, port),
        HashInput::DestinationPort => (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0, port),
    }
}

fn follow_hash_inputs() {
    let backends = [1, 2, 3, 4, 5].map(|last| IpAddr::from([10, 0, 3, last]));
    let service = Service { ports: Ports::ANY, ..SERVICE };
    for (name, input) in HashInput::NAMES {
        let world = World::empty().with_service(service, &backends.map(Way::plain)).hashing(service, input);
        let mut balancer = Balancer::new(&world);
        let slots = slots(&ring_of(&balancer, service).get(&0, 0).expect("the ring"));
        let by_index = balancer.members(service);
        for client in 1..20_u16 {
            let (source, source_port, port) = ([198, 51, 100, client as u8], 1000 * client, 7 * client);
            let incoming = frame(&Ipv4::between(source.into(), V4_IN_V4).carrying(&Tcp::syn(source_port, port)));
            let (hashed_source, hashed_source_port, hashed_port) = hashed(input, source, source_port, port);
            let hash = flow_hash::of(world.hash_seed, hashed_source, hashed_source_port, hashed_port);
            let backend = by_index[&slots[flow_hash::slot(hash)]];
            let frame = world.tunnel(backend).wrap(&incoming);
            let expected = Expected::Forwarded { service, backend, frame };
            balancer.check(&format!("{name}, client {client}"), &incoming, &expected);
        }
    }
}

fn spoil_tables() {
    let world = World::empty().with(V4_IN_V4, HTTP, Protocol::Tcp, &[Way::plain(BACKEND_V4)]);
    let http = frame(&Ipv4::between(CLIENT_V4, V4_IN_V4).carrying(&Tcp::syn(CLIENT_PORT, HTTP)));
    let ssh = frame(&Ipv4::between(CLIENT_V4, V4_IN_V4).carrying(&Tcp::syn(CLIENT_PORT, 22)));
    let (at_service, at_address) = (CountedAt::Service(SERVICE), CountedAt::Address(SERVICE.address));
    let service_key = VipKey::of_service(SERVICE.address, HTTP, Protocol::Tcp.number());
    let address_key = VipKey::of_service(SERVICE.address, 0, 0);

    let mut balancer = Balancer::new(&world);
    let mut vips: HashMap<_, VipKey, Vip> = open(balancer.pins().map(map::VIPS)).try_into().expect("a hash");
    let mut put = |key, id, kind| vips.insert(key, Vip { kind, ..Vip::new(id, VipKind::Service) }, 0).expect("a write");
    let (service, address) = (balancer.id(at_service), balancer.id(at_address));
    for kind in [0, 2, 3, 9] {
        put(service_key, service, kind);
        let given = format!("a service of kind {kind}");
        balancer.check(&given, &http, &Unchanged(Reason::CorruptTable, at_service));
    }
    for kind in [0, 1, 9] {
        put(address_key, address, kind);
        let given = format!("an address of kind {kind}");
        balancer.check(&given, &ssh, &Unchanged(Reason::CorruptTable, at_address));
    }

    put(service_key, service, 1);
    let mut ring = ring_of(&balancer, SERVICE);
    let mut words = ring.get(&0, 0).expect("the ring");
    words[ring::SLOTS_OFFSET / 8..ring::MEMBERS_OFFSET / 8].fill(0x8000_8000_8000_8000);
    ring.set(0, words, 0).expect("a write");
    balancer.check("slots that name moves", &http, &Unchanged(Reason::CorruptTable, at_service));
    words[ring::SLOTS_OFFSET / 8..ring::MEMBERS_OFFSET / 8].fill(0x03ff_03ff_03ff_03ff);
    ring.set(0, words, 0).expect("a write");
    balancer.check("slots that name an unused member", &http, &Unchanged(Reason::NoBackend, at_service));
}
