//! Traffic through VIPs: HTTP with curl and nginx, and UDP.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use lb_api::{PATH_STATUS, Status};
use xdp_lb_tests::{
    agent::config::{self, HealthCheck},
    bed::{Bed, Host, VIP_V4, VIP_V6},
    deployment::Deployment,
    http::nginx,
    poll,
};

/// Three on the load balancer's link, one of them with an IPv6 tunnel, and one behind the router.
const BACKENDS: u8 = 4;
/// Requests until every backend has answered: the least likely one has a chance of 1/4 in each.
const MOST_REQUESTS: usize = 100;
const UDP_PORT: u16 = 53;
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// How long a servant waits for a datagram before it looks whether it should end.
const IDLE: Duration = Duration::from_millis(100);

#[test]
fn http_and_udp_reach_every_backend_through_all_combinations_of_families() {
    let bed = Bed::new(BACKENDS).expect("a bed");
    let mixed = config::with_udp(&config::ingress(config::mixed_tunnels(&bed), HealthCheck::FAST), UDP_PORT);
    let mut deployment = Deployment::start(&bed, &mixed).expect("a deployment");
    let upload = bed.client.write("upload", &"y".repeat(nginx::MEGABYTE)).expect("a file");
    let upload = format!("@{}", upload.display());
    thread::scope(|scope| {
        let servants = Servants::start(scope, &bed);
        check_all(&bed, &upload);

        let swapped = config::with_udp(&config::ingress(config::swapped_tunnels(&bed), HealthCheck::FAST), UDP_PORT);
        deployment.ingress.reload(&swapped).expect("a reload");
        poll::until("the new config", ANSWER_LIMIT, || {
            let status: Status = deployment.ingress.api(PATH_STATUS).ok()?;
            (status.agent?.config.generation == 2).then_some(())
        })
        .expect("the new config");
        deployment.wait_until_whole(&bed).expect("every backend");
        check_all(&bed, &upload);
        drop(servants);
    });
    let status: Status = deployment.ingress.api(PATH_STATUS).expect("the status");
    let drops: Vec<_> =
        status.packets.keys().filter(|reason| !["forwarded", "not_ip", "not_vip"].contains(&reason.as_str())).collect();
    assert!(drops.is_empty(), "packets were dropped: {:?}", status.packets);
}

/// HTTP and UDP to both VIPs, until every backend has answered.
fn check_all(bed: &Bed, upload: &str) {
    let all: BTreeSet<_> = bed.backends.iter().map(|host| host.name().to_owned()).collect();
    for vip in [VIP_V4.to_string(), format!("[{VIP_V6}]")] {
        let answered = collect(&all, || curl(&bed.client, &[&format!("http://{vip}/")]));
        assert_eq!(answered, all, "GET from {vip}");

        let uploaded = collect(&all, || {
            let answer = curl(&bed.client, &["--data-binary", upload, &format!("http://{vip}/upload")])?;
            let received = format!(" received {} bytes", nginx::MEGABYTE);
            answer.strip_suffix(&received).map(str::to_owned).with_context(|| format!("the server says `{answer}`"))
        });
        assert_eq!(uploaded, all, "POST of a megabyte to {vip}");

        let length =
            curl(&bed.client, &["-o", "/dev/null", "-w", "%{size_download}", &format!("http://{vip}/megabyte")]);
        assert_eq!(length.expect("an answer"), nginx::MEGABYTE.to_string(), "GET of a megabyte from {vip}");
    }
    for vip in [SocketAddr::new(VIP_V4.into(), UDP_PORT), SocketAddr::new(VIP_V6.into(), UDP_PORT)] {
        let answered = collect(&all, || bed.client.namespace().on_thread(|| ask(vip)));
        assert_eq!(answered, all, "UDP to {vip}");
    }
}

/// Who answers, until everybody has. No request may fail.
fn collect(all: &BTreeSet<String>, request: impl Fn() -> Result<String>) -> BTreeSet<String> {
    let mut answered = BTreeSet::new();
    for _ in 0..MOST_REQUESTS {
        answered.insert(request().expect("an answer"));
        if answered == *all {
            break;
        }
    }
    answered
}

/// One run of curl, on a fresh connection.
fn curl(client: &Host, arguments: &[&str]) -> Result<String> {
    let arguments = [&["--silent", "--show-error", "--fail", "--max-time", "5"], arguments].concat();
    Ok(client.run("curl", &arguments)?.trim().to_owned())
}

/// One datagram, from a fresh port.
fn ask(vip: SocketAddr) -> Result<String> {
    let unspecified: SocketAddr = if vip.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
    let socket = UdpSocket::bind(unspecified).context("bind")?;
    socket.set_read_timeout(Some(ANSWER_LIMIT)).context("set a time limit")?;
    // Connected, so that only an answer from the VIP itself counts.
    socket.connect(vip).context("connect")?;
    socket.send(b"who are you?").context("send")?;
    let mut answer = [0; 64];
    let length = socket.recv(&mut answer).context("receive")?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// Threads on the backends that answer every datagram with their host's name; they end on drop.
struct Servants<'s> {
    stop: &'s AtomicBool,
}

impl<'s> Servants<'s> {
    fn start<'b: 's>(scope: &'s thread::Scope<'s, '_>, bed: &'b Bed) -> Self {
        let stop: &AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
        for host in &bed.backends {
            for vip in [SocketAddr::new(VIP_V4.into(), UDP_PORT), SocketAddr::new(VIP_V6.into(), UDP_PORT)] {
                scope.spawn(move || host.namespace().on_thread(|| serve(vip, host.name(), stop)).expect("a server"));
            }
        }
        Self { stop }
    }
}

impl Drop for Servants<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn serve(vip: SocketAddr, name: &str, stop: &AtomicBool) -> Result<()> {
    let socket = UdpSocket::bind(vip).context("bind to the VIP")?;
    socket.set_read_timeout(Some(IDLE)).context("set a time limit")?;
    let mut question = [0; 64];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((_, client)) = socket.recv_from(&mut question) {
            socket.send_to(name.as_bytes(), client).context("answer")?;
        }
    }
    Ok(())
}
