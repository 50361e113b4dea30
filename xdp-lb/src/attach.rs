//! Attaching to interfaces by pinned links: first time, replacing a predecessor, and letting go.

use std::{
    io,
    path::{Path, PathBuf},
};

use aya::programs::{
    ProgramError, Xdp, XdpMode,
    links::{FdLink, LinkError, PinnedLink},
    xdp::XdpLink,
};

use crate::{
    interface::{Interface, Mode},
    pins::{self, Pins, PinsError},
    program::{LoadError, Program, ProgramKind},
    sys,
};

/// How a program may be attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModeChoice {
    /// In the driver, or not at all.
    #[default]
    Native,
    /// In the kernel's generic path.
    Generic,
    /// In the driver, and in the generic path where the driver has no native XDP.
    NativeOrGeneric,
}

impl ModeChoice {
    const fn allows(self, mode: Mode) -> bool {
        matches!(
            (self, mode),
            (Self::NativeOrGeneric, _) | (Self::Native, Mode::Native) | (Self::Generic, Mode::Generic)
        )
    }

    const fn attempts(self) -> &'static [Mode] {
        match self {
            Self::Native => &[Mode::Native],
            Self::Generic => &[Mode::Generic],
            Self::NativeOrGeneric => &[Mode::Native, Mode::Generic],
        }
    }
}

/// An interface that the program now runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Name.
    pub interface: String,
    /// Kernel's index.
    pub index: u32,
    /// How the program runs.
    pub mode: Mode,
    /// Whether a predecessor was replaced without a gap.
    pub replaced: bool,
}

