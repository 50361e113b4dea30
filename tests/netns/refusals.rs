//! What keeps an agent from starting: each is told in a sentence that names the remedy, and nothing is left behind.

use std::{fs, process::ExitStatus, time::Duration};

use xdp_lb_tests::{
    agent::{
        self, Agent,
        config::{self, HealthCheck},
    },
    bed::{Bed, Host},
};

const LIMIT: Duration = Duration::from_secs(5);

fn config() -> String {
    config::ingress([("web", [10, 0, 0, 11].into())], HealthCheck::FAST)
}

/// Runs an agent that must end by itself; what it said, and its exit code.
fn refused(host: &Host, wrapper: &[&str]) -> (String, Option<i32>) {
    let agent = agent::command_line(host).expect("the agent");
    let words: Vec<&str> = wrapper.iter().copied().chain(agent.iter().map(String::as_str)).collect();
    let log = "refused";
    let _ = fs::remove_file(host.path("refused.log"));
    let mut process = host.spawn(log, words[0], &words[1..]).expect("a process");
    let status: ExitStatus = process.wait(LIMIT).expect("the agent's end");
    (process.log(), status.code())
}

fn assert_refused(host: &Host, wrapper: &[&str], code: i32, words: &[&str]) {
    let (said, status) = refused(host, wrapper);
    for word in words {
        assert!(said.contains(word), "`{word}` is missing in: {said}");
    }
    assert_eq!(status, Some(code), "{said}");
    let interface = host.run("ip", &["link", "show", "eth0"]).expect("the interface");
    assert!(!interface.contains("xdp"), "a program is attached: {interface}");
}

#[test]
fn an_agent_that_cannot_work_says_why_and_leaves_nothing_behind() {
    let bed = Bed::new(0).expect("a bed");
    let host = &bed.lb;
    let good = config();
    agent::configure(host, &good).expect("a config");
    let without = |capability: &str| vec!["setpriv".to_owned(), format!("--bounding-set=-sys_admin,-{capability}")];
    for (capability, name) in [("bpf", "CAP_BPF"), ("net_admin", "CAP_NET_ADMIN"), ("perfmon", "CAP_PERFMON")] {
        let wrapper = without(capability);
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        assert_refused(host, &wrapper, 2, &["missing", name, "run as root"]);
    }

    agent::configure(host, &good.replace("name: eth0", "name: eth7")).expect("a config");
    assert_refused(host, &[], 2, &["there is no interface eth7", "agent.yaml:", "ip -brief link"]);

    agent::configure(host, &good.replace("ports: [80]", "ports: [0]")).expect("a config");
    assert_refused(host, &[], 1, &["agent.yaml:", "port"]);

    host.write("agent.yaml", &good.replace("role: ingress", "role: ingress\nnode: {bpffs: /tmp}")).expect("a config");
    assert_refused(host, &[], 2, &["/tmp is not a BPF file system", "mount -t bpf"]);

    agent::configure(host, &good).expect("a config");
    let other_version = host.bpffs().join("xdp-lb/v999");
    fs::create_dir_all(&other_version).expect("a directory");
    assert_refused(host, &[], 2, &["ABI version 999", "lbctl detach"]);
    fs::remove_dir(&other_version).expect("an empty directory");

    let _first = Agent::start(host, &good).expect("an agent");
    let (said, code) = refused(host, &[]);
    assert!(said.contains("cannot listen on 127.0.0.1:9477") && said.contains("node.metrics"), "{said}");
    assert_eq!(code, Some(2), "{said}");

    let bpffs = host.bpffs().display();
    let other_doors = format!(
        "node: {{bpffs: {bpffs}, metrics: \"127.0.0.1:9478\", api_socket: {}}}\n{good}",
        host.path("other.sock").display()
    );
    host.write("agent.yaml", &other_doors).expect("a config");
    let (said, code) = refused(host, &[]);
    assert!(said.contains("another lb-agent uses") && said.contains("node.bpffs"), "{said}");
    assert_eq!(code, Some(2), "{said}");
}
