//! Packets that leave by another interface than they came in by.

use std::collections::BTreeSet;

use anyhow::Result;
use xdp_lb::{
    model::{Mode, Protocol, Service},
    tx_ports::TxPorts,
};
use xdp_lb_abi::{Gates, Reason};
use xdp_lb_tests::{
    bed::{Namespace, Scratch},
    builder::{Tcp, frame::frame},
};

use crate::{
    balancer::{Balancer, CountedAt, Expected},
    forwarding::{COMBINATIONS, packet_to},
    world::{CLIENT_PORT, HTTP, Way, World},
};

/// Runs a test in a namespace that has, besides `lo`, an interface of this index.
fn beside_a_port(test: impl FnOnce(u32) -> Result<()> + Send) {
    let scratch = Scratch::create().expect("a directory (packet tests need root)");
    let namespace = Namespace::create(format!("{}-port", scratch.name())).expect("a namespace");
    namespace.run("ip", &["link", "add", "port", "type", "veth", "peer", "name", "peer"]).expect("a veth pair");
    let links = namespace.run("ip", &["-json", "link", "show", "port"]).expect("the link");
    let links: serde_json::Value = serde_json::from_str(&links).expect("JSON");
    let index = links[0]["ifindex"].as_u64().expect("an index");
    namespace.on_thread(|| test(u32::try_from(index)?)).expect("the test");
}

/// TCP on the VIP of each combination of families, with backends behind this interface.
fn world(mode: Mode, port: u32) -> World {
    let mut world = COMBINATIONS.into_iter().fold(World::empty(), |world, (_, vip, backend)| {
        world.with(vip, HTTP, Protocol::Tcp, &[Way { mode, interface: Some(port), ..Way::plain(backend) }])
    });
    world.gates = world.gates.with(Gates::SEVERAL_INTERFACES, true);
    world
}

#[test]
fn a_backend_behind_another_port_gets_the_same_bytes_there() {
    beside_a_port(|port| {
        for mode in [Mode::Ipip, Mode::L2] {
            let world = world(mode, port);
            let mut balancer = Balancer::new(&world);
            TxPorts::open(balancer.pins())?.set(&BTreeSet::from([port]))?;
            for (name, vip, backend) in COMBINATIONS {
                let incoming = frame(&packet_to(vip, &Tcp::between(CLIENT_PORT, HTTP)));
                let tunnel = world.tunnel(backend);
                let frame = if mode == Mode::L2 { tunnel.pass_on(&incoming) } else { tunnel.wrap(&incoming) };
                let service = Service::new(vip, HTTP, Protocol::Tcp);
                let expected = Expected::Redirected { service, backend, frame };
                balancer.check(&format!("{name}, {mode:?}"), &incoming, &expected);
            }
        }
        Ok(())
    });
}

#[test]
fn packets_leave_only_by_ports_that_the_program_runs_on_and_with_the_gate() {
    beside_a_port(|port| {
        let (_, vip, _) = COMBINATIONS[0];
        let service = Service::new(vip, HTTP, Protocol::Tcp);
        let incoming = frame(&packet_to(vip, &Tcp::between(CLIENT_PORT, HTTP)));
        let dropped = Expected::Unchanged(Reason::OtherInterface, CountedAt::Service(service));

        let mut balancer = Balancer::new(&world(Mode::Ipip, port));
        let mut ports = TxPorts::open(balancer.pins())?;
        balancer.check("no ports", &incoming, &dropped);
        ports.set(&BTreeSet::from([port]))?;
        assert_eq!(balancer.reason("the port", &incoming), Reason::Redirected);
        ports.set(&BTreeSet::new())?;
        balancer.check("the port is closed", &incoming, &dropped);

        let mut single = world(Mode::Ipip, port);
        single.gates = single.gates.with(Gates::SEVERAL_INTERFACES, false);
        let mut balancer = Balancer::new(&single);
        TxPorts::open(balancer.pins())?.set(&BTreeSet::from([port]))?;
        balancer.check("without the gate", &incoming, &dropped);
        Ok(())
    });
}
