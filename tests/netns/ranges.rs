//! Services on ranges of ports, with real connections.

use anyhow::Result;
use xdp_lb_tests::{
    agent::{
        self,
        config::{self, HealthCheck},
    },
    bed::{Bed, VIP_V4, VIP_V6},
    deployment::Deployment,
    http::nginx::{MORE_PORTS, PORT},
    poll,
};

const BACKENDS: u8 = 3;
const RELOAD_LIMIT: std::time::Duration = std::time::Duration::from_secs(5);

/// The usual config with these ports, which leads each client to one backend.
fn on_ports(bed: &Bed, ports: &str) -> String {
    let usual = config::ingress(config::mixed_tunnels(bed), HealthCheck::FAST);
    usual.replace(&format!("ports: [{PORT}]"), &format!("ports: {ports}, hash: source-address"))
}

#[test]
fn a_client_meets_the_same_backend_on_every_port_of_a_range() {
    let bed = Bed::new(BACKENDS).expect("a bed");
    let deployment = Deployment::start(&bed, &on_ports(&bed, "[8000-8999]")).expect("a deployment");
    let curl = |vip: &str, port: u16| -> Result<String> {
        let url = format!("http://{vip}:{port}/");
        let arguments = ["--silent", "--show-error", "--fail", "--max-time", "2", &url];
        Ok(bed.client.run("curl", &arguments)?.trim().to_owned())
    };
    let vips = [VIP_V4.to_string(), format!("[{VIP_V6}]")];
    for vip in &vips {
        let first = curl(vip, MORE_PORTS[0]).expect("an answer");
        for port in MORE_PORTS.iter().cycle().take(12) {
            assert_eq!(curl(vip, *port).expect("an answer"), first, "{vip}, port {port}");
        }
        assert!(curl(vip, PORT).is_err(), "port {PORT} is in no range");
    }

    deployment.ingress.reload(&on_ports(&bed, "any")).expect("a reload");
    for vip in &vips {
        poll::until("the port outside the range to answer", RELOAD_LIMIT, || curl(vip, PORT).ok()).expect("an answer");
        for port in MORE_PORTS {
            curl(vip, port).expect("an answer");
        }
    }
    let service = format!("{VIP_V4}:any/tcp");
    let listed = agent::lbctl(&bed.lb, &["vip", "show", &service]).expect("lbctl");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains(&service) && listed.contains("source-address"), "{listed}");
}
