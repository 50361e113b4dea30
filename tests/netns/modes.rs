//! Ways to a backend other than IP in IP, with curl and nginx.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Result;
use lb_api::{PATH_STATUS, PATH_VIPS, Status, Vip};
use xdp_lb_tests::{
    agent::{
        Agent,
        config::{self, HealthCheck},
        lbctl,
    },
    bed::{BACK_INTERFACE, Bed, Host, VIP_V4, VIP_V6},
    deployment::takes_traffic,
    http::nginx,
    poll,
};

const WHOLE_LIMIT: Duration = Duration::from_secs(10);
/// Requests until every backend has answered: the least likely one has a chance of 1/2 in each.
const MOST_REQUESTS: usize = 60;

/// The load balancer's agent with this config, when every backend takes traffic.
fn balance<'b>(bed: &'b Bed, config: &str, backends: usize) -> Agent<'b> {
    let mut agent = Agent::start(&bed.lb, config).expect("the agent");
    let whole = poll::until("every backend to take traffic", WHOLE_LIMIT, || {
        let vips: Vec<Vip> = agent.api(PATH_VIPS).ok()?;
        let whole = |vip: &Vip| vip.members.len() == backends && vip.members.iter().all(takes_traffic);
        (!vips.is_empty() && vips.iter().all(whole)).then_some(())
    });
    whole.unwrap_or_else(|error| panic!("{error:#}; it wrote\n{}", agent.process().log()));
    agent
}

/// Both VIPs are asked until all these hosts have answered, and for a megabyte each way.
fn check_http(bed: &Bed, hosts: &[&Host]) {
    let all: BTreeSet<_> = hosts.iter().map(|host| host.name().to_owned()).collect();
    let upload = bed.client.write("upload", &"y".repeat(nginx::MEGABYTE)).expect("a file");
    let upload = format!("@{}", upload.display());
    for vip in [VIP_V4.to_string(), format!("[{VIP_V6}]")] {
        let mut answered = BTreeSet::new();
        for _ in 0..MOST_REQUESTS {
            answered.insert(curl(&bed.client, &[&format!("http://{vip}/")]).expect("an answer"));
            if answered == all {
                break;
            }
        }
        assert_eq!(answered, all, "GET from {vip}");
        let answer =
            curl(&bed.client, &["--data-binary", &upload, &format!("http://{vip}/upload")]).expect("an answer");
        assert!(answer.ends_with(&format!(" received {} bytes", nginx::MEGABYTE)), "{answer}");
    }
}

fn curl(client: &Host, arguments: &[&str]) -> Result<String> {
    let arguments = [&["--silent", "--show-error", "--fail", "--max-time", "5"], arguments].concat();
    Ok(client.run("curl", &arguments)?.trim().to_owned())
}

/// Nothing was dropped; gives the packets under each of these reasons.
fn packets<const N: usize>(agent: &Agent<'_>, reasons: [&str; N]) -> [u64; N] {
    let status: Status = agent.api(PATH_STATUS).expect("the status");
    let expected = ["not_ip", "not_vip", "neighbour_discovery", "local_address"];
    let others: Vec<_> = status
        .packets
        .keys()
        .filter(|reason| !reasons.contains(&reason.as_str()) && !expected.contains(&reason.as_str()))
        .collect();
    assert!(others.is_empty(), "packets were dropped: {:?}", status.packets);
    reasons.map(|reason| status.packets.get(reason).copied().unwrap_or(0))
}

#[test]
fn l2_backends_answer_http_without_a_tunnel() {
    let bed = Bed::new(2).expect("a bed");
    let _servers: Vec<_> = bed.backends.iter().map(|host| nginx::start(host).expect("nginx")).collect();
    let config = format!("encapsulation: l2\n{}", config::ingress(config::mixed_tunnels(&bed), HealthCheck::FAST));
    let agent = balance(&bed, &config, 2);
    check_http(&bed, &bed.backends.iter().collect::<Vec<_>>());
    let [forwarded] = packets(&agent, ["forwarded"]);
    assert!(forwarded > 1000, "two megabytes are more than {forwarded} packets");
}

#[test]
fn gue_backends_answer_http_out_of_a_udp_tunnel() {
    let bed = Bed::new(4).expect("a bed");
    let config = config::ingress(config::mixed_tunnels(&bed), HealthCheck::FAST);
    let config = format!("encapsulation: gue\nforwarding: {{gue_port: 6635}}\n{config}");
    let _servers: Vec<_> = bed.backends.iter().map(|host| nginx::start(host).expect("nginx")).collect();
    let backends: Vec<_> = bed
        .backends
        .iter()
        .map(|host| {
            Agent::start(host, &format!("{}  gue_port: 6635\n", config::backend(&bed, host))).expect("a backend")
        })
        .collect();
    let agent = balance(&bed, &config, 4);
    check_http(&bed, &bed.backends.iter().collect::<Vec<_>>());
    let [forwarded] = packets(&agent, ["forwarded"]);
    let unwrapped: u64 = backends
        .iter()
        .map(|backend| backend.api::<Status>(PATH_STATUS).expect("the status").packets["decapsulated"])
        .sum();
    assert!(forwarded > 1000 && unwrapped >= forwarded, "{forwarded} sent, {unwrapped} taken out");
}

