//! This node's data plane as its role wants it: program, attachments, maps. Blocking calls; one owner.

use std::{collections::BTreeSet, net::IpAddr};

use lb_api::Role;
use tracing::{info, warn};
use xdp_lb::{
    Desired, Installed, Pins, Writer,
    apply::{Applied, ApplyError},
    attach::{AttachError, Attachment, ModeChoice},
    decap::{Acceptance, Accepted},
    interface::{Interface, Mode},
    model::Service,
    pins::PinsLock,
    plan::{NoRoom, plan},
    program::{LoadError, Program, ProgramKind},
    tables::TablesError,
    tx_ports::TxPorts,
};
use xdp_lb_abi::{DEFAULT_GUE_PORT, Gates};

use crate::config::{BackendRole, Config, Forwarding, Icmp};

/// A data plane that cannot be brought into the wanted state.
#[derive(Debug, thiserror::Error)]
pub enum DataPlaneError {
    /// The program.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// An interface.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The maps.
    #[error(transparent)]
    Tables(#[from] TablesError),
    /// A change.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

/// What a reconcile did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Changes and slots.
    pub applied: Applied,
    /// What found no room.
    pub no_room: Vec<NoRoom>,
}

/// Program, attachments and maps of this node.
pub struct DataPlane {
    pins: Pins,
    lock: PinsLock,
    program: Program,
    attachments: Vec<Attachment>,
    maps: Maps,
}

enum Maps {
    Ingress { writer: Box<Writer>, ports: Box<TxPorts>, installed: Installed, seed: u64 },
    Backend(Box<Acceptance>),
}

impl DataPlane {
    /// Loads the program of the node's role, takes over the maps, attaches. What runs already goes on running, with
    /// the new program as soon as it is attached. On an error nothing new stays attached.
    pub fn start(config: &Config) -> Result<Self, DataPlaneError> {
        let pins = Pins::new(&config.node.bpffs);
        xdp_lb::program::check_capabilities()?;
        let lock = pins.prepare().map_err(LoadError::from)?;
        let mut program = Program::load(&pins, &lock, program_kind(config))?;
        let maps = Maps::open(&pins, config)?;
        let attachments = program.attach(&interfaces(config))?;
        log_attachments(&attachments);
        Ok(Self { pins, lock, program, attachments, maps })
    }

    /// Follows a changed config: loads the program anew where its settings differ, and attaches as configured. After
    /// an error the old program is back where it was.
    pub fn reconfigure(&mut self, old: &Config, new: &Config) -> Result<(), DataPlaneError> {
        let reload = program_kind(old) != program_kind(new);
        if reload || interfaces(old) != interfaces(new) {
            let attached = self.load_and_attach(new, reload);
            if attached.is_err() {
                self.go_back(old);
            }
            attached?;
        }
        match &mut self.maps {
            Maps::Ingress { seed, .. } => *seed = new.forwarding.hash_seed,
            Maps::Backend(acceptance) => acceptance.set(&accepted(new.backend.as_ref()))?,
        }
        Ok(())
    }

    /// Some interfaces may run the new program already.
    fn go_back(&mut self, old: &Config) {
        match self.program.attach(&interfaces(old)) {
            Ok(attachments) => self.attachments = attachments,
            Err(error) => warn!("cannot put the old program back: {error}"),
        }
    }

    fn load_and_attach(&mut self, config: &Config, reload: bool) -> Result<(), DataPlaneError> {
        let mut new = None;
        if reload {
            new = Some(Program::load(&self.pins, &self.lock, program_kind(config))?);
        }
        let program = new.as_mut().unwrap_or(&mut self.program);
        self.attachments = program.attach(&interfaces(config))?;
        log_attachments(&self.attachments);
        if let Some(program) = new {
            self.program = program;
        }
        Ok(())
    }

    /// Whether somebody took the pins away (`lbctl detach`): then forwarding is off because an operator wants it off.
    pub fn is_detached(&self) -> bool {
        !self.pins.exist()
    }

