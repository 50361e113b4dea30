//! New configs, good and bad, for a running agent.

use std::{net::IpAddr, time::Duration};

use lb_api::{PATH_STATUS, PATH_VIPS, Status, Vip};
use xdp_lb_tests::{
    agent::{
        Agent,
        config::{self, HealthCheck},
    },
    bed::Bed,
    poll,
};

const LIMIT: Duration = Duration::from_secs(5);

fn status_when(agent: &Agent<'_>, what: &str, holds: impl Fn(&lb_api::Config) -> bool) -> Status {
    let found = poll::until(what, LIMIT, || {
        let status: Status = agent.api(PATH_STATUS).ok()?;
        holds(&status.agent.as_ref()?.config).then_some(status)
    });
    found.expect("the status")
}

/// Slots of each backend of the first service.
fn shares(agent: &Agent<'_>) -> Vec<(IpAddr, u32)> {
    let vips: Vec<Vip> = agent.api(PATH_VIPS).expect("the VIPs");
    vips[0].members.iter().map(|member| (member.address, member.slots)).collect()
}

#[test]
fn a_bad_config_changes_nothing_and_says_why_and_a_good_one_is_taken_over() {
    let bed = Bed::new(2).expect("a bed");
    let unchecked = |weight: u16| {
        let config =
            config::ingress(bed.backends.iter().map(|host| (host.name(), host.v4().into())), HealthCheck::FAST);
        let config: String =
            config.lines().filter(|line| !line.contains("health_check")).map(|line| line.to_owned() + "\n").collect();
        config.replace("name: web-2,", &format!("name: web-2, weight: {weight},"))
    };
    let agent = Agent::start(&bed.lb, &unchecked(100)).expect("an agent");
    let before = shares(&agent);
    assert!(before.iter().all(|(_, slots)| *slots > 0), "both backends have a share: {before:?}");

    agent.reload(&unchecked(2000)).expect("a reload");
    let status = status_when(&agent, "the bad config to be refused", |config| config.error.is_some());
    let config = status.agent.expect("a running agent").config;
    let error = config.error.expect("a reason");
    assert!(error.contains("weight") && error.contains("agent.yaml:"), "{error}");
    assert_eq!(config.generation, 1);
    assert!(status.problems.iter().any(|problem| problem.contains("agent.yaml")), "{:?}", status.problems);
    assert_eq!(shares(&agent), before);
    let metrics = agent.get("/metrics").expect("metrics").body;
    assert!(metrics.contains("lb_agent_config"), "a refused config can be alerted on:\n{metrics}");

    agent.reload(&unchecked(0)).expect("a reload");
    let status = status_when(&agent, "the good config to be taken over", |config| config.generation == 2);
    assert_eq!(status.problems, Vec::<String>::new());
    let drained = poll::until("a backend of weight 0 to lose its share", LIMIT, || {
        let shares = shares(&agent);
        let share = |host: usize| shares.iter().find(|(ip, _)| *ip == bed.backends[host].v4()).map(|(_, slots)| *slots);
        (share(0) == Some(65_537) && share(1).unwrap_or(0) == 0).then_some(())
    });
    drained.expect("the share");
}
