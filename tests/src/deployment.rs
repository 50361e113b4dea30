//! Everything that serves requests in a bed: nginx and the backend role on each backend, the ingress role before them.

use std::time::Duration;

use anyhow::{Context, Result};
use lb_api::{Member, PATH_VIPS, Vip};

use crate::{
    agent::{self, Agent, config},
    bed::{Bed, Process},
    http::nginx,
    poll,
};

/// How long health checks and neighbours may take at the start.
const WHOLE_LIMIT: Duration = Duration::from_secs(10);

/// Servers and agents of a bed.
#[derive(Debug)]
pub struct Deployment<'b> {
    /// nginx of each backend.
    pub servers: Vec<Process>,
    /// The backend role on each backend.
    pub backends: Vec<Agent<'b>>,
    /// The ingress role on the load balancer.
    pub ingress: Agent<'b>,
}

impl<'b> Deployment<'b> {
    /// Starts all, with this config for the load balancer, and waits until every backend takes traffic.
    pub fn start(bed: &'b Bed, ingress: &str) -> Result<Self> {
        let servers = bed.backends.iter().map(nginx::start).collect::<Result<_>>()?;
        let backends =
            bed.backends.iter().map(|host| Agent::start(host, &config::backend(bed, host))).collect::<Result<_>>()?;
        let ingress = Agent::start(&bed.lb, ingress)?;
        let mut deployment = Self { servers, backends, ingress };
        deployment.wait_until_whole(bed)?;
        Ok(deployment)
    }

    /// Waits until every backend takes traffic in every service.
    pub fn wait_until_whole(&mut self, bed: &Bed) -> Result<()> {
        poll::until("every backend to take traffic", WHOLE_LIMIT, || is_whole(bed).then_some(()))
            .with_context(|| format!("the load balancer's agent wrote\n{}", self.ingress.process().log()))
    }
}

/// Whether every backend takes traffic in every service.
fn is_whole(bed: &Bed) -> bool {
    agent::document::<Vec<Vip>>(&bed.lb, PATH_VIPS).is_ok_and(|vips| {
        let is_whole = |vip: &Vip| vip.members.len() == bed.backends.len() && vip.members.iter().all(takes_traffic);
        !vips.is_empty() && vips.iter().all(is_whole)
    })
}

/// Whether a backend is up, has a share, and the way to it is known.
pub fn takes_traffic(member: &Member) -> bool {
    member.up && member.slots > 0 && member.is_reachable()
}
