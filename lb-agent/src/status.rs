//! What the agent knows about itself: written by the reconcile task, read by the servers.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Instant};

use lb_api::report;
use tokio::sync::watch;
use xdp_lb::{attach::Attachment, interface, model::Mode};

use crate::{
    checks,
    config::{BackendConfig, Config, ServiceConfig},
    health::Statuses,
    next_hops::NextHops,
};

/// The agent's state at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// The running config.
    pub config: Arc<Config>,
    /// Its file.
    pub file: PathBuf,
    /// When the agent started.
    pub started: Instant,
    /// How many configs were taken over.
    pub generation: u64,
    /// Why the newest version of the file was refused.
    pub config_error: Option<String>,
    /// When the reconcile loop last came round.
    pub last_beat: Instant,
    /// Whether desired state has been installed since the start.
    pub ready: bool,
    /// Where the program runs.
    pub attachments: Vec<Attachment>,
    /// Why the program is not where it should be.
    pub attach_problem: Option<String>,
    /// What the health checks say.
    pub health: Statuses,
    /// What is known of the ways to the backends.
    pub next_hops: Arc<NextHops>,
    /// Why the last reconcile failed, or what it had to leave out.
    pub reconcile_problems: Vec<String>,
}

/// Sends the status on.
pub type Sender = watch::Sender<Status>;
/// Reads the status.
pub type Receiver = watch::Receiver<Status>;

impl Status {
    /// Whether this node may be sent traffic.
    pub const fn is_serving(&self) -> bool {
        self.ready && self.attach_problem.is_none()
    }

    /// Everything that an operator should look at, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(error) = &self.config_error {
            problems.push(format!("{} was refused, the last good config runs: {error}", self.file.display()));
        }
        problems.extend(self.attach_problem.iter().chain(&self.reconcile_problems).cloned());
        for Attachment { interface, mode, .. } in &self.attachments {
            if *mode == interface::Mode::Generic {
                problems
                    .push(format!("{interface} runs the program in generic mode: several times slower than native"));
            }
        }
        // Backends behind one gateway share its trouble: it is one problem.
        problems.extend(self.next_hops.problems.values().cloned().collect::<BTreeSet<_>>());
        problems.extend(self.detours());
        problems.extend(self.l2_behind_gateways());
        problems.extend(self.services_without_backend());
        problems
    }

    fn services_without_backend(&self) -> Vec<String> {
        let is_usable = |service, settings: &ServiceConfig, backend: &BackendConfig| {
            let check = checks::check_of(service, settings, backend);
            backend.weight > 0 && check.is_none_or(|check| checks::is_up(&self.health, &check))
        };
        let services = self.config.services.iter().filter(|_| self.ready);
        services
            .filter(|(service, settings)| !settings.backends.iter().any(|b| is_usable(**service, settings, b)))
            .map(|(service, settings)| report::without_backend(&service.to_string(), settings.backends.is_empty()))
            .collect()
    }

    /// Backends that are reached by an interface that the program does not run on: their packets are dropped.
    fn detours(&self) -> Vec<String> {
        let ours = |index| self.attachments.iter().any(|attachment| attachment.index == index);
        let name = |index| self.next_hops.interfaces.get(&index).map_or("another interface", |i| i.name.as_str());
        // A program that runs nowhere is a problem of its own.
        let runs = !self.attachments.is_empty();
        let detours = self.next_hops.routes.iter().filter(|(_, hop)| runs && !ours(hop.interface));
        detours
            .map(|(backend, hop)| {
                format!(
                    "{backend} is reached by {}, where the program does not run: packets for it are dropped as \
                     other_interface; add that interface to `interfaces`, or route it by one that is there",
                    name(hop.interface)
                )
            })
            .collect()
    }

    /// Backends that are to get packets as they are, where a gateway is in between: their packets are dropped.
    fn l2_behind_gateways(&self) -> BTreeSet<String> {
        let backends = self.config.services.values().flat_map(|service| &service.backends);
        backends
            .filter(|backend| backend.encapsulation == Mode::L2)
            .filter_map(|backend| {
                let hop = self.next_hops.routes.get(&backend.address)?;
                (hop.neighbour != backend.address).then(|| {
                    format!(
                        "{} is reached by the gateway {}, which `encapsulation: l2` cannot pass: packets for it are \
                         dropped as next_hop_unresolved; put it on a segment with this node, or use ipip",
                        backend.address, hop.neighbour
                    )
                })
            })
            .collect()
    }
}

/// The API's word for a mode.
pub const fn mode(mode: interface::Mode) -> lb_api::Mode {
    match mode {
        interface::Mode::Native => lb_api::Mode::Native,
        interface::Mode::Generic => lb_api::Mode::Generic,
    }
}
