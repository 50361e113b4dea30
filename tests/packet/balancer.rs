//! The balancer, loaded and filled as the agent does it, and what it counts.

use std::{collections::BTreeMap, net::IpAddr};

use xdp_lb::{
    Installed, Pins, Tables, Writer,
    model::Service,
    pins::PinsLock,
    plan::plan,
    program::{Program, ProgramKind},
    totals::Counters,
};
use xdp_lb_abi::{Reason, ReasonKind, program};
use xdp_lb_tests::bed::{BpfFs, Scratch};

use crate::{
    test_run::{self, Action, Output},
    world::{GUE_PORT, World},
};

/// Under which VIP id a packet is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CountedAt {
    /// It belongs to no VIP.
    Nowhere,
    /// A VIP address, and none of its services.
    Address(IpAddr),
    /// A service.
    Service(Service),
}

/// What must become of a packet.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// It leaves as this frame, counted for this backend.
    Forwarded { service: Service, backend: IpAddr, frame: Vec<u8> },
    /// It leaves as this frame by another interface, counted for this backend.
    Redirected { service: Service, backend: IpAddr, frame: Vec<u8> },
    /// It goes to this node's own stack as it is, counted for this backend.
    Delivered { service: Service, backend: IpAddr },
    /// A fragment: it leaves as this frame, counted under this reason for the backend of its packet.
    Fragment { reason: Reason, service: Service, backend: IpAddr, frame: Vec<u8> },
    /// An ICMP error: it leaves as this frame, counted for the backend of the flow it is about.
    Related { service: Service, backend: IpAddr, frame: Vec<u8> },
    /// It goes back as this frame.
    Replied(Reason, CountedAt, Vec<u8>),
    /// It is not changed.
    Unchanged(Reason, CountedAt),
}

/// A loaded balancer. Pins go with the file system that they are in.
pub(crate) struct Balancer {
    program: Program,
    installed: Installed,
    counters: Counters,
    pins: Pins,
    _lock: PinsLock,
    _bpffs: BpfFs,
    _scratch: Scratch,
}

/// All that was counted: packets by VIP id and reason, bytes by VIP id, packets and bytes by member counter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    packets: BTreeMap<(u32, Reason), u64>,
    bytes: BTreeMap<u32, u64>,
    members: BTreeMap<u32, (u64, u64)>,
}

impl Balancer {
    /// Loads the program and installs what the world holds.
    pub(crate) fn new(world: &World) -> Self {
        let scratch = Scratch::create().expect("a directory (packet tests need root)");
        let bpffs = BpfFs::mount(scratch.path().join("bpf")).expect("a BPF file system");
        let pins = Pins::new(bpffs.path());
        let lock = pins.prepare().expect("the pin directory");
        let (hash_seed, gates, icmp_rate) = (world.hash_seed, world.gates, world.icmp_rate);
        let kind = ProgramKind::Balancer { hash_seed, gates, gue_port: GUE_PORT, icmp_rate };
        let program = Program::load(&pins, &lock, kind).expect("the program loads");
        let (mut writer, mut installed) = Writer::open(Tables::open(&pins).expect("the maps")).expect("a writer");
        let plan = plan(&world.desired, &installed, world.hash_seed);
        writer.apply(&plan.changes, &mut installed).expect("the plan is carried out");
        let counters = Counters::open(&pins).expect("the counters");
        Self { program, installed, counters, pins, _lock: lock, _bpffs: bpffs, _scratch: scratch }
    }

    /// The pinned maps, for tests that spoil them.
    pub(crate) fn pins(&self) -> &Pins {
        &self.pins
    }

    /// What is installed.
    pub(crate) fn installed(&self) -> &Installed {
        &self.installed
    }

    /// Tunnel addresses of a service's members by their index in its ring.
    pub(crate) fn members(&self, service: Service) -> BTreeMap<u16, IpAddr> {
        self.installed.services[&service].members.iter().map(|(key, member)| (member.index, key.tunnel)).collect()
    }

    /// Runs a frame through the program and compares what becomes of it, and what is counted, with what must.
    pub(crate) fn check(&mut self, given: &str, frame: &[u8], expected: &Expected) {
        let before = self.counts();
        let output = test_run::run(self.program.object(), program::XDP_LB, frame);
        self.compare(given, frame, &output, expected, &before);
    }

    /// The same, with only `room` bytes in front of the packet.
    pub(crate) fn check_with_room(&mut self, given: &str, frame: &[u8], room: usize, expected: &Expected) {
        let before = self.counts();
        let output = test_run::run_with_room(self.program.object(), program::XDP_LB, frame, room);
        self.compare(given, frame, &output, expected, &before);
    }

    /// Runs a frame that must be forwarded, and gives the frame that leaves.
    pub(crate) fn forward(&mut self, given: &str, frame: &[u8]) -> Vec<u8> {
        let output = test_run::run(self.program.object(), program::XDP_LB, frame);
        assert_eq!(output.action, Action::Transmit, "{given}");
        output.frame
    }

