//! The client: HTTP requests over IPv4 and IPv6, each on a fresh connection, none repeated.

use std::{
    net::{IpAddr, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, SendError, Sender},
    },
    thread::{self, Scope},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use xdp_lb_tests::{
    bed::{Host, Namespace, VIP_V4, VIP_V6},
    http::{self, nginx},
};

/// Requests that may be open at the same time.
const WORKERS: u32 = 8;
/// Time between two requests of one worker. Workers start one after the other, so requests are spread evenly.
///
/// Selection keeps no state yet: a connection that is being opened at the very moment when its slot changes hands is
/// reset. Even pacing, well below what the bed could do, makes that a matter of one in several hundred runs.
const PERIOD: Duration = Duration::from_millis(80);
/// How long connecting may take, and each wait for data.
const LIMIT: Duration = Duration::from_secs(2);

/// What became of one request.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// When it was known.
    pub(crate) at: Instant,
    /// Whether it went to the VIP in IPv6.
    pub(crate) is_ipv6: bool,
    /// The backend that answered, or what went wrong.
    pub(crate) result: Result<String>,
}

/// A running client; stopped on drop.
#[derive(Debug)]
pub(crate) struct Traffic {
    outcomes: Receiver<Outcome>,
    stop: Arc<AtomicBool>,
}

impl Traffic {
    /// Starts the client's threads.
    pub(crate) fn start<'scope>(scope: &'scope Scope<'scope, '_>, client: &'scope Host) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, outcomes) = mpsc::channel();
        let start = Instant::now();
        for worker in 0..WORKERS {
            let (sender, stop) = (sender.clone(), Arc::clone(&stop));
            let first = start + PERIOD * worker / WORKERS;
            scope.spawn(move || send_requests(client.namespace(), first, worker % 2 == 1, &stop, &sender));
        }
        Self { outcomes, stop }
    }

    /// Where outcomes arrive.
    pub(crate) fn outcomes(&self) -> &Receiver<Outcome> {
        &self.outcomes
    }

    /// Starts no more requests; the outcomes of those that are still open.
    pub(crate) fn finish(self) -> impl Iterator<Item = Outcome> {
        self.stop.store(true, Ordering::Relaxed);
        std::iter::from_fn(move || self.outcomes.recv().ok())
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// One worker: a request each [`PERIOD`], of the two families in turn. A request that takes longer delays the next one;
/// what was missed is not made up for.
fn send_requests(
    namespace: &Namespace,
    first: Instant,
    mut is_ipv6: bool,
    stop: &AtomicBool,
    outcomes: &Sender<Outcome>,
) -> Result<(), SendError<Outcome>> {
    let entered = namespace.enter();
    let mut next = first;
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let result = match &entered {
            Ok(()) => request(if is_ipv6 { VIP_V6.into() } else { VIP_V4.into() }),
            Err(error) => Err(anyhow::anyhow!("{error:#}")),
        };
        let at = Instant::now();
        outcomes.send(Outcome { at, is_ipv6, result })?;
        is_ipv6 = !is_ipv6;
        next = at.max(next + PERIOD);
    }
    Ok(())
}

/// One request on a fresh connection; the name of the backend that answered.
pub(crate) fn request(vip: IpAddr) -> Result<String> {
    let address = SocketAddr::new(vip, nginx::PORT);
    let mut stream = TcpStream::connect_timeout(&address, LIMIT).with_context(|| format!("connect to {address}"))?;
    stream.set_read_timeout(Some(LIMIT)).context("set a time limit")?;
    stream.set_write_timeout(Some(LIMIT)).context("set a time limit")?;
    let response = http::get(&mut stream, "demo", "/").with_context(|| format!("GET from {address}"))?;
    ensure!(response.status == 200, "{address} answered {}", response.status);
    Ok(response.body.trim().to_owned())
}
