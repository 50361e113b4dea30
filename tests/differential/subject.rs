//! The real program, loaded and filled with what a config says.

use std::collections::BTreeSet;

use aya::maps::{HashMap, Map, MapData, PerCpuArray, PerCpuValues};
use nix::net::if_::if_nametoindex;
use xdp_lb::{
    Installed, Pins, Tables, Writer,
    model::{
        Desired, HashInput, MemberKey, MemberSpec, Mode, NextHopKey, NextHopSpec, Ports, Protocol,
        Service as ServiceKey,
    },
    pins::PinsLock,
    plan::plan,
    program::{Program, ProgramKind},
    totals,
    tx_ports::TxPorts,
};
use xdp_lb_abi::{FragmentKey, FragmentOwner, Gates, Reason, map, program};
use xdp_lb_tests::{
    bed::{BpfFs, Namespace, Scratch},
    model::{
        Counted,
        config::{self, Backend, Config, Service},
    },
    test_run::{self, INTERFACE, Output},
};

use crate::counts::Counts;

/// Name of the other interface that the program runs on.
const PORT: &str = "port";

/// A loaded balancer. Pins go with the file system that they are in.
pub(crate) struct Subject {
    config: Config,
    program: Program,
    installed: Installed,
    counters: totals::Counters,
    fragments: HashMap<MapData, FragmentKey, FragmentOwner>,
    _lock: PinsLock,
    _bpffs: BpfFs,
    _scratch: Scratch,
}

impl Subject {
    /// Loads the program and installs the config.
    pub(crate) fn new(config: &Config) -> Self {
        let scratch = Scratch::create().expect("a directory (these tests need root)");
        let bpffs = BpfFs::mount(scratch.path().join("bpf")).expect("a BPF file system");
        let pins = Pins::new(bpffs.path());
        let lock = pins.prepare().expect("the pin directory");
        let kind = ProgramKind::Balancer {
            hash_seed: config.hash_seed,
            gates: gates(config),
            gue_port: config.gue_port,
            icmp_rate: if config.has_answers { u32::MAX } else { 0 },
        };
        let mut program = Program::load(&pins, &lock, kind).expect("the program loads");
        let (mut writer, mut installed) = Writer::open(Tables::open(&pins).expect("the maps")).expect("a writer");
        let plan = plan(&desired(config), &installed, config.hash_seed);
        writer.apply(&plan.changes, &mut installed).expect("the plan is carried out");
        let mut ports = TxPorts::open(&pins).expect("the ports");
        ports.set(&BTreeSet::from([port()])).expect("the port is written");
        if !config.has_answers {
            empty_buckets(&mut program);
        }
        let counters = totals::Counters::open(&pins).expect("the counters");
        let fragments = open(&pins, map::FRAGMENTS).try_into().expect("a hash");
        let config = config.clone();
        Self { config, program, installed, counters, fragments, _lock: lock, _bpffs: bpffs, _scratch: scratch }
    }

    /// Runs the program on a frame.
    pub(crate) fn run(&mut self, frame: &[u8]) -> Output {
        test_run::run(self.program.object(), program::XDP_LB, frame)
    }

    /// Makes the program forget all fragments.
    pub(crate) fn forget(&mut self) {
        let keys: Vec<FragmentKey> = self.fragments.keys().collect::<Result<_, _>>().expect("the fragments");
        for key in keys {
            self.fragments.remove(&key).expect("a deletion");
        }
    }

    /// All that has been counted.
    pub(crate) fn counts(&self) -> Counts {
        let totals = self.counters.read(&self.installed).expect("the counters");
        let mut counts = Counts::default();
        let mut places = vec![(Counted::Nowhere, 0)];
        places.extend(self.installed.addresses.iter().map(|(address, vip)| (Counted::Address(*address), vip.id)));
        for (index, service) in self.config.services.iter().enumerate() {
            let installed = &self.installed.services[&service_key(service)];
            places.push((Counted::Service(index), installed.id));
            for (backend, spec) in service.backends.iter().enumerate() {
                let counter = installed.members[&member_key(spec)].route.counter;
                let member = totals.member(counter);
                counts.members.insert((index, backend), (member.packets, member.bytes));
            }
        }
        for (place, id) in places {
            let counters = totals.vip(id);
            counts.bytes.insert(place, counters.bytes);
            for reason in Reason::ALL {
                counts.packets.insert((place, *reason), counters.of(*reason));
            }
        }
        counts
    }
}

