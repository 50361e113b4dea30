//! A backend's server dies and comes back.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use xdp_lb_tests::{
    agent::config::{self, HealthCheck},
    bed::Bed,
    deployment::Deployment,
    http::nginx,
    traffic::Traffic,
};

const CHECK: HealthCheck = HealthCheck::FAST;
const PAUSE: Duration = Duration::from_millis(5);

#[test]
fn a_dead_backend_gets_no_request_once_its_checks_have_failed() {
    let bed = Bed::new(3).expect("a bed");
    let mut deployment =
        Deployment::start(&bed, &config::ingress(config::mixed_tunnels(&bed), CHECK)).expect("a deployment");
    let killed = thread::scope(|scope| {
        let traffic = Traffic::start(scope, &bed.client, PAUSE);
        let before: BTreeSet<_> = traffic.take(100).map(|outcome| outcome.result.expect("an answer")).collect();
        assert_eq!(before.len(), bed.backends.len(), "every backend answers");

        deployment.servers.remove(1).kill().expect("the server's end");
        let (killed, limit) = (Instant::now(), CHECK.failover_limit());
        // What is still open when the server dies is seen to its end, and then as much again.
        let settled = traffic.outcomes().iter().skip_while(|outcome| outcome.at < killed + limit);
        let after: BTreeSet<_> = settled.take(200).map(|outcome| outcome.result.expect("an answer")).collect();
        assert_eq!(after, BTreeSet::from(["web-1".to_owned(), "web-3".to_owned()]));
        killed
    });
    assert!(killed.elapsed() > CHECK.failover_limit());

    let _server = nginx::start(&bed.backends[1]).expect("nginx");
    deployment.wait_until_whole(&bed).expect("the backend takes traffic again");
    thread::scope(|scope| {
        let traffic = Traffic::start(scope, &bed.client, PAUSE);
        let again: BTreeSet<_> = traffic.take(100).map(|outcome| outcome.result.expect("an answer")).collect();
        assert_eq!(again.len(), bed.backends.len(), "every backend answers again");
    });
}
