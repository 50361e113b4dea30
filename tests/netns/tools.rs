//! What tools that know nothing of us make of the traffic: load generators and a packet dissector.

use std::time::Duration;

use xdp_lb_tests::{
    agent::config::{self, HealthCheck},
    bed::{Bed, VIP_V4, VIP_V6},
    deployment::Deployment,
    optional, poll,
};

const LIMIT: Duration = Duration::from_secs(8);

#[test]
fn load_generators_see_no_failed_request() {
    let bed = Bed::new(3).expect("a bed");
    let config = config::ingress(config::mixed_tunnels(&bed), HealthCheck::FAST);
    let _deployment = Deployment::start(&bed, &config).expect("a deployment");
    for url in [format!("http://{VIP_V4}/"), format!("http://[{VIP_V6}]/")] {
        if optional::is_there("wrk") {
            let report = bed.client.run("wrk", &["-t1", "-c16", "-d1s", &url]).expect("wrk's report");
            assert!(report.contains("Requests/sec") && !report.contains(" requests in 1.00s, 0.00B"), "{report}");
            assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
        }
        if optional::is_there("h2load") {
            let arguments = ["--h1", "-n", "500", "-c", "20", &url];
            let report = bed.client.run("h2load", &arguments).expect("h2load's report");
            assert!(report.contains("500 succeeded, 0 failed, 0 errored, 0 timeout"), "{report}");
        }
    }
}

#[test]
fn a_dissector_finds_every_header_and_checksum_right() {
    let bed = Bed::new(2).expect("a bed");
    let config = config::ingress(config::mixed_tunnels(&bed), HealthCheck::FAST);
    let _deployment = Deployment::start(&bed, &config).expect("a deployment");
    // On the router's side of the load balancer's link: what arrives here has been transmitted by the program.
    let filter = "proto 4 or proto 41";
    let arguments = ["-i", bed.lb.name(), "-Q", "in", "-n", "-v", "--immediate-mode", "-l", filter];
    let dump = bed.router.spawn("tcpdump", "tcpdump", &arguments).expect("tcpdump");
    poll::until("tcpdump listens", LIMIT, || dump.log().contains("listening on").then_some(())).expect("tcpdump");
    let (outer_v4, outer_v6) = ("ttl 64, id 0, offset 0, flags [DF], proto IP", "hlim 64, next-header IP");
    let is_seen = |log: &str| log.contains(outer_v4) && log.contains(outer_v6);
    poll::until("tunnelled packets of both families", LIMIT, || {
        for url in [format!("http://{VIP_V4}/"), format!("http://[{VIP_V6}]/")] {
            bed.client.run("curl", &["--silent", "--fail", &url]).expect("an answer");
        }
        is_seen(&dump.log()).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", dump.log()));
    let log = dump.log();
    assert!(!log.contains("bad cksum") && !log.contains("incorrect"), "{log}");
    assert!(log.contains("(correct)"), "the inner checksums were looked at:\n{log}");
}
