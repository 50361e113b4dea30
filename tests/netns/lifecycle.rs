//! Agents come and go; forwarding stays.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use xdp_lb_tests::{
    agent::{
        Agent,
        config::{self, HealthCheck},
    },
    bed::{Bed, Host, INTERFACE},
    deployment::Deployment,
    poll,
    traffic::Traffic,
};

const PAUSE: Duration = Duration::from_millis(5);
/// How long a reload may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Requests between two events.
const BETWEEN: usize = 60;

/// Id of the XDP program on the host's interface.
fn program_id(host: &Host) -> u64 {
    let links = host.run("ip", &["-json", "link", "show", INTERFACE]).expect("the interface");
    let links: Value = serde_json::from_str(&links).expect("JSON");
    links[0]["xdp"]["prog"]["id"].as_u64().expect("an XDP program")
}

/// Every outcome up to now and of the next requests must be an answer.
fn expect_answers(traffic: &Traffic, when: &str) {
    let mut ahead = BETWEEN;
    let now = Instant::now();
    for outcome in traffic.outcomes() {
        ahead -= usize::from(outcome.at > now);
        outcome.result.unwrap_or_else(|error| panic!("a request failed {when}: {error:#}"));
        if ahead == 0 {
            break;
        }
    }
}

#[test]
fn no_request_fails_when_agents_are_killed_stopped_started_and_replaced() {
    let bed = Bed::new(3).expect("a bed");
    let config = config::ingress(config::mixed_tunnels(&bed), HealthCheck::FAST);
    let Deployment { servers: _servers, mut backends, ingress } =
        Deployment::start(&bed, &config).expect("a deployment");
    thread::scope(|scope| {
        let traffic = Traffic::start(scope, &bed.client, PAUSE);
        expect_answers(&traffic, "at first");

        ingress.kill().expect("the agent's end");
        expect_answers(&traffic, "after SIGKILL of the ingress agent");

        let before = program_id(&bed.lb);
        let ingress = Agent::start(&bed.lb, &config).expect("an agent");
        assert_ne!(program_id(&bed.lb), before, "the new agent brings its own program");
        expect_answers(&traffic, "after the start of the next one");

        let status = ingress.stop().expect("the agent's end");
        assert!(status.success(), "SIGTERM ends the agent in order, not with {status}");
        expect_answers(&traffic, "after SIGTERM of the ingress agent");

        let ingress = Agent::start(&bed.lb, &config).expect("an agent");
        expect_answers(&traffic, "after a restart of the ingress agent");

        backends.remove(0).kill().expect("the agent's end");
        expect_answers(&traffic, "after SIGKILL of a backend's agent");

        let host = &bed.backends[0];
        let _backend = Agent::start(host, &config::backend(&bed, host)).expect("an agent");
        expect_answers(&traffic, "after the start of the next one");

        let other_program = format!("{config}forwarding: {{check_tcp_flags: false}}\n");
        let before = program_id(&bed.lb);
        ingress.reload(&other_program).expect("a reload");
        let replaced = poll::until("another program", LIMIT, || (program_id(&bed.lb) != before).then_some(()));
        replaced.expect("another setting needs another program");
        expect_answers(&traffic, "while the program was replaced");

        for outcome in traffic.finish() {
            outcome.result.expect("the last requests are answered too");
        }
        drop(ingress);
    });
}
