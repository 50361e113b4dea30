//! Repeats a changing set of checks and publishes what they find.
//!
//! One task owns the set and the published map. Each check has a task of its own, which keeps the check's state machine
//! and speaks up only when state or error change, so that ten thousand healthy targets cost their connections and little
//! else.

use std::{
    collections::{BTreeMap, btree_map},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::{
    CheckKind, CheckSpec, State,
    probe::{Network, Probe},
    state::{CheckResult, Tracker},
};

/// Least time from one published map to the next: a rack that dies becomes a few maps, not thousands.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(10);

/// First checks begin at random within this time per new check, so that a thousand new checks take a second.
const SPREAD_PER_CHECK: Duration = Duration::from_millis(1);

/// Longest time until a first check begins.
const MAX_SPREAD: Duration = Duration::from_secs(1);

/// What is known of every check that runs.
pub type Statuses = Arc<BTreeMap<Arc<CheckSpec>, CheckStatus>>;

/// What is known of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckStatus {
    /// The state.
    pub state: State,
    /// When the state began, or the check if it never changed.
    pub since: Instant,
    /// Why the newest check did not pass; `None` if it did or there was none.
    pub last_error: Option<Arc<str>>,
}

/// Checks made since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// TCP checks.
    pub tcp: Outcomes,
    /// HTTP checks.
    pub http: Outcomes,
}

/// Checks of one kind by outcome.
#[derive(Debug, Default)]
pub struct Outcomes {
    /// The target answered as wanted.
    pub passed: AtomicU64,
    /// It did not.
    pub failed: AtomicU64,
    /// The check could not be made on this side.
    pub inconclusive: AtomicU64,
}