#[test]
fn backends_on_both_sides_of_the_load_balancer_answer_http() {
    let bed = Bed::new(3).expect("a bed");
    let _link = bed.connect_back().expect("a second interface");
    let _servers: Vec<_> = bed.backends.iter().map(|host| nginx::start(host).expect("nginx")).collect();
    let [v4, v6] = bed.lb.addresses();
    let _backends: Vec<_> = bed
        .backends
        .iter()
        .map(|host| {
            let config = config::backend(&bed, host)
                .replace(&format!("{v4}/32"), "10.0.0.0/8")
                .replace(&format!("{v6}/128"), "2001:db8::/32");
            Agent::start(host, &config).expect("a backend")
        })
        .collect();
    let config = config::ingress(config::mixed_tunnels(&bed), HealthCheck::FAST);
    let both = config.replace("name: eth0", &format!("name: eth0\n  - name: {BACK_INTERFACE}"));
    let agent = balance(&bed, &both, 3);
    check_http(&bed, &bed.backends.iter().collect::<Vec<_>>());
    let counted = packets(&agent, ["forwarded", "redirected"]);
    assert!(counted.iter().all(|packets| *packets > 5), "{counted:?}");
    let problems = agent.api::<Status>(PATH_STATUS).expect("the status").problems;
    assert!(problems.is_empty(), "{problems:?}");

    // Without the second interface its backend is out of reach, and the status says so.
    agent.reload(&config).expect("a reload");
    poll::until("the detour to be reported", WHOLE_LIMIT, || {
        let status: Status = agent.api(PATH_STATUS).ok()?;
        status.problems.iter().any(|problem| problem.contains("other_interface")).then_some(())
    })
    .expect("the detour to be reported");
}

#[test]
fn what_the_driver_does_not_send_is_told() {
    let bed = Bed::new(1).expect("a bed");
    let backend = &bed.backends[0];
    let _server = nginx::start(backend).expect("nginx");
    let _backend = Agent::start(backend, &config::backend(&bed, backend)).expect("a backend");
    let agent = balance(&bed, &config::ingress(config::mixed_tunnels(&bed), HealthCheck::FAST), 1);
    let told = || {
        let metrics = agent.get("/metrics").expect("metrics").body;
        let line = metrics.lines().find_map(|line| line.strip_prefix("xdp_lb_tx_failed_total{interface=\"eth0\"} "));
        line.expect("the driver of veth tells").parse::<u64>().expect("a number")
    };
    curl(&bed.client, &[&format!("http://{VIP_V4}/")]).expect("an answer");
    assert_eq!(told(), 0);

    // What fits the packet does not fit its tunnel, and the load balancer's own end does not know.
    bed.router.run("ip", &["link", "set", bed.lb.name(), "mtu", "1500"]).expect("a shorter MTU");
    let upload = bed.client.write("upload", &"y".repeat(100_000)).expect("a file");
    let arguments =
        ["--max-time", "1", "--data-binary", &format!("@{}", upload.display()), &format!("http://{VIP_V4}/upload")];
    curl(&bed.client, &arguments).expect_err("the driver drops long packets");
    assert!(told() > 0);
}

#[test]
fn an_l2_backend_behind_a_gateway_is_reported_and_its_packets_drop() {
    let bed = Bed::new(3).expect("a bed");
    let far = &bed.backends[2];
    let _server = nginx::start(far).expect("nginx");
    let ways = [(far.name(), far.v4().into())];
    let config = format!("encapsulation: l2\n{}", config::ingress(ways, HealthCheck::FAST));
    let agent = Agent::start(&bed.lb, &config).expect("the agent");
    poll::until("the problem to be reported", WHOLE_LIMIT, || {
        let status: Status = agent.api(PATH_STATUS).ok()?;
        let gateway = format!("{} is reached by the gateway ", far.v4());
        status.problems.iter().any(|problem| problem.starts_with(&gateway)).then_some(())
    })
    .expect("the problem to be reported");
    curl(&bed.client, &["--max-time", "0.3", &format!("http://{VIP_V4}/")]).expect_err("nobody gets the packets");
    let status: Status = agent.api(PATH_STATUS).expect("the status");
    assert!(status.packets.contains_key("next_hop_unresolved"), "{:?}", status.packets);
}

#[test]
fn the_ingress_node_is_one_of_its_own_backends() {
    let bed = Bed::new(1).expect("a bed");
    let (lb, remote) = (&bed.lb, &bed.backends[0]);
    for address in [format!("{VIP_V4}/32"), format!("{VIP_V6}/128")] {
        lb.run("ip", &["addr", "add", &address, "dev", "lo"]).expect("the VIP on lo");
    }
    let _servers = [lb, remote].map(|host| nginx::start(host).expect("nginx"));
    let _backend = Agent::start(remote, &config::backend(&bed, remote)).expect("the backend role");
    let ways = [(remote.name(), remote.v4().into()), (lb.name(), lb.v4().into())];
    let here = format!("address: \"{}\"", lb.v4());
    let config = config::ingress(ways, HealthCheck::FAST).replace(&here, &format!("{here}, encapsulation: local"));
    let agent = balance(&bed, &config, 2);
    check_http(&bed, &[lb, remote]);
    let counted = packets(&agent, ["forwarded", "local_backend"]);
    assert!(counted.iter().all(|packets| *packets > 5), "{counted:?}");
    let problems = agent.api::<Status>(PATH_STATUS).expect("the status").problems;
    assert!(problems.is_empty(), "{problems:?}");

    // The least ports until one flow stays here.
    let explained = (40_000..40_064).map(|port| {
        let (from, to) = (format!("198.51.100.2:{port}"), format!("{VIP_V4}:80"));
        let output = lbctl(lb, &["explain", "--from", &from, "--to", &to, "--protocol", "tcp"]).expect("lbctl");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    });
    let local = explained.into_iter().find(|text| text.contains("reason    local_backend"));
    let local = local.expect("a flow that stays here");
    assert!(local.contains(&format!("({}), local", lb.v4())), "{local}");
}
