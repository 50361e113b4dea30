//! The reconcile loop: the one task that owns the data plane and decides what it should do.
//!
//! Whatever wakes it (a new config, a health change, a next hop, the tick), it does the same: put the sources together,
//! plan, apply. So a lost event costs a tick, never a wrong state.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::{
    sync::watch,
    task::block_in_place,
    time::{MissedTickBehavior, interval, sleep_until},
};
use tracing::{error, info, warn};

use crate::{
    assemble::assemble,
    checks,
    config::{Config, reload::reload},
    config_file::ConfigFile,
    data_plane::{DataPlane, Outcome},
    health::{CheckSpec, Checker, Statuses},
    logging::LevelHandle,
    metrics::AgentMetrics,
    next_hops::{NextHops, Watching},
    status,
};

/// Everything is compared again this often, whatever events say.
const TICK: Duration = Duration::from_secs(2);

/// New checks are waited for until their first result, but not longer than their timeout and this.
const FIRST_RESULT_MARGIN: Duration = Duration::from_millis(500);

/// Changes that come together are applied together.
const COLLECT: Duration = Duration::from_millis(1);

/// The reconcile task's state.
pub struct Reconciler {
    data_plane: DataPlane,
    config: Arc<Config>,
    file: PathBuf,
    checker: Checker,
    health: watch::Receiver<Statuses>,
    destinations: watch::Sender<BTreeSet<IpAddr>>,
    next_hops: watch::Receiver<Arc<NextHops>>,
    status: status::Sender,
    level: LevelHandle,
    metrics: AgentMetrics,
    /// Every check that the config asks for.
    wanted: BTreeSet<CheckSpec>,
    /// Until then new checks are waited for.
    patience: Instant,
    /// Wakes the loop up when the config file may have changed.
    config_file: ConfigFile,
}

/// What the loop is made of.
pub struct Parts {
    /// Program and maps.
    pub data_plane: DataPlane,
    /// The config that the data plane was started with.
    pub config: Arc<Config>,
    /// Its file.
    pub file: PathBuf,
    /// Runs health checks.
    pub checker: Checker,
    /// Which tunnel addresses the next-hop watcher follows.
    pub destinations: watch::Sender<BTreeSet<IpAddr>>,
    /// The next-hop watcher.
    pub next_hops: watch::Receiver<Arc<NextHops>>,
    /// Where the status goes.
    pub status: status::Sender,
    /// The logger.
    pub level: LevelHandle,
    /// The agent's own metrics.
    pub metrics: AgentMetrics,
    /// Tells when the file may have changed.
    pub config_file: ConfigFile,
}

/// Why the loop came round.
enum Wakeup {
    /// The config file may have changed.
    Config,
    /// A source has news, or is waited for no longer.
    Source,
    /// It was time.
    Tick,
}

impl Reconciler {
    /// Starts the health checks; nothing is installed yet.
    pub fn new(parts: Parts) -> Self {
        let Parts { data_plane, config, file, checker, destinations, next_hops, status, level, metrics, config_file } =
            parts;
        let health = checker.subscribe();
        let mut reconciler = Self {
            data_plane,
            config,
            file,
            checker,
            health,
            destinations,
            next_hops,
            status,
            level,
            metrics,
            wanted: BTreeSet::new(),
            patience: Instant::now(),
            config_file,
        };
        reconciler.follow_config();
        reconciler
    }