    /// Runs a frame and returns the single reason it was counted under; its bytes must not change unless forwarded.
    pub(crate) fn reason(&mut self, given: &str, frame: &[u8]) -> Reason {
        let before = self.counts();
        let output = test_run::run(self.program.object(), program::XDP_LB, frame);
        let counted = self.counts().since(&before);
        let reasons: Vec<_> = counted.packets.iter().map(|((_, reason), packets)| (*reason, *packets)).collect();
        let [(reason, 1)] = reasons[..] else { panic!("{given}: counted under {reasons:?}") };
        assert_eq!(output.action, action(reason), "{given}: {}", reason.name());
        if !matches!(reason.kind(), ReasonKind::Forward | ReasonKind::Reply) {
            assert_eq!(output.frame, frame, "{given}: {} changed the packet", reason.name());
        }
        reason
    }

    fn compare(&self, given: &str, frame: &[u8], output: &Output, expected: &Expected, before: &Counts) {
        let change = self.counts().since(before);
        let bytes = frame.len() as u64;
        let (reason, id, becomes, members) = match expected {
            Expected::Forwarded { service, backend, frame } => {
                let members = BTreeMap::from([(self.counter(*service, *backend), (1, bytes))]);
                (Reason::Forwarded, self.id(CountedAt::Service(*service)), frame.as_slice(), members)
            }
            Expected::Redirected { service, backend, frame } => {
                let members = BTreeMap::from([(self.counter(*service, *backend), (1, bytes))]);
                (Reason::Redirected, self.id(CountedAt::Service(*service)), frame.as_slice(), members)
            }
            Expected::Delivered { service, backend } => {
                let members = BTreeMap::from([(self.counter(*service, *backend), (1, bytes))]);
                (Reason::LocalBackend, self.id(CountedAt::Service(*service)), frame, members)
            }
            Expected::Fragment { reason, service, backend, frame } => {
                let members = BTreeMap::from([(self.counter(*service, *backend), (1, bytes))]);
                (*reason, self.id(CountedAt::Service(*service)), frame.as_slice(), members)
            }
            Expected::Related { service, backend, frame } => {
                let members = BTreeMap::from([(self.counter(*service, *backend), (1, bytes))]);
                (Reason::ForwardedIcmpError, self.id(CountedAt::Service(*service)), frame.as_slice(), members)
            }
            Expected::Replied(reason, at, frame) => (*reason, self.id(*at), frame.as_slice(), BTreeMap::new()),
            Expected::Unchanged(reason, at) => (*reason, self.id(*at), frame, BTreeMap::new()),
        };
        let packets = BTreeMap::from([((id, reason), 1)]);
        let wanted = Counts { packets, bytes: BTreeMap::from([(id, bytes)]), members };
        assert_eq!(change, wanted, "{given}: counters");
        assert_eq!(output.action, action(reason), "{given}: action");
        assert_eq!(hex(&output.frame), hex(becomes), "{given}: bytes");
    }

    /// The counter of a service's backend.
    fn counter(&self, service: Service, backend: IpAddr) -> u32 {
        let mut members = self.installed.services[&service].members.iter();
        members.find(|(key, _)| key.tunnel == backend).expect("a member").1.route.counter
    }

    /// The VIP id that counts.
    pub(crate) fn id(&self, at: CountedAt) -> u32 {
        match at {
            CountedAt::Nowhere => 0,
            CountedAt::Address(address) => self.installed.addresses[&address].id,
            CountedAt::Service(service) => self.installed.services[&service].id,
        }
    }

    fn counts(&self) -> Counts {
        let totals = self.counters.read(&self.installed).expect("the counters");
        let mut counts = Counts::default();
        let services = self.installed.services.values().map(|service| service.id);
        for id in services.chain(self.installed.addresses.values().map(|address| address.id)).chain([0]) {
            let counters = totals.vip(id);
            counts.bytes.insert(id, counters.bytes);
            for reason in Reason::ALL {
                counts.packets.insert((id, *reason), counters.of(*reason));
            }
        }
        for member in self.installed.services.values().flat_map(|service| service.members.values()) {
            let counters = totals.member(member.route.counter);
            counts.members.insert(member.route.counter, (counters.packets, counters.bytes));
        }
        counts
    }
}

impl Counts {
    /// What was counted since; zeros are left out.
    fn since(mut self, before: &Self) -> Self {
        self.packets.retain(|key, count| {
            *count -= before.packets[key];
            *count > 0
        });
        self.bytes.retain(|key, count| {
            *count -= before.bytes[key];
            *count > 0
        });
        self.members.retain(|key, (packets, bytes)| {
            *packets -= before.members[key].0;
            *bytes -= before.members[key].1;
            *packets > 0 || *bytes > 0
        });
        self
    }
}

pub(crate) fn action(reason: Reason) -> Action {
    if reason == Reason::Redirected {
        return Action::Redirect;
    }
    match reason.kind() {
        ReasonKind::Forward | ReasonKind::Reply => Action::Transmit,
        ReasonKind::Deliver | ReasonKind::Pass => Action::Pass,
        ReasonKind::Drop => Action::Drop,
    }
}

/// Sixteen bytes a line, so that a difference can be found.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let line = |chunk: &[u8]| chunk.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    bytes.chunks(16).map(line).collect::<Vec<_>>().join("\n")
}
