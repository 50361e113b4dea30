//! Interfaces that go away, and that somebody else uses.

use std::{collections::BTreeSet, fs, thread, time::Duration};

use lb_api::{Mode, PATH_STATUS, Status};
use xdp_lb::Pins;
use xdp_lb_tests::{
    agent::{
        Agent,
        config::{self, HealthCheck},
    },
    bed::Bed,
    deployment::Deployment,
    poll,
    traffic::Traffic,
};

const LIMIT: Duration = Duration::from_secs(8);

#[test]
fn a_foreign_program_on_the_interface_is_left_alone() {
    let bed = Bed::new(0).expect("a bed");
    let config = config::ingress([("web", [10, 0, 0, 11].into())], HealthCheck::FAST);
    let foreign = bed.lb.attach_pass_program().expect("another program");
    let error = Agent::start(&bed.lb, &config).expect_err("somebody else's program is there");
    let told = format!("{error:#}");
    assert!(told.contains("already runs the XDP program") && told.contains("agent.yaml:"), "{told}");
    let links = fs::read_dir(Pins::new(bed.lb.bpffs()).links()).expect("the links").count();
    assert_eq!(links, 0, "nothing is half attached");

    drop(foreign);
    Agent::start(&bed.lb, &config).expect("the way is free");
}

#[test]
fn an_interface_that_is_made_anew_gets_the_program_again() {
    let bed = Bed::new(2).expect("a bed");
    let config = config::ingress(config::mixed_tunnels(&bed), HealthCheck::FAST);
    let mut deployment = Deployment::start(&bed, &config).expect("a deployment");

    let _link = bed.replace_lb_interface().expect("another interface");
    let index = poll::until("the program on the new interface", LIMIT, || {
        let status: Status = deployment.ingress.api(PATH_STATUS).ok()?;
        let interface = status.interfaces.first()?;
        interface.mode.and(interface.index).filter(|_| status.problems.is_empty())
    });
    index.expect("the program");
    deployment.wait_until_whole(&bed).expect("the way to every backend");
    expect_both(&bed);

    // The same while no agent is there to see it: its successor finds a link that leads nowhere.
    deployment.ingress.kill().expect("the agent's end");
    let _link = bed.replace_lb_interface().expect("another interface");
    deployment.ingress = Agent::start(&bed.lb, &config).expect("an agent");
    deployment.wait_until_whole(&bed).expect("the way to every backend");
    expect_both(&bed);
}

fn expect_both(bed: &Bed) {
    thread::scope(|scope| {
        let traffic = Traffic::start(scope, &bed.client, Duration::from_millis(5));
        let answered: BTreeSet<_> = traffic.take(60).map(|outcome| outcome.result.expect("an answer")).collect();
        assert_eq!(answered.len(), 2, "both backends answer");
    });
}

#[test]
fn a_driver_without_native_xdp_is_refused_or_said_to_be_slow() {
    let bed = Bed::new(0).expect("a bed");
    let host = &bed.router;
    let on_bridge = |mode: &str| {
        config::ingress([("web", [10, 0, 0, 11].into())], HealthCheck::FAST)
            .replace("name: eth0", &format!("name: segment\n    mode: {mode}"))
    };
    let error = Agent::start(host, &on_bridge("native")).expect_err("a bridge has no native XDP");
    let told = format!("{error:#}");
    assert!(told.contains("cannot run native XDP") && told.contains("mode: native-or-generic"), "{told}");

    let agent = Agent::start(host, &on_bridge("native-or-generic")).expect("an agent");
    let status: Status = agent.api(PATH_STATUS).expect("the status");
    assert_eq!(status.interfaces[0].mode, Some(Mode::Generic));
    assert!(status.problems.iter().any(|problem| problem.contains("generic")), "{:?}", status.problems);
    let metrics = agent.get("/metrics").expect("metrics").body;
    assert!(metrics.contains("mode=\"generic\""), "the slow path can be alerted on:\n{metrics}");
}

/// Adds a second interface to the load balancer, which carries no traffic.
fn add_spare(bed: &Bed) {
    bed.lb.run("ip", &["link", "add", "spare", "type", "veth", "peer", "name", "spare-peer"]).expect("a veth pair");
    for name in ["spare", "spare-peer"] {
        bed.lb.run("ip", &["link", "set", name, "up"]).expect("the link up");
    }
}