    /// Runs until `shutdown` or until the next-hop watcher ends. What is installed stays.
    pub async fn run(mut self, mut watching: Option<Watching>, shutdown: impl Future<Output = ()>) -> Result<()> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(shutdown);
        loop {
            let wakeup = tokio::select! {
                () = &mut shutdown => return Ok(()),
                () = self.config_file.changed() => Wakeup::Config,
                Ok(()) = self.health.changed() => Wakeup::Source,
                Ok(()) = self.next_hops.changed() => Wakeup::Source,
                _ = tick.tick() => Wakeup::Tick,
                () = sleep_until(self.patience.into()), if self.patience > Instant::now() => Wakeup::Source,
                ended = watcher_end(&mut watching) => return ended,
            };
            tokio::time::sleep(COLLECT).await;
            self.status.send_modify(|status| status.last_beat = Instant::now());
            self.act(&wakeup);
        }
    }

    fn act(&mut self, wakeup: &Wakeup) {
        if self.data_plane.is_detached() {
            return self.rest();
        }
        match wakeup {
            Wakeup::Config => self.take_config(),
            Wakeup::Tick if self.config_file.is_unread() => self.take_config(),
            Wakeup::Tick => self.repair(),
            Wakeup::Source => {}
        }
        self.reconcile();
    }

    fn is_ready(&self) -> bool {
        self.status.borrow().ready
    }

    /// Reads the file again and follows it, or keeps what runs and says why.
    fn take_config(&mut self) {
        self.config_file.mark_read();
        let result = reload(&self.file, &self.config).map_err(anyhow::Error::from).and_then(|new| {
            block_in_place(|| self.data_plane.reconfigure(&self.config, &new))
                .map_err(|error| place(&self.file, &new, error))?;
            Ok(new)
        });
        self.metrics.config_loads(result.is_ok());
        let error = match result {
            Ok(new) if new == *self.config => None,
            Ok(new) => {
                info!(file = %self.file.display(), "config taken over");
                self.level.set(new.log.level);
                self.config = Arc::new(new);
                self.follow_config();
                self.status.send_modify(|status| {
                    status.config = Arc::clone(&self.config);
                    status.generation += 1;
                });
                None
            }
            Err(error) => {
                error!("config refused, the last good one runs on: {error:#}");
                Some(format!("{error:#}"))
            }
        };
        self.status.send_modify(|status| {
            status.config_error = error;
            status.attachments = self.data_plane.attachments().to_vec();
        });
    }

    /// Lets checks and next hops follow the config. A backend that is installed keeps its state until its check says
    /// otherwise, so that neither a restart nor a changed check takes it out.
    fn follow_config(&mut self) {
        let installed = self.data_plane.installed();
        let wanted = checks::wanted(&self.config, &installed);
        self.wanted = wanted.keys().cloned().collect();
        let timeout = self.wanted.iter().map(|check| check.timeout).max();
        self.patience = Instant::now() + timeout.map_or(Duration::ZERO, |timeout| timeout + FIRST_RESULT_MARGIN);
        self.checker.update(wanted);
        self.destinations.send_replace(self.config.destinations());
    }

    /// Lets go of everything but the wish to be restarted.
    fn rest(&mut self) {
        const DETACHED: &str = "the load balancer was detached (`lbctl detach`): restart lb-agent to forward again";
        self.status.send_if_modified(|status| {
            let news = status.ready || status.attach_problem.as_deref() != Some(DETACHED);
            if news {
                warn!(DETACHED);
            }
            status.ready = false;
            status.attachments.clear();
            status.attach_problem = Some(DETACHED.to_owned());
            news
        });
    }

    fn repair(&mut self) {
        let repaired = block_in_place(|| self.data_plane.repair(&self.config));
        let problem = repaired.err().map(|error| format!("{:#}", place(&self.file, &self.config, error)));
        let attachments = self.data_plane.attachments();
        self.status.send_if_modified(|status| {
            let changed = status.attach_problem != problem || status.attachments != attachments;
            if changed {
                if let Some(problem) = &problem {
                    error!("{problem}");
                }
                status.attachments = attachments.to_vec();
                status.attach_problem = problem;
            }
            changed
        });
    }

    /// Whether every source has been heard. Before the first plan, a backend that was not heard of would be taken out.
    /// Later, a service that is not installed yet waits, because until then its ring would be empty.
    fn sources_are_complete(&self, health: &Statuses, next_hops: &NextHops) -> bool {
        let checked = Instant::now() >= self.patience || checks::are_complete(health, &self.wanted);
        let destinations = self.destinations.borrow();
        checked && destinations.iter().all(|destination| next_hops.covers(*destination))
    }

    fn reconcile(&mut self) {
        let health = Statuses::clone(&self.health.borrow_and_update());
        let next_hops = Arc::clone(&self.next_hops.borrow_and_update());
        // The statuses follow a change of checks a moment later, and wake the loop when they do.
        let known = self.wanted.iter().all(|check| health.contains_key(check));
        let complete = known && self.sources_are_complete(&health, &next_hops);
        if !known || (!complete && !self.is_ready()) {
            return;
        }
        let mut desired = assemble(&self.config, &health, &next_hops);
        if !complete {
            desired.services.retain(|service, _| self.data_plane.has(service));
        }
        let result = block_in_place(|| self.data_plane.reconcile(&desired)).context("cannot reconcile");
        self.metrics.reconciles(result.as_ref().ok().map(|outcome| outcome.applied));
        let problems = match &result {
            Ok(outcome) => Self::report(outcome),
            Err(error) => {
                error!("{error:#}");
                vec![format!("{error:#}")]
            }
        };
        self.status.send_modify(|status| {
            status.ready |= result.is_ok();
            status.health = health;
            status.next_hops = next_hops;
            status.reconcile_problems = problems;
        });
    }

    fn report(outcome: &Outcome) -> Vec<String> {
        let applied = outcome.applied;
        if applied.changes > 0 {
            info!(changes = applied.changes, slots = applied.slots, "applied");
        }
        outcome.no_room.iter().map(ToString::to_string).inspect(|problem| warn!("{problem}")).collect()
    }
}

/// Names the place in the file that an error of an interface comes from.
pub fn place(file: &std::path::Path, config: &Config, error: crate::data_plane::DataPlaneError) -> anyhow::Error {
    use crate::data_plane::DataPlaneError;
    let interface =
        if let DataPlaneError::Attach(attach) = &error { attach.interface().map(str::to_owned) } else { None };
    let line = config.interfaces.iter().find(|i| Some(&i.name) == interface.as_ref()).map(|i| i.line);
    match line {
        Some(line) => anyhow::Error::from(error).context(format!("{}:{line}", file.display())),
        None => error.into(),
    }
}

/// Ends when the watcher ends; never, if there is none (a backend has no next hops).
async fn watcher_end(watching: &mut Option<Watching>) -> Result<()> {
    let Some(watching) = watching else { return std::future::pending().await };
    let ended = (&mut watching.task).await.context("the next-hop watcher panicked")?;
    ended.context("the next-hop watcher ended")
}
