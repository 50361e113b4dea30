//! What operators see: `lbctl` with and without the agent, and the kernel's own tools.

use std::{process::Output, time::Duration};

use lb_api::{Backend, PATH_STATUS, Status, Vip};
use serde::de::DeserializeOwned;
use serde_json::Value;
use xdp_lb::Pins;
use xdp_lb_tests::{
    agent::{
        self, Agent,
        config::{self, HealthCheck},
    },
    bed::{Bed, Host, INTERFACE, VIP_V4, VIP_V6},
    deployment::Deployment,
    poll,
    traffic::Traffic,
};

fn lbctl(host: &Host, arguments: &[&str]) -> Output {
    agent::lbctl(host, arguments).expect("lbctl")
}

fn document<T: DeserializeOwned>(host: &Host, arguments: &[&str]) -> T {
    let output = lbctl(host, &[arguments, &["-o", "json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("lbctl {arguments:?}: {error}: {output:?}"))
}

fn forwarded(host: &Host) -> u64 {
    document::<Status>(host, &["status"]).packets["forwarded"]
}

#[test]
fn lbctl_tells_the_same_with_the_agent_and_from_the_maps_and_detaches() {
    let bed = Bed::new(2).expect("a bed");
    let config = config::ingress(config::mixed_tunnels(&bed), HealthCheck::FAST);
    let deployment = Deployment::start(&bed, &config).expect("a deployment");
    let host = &bed.lb;
    std::thread::scope(|scope| {
        let traffic = Traffic::start(scope, &bed.client, Duration::from_millis(2));
        assert!(traffic.take(50).all(|outcome| outcome.result.is_ok()));
        assert!(traffic.finish().all(|outcome| outcome.result.is_ok()));
    });

    let status: Status = document(host, &["status"]);
    assert!(status.agent.is_some() && status.problems.is_empty(), "{status:?}");
    assert_eq!(lbctl(host, &["status"]).status.code(), Some(0));
    let vips: Vec<Vip> = document(host, &["vip", "list"]);
    assert_eq!(vips.len(), 2);
    assert_eq!(vips[0].name.as_deref(), Some("web-v4"));
    let backends: Vec<Backend> = document(host, &["backend", "list"]);
    assert!(backends.iter().all(|backend| backend.packets > 0), "{backends:?}");
    assert_eq!(lbctl(host, &["vip", "show", "192.0.2.99"]).status.code(), Some(1), "there is no such VIP");
    check_kernel_tools(host);

    deployment.ingress.kill().expect("the agent's end");
    let counted = forwarded(host);
    assert_eq!(document::<Status>(host, &["status"]).agent, None);
    let from_maps: Vec<Vip> = document(host, &["vip", "list"]);
    for (told, read) in vips.iter().zip(&from_maps) {
        assert_eq!((told.address, told.port, told.members.len()), (read.address, read.port, read.members.len()));
        assert_eq!(told.packets["forwarded"], read.packets["forwarded"]);
        assert_eq!(read.name, None, "names are the agent's");
    }

    for vip in [format!("{VIP_V4}:80"), format!("[{VIP_V6}]:80")] {
        let client = if vip.starts_with('[') { "[2001:db8:c::2]:40000" } else { "198.51.100.2:40000" };
        let explain = lbctl(host, &["explain", "--from", client, "--to", &vip, "--protocol", "tcp"]);
        assert_eq!(explain.status.code(), Some(0), "{explain:?}");
    }
    let nothing = ["explain", "--from", "198.51.100.2:40000", "--to", "192.0.2.10:81", "--protocol", "tcp"];
    let nothing = lbctl(host, &nothing);
    assert_eq!(nothing.status.code(), Some(1), "{nothing:?}");
    assert!(String::from_utf8_lossy(&nothing.stdout).contains("no_service"), "{nothing:?}");
    assert_eq!(forwarded(host), counted, "explaining counts nothing");

    let detach = lbctl(host, &["detach", "--yes"]);
    assert!(detach.status.success(), "{detach:?}");
    assert_eq!(interface(host)["xdp"], Value::Null, "the interface is free");
    assert!(!Pins::new(host.bpffs()).root().exists(), "no pin is left");
}

#[test]
fn a_detach_stays_one_until_the_agent_is_restarted() {
    let bed = Bed::new(1).expect("a bed");
    let config = config::ingress(config::mixed_tunnels(&bed), HealthCheck::FAST);
    let mut deployment = Deployment::start(&bed, &config).expect("a deployment");
    let host = &bed.lb;
    let detach = lbctl(host, &["detach", "--yes"]);
    assert!(detach.status.success(), "{detach:?}");
    assert_eq!(interface(host)["xdp"], Value::Null, "the interface is free");

    let told = poll::until("the agent to notice", Duration::from_secs(5), || {
        let status: Status = deployment.ingress.api(PATH_STATUS).ok()?;
        status.problems.iter().any(|problem| problem.contains("lbctl detach")).then_some(())
    });
    told.expect("the agent knows why it forwards nothing");
    assert_eq!(interface(host)["xdp"], Value::Null, "the agent leaves the interface alone");
    assert_ne!(deployment.ingress.get("/readyz").expect("an answer").status, 200);

    assert!(deployment.ingress.stop().expect("the agent's end").success());
    deployment.ingress = Agent::start(host, &config).expect("an agent");
    deployment.wait_until_whole(&bed).expect("the backend takes traffic again");
    bed.client.run("curl", &["-sSf", "--max-time", "2", &format!("http://{VIP_V4}/")]).expect("an answer");
}

fn interface(host: &Host) -> Value {
    let links = host.run("ip", &["-json", "link", "show", INTERFACE]).expect("the interface");
    serde_json::from_str::<Value>(&links).expect("JSON")[0].clone()
}

/// The program runs in the driver, by a pinned link, on pinned maps.
fn check_kernel_tools(host: &Host) {
    let xdp = &interface(host)["xdp"];
    assert_eq!(xdp["mode"], 1, "1 is native (kernel XDP_ATTACHED_DRV): {xdp}");
    let id = &xdp["prog"]["id"];

    let pins = Pins::new(host.bpffs()).root();
    let show = |what: &str, pin: &str| -> Value {
        let path = pins.join(pin);
        let path = path.to_str().expect("text");
        let shown = host.run("bpftool", &["--json", what, "show", "pinned", path]).expect("bpftool");
        serde_json::from_str(&shown).expect("JSON")
    };
    assert_eq!(show("prog", "programs/xdp_lb")["id"], *id, "the pinned program is the attached one");
    assert_eq!(show("link", &format!("links/{INTERFACE}"))["prog_id"], *id, "the pinned link holds it");
    assert_eq!(show("map", "maps/VIPS")["name"], "VIPS");
    let attached = host.run("bpftool", &["net", "show", "dev", INTERFACE]).expect("bpftool");
    assert!(attached.contains(&format!("{INTERFACE}(")) && attached.contains(" driver id "), "{attached}");
}
