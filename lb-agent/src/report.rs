//! The control API's documents: what the maps say, with what only the agent knows (names, weights, health).

use std::{collections::BTreeMap, path::PathBuf, process};

use lb_api::{
    Agent, Backend, Stats, Status as StatusDocument, Vip,
    report::{self, Report, ReportError},
};
use xdp_lb::{
    Pins,
    model::{Ports, Service},
};
use xdp_lb_abi::ABI_VERSION;

use crate::{checks, config::Config, status::Status};

/// Version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Reads the maps, and puts the config's names to what is there.
fn read(status: &Status) -> Result<Report, ReportError> {
    let mut report = Report::read(&Pins::new(&status.config.node.bpffs))?;
    for vip in &mut report.stats.vips {
        name(vip, &status.config);
    }
    Ok(report)
}

/// `GET /v1/status`: always an answer. That the maps cannot be read is one of the problems that it tells.
pub fn status(status: &Status) -> StatusDocument {
    let read = read(status);
    let unreadable = match &read {
        // Taken away by an operator, which the agent has noticed.
        Ok(_) | Err(ReportError::NotInstalled { .. }) => None,
        Err(error) => Some(format!("the pinned maps cannot be read: {error}")),
    };
    let mut document = match read {
        Ok(report) => report.status(VERSION),
        Err(_) => without_maps(Pins::new(&status.config.node.bpffs).root()),
    };
    document.agent = Some(Agent {
        pid: process::id(),
        uptime_seconds: status.started.elapsed().as_secs(),
        ready: status.ready,
        config: lb_api::Config {
            file: status.file.clone(),
            generation: status.generation,
            error: status.config_error.clone(),
        },
    });
    // What the maps show, the agent knows better.
    document.problems = status.problems();
    document.problems.extend(unreadable);
    document
}

/// The status of a node whose pins were taken away under the agent, or cannot be read.
fn without_maps(pins: PathBuf) -> StatusDocument {
    StatusDocument {
        version: VERSION.to_owned(),
        abi_version: ABI_VERSION,
        role: None,
        pins,
        agent: None,
        interfaces: Vec::new(),
        problems: Vec::new(),
        packets: BTreeMap::new(),
    }
}

/// `GET /v1/stats`.
pub fn stats(status: &Status) -> Result<Stats, ReportError> {
    Ok(read(status)?.stats)
}

/// `GET /v1/vips`.
pub fn vips(status: &Status) -> Result<Vec<Vip>, ReportError> {
    Ok(read(status)?.stats.vips)
}

/// `GET /v1/backends`.
pub fn backends(status: &Status) -> Result<Vec<Backend>, ReportError> {
    let mut backends = report::backends(&vips(status)?);
    for backend in &mut backends {
        for part in &mut backend.services {
            let found = status.config.services.iter().find(|(service, _)| service.to_string() == part.service);
            let Some((service, settings)) = found else { continue };
            let configured = settings.backends.iter().find(|configured| configured.address == backend.address);
            part.health = configured.map(|configured| {
                let check = checks::check_of(*service, settings, configured);
                checks::report(&status.health, check.as_ref())
            });
        }
    }
    Ok(backends)
}

fn name(vip: &mut Vip, config: &Config) {
    let Ok(protocol) = vip.protocol.parse() else { return };
    let Some(ports) = Ports::new(vip.port..=vip.last_port) else { return };
    let service = Service { address: vip.address, ports, protocol };
    let Some(settings) = config.services.get(&service) else { return };
    vip.name = Some(settings.name.clone());
    for member in &mut vip.members {
        if let Some(backend) = settings.backends.iter().find(|backend| backend.address == member.address) {
            member.name = Some(backend.name.clone());
            member.weight = Some(backend.weight);
        }
    }
}
