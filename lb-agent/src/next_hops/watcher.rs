//! The task that owns the index: feeds it from netlink, does its work, publishes its snapshots.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep_until, timeout_at},
};

use super::{
    NextHops,
    index::Index,
    neighbours::{Keeper, PROBE_INTERVAL},
    pacing::Pacing,
    socket::{Events, Received, Requests, SocketError},
};

/// Everything is read again this often, whatever events say.
const READING_INTERVAL: Duration = Duration::from_secs(30);

/// Least time between two full readings when events are lost.
const READING_REST: Duration = Duration::from_secs(1);

/// The first value waits this long for neighbours to answer.
const FIRST_PATIENCE: Duration = Duration::from_millis(100);

/// Datagrams taken in one go before work is done.
const EVENT_BATCH: usize = 256;

/// The watcher ended: what it published last is no longer followed.
#[derive(Debug, thiserror::Error)]
#[error("cannot follow routes and neighbours")]
pub struct WatchError(#[from] SocketError);

/// A running watcher.
#[derive(Debug)]
pub struct Watching {
    /// The next hops, published when they change. The first value is complete for the destinations of that moment.
    pub next_hops: watch::Receiver<Arc<NextHops>>,
    /// Ends without error when the sender of destinations is dropped; with one when netlink fails, and then it must be
    /// started again. Neighbour entries stay in the kernel in both cases: forwarding goes on without the agent.
    pub task: JoinHandle<Result<(), WatchError>>,
}

/// Starts to follow the ways to `destinations`, in the network namespace of the calling thread.
///
/// Needs a tokio runtime with I/O and time. `CAP_NET_ADMIN` is needed to keep neighbours resolved; without it they are
/// followed as they are.
///
/// # Errors
///
/// When the kernel's tables cannot be read.
pub async fn watch(destinations: watch::Receiver<BTreeSet<IpAddr>>) -> Result<Watching, WatchError> {
    let mut watcher = Watcher::start(destinations).await?;
    let first = watcher.first_snapshot().await?;
    let (sender, next_hops) = watch::channel(Arc::new(first));
    let task = tokio::spawn(watcher.run(sender));
    Ok(Watching { next_hops, task })
}

struct Watcher {
    destinations: watch::Receiver<BTreeSet<IpAddr>>,
    events: Events,
    requests: Requests,
    index: Index,
    keeper: Keeper,
    pacing: Pacing,
    last_reading: Instant,
    next_reading: Instant,
    next_probe: Instant,
}

/// Why the watcher woke up.
enum Wakeup {
    Received(Received),
    NewDestinations,
    NoMoreDestinations,
    ActionDue,
    ReadingDue,
    ProbeDue,
}

impl Watcher {
    async fn start(mut destinations: watch::Receiver<BTreeSet<IpAddr>>) -> Result<Self, SocketError> {
        // Before the first reading, or a change between the two would be missed.
        let events = Events::subscribe()?;
        let mut index = Index::default();
        index.set_destinations(destinations.borrow_and_update().clone());
        let now = Instant::now();
        let mut watcher = Self {
            destinations,
            events,
            requests: Requests::open()?,
            index,
            keeper: Keeper::new(),
            pacing: Pacing::default(),
            last_reading: now,
            next_reading: now + READING_INTERVAL,
            next_probe: now + PROBE_INTERVAL,
        };
        watcher.read_everything().await?;
        Ok(watcher)
    }

    /// Neighbours that are asked for the first time answer within a moment: a start should not look like an outage.
    async fn first_snapshot(&mut self) -> Result<NextHops, SocketError> {
        let deadline = Instant::now() + FIRST_PATIENCE;
        while self.index.awaits_neighbours() && Instant::now() < deadline {
            let Ok(received) = timeout_at(deadline.into(), self.events.receive()).await else { break };
            self.take(received?);
            self.take_waiting()?;
            self.work_on_neighbours().await?;
        }
        Ok(self.index.snapshot())
    }

    async fn run(mut self, published: watch::Sender<Arc<NextHops>>) -> Result<(), WatchError> {
        loop {
            match self.wakeup().await? {
                Wakeup::Received(received) => {
                    self.take(received);
                    self.take_waiting()?;
                }
                Wakeup::NewDestinations => {
                    self.index.set_destinations(self.destinations.borrow_and_update().clone());
                    self.look_up_routes().await?;
                    publish(&published, self.index.snapshot());
                }
                Wakeup::NoMoreDestinations => return Ok(()),
                Wakeup::ActionDue => {
                    self.pacing.end_burst();
                    if self.index.is_stale() && self.pacing.rested(Instant::now()) {
                        self.look_up_routes().await?;
                    }
                    publish(&published, self.index.snapshot());
                }
                Wakeup::ReadingDue => {
                    self.read_everything().await?;
                    publish(&published, self.index.snapshot());
                }
                Wakeup::ProbeDue => {
                    self.next_probe = Instant::now() + PROBE_INTERVAL;
                    self.keeper.probe(self.index.unkept(), &mut self.requests).await?;
                }
            }
            self.work_on_neighbours().await?;
        }
    }

    async fn wakeup(&mut self) -> Result<Wakeup, SocketError> {
        let action = self.pacing.due(self.index.is_stale());
        tokio::select! {
            received = self.events.receive() => received.map(Wakeup::Received),
            changed = self.destinations.changed() => {
                Ok(if changed.is_ok() { Wakeup::NewDestinations } else { Wakeup::NoMoreDestinations })
            }
            () = sleep_until(action.unwrap_or(self.next_reading).into()), if action.is_some() => Ok(Wakeup::ActionDue),
            () = sleep_until(self.next_reading.into()) => Ok(Wakeup::ReadingDue),
            () = sleep_until(self.next_probe.into()), if self.keeper.probes() => Ok(Wakeup::ProbeDue),
        }
    }

    /// Takes what is there already.
    fn take_waiting(&mut self) -> Result<(), SocketError> {
        for _ in 0..EVENT_BATCH {
            match self.events.receive_now() {
                Some(received) => self.take(received?),
                None => break,
            }
        }
        Ok(())
    }

    fn take(&mut self, received: Received) {
        match received {
            Received::Events(events) => {
                for event in events {
                    if self.index.apply(event) {
                        self.pacing.note(Instant::now());
                    }
                }
            }
            Received::Lost => {
                tracing::info!("netlink events were lost: reading links, addresses, neighbours and routes again");
                self.next_reading = self.next_reading.min(self.last_reading + READING_REST);
            }
        }
    }

    async fn read_everything(&mut self) -> Result<(), SocketError> {
        self.last_reading = Instant::now();
        self.next_reading = self.last_reading + READING_INTERVAL;
        self.index.replace(self.requests.read_tables().await?);
        self.look_up_routes().await?;
        self.work_on_neighbours().await
    }

    async fn look_up_routes(&mut self) -> Result<(), SocketError> {
        let started = Instant::now();
        let answers = self.requests.look_up(self.index.stale()).await?;
        self.index.answer(answers);
        self.pacing.rest(started, Instant::now());
        Ok(())
    }

    async fn work_on_neighbours(&mut self) -> Result<(), SocketError> {
        while let Some(work) = self.index.take_neighbour_work() {
            self.keeper.perform(work, &mut self.requests).await?;
            self.take_waiting()?;
        }
        Ok(())
    }
}

fn publish(published: &watch::Sender<Arc<NextHops>>, snapshot: NextHops) {
    published.send_if_modified(|current| {
        let changed = **current != snapshot;
        if changed {
            *current = Arc::new(snapshot);
        }
        changed
    });
}
