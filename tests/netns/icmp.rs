//! What a VIP says by ICMP, to the tools that ask: ping, TCP's path MTU discovery, traceroute.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::Barrier,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lb_api::{PATH_STATUS, Status};
use xdp_lb_tests::{
    agent::config::{self, HealthCheck},
    bed::{Bed, INTERFACE, VIP_V4, VIP_V6},
    deployment::Deployment,
    http::nginx,
};

/// MTU of the way to the backends, below that of the client's link.
const NARROW: &str = "1400";

const UDP_PORT: u16 = 53;
/// How long sockets wait for a datagram.
const IDLE: Duration = Duration::from_secs(1);

/// Two backends with tunnels of either family.
fn deploy(bed: &Bed) -> Deployment<'_> {
    let config = config::ingress(config::mixed_tunnels(bed), HealthCheck::FAST);
    Deployment::start(bed, &config).expect("a deployment")
}

/// Packets that the load balancer counted under a reason.
fn counted(deployment: &Deployment<'_>, reason: &str) -> u64 {
    let status: Status = deployment.ingress.api(PATH_STATUS).expect("the status");
    status.packets.get(reason).copied().unwrap_or(0)
}

#[test]
fn a_vip_answers_pings_of_every_size() {
    let bed = Bed::new(1).expect("a bed");
    let deployment = deploy(&bed);
    for vip in [VIP_V4.to_string(), VIP_V6.to_string()] {
        for size in ["0", "56", "1400"] {
            let arguments = ["-c", "3", "-i", "0.02", "-W", "2", "-s", size, &vip];
            let report = bed.client.run("ping", &arguments).expect("answers");
            assert!(report.contains("3 received, 0% packet loss"), "{report}");
        }
    }
    assert_eq!(counted(&deployment, "echo_reply"), 18);
}

#[test]
fn uploads_through_a_narrow_tunnel_find_its_mtu() {
    let bed = Bed::new(2).expect("a bed");
    narrow_the_way_to_backends(&bed).expect("routes with an MTU");
    let deployment = deploy(&bed);
    let upload = bed.client.write("upload", &"y".repeat(nginx::MEGABYTE)).expect("a file");
    let upload = format!("@{}", upload.display());
    for vip in [VIP_V4.to_string(), format!("[{VIP_V6}]")] {
        for _ in 0..10 {
            let url = format!("http://{vip}/upload");
            let arguments = ["--silent", "--show-error", "--fail", "--max-time", "5", "--data-binary", &upload, &url];
            let answer = bed.client.run("curl", &arguments).expect("an answer");
            assert!(answer.trim().ends_with(&format!(" received {} bytes", nginx::MEGABYTE)), "{answer}");
        }
    }
    assert!(counted(&deployment, "packet_too_big") >= 2, "senders of both families were told");
    assert_eq!(counted(&deployment, "too_big"), 0, "and no packet was dropped without a word");
}

/// The load balancer's routes to its link get an MTU; the link itself goes on taking the client's packets.
fn narrow_the_way_to_backends(bed: &Bed) -> Result<()> {
    for family in ["-4", "-6"] {
        let routes = bed.lb.run("ip", &[family, "route", "show", "dev", INTERFACE, "proto", "kernel"])?;
        let prefix =
            routes.lines().filter_map(|line| line.split_whitespace().next()).find(|word| !word.starts_with("fe80"));
        let prefix = prefix.context("no route to the link")?;
        let arguments =
            [family, "route", "replace", prefix, "dev", INTERFACE, "proto", "static", "metric", "1", "mtu", NARROW];
        bed.lb.run("ip", &arguments)?;
    }
    Ok(())
}