impl Counters {
    fn count(&self, kind: &CheckKind, result: CheckResult) {
        let outcomes = match kind {
            CheckKind::Tcp => &self.tcp,
            CheckKind::Http { .. } => &self.http,
        };
        let counter = match result {
            CheckResult::Passed => &outcomes.passed,
            CheckResult::Failed => &outcomes.failed,
            CheckResult::Inconclusive => &outcomes.inconclusive,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Handle of the running checks. They end when it is dropped.
#[derive(Debug)]
pub struct Checker {
    wanted: watch::Sender<BTreeMap<CheckSpec, State>>,
    statuses: watch::Receiver<Statuses>,
    counters: Arc<Counters>,
}

impl Checker {
    /// Starts without checks. Must be called within a tokio runtime with I/O and time.
    pub fn spawn() -> Self {
        Self::spawn_with(Network)
    }

    /// Starts with another way to make a check.
    pub fn spawn_with(probe: impl Probe) -> Self {
        let (wanted, wanted_by_owner) = watch::channel(BTreeMap::new());
        let (publish, statuses) = watch::channel(Statuses::default());
        let (report, reports) = mpsc::unbounded_channel();
        let counters = Arc::new(Counters::default());
        let owner =
            Owner { probe, running: BTreeMap::new(), next_id: 0, report, publish, counters: Arc::clone(&counters) };
        tokio::spawn(owner.run(wanted_by_owner, reports));
        Self { wanted, statuses, counters }
    }

    /// Replaces the set of checks. A check that was in the set before goes on undisturbed; a new one begins in the state
    /// that stands beside it: `Unknown`, or what was in force before this process ran.
    pub fn update(&self, wanted: BTreeMap<CheckSpec, State>) {
        self.wanted.send_replace(wanted);
    }

    /// The published map: changes when a state or an error changes, or the set. It holds a check shortly after
    /// [`Checker::update`] was told of it.
    pub fn subscribe(&self) -> watch::Receiver<Statuses> {
        self.statuses.clone()
    }

    /// Checks made since the start.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }
}

/// A check that runs. Its task ends with it.
struct Running {
    id: u64,
    status: CheckStatus,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a check's task has to say.
struct Report {
    check: Arc<CheckSpec>,
    /// Which run of the check says so: a check may leave the set and come back.
    id: u64,
    state: State,
    last_error: Option<Arc<str>>,
}

/// The task that owns the set.
struct Owner<P> {
    probe: P,
    running: BTreeMap<Arc<CheckSpec>, Running>,
    next_id: u64,
    report: mpsc::UnboundedSender<Report>,
    publish: watch::Sender<Statuses>,
    counters: Arc<Counters>,
}

impl<P: Probe> Owner<P> {
    async fn run(
        mut self,
        mut wanted: watch::Receiver<BTreeMap<CheckSpec, State>>,
        mut reports: mpsc::UnboundedReceiver<Report>,
    ) {
        let mut changed = false;
        let mut publish_at = Instant::now();
        loop {
            tokio::select! {
                biased;
                update = wanted.changed() => {
                    if update.is_err() {
                        return;
                    }
                    let wanted = wanted.borrow_and_update().clone();
                    self.replace_set(wanted);
                    changed = true;
                    publish_at = Instant::now();
                }
                () = sleep_until(publish_at), if changed => {
                    self.publish();
                    changed = false;
                    publish_at = Instant::now() + PUBLISH_INTERVAL;
                }
                // This task holds a sender, so the channel never ends.
                Some(report) = reports.recv() => changed |= self.take(report),
            }
        }
    }

    fn replace_set(&mut self, wanted: BTreeMap<CheckSpec, State>) {
        self.running.retain(|check, _| wanted.contains_key(&**check));
        let new: Vec<_> = wanted.into_iter().filter(|(check, _)| !self.running.contains_key(check)).collect();
        let spread = MAX_SPREAD.min(SPREAD_PER_CHECK.saturating_mul(u32::try_from(new.len()).unwrap_or(u32::MAX)));
        for (check, seed) in new {
            self.start(check, seed, spread);
        }
    }

    fn start(&mut self, check: CheckSpec, seed: State, spread: Duration) {
        let (check, id, now) = (Arc::new(check), self.next_id, Instant::now());
        self.next_id += 1;
        let repeat = Repeat {
            probe: self.probe.clone(),
            check: Arc::clone(&check),
            id,
            report: self.report.clone(),
            counters: Arc::clone(&self.counters),
        };
        let first = now + spread.min(check.interval).mul_f64(fastrand::f64());
        let task = tokio::spawn(repeat.run(seed, first));
        let status = CheckStatus { state: seed, since: now, last_error: None };
        self.running.insert(check, Running { id, status, task });
    }

    /// Takes a report over; returns whether it changed anything.
    fn take(&mut self, report: Report) -> bool {
        let btree_map::Entry::Occupied(mut running) = self.running.entry(report.check) else { return false };
        let running = running.get_mut();
        if running.id != report.id {
            return false;
        }
        if running.status.state != report.state {
            running.status.since = Instant::now();
        }
        running.status.state = report.state;
        running.status.last_error = report.last_error;
        true
    }

    fn publish(&self) {
        let statuses = self.running.iter().map(|(check, running)| (Arc::clone(check), running.status.clone()));
        self.publish.send_replace(Arc::new(statuses.collect()));
    }
}

/// The task of one check.
struct Repeat<P> {
    probe: P,
    check: Arc<CheckSpec>,
    id: u64,
    report: mpsc::UnboundedSender<Report>,
    counters: Arc<Counters>,
}

impl<P: Probe> Repeat<P> {
    async fn run(self, seed: State, first: Instant) {
        let mut tracker = Tracker::new(self.check.rise, self.check.fall, seed);
        let mut last_error: Option<Arc<str>> = None;
        let mut next = first;
        loop {
            sleep_until(next).await;
            // Counted from the start of this check, so that slow answers do not make checks rarer.
            next = Instant::now() + with_jitter(self.check.interval);
            let outcome = self.probe.probe(&self.check).await;
            let result = outcome.as_ref().map_or_else(super::probe::ProbeError::result, |()| CheckResult::Passed);
            self.counters.count(&self.check.kind, result);
            let transition = tracker.observe(result);
            if let Some(transition) = transition {
                self.log(transition.to, outcome.as_ref().err());
            }
            let error = outcome.err().map(|error| Arc::from(error.to_string()));
            if transition.is_some() || error != last_error {
                last_error.clone_from(&error);
                let (check, state) = (Arc::clone(&self.check), tracker.state());
                // The owner is gone only when this task is about to be.
                self.report.send(Report { check, id: self.id, state, last_error: error }).ok();
            }
        }
    }

    fn log(&self, state: State, error: Option<&super::probe::ProbeError>) {
        let target = self.check.target;
        match error {
            None => tracing::info!(%target, %state, "health check changed state"),
            Some(error) => tracing::warn!(%target, %state, %error, "health check changed state"),
        }
    }
}

/// The interval, a tenth shorter to a tenth longer, so that checks of many nodes do not fall into step.
fn with_jitter(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * fastrand::f64())
}

#[cfg(test)]
mod tests;
