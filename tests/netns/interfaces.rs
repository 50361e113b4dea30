//! Interfaces that go away, and that somebody else uses.

use std::{collections::BTreeSet, fs, thread, time::Duration};

use lb_api::{Mode, PATH_STATUS, Status};
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
    let links = fs::read_dir(bed.lb.bpffs().join("xdp-lb/v1/links")).expect("the links").count();
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