#[test]
fn downloads_through_a_narrow_router_find_its_mtu() {
    let bed = Bed::new(2).expect("a bed");
    let deployment = deploy(&bed);
    // Behind the router, on the way back from the backends to the client, which does not pass the load balancer.
    for (family, prefix) in [("-4", "198.51.100.0/24"), ("-6", "2001:db8:c::/64")] {
        let device = bed.client.name();
        bed.router
            .run("ip", &[family, "route", "replace", prefix, "dev", device, "metric", "1", "mtu", "lock", "1300"])
            .expect("a narrow route");
    }
    for vip in [VIP_V4.to_string(), format!("[{VIP_V6}]")] {
        for _ in 0..5 {
            let url = format!("http://{vip}/megabyte");
            let arguments =
                ["--silent", "--fail", "--max-time", "5", "-o", "/dev/null", "-w", "%{size_download}", &url];
            let length = bed.client.run("curl", &arguments).expect("an answer");
            assert_eq!(length, nginx::MEGABYTE.to_string());
        }
    }
    assert!(counted(&deployment, "forwarded_icmp_error") >= 2, "the router's errors reached the backends");
    assert_eq!(counted(&deployment, "icmp_error_unmatched"), 0);
}

#[test]
fn long_datagrams_reach_one_backend_in_fragments() {
    const LENGTH: usize = 4000;
    let bed = Bed::new(2).expect("a bed");
    let config = config::with_udp(&config::ingress(config::mixed_tunnels(&bed), HealthCheck::FAST), UDP_PORT);
    let deployment = Deployment::start(&bed, &config).expect("a deployment");
    for vip in [SocketAddr::new(VIP_V4.into(), UDP_PORT), SocketAddr::new(VIP_V6.into(), UDP_PORT)] {
        let listening = Barrier::new(bed.backends.len() + 1);
        thread::scope(|scope| {
            for host in &bed.backends {
                scope.spawn(|| host.namespace().on_thread(|| measure(vip, &listening)).expect("a server"));
            }
            listening.wait();
            bed.client.namespace().on_thread(|| ask_at_length(vip, LENGTH)).expect("answers");
        });
    }
    assert!(counted(&deployment, "first_fragment") >= 40);
    assert_eq!(counted(&deployment, "later_fragment"), 2 * counted(&deployment, "first_fragment"));
    assert_eq!(counted(&deployment, "fragment_unknown"), 0);
}

/// Answers datagrams with their length until none has come for a while.
fn measure(vip: SocketAddr, listening: &Barrier) -> Result<()> {
    let socket = UdpSocket::bind(vip).context("bind to the VIP")?;
    socket.set_read_timeout(Some(IDLE)).context("set a time limit")?;
    listening.wait();
    let mut question = vec![0; 65_536];
    while let Ok((length, client)) = socket.recv_from(&mut question) {
        socket.send_to(length.to_string().as_bytes(), client).context("answer")?;
    }
    Ok(())
}

/// Twenty datagrams of this length, each from a fresh port; every one must arrive whole.
fn ask_at_length(vip: SocketAddr, length: usize) -> Result<()> {
    for _ in 0..20 {
        let unspecified: SocketAddr = if vip.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
        let socket = UdpSocket::bind(unspecified).context("bind")?;
        socket.set_read_timeout(Some(IDLE)).context("set a time limit")?;
        socket.connect(vip).context("connect")?;
        socket.send(&vec![b'x'; length]).context("send")?;
        let mut answer = [0; 16];
        let received = socket.recv(&mut answer).context("receive")?;
        ensure!(answer[..received] == *length.to_string().as_bytes(), "{vip} received another length");
    }
    Ok(())
}

#[test]
fn traceroute_sees_the_load_balancer_and_reaches_the_service() {
    let bed = Bed::new(1).expect("a bed");
    let deployment = deploy(&bed);
    for vip in [VIP_V4.to_string(), VIP_V6.to_string()] {
        let report = bed
            .client
            .run("traceroute", &["-n", "-T", "-p", "80", "-q", "1", "-w", "2", "-m", "6", &vip])
            .expect("a report");
        let last = report.lines().last().unwrap_or_default();
        assert!(last.contains(&vip), "the last hop is not the VIP:\n{report}");
        assert!(!report.contains('*'), "a hop stays silent:\n{report}");
    }
    assert!(counted(&deployment, "time_exceeded") >= 2);
}