/// Id of the XDP program on an interface of the load balancer.
fn program_on(bed: &Bed, interface: &str) -> Option<u64> {
    let links = bed.lb.run("ip", &["-json", "-details", "link", "show", interface]).expect("the link");
    let links: serde_json::Value = serde_json::from_str(&links).expect("JSON");
    links[0]["xdp"]["prog"]["id"].as_u64()
}

#[test]
fn an_interface_that_is_gone_does_not_keep_the_program_off_the_others() {
    let bed = Bed::new(2).expect("a bed");
    add_spare(&bed);
    let config = config::ingress(config::mixed_tunnels(&bed), HealthCheck::FAST)
        .replace("name: eth0", "name: eth0\n  - name: spare");
    let deployment = Deployment::start(&bed, &config).expect("a deployment");
    bed.lb.run("ip", &["link", "delete", "spare"]).expect("the link is gone");
    let told = poll::until("the loss is told", LIMIT, || {
        let status: Status = deployment.ingress.api(PATH_STATUS).ok()?;
        status.problems.iter().any(|problem| problem.contains("no interface spare")).then_some(())
    });
    told.expect("a problem");

    let pin = Pins::new(bed.lb.bpffs()).link("eth0");
    let pin = pin.to_str().expect("a path of ASCII");
    bed.lb.run("bpftool", &["link", "detach", "pinned", pin]).expect("the program is taken away");
    poll::until("the program is back", LIMIT, || program_on(&bed, "eth0")).expect("the program");
    expect_both(&bed);
    assert_eq!(deployment.ingress.get("/readyz").expect("an answer").status, 503, "the node is not whole");
}

#[test]
fn a_program_that_takes_our_place_is_noticed_and_left_alone() {
    let bed = Bed::new(2).expect("a bed");
    let config = config::ingress(config::mixed_tunnels(&bed), HealthCheck::FAST);
    let deployment = Deployment::start(&bed, &config).expect("a deployment");
    let pin = Pins::new(bed.lb.bpffs()).link("eth0");
    let pin = pin.to_str().expect("a path of ASCII");
    // The agent attaches again within a tick, so the other program has to be quick; the agent tries for ever, it once.
    let foreign = poll::until("the other program", LIMIT, || {
        bed.lb.run("bpftool", &["link", "detach", "pinned", pin]).ok()?;
        bed.lb.attach_pass_program().ok()
    })
    .expect("the other program");
    let told = poll::until("the other program is told", LIMIT, || {
        let status: Status = deployment.ingress.api(PATH_STATUS).ok()?;
        status.problems.iter().any(|problem| problem.contains("which is not ours")).then_some(())
    });
    told.expect("a problem");
    assert_eq!(deployment.ingress.get("/readyz").expect("an answer").status, 503);

    drop(foreign);
    let back = poll::until("the node to be whole", LIMIT, || {
        deployment.ingress.get("/readyz").is_ok_and(|answer| answer.status == 200).then_some(())
    });
    back.expect("the program");
    expect_both(&bed);
}

#[test]
fn a_start_that_fails_at_one_interface_leaves_the_others_as_they_were() {
    let bed = Bed::new(0).expect("a bed");
    add_spare(&bed);
    let good = config::ingress([("web", [10, 0, 0, 11].into())], HealthCheck::FAST);
    Agent::start(&bed.lb, &good).expect("an agent").kill().expect("the agent's end");
    let before = program_on(&bed, "eth0").expect("a program");

    let missing = good.replace("name: eth0", "name: eth0\n  - name: nosuch");
    let error = Agent::start(&bed.lb, &missing).expect_err("an interface is missing");
    assert!(format!("{error:#}").contains("there is no interface nosuch"), "{error:#}");
    assert_eq!(program_on(&bed, "eth0"), Some(before));

    // What shows only when it is tried: loopback has no native XDP.
    let slow = good.replace("name: eth0", "name: eth0\n  - name: lo");
    let error = Agent::start(&bed.lb, &slow).expect_err("an interface without native XDP");
    assert!(format!("{error:#}").contains("cannot run native XDP"), "{error:#}");
    assert_eq!(program_on(&bed, "eth0"), Some(before), "the predecessor is back");
    assert_eq!(program_on(&bed, "lo"), None);
}