fn open(pins: &Pins, name: &str) -> Map {
    Map::from_map_data(MapData::from_pin(pins.map(name)).expect("the pin")).expect("a known type")
}

/// Runs a test in a namespace that has, besides `lo`, the interface [`PORT`].
pub(crate) fn beside_a_port(test: impl FnOnce() + Send) {
    let scratch = Scratch::create().expect("a directory (these tests need root)");
    let namespace = Namespace::create(format!("{}-port", scratch.name())).expect("a namespace");
    namespace.run("ip", &["link", "add", PORT, "type", "veth", "peer", "name", "peer"]).expect("a veth pair");
    let tested = namespace.on_thread(|| {
        test();
        Ok(())
    });
    tested.expect("the test");
}

/// Index of the other interface that the program runs on.
fn port() -> u32 {
    if_nametoindex(PORT).expect("the namespace has the interface")
}

/// Leaves no CPU an answer, not even that which an idle one has saved up.
fn empty_buckets(program: &mut Program) {
    let buckets = program.object().map_mut(map::REPLY_PACING).expect("the object holds the map");
    let mut pacing: PerCpuArray<_, u64> = buckets.try_into().expect("a per-CPU array");
    let cpus = pacing.get(&0, 0).expect("the buckets").len();
    let never = PerCpuValues::try_from(vec![u64::MAX / 2; cpus]).expect("a value for each CPU");
    pacing.set(0, never, 0).expect("a write");
}

fn gates(config: &Config) -> Gates {
    [
        (Gates::SEVERAL_INTERFACES, config.several_interfaces),
        (Gates::DECREMENT_TTL, config.decrement_ttl),
        (Gates::CHECK_TCP_FLAGS, config.check_tcp_flags),
        (Gates::ECHO_REPLY, config.echo_reply),
        (Gates::TOO_BIG_REPLY, config.too_big_reply),
    ]
    .into_iter()
    .fold(Gates::default(), |gates, (gate, is_on)| gates.with(gate, is_on))
}

fn desired(config: &Config) -> Desired {
    let mut desired = Desired { local_addresses: config.local_addresses.clone(), ..Desired::default() };
    for service in &config.services {
        let members = service.backends.iter().map(|backend| {
            let next_hop = config.ways.get(&backend.address).map(|way| next_hop_key(backend, way));
            (member_key(backend), MemberSpec { weight: backend.weight, up: backend.is_up, next_hop })
        });
        desired.services.insert(service_key(service), members.collect());
        for backend in &service.backends {
            if let Some(way) = config.ways.get(&backend.address) {
                let spec = NextHopSpec { neighbour_mac: way.neighbour, egress_mac: way.egress, mtu: way.mtu };
                desired.next_hops.insert(next_hop_key(backend, way), spec);
            }
        }
        let hash = match service.hash {
            config::Hash::FiveTuple => continue,
            config::Hash::SourceAddress => HashInput::SourceAddress,
            config::Hash::IgnoreSourcePort => HashInput::IgnoreSourcePort,
            config::Hash::DestinationPort => HashInput::DestinationPort,
        };
        desired.hash_inputs.insert(service_key(service), hash);
    }
    desired
}

fn service_key(service: &Service) -> ServiceKey {
    ServiceKey {
        address: service.address,
        ports: Ports::new(service.first_port..=service.last_port).expect("ports"),
        protocol: Protocol::from_number(service.protocol).expect("TCP or UDP"),
    }
}

fn member_key(backend: &Backend) -> MemberKey {
    let mode = match backend.mode {
        config::Mode::Ipip => Mode::Ipip,
        config::Mode::Gue => Mode::Gue,
        config::Mode::L2 => Mode::L2,
        config::Mode::Local => Mode::Local,
    };
    MemberKey { tunnel: backend.address, mode }
}

fn next_hop_key(backend: &Backend, way: &config::Way) -> NextHopKey {
    let interface = match way.interface {
        config::Interface::Same => INTERFACE,
        config::Interface::Port => port(),
        config::Interface::Closed => port() + 1000,
    };
    NextHopKey { interface, neighbour: backend.address, source: way.source }
}