    /// Attaches again where an interface was re-created or somebody took the program away. An interface that stays gone
    /// does not keep the program off the others.
    pub fn repair(&mut self, config: &Config) -> Result<(), DataPlaneError> {
        let (program, mut trouble) = (self.program.id(), None);
        for (interface, choice) in interfaces(config) {
            let position = self.attachments.iter().position(|attachment| attachment.interface == interface);
            if position.is_some_and(|position| is_intact(&self.attachments[position], program)) {
                continue;
            }
            if let Some(position) = position {
                self.attachments.remove(position);
            }
            match self.program.attach_again(&interface, choice) {
                Ok(attachment) => {
                    warn!(interface, "the program was not there any more: attached again");
                    self.attachments.push(attachment);
                }
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        trouble.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Brings the forwarding maps to the desired state. After an error, what is installed is read anew, so that the
    /// next call starts from the truth.
    pub fn reconcile(&mut self, desired: &Desired) -> Result<Outcome, DataPlaneError> {
        let Maps::Ingress { writer, ports, installed, seed } = &mut self.maps else { return Ok(Outcome::default()) };
        ports.set(&self.attachments.iter().map(|attachment| attachment.index).collect())?;
        let plan = plan(desired, installed, *seed);
        for change in &plan.changes {
            tracing::debug!(%change, "apply");
        }
        match writer.apply(&plan.changes, installed) {
            Ok(applied) => Ok(Outcome { applied, no_room: plan.no_room }),
            Err(error) => {
                *installed = writer.tables().installed()?;
                Err(error.into())
            }
        }
    }

    /// What is installed; empty on a backend.
    pub fn installed(&self) -> Installed {
        match &self.maps {
            Maps::Ingress { installed, .. } => installed.clone(),
            Maps::Backend(_) => Installed::default(),
        }
    }

    /// Whether a service is installed.
    pub fn has(&self, service: &Service) -> bool {
        match &self.maps {
            Maps::Ingress { installed, .. } => installed.services.contains_key(service),
            Maps::Backend(_) => false,
        }
    }

    /// Where the program runs.
    pub fn attachments(&self) -> &[Attachment] {
        &self.attachments
    }

    /// The loaded object, for the log reader.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }
}

impl Maps {
    fn open(pins: &Pins, config: &Config) -> Result<Self, DataPlaneError> {
        match config.role {
            Role::Ingress => {
                let (writer, installed) = Writer::open(xdp_lb::Tables::open(pins)?)?;
                info!(services = installed.services.len(), "took over what is installed");
                let seed = config.forwarding.hash_seed;
                Ok(Self::Ingress { writer: Box::new(writer), ports: Box::new(TxPorts::open(pins)?), installed, seed })
            }
            Role::Backend => {
                let mut acceptance = Acceptance::open(pins)?;
                acceptance.set(&accepted(config.backend.as_ref()))?;
                Ok(Self::Backend(Box::new(acceptance)))
            }
        }
    }
}

fn program_kind(config: &Config) -> ProgramKind {
    let Forwarding { hash_seed, decrement_ttl, check_tcp_flags, gue_port } = config.forwarding;
    let Icmp { echo_reply, too_big_reply, rate } = config.icmp;
    match config.role {
        Role::Ingress => {
            let gates = Gates::default()
                .with(Gates::DECREMENT_TTL, decrement_ttl)
                .with(Gates::CHECK_TCP_FLAGS, check_tcp_flags)
                .with(Gates::ECHO_REPLY, echo_reply)
                .with(Gates::TOO_BIG_REPLY, too_big_reply)
                .with(Gates::SEVERAL_INTERFACES, config.interfaces.len() > 1);
            ProgramKind::Balancer { hash_seed, gates, gue_port, icmp_rate: rate }
        }
        Role::Backend => ProgramKind::Decapsulator {
            gue_port: config.backend.as_ref().map_or(DEFAULT_GUE_PORT, |backend| backend.gue_port),
        },
    }
}

fn interfaces(config: &Config) -> Vec<(String, ModeChoice)> {
    config.interfaces.iter().map(|interface| (interface.name.clone(), interface.mode)).collect()
}

fn accepted(backend: Option<&BackendRole>) -> Accepted {
    let Some(backend) = backend else { return Accepted::default() };
    let addresses = |list: &[IpAddr]| list.iter().copied().collect::<BTreeSet<_>>();
    Accepted {
        tunnels: addresses(&backend.tunnel_addresses),
        sources: backend.sources.iter().map(|net| (net.network(), net.prefix_len())).collect(),
        vips: addresses(&backend.vips),
    }
}

/// Whether the interface is still the same, and runs this program and no other.
fn is_intact(attachment: &Attachment, program: Option<u32>) -> bool {
    let found = Interface::by_name(&attachment.interface);
    let ours = |found: Interface| found.xdp.is_some_and(|xdp| program.is_none_or(|id| id == xdp.program_id));
    // A failed query proves nothing; the next one will.
    found.map_or(true, |found| found.is_some_and(|found| found.index == attachment.index && ours(found)))
}

fn log_attachments(attachments: &[Attachment]) {
    for Attachment { interface, mode, replaced, .. } in attachments {
        match mode {
            Mode::Native => info!(interface, replaced, "attached in native mode"),
            Mode::Generic => warn!(interface, replaced, "attached in generic mode: several times slower than native"),
        }
    }
}
