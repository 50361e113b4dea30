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

use crate::{
    bed::{Host, Namespace, VIP_V4, VIP_V6},
    http::{self, nginx},
};

/// Requests that may be open at the same time.
const WORKERS: u32 = 8;
/// How long connecting may take, and each wait for data.
const LIMIT: Duration = Duration::from_secs(2);

/// What became of one request.
#[derive(Debug)]
pub struct Outcome {
    /// When it was known.
    pub at: Instant,
    /// Whether it went to the VIP in IPv6.
    pub is_ipv6: bool,
    /// The backend that answered, or what went wrong.
    pub result: Result<String>,
}

/// A running client; stopped on drop. It does not hurry: what it finds out is whether requests fail, not how many there
/// can be.
#[derive(Debug)]
pub struct Traffic {
    outcomes: Receiver<Outcome>,
    stop: Arc<AtomicBool>,
}

impl Traffic {
    /// Starts the client's threads, which send a request each `pause`, spread evenly, to the two VIPs in turn.
    pub fn start<'scope>(scope: &'scope Scope<'scope, '_>, client: &'scope Host, pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, outcomes) = mpsc::channel();
        let start = Instant::now();
        for worker in 0..WORKERS {
            let (sender, stop) = (sender.clone(), Arc::clone(&stop));
            let pace = Pace { first: start + pause * worker, period: pause * WORKERS };
            scope.spawn(move || send_requests(client.namespace(), &pace, worker % 2 == 1, &stop, &sender));
        }
        Self { outcomes, stop }
    }

    /// Where outcomes arrive.
    pub fn outcomes(&self) -> &Receiver<Outcome> {
        &self.outcomes
    }

    /// Waits for this many outcomes.
    pub fn take(&self, count: usize) -> impl Iterator<Item = Outcome> {
        self.outcomes.iter().take(count)
    }

    /// Starts no more requests; the outcomes of those that are still open.
    pub fn finish(self) -> impl Iterator<Item = Outcome> {
        self.stop.store(true, Ordering::Relaxed);
        std::iter::from_fn(move || self.outcomes.recv().ok())
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// When a worker sends.
struct Pace {
    first: Instant,
    period: Duration,
}

/// One worker: a request each period, of the two families in turn. A request that takes longer delays the next one;
/// what was missed is not made up for.
fn send_requests(
    namespace: &Namespace,
    pace: &Pace,
    mut is_ipv6: bool,
    stop: &AtomicBool,
    outcomes: &Sender<Outcome>,
) -> Result<(), SendError<Outcome>> {
    let entered = namespace.enter();
    let mut next = pace.first;
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let result = match &entered {
            Ok(()) => request(if is_ipv6 { VIP_V6.into() } else { VIP_V4.into() }),
            Err(error) => Err(anyhow::anyhow!("{error:#}")),
        };
        let at = Instant::now();
        outcomes.send(Outcome { at, is_ipv6, result })?;
        is_ipv6 = !is_ipv6;
        next = at.max(next + pace.period);
    }
    Ok(())
}

/// One request on a fresh connection; the name of the backend that answered.
pub fn request(vip: IpAddr) -> Result<String> {
    let address = SocketAddr::new(vip, nginx::PORT);
    let mut stream = TcpStream::connect_timeout(&address, LIMIT).with_context(|| format!("connect to {address}"))?;
    stream.set_read_timeout(Some(LIMIT)).context("set a time limit")?;
    stream.set_write_timeout(Some(LIMIT)).context("set a time limit")?;
    let response = http::get(&mut stream, "demo", "/").with_context(|| format!("GET from {address}"))?;
    ensure!(response.status == 200, "{address} answered {}", response.status);
    Ok(response.body.trim().to_owned())
}