/// An interface that the program cannot be attached to. Nothing of this attempt stays attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// No such interface.
    #[error("there is no interface {interface}: name one of `ip -brief link`, or create it first")]
    NoInterface {
        /// Name.
        interface: String,
    },
    /// Somebody else's program.
    #[error(
        "{interface} already runs the XDP program {program_id}, which is not ours: see `bpftool prog show id {program_id}`; \
         detach it, or use another interface"
    )]
    Foreign {
        /// Name.
        interface: String,
        /// Id of the program.
        program_id: u32,
    },
    /// The driver cannot.
    #[error(
        "the driver of {interface} cannot run native XDP at its present settings: \
         set `mode: native-or-generic` for it to accept the slow path, or use another NIC"
    )]
    NoNative {
        /// Name.
        interface: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel has no BPF links for XDP.
    #[error("the kernel cannot attach to {interface} by a BPF link, which needs Linux 5.9")]
    NoLink {
        /// Name.
        interface: String,
    },
    /// The kernel refuses for another reason.
    #[error("cannot attach to {interface}")]
    Program {
        /// Name.
        interface: String,
        /// Why.
        source: Box<ProgramError>,
    },
    /// A pinned link cannot be used.
    #[error("cannot use the pinned link {}", path.display())]
    Link {
        /// The pin.
        path: PathBuf,
        /// Why.
        source: Box<LinkError>,
    },
    /// A system call failed.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The attached program cannot be pinned.
    #[error(transparent)]
    Publish(#[from] LoadError),
    /// The pin directory.
    #[error(transparent)]
    Pins(#[from] PinsError),
}

impl AttachError {
    /// The interface that the error is about.
    pub fn interface(&self) -> Option<&str> {
        match self {
            Self::NoInterface { interface }
            | Self::Foreign { interface, .. }
            | Self::NoNative { interface, .. }
            | Self::NoLink { interface }
            | Self::Program { interface, .. } => Some(interface),
            Self::Link { .. } | Self::Io { .. } | Self::Publish(_) | Self::Pins(_) => None,
        }
    }
}

impl Program {
    /// Runs the program on exactly these interfaces: replaces predecessors through their pinned links without a gap,
    /// attaches where there is none, lets go of interfaces that are no longer named. If one fails, the others are as
    /// they were before.
    pub fn attach(&mut self, interfaces: &[(String, ModeChoice)]) -> Result<Vec<Attachment>, AttachError> {
        // Most of what can be wrong shows before anything is touched.
        for (interface, _) in interfaces {
            check_free(&self.pins, interface)?;
        }
        let mut attached = Vec::new();
        for (interface, choice) in interfaces {
            match self.attach_one(interface, *choice) {
                Ok(attachment) => attached.push(attachment),
                Err(error) => {
                    self.take_back(&attached);
                    return Err(error);
                }
            }
        }
        for name in self.pins.linked_interfaces()? {
            if !interfaces.iter().any(|(interface, _)| *interface == name) {
                detach_one(&self.pins, &name)?;
            }
        }
        self.publish()?;
        self.forget_other_program()?;
        Ok(attached)
    }

    /// Runs the program on this interface too, whatever happens on others.
    pub fn attach_again(&mut self, interface: &str, choice: ModeChoice) -> Result<Attachment, AttachError> {
        check_free(&self.pins, interface)?;
        self.attach_one(interface, choice)
    }

    /// Puts the predecessor back where it was replaced, and lets go of interfaces that had none.
    fn take_back(&self, attached: &[Attachment]) {
        let names = [xdp_lb_abi::program::XDP_LB, xdp_lb_abi::program::XDP_DECAP];
        let mut predecessors = names.iter().filter_map(|name| {
            Xdp::from_pin(self.pins.program(name), aya_obj::programs::XdpAttachType::Interface).ok()
        });
        let mut predecessor = predecessors.next();
        for Attachment { interface, replaced, .. } in attached {
            let taken_back = match &mut predecessor {
                Some(predecessor) if *replaced => replace(predecessor, interface, &self.pins.link(interface)),
                // Without a predecessor there is nothing to go back to, and a program that works is better than none.
                None if *replaced => Ok(()),
                Some(_) | None => detach_one(&self.pins, interface),
            };
            if let Err(error) = taken_back {
                tracing::warn!(interface, "the program cannot be taken back: {error}");
            }
        }
    }

    fn attach_one(&mut self, interface: &str, choice: ModeChoice) -> Result<Attachment, AttachError> {
        let found = find(interface)?;
        let pin = self.pins.link(interface);
        if pin.exists() {
            let mode = found.xdp.and_then(|xdp| xdp.mode);
            match (link_interface(&pin)?, mode) {
                (Some(index), Some(mode)) if index == found.index && choice.allows(mode) => {
                    replace(self.xdp(), interface, &pin)?;
                    return Ok(Attachment { interface: interface.to_owned(), index, mode, replaced: true });
                }
                // The interface was re-created, so the link is dead; or it runs in a mode that is no longer wanted.
                _ => detach_one(&self.pins, interface)?,
            }
        }
        let mode = self.attach_new(interface, found.index, choice)?;
        Ok(Attachment { interface: interface.to_owned(), index: found.index, mode, replaced: false })
    }

    fn attach_new(&mut self, interface: &str, index: u32, choice: ModeChoice) -> Result<Mode, AttachError> {
        let mut last = None;
        for mode in choice.attempts() {
            let xdp_mode = match mode {
                Mode::Native => XdpMode::Driver,
                Mode::Generic => XdpMode::Skb,
            };
            match self.xdp().attach_to_if_index(index, xdp_mode) {
                Ok(id) => {
                    let link = self.xdp().take_link(id).map_err(refused(interface))?;
                    // aya falls back to a netlink attachment, which cannot be pinned, when the kernel says EINVAL.
                    let link =
                        FdLink::try_from(link).map_err(|_| AttachError::NoLink { interface: interface.to_owned() })?;
                    let pin = self.pins.link(interface);
                    link.pin(&pin).map_err(pins::pin_failed(&pin))?;
                    return Ok(*mode);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(refused(interface)(last.expect("every choice makes an attempt")))
    }

    /// A node that changed its role still has the other role's program and maps pinned, which nothing uses any more.
    fn forget_other_program(&self) -> Result<(), PinsError> {
        let other = match self.kind {
            ProgramKind::Balancer { .. } => ProgramKind::Decapsulator { gue_port: 0 },
            ProgramKind::Decapsulator { .. } => {
                let gates = xdp_lb_abi::Gates::default();
                ProgramKind::Balancer { hash_seed: 0, gates, gue_port: 0, icmp_rate: 0 }
            }
        };
        if other.name() == xdp_lb_abi::program::XDP_LB {
            for ring in pins::list(&self.pins.rings())? {
                pins::remove(&self.pins.rings().join(ring))?;
            }
        }
        other.maps().iter().try_for_each(|name| pins::remove(&self.pins.map(name)))?;
        pins::remove(&self.pins.program(other.name()))
    }
}

/// Index of the interface that the pinned link of this name runs on; `None` if that interface is gone and the link dead.
pub fn linked_index(pins: &Pins, interface: &str) -> Result<Option<u32>, AttachError> {
    link_interface(&pins.link(interface))
}

/// Lets go of every interface and takes every pin away: forwarding stops. Gives the interfaces.
pub fn detach_all(pins: &Pins) -> Result<Vec<String>, AttachError> {
    let mut interfaces = pins.linked_interfaces()?;
    for interface in &interfaces {
        detach_one(pins, interface)?;
    }
    // What is left has pins of other releases.
    interfaces.extend(pins.remove_all()?);
    Ok(interfaces)
}

/// Fails if the interface does not exist, or runs a program that is not behind our pinned link.
fn check_free(pins: &Pins, interface: &str) -> Result<(), AttachError> {
    let found = find(interface)?;
    let pin = pins.link(interface);
    let is_ours = pin.exists() && link_interface(&pin)? == Some(found.index);
    match found.xdp {
        Some(foreign) if !is_ours => {
            Err(AttachError::Foreign { interface: interface.to_owned(), program_id: foreign.program_id })
        }
        Some(_) | None => Ok(()),
    }
}

/// Puts a program in the place of the one that runs behind a pinned link, without a gap.
fn replace(program: &mut Xdp, interface: &str, pin: &Path) -> Result<(), AttachError> {
    let unusable = |source| AttachError::Link { path: pin.to_owned(), source: Box::new(source) };
    let link: FdLink = PinnedLink::from_pin(pin).map_err(unusable)?.into();
    let link = XdpLink::try_from(link).map_err(unusable)?;
    program.attach_to_link(link).map_err(refused(interface))?;
    Ok(())
}

/// Detaches at once, also where another process still holds the link, and removes the pin.
fn detach_one(pins: &Pins, interface: &str) -> Result<(), AttachError> {
    let pin = pins.link(interface);
    sys::detach_pinned_link(&pin)
        .map_err(|source| AttachError::Io { what: format!("detach from {interface}"), source })?;
    Ok(pins::remove(&pin)?)
}

fn find(interface: &str) -> Result<Interface, AttachError> {
    Interface::by_name(interface)
        .map_err(|source| AttachError::Io { what: format!("look up {interface}"), source })?
        .ok_or_else(|| AttachError::NoInterface { interface: interface.to_owned() })
}

fn link_interface(pin: &Path) -> Result<Option<u32>, AttachError> {
    sys::pinned_link_interface(pin)
        .map_err(|source| AttachError::Io { what: format!("inspect the pinned link {}", pin.display()), source })
}

fn refused(interface: &str) -> impl FnOnce(ProgramError) -> AttachError {
    let interface = interface.to_owned();
    move |error| {
        if let ProgramError::SyscallError(call) = &error
            && let Some(code @ (libc::EOPNOTSUPP | libc::ERANGE)) = call.io_error.raw_os_error()
        {
            return AttachError::NoNative { interface, source: io::Error::from_raw_os_error(code) };
        }
        AttachError::Program { interface, source: Box::new(error) }
    }
}
