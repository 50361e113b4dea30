//! Who takes part: servers and agents on the hosts of a bed.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use lb_api::{Backend, PATH_BACKENDS, Status};
use xdp_lb_tests::{
    agent::{
        self, Agent,
        config::{self, HealthCheck},
    },
    bed::{Bed, Host, Process},
    deployment::Deployment,
    http::nginx,
};

/// How backends are checked: a dead one costs requests for about a second.
pub(crate) const CHECK: HealthCheck =
    HealthCheck { interval: Duration::from_millis(500), timeout: Duration::from_millis(300), rise: 2, fall: 2 };

const BACKENDS: u8 = 3;
/// Index of the backend whose server dies.
const VICTIM: usize = 1;
/// How long it takes until an agent that died is started again, as a service manager would do it.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// The hosts.
pub(crate) fn build() -> Result<Bed> {
    Bed::new(BACKENDS).context("build the network (it needs root)")
}

/// An agent that is started again when it dies.
#[derive(Debug)]
struct Service<'b> {
    host: &'b Host,
    agent: Agent<'b>,
    died: Option<Instant>,
}

impl<'b> Service<'b> {
    fn new(host: &'b Host, agent: Agent<'b>) -> Self {
        Self { host, agent, died: None }
    }

    fn restart_if_dead(&mut self) -> Result<()> {
        match self.died {
            Some(at) if at.elapsed() >= RESTART_DELAY => {
                self.agent = Agent::launch(self.host)?;
                self.died = None;
            }
            None if self.agent.process().exit_status()?.is_some() => self.died = Some(Instant::now()),
            Some(_) | None => {}
        }
        Ok(())
    }
}

/// Servers and agents, all running.
#[derive(Debug)]
pub(crate) struct Stage<'b> {
    bed: &'b Bed,
    /// One per backend; `None` while it is dead.
    servers: Vec<Option<Process>>,
    ingress: Service<'b>,
    backends: Vec<Service<'b>>,
}

impl<'b> Stage<'b> {
    /// Starts all and waits until every backend takes traffic.
    pub(crate) fn set(bed: &'b Bed) -> Result<Self> {
        let Deployment { servers, backends, ingress } =
            Deployment::start(bed, &config::ingress(config::mixed_tunnels(bed), CHECK))?;
        let backends = bed.backends.iter().zip(backends).map(|(host, agent)| Service::new(host, agent)).collect();
        let ingress = Service::new(&bed.lb, ingress);
        Ok(Self { bed, servers: servers.into_iter().map(Some).collect(), ingress, backends })
    }

    /// Where requests come from.
    pub(crate) fn client(&self) -> &'b Host {
        &self.bed.client
    }

    /// Names of all backends.
    pub(crate) fn backend_names(&self) -> impl Iterator<Item = &'b str> + use<'b> {
        self.bed.backends.iter().map(Host::name)
    }

    /// Starts agents again that died a while ago, whoever killed them.
    pub(crate) fn restart_the_dead(&mut self) -> Result<()> {
        [&mut self.ingress].into_iter().chain(&mut self.backends).try_for_each(Service::restart_if_dead)
    }

    /// Kills the load balancer's agent with SIGKILL.
    pub(crate) fn kill_ingress_agent(&mut self) -> Result<()> {
        self.ingress.agent.process().signal(nix::sys::signal::Signal::SIGKILL)
    }

    /// Kills a backend's server; the backend's name.
    pub(crate) fn kill_server(&mut self) -> Result<&str> {
        let server = self.servers[VICTIM].take().context("the server is dead already")?;
        server.kill()?;
        Ok(self.bed.backends[VICTIM].name())
    }

    /// Starts the killed server again; the backend's name.
    pub(crate) fn start_server(&mut self) -> Result<&str> {
        let host = &self.bed.backends[VICTIM];
        self.servers[VICTIM] = Some(nginx::start(host)?);
        Ok(host.name())
    }

    /// What the load balancer's agent says about each backend's health; `None` while it is dead.
    pub(crate) fn health(&self) -> Option<BTreeMap<String, String>> {
        let backends = agent::document::<Vec<Backend>>(&self.bed.lb, PATH_BACKENDS).ok()?;
        let state = |backend: &Backend| {
            let down = backend.services.iter().find(|service| !service.up);
            let worst = down.or(backend.services.first())?;
            Some(
                worst
                    .health
                    .as_ref()
                    .map_or_else(|| if worst.up { "up" } else { "down" }.to_owned(), |health| health.state.clone()),
            )
        };
        Some(backends.iter().filter_map(|backend| Some((backend.name.clone()?, state(backend)?))).collect())
    }

    /// Packets by reason, as `lbctl` tells them: it reads the maps if the agent is dead at the moment.
    pub(crate) fn verdicts(&self) -> Result<BTreeMap<String, u64>> {
        let output = agent::lbctl(&self.bed.lb, &["status", "-o", "json"])?;
        match serde_json::from_slice::<Status>(&output.stdout) {
            Ok(status) => Ok(status.packets),
            Err(error) => bail!("lbctl status: {error}: {}", String::from_utf8_lossy(&output.stderr).trim()),
        }
    }
}
