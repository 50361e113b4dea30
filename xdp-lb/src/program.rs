//! The programs: embedded objects, loaded with their settings onto the pinned maps.

use std::{fs, io};

use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::{Array, MapError, MapInfo},
    programs::{ProgramError, Xdp},
};
use aya_obj::generated::BPF_F_RDONLY_PROG;
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use xdp_lb_abi::{ABI_VERSION, Gates, Settings, global, map, program, ring, settings::icmp_interval};

use crate::pins::{self, Pins, PinsError, PinsLock};

/// Which program, and with what settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramKind {
    /// The load balancer.
    Balancer {
        /// Seed of the flow hash.
        hash_seed: u64,
        /// Optional features.
        gates: Gates,
        /// UDP port that GUE packets are sent to.
        gue_port: u16,
        /// ICMP answers per second and CPU.
        icmp_rate: u32,
    },
    /// The decapsulation program of nodes that are only backends.
    Decapsulator {
        /// UDP port that GUE packets arrive at.
        gue_port: u16,
    },
}

const XDP_LB: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/xdp_lb.o"));
const XDP_DECAP: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/xdp_decap.o"));

impl ProgramKind {
    /// The balancer that was loaded with these settings.
    pub const fn balancer(settings: &Settings) -> Self {
        let Settings { hash_seed, gates, gue_port, icmp_rate, .. } = *settings;
        Self::Balancer { hash_seed, gates, gue_port, icmp_rate }
    }

    /// What the balancer's settings map says of it.
    const fn settings(self) -> Option<Settings> {
        match self {
            Self::Balancer { hash_seed, gates, gue_port, icmp_rate } => {
                let (abi_version, ring_slots) = (ABI_VERSION, ring::SLOTS as u32);
                Some(Settings { abi_version, ring_slots, hash_seed, gates, gue_port, zero: 0, icmp_rate })
            }
            Self::Decapsulator { .. } => None,
        }
    }

    /// Name of the program and of its pin.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Balancer { .. } => program::XDP_LB,
            Self::Decapsulator { .. } => program::XDP_DECAP,
        }
    }

    /// Maps that are pinned.
    pub const fn maps(self) -> &'static [&'static str] {
        match self {
            Self::Balancer { .. } => &[
                map::VIPS,
                map::PORT_RANGES,
                map::RINGS,
                map::NEXT_HOPS,
                map::VIP_COUNTERS,
                map::MEMBER_COUNTERS,
                map::TX_PORTS,
                map::FRAGMENTS,
                map::SETTINGS,
            ],
            Self::Decapsulator { .. } => {
                &[map::DECAP_TUNNELS, map::DECAP_VIPS, map::DECAP_SOURCES, map::DECAP_COUNTERS]
            }
        }
    }

    pub(crate) fn object(self) -> Result<&'static [u8], LoadError> {
        let object = match self {
            Self::Balancer { .. } => XDP_LB,
            Self::Decapsulator { .. } => XDP_DECAP,
        };
        if object.is_empty() { Err(LoadError::NoObject { program: self.name() }) } else { Ok(object) }
    }
}

/// A program that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Built without the BPF toolchain.
    #[error("this build does not contain the program {program}: run `cargo xtask build-ebpf`, then build again")]
    NoObject {
        /// Which.
        program: &'static str,
    },
    /// Not allowed.
    #[error(
        "missing {}: run as root, or give the process these capabilities \
         (AmbientCapabilities= in a systemd unit, capabilities.add in a pod)",
        .missing.join(", ")
    )]
    Capabilities {
        /// Names of what is missing.
        missing: Vec<&'static str>,
    },
    /// The pin directory.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// A pinned map of another shape.
    #[error(
        "the pinned map {name} has {what} {found}, this program needs {wanted}: \
         take the pins away with `lbctl detach` (this stops forwarding), or run the release that made them"
    )]
    PinnedMap {
        /// Map.
        name: String,
        /// What differs.
        what: &'static str,
        /// What is pinned.
        found: u32,
        /// What the program declares.
        wanted: u32,
    },
    /// Map memory is refused.
    #[error(
        "the kernel refuses memory for the map {name}: raise the memory lock limit \
         (`LimitMEMLOCK=infinity` in the unit, `ulimit -l unlimited`) or the memory limit of the control group"
    )]
    Memory {
        /// Map.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The object or its maps.
    #[error("cannot load the object of {program}")]
    Object {
        /// Which.
        program: &'static str,
        /// Why.
        source: Box<EbpfError>,
    },
    /// The program itself, which includes what the verifier says.
    #[error("the kernel refuses {program}")]
    Program {
        /// Which.
        program: &'static str,
        /// Why.
        source: Box<ProgramError>,
    },
    /// A map operation.
    #[error("cannot {what}")]
    Map {
        /// What was tried.
        what: String,
        /// Why.
        source: Box<MapError>,
    },
}

/// A loaded and pinned program; dropping it takes nothing away from the kernel.
#[derive(Debug)]
pub struct Program {
    pub(crate) kind: ProgramKind,
    pub(crate) pins: Pins,
    pub(crate) ebpf: Ebpf,
}

impl Program {
    /// Loads the program onto the pinned maps, making those that are missing. A predecessor goes on running, and stays
    /// pinned, until [`Self::attach`](crate::attach).
    pub fn load(pins: &Pins, _lock: &PinsLock, kind: ProgramKind) -> Result<Self, LoadError> {
        check_capabilities()?;
        let object = kind.object()?;
        check_pinned_maps(pins, kind, object)?;
        // Kernels before 5.11 account maps to this limit. Where we may not raise it and it matters, making maps fails.
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
        let ebpf = load_object(kind, object, |loader| {
            for name in kind.maps() {
                loader.map_pin_path(name, pins.map(name));
            }
        })?;
        let mut program = Self { kind, pins: pins.clone(), ebpf };
        let refused = |source| LoadError::Program { program: kind.name(), source: Box::new(source) };
        program.xdp().load().map_err(refused)?;
        Ok(program)
    }

    /// Pins the program in place of its predecessor and writes down what it was loaded with: from here on, tools that
    /// read the pins see this one.
    pub(crate) fn publish(&mut self) -> Result<(), LoadError> {
        if let Some(settings) = self.kind.settings() {
            write_settings(&mut self.ebpf, settings)?;
        }
        let pin = self.pins.program(self.kind.name());
        // A pin cannot be overwritten, but renamed over: at no instant is there none.
        let new = pin.with_file_name(format!("{}_new", self.kind.name()));
        pins::remove(&new)?;
        self.xdp().pin(&new).map_err(pins::pin_failed(&new))?;
        fs::rename(&new, &pin).map_err(|source| PinsError::Io { what: "put in place", path: pin, source })?;
        Ok(())
    }

    pub(crate) fn xdp(&mut self) -> &mut Xdp {
        let program = self.ebpf.program_mut(self.kind.name()).expect("the object holds the program it is named after");
        program.try_into().expect("the object's program is an XDP program")
    }

    /// The kernel's id of the program, as in `bpftool prog`; `None` if the kernel does not tell.
    pub fn id(&mut self) -> Option<u32> {
        self.xdp().info().ok().map(|info| info.id())
    }

    /// The loaded object, for the log reader.
    pub fn object(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }
}

/// Loads an object with its globals; `configure` says where its maps come from.
pub(crate) fn load_object(
    kind: ProgramKind,
    object: &[u8],
    configure: impl FnOnce(&mut EbpfLoader<'_>),
) -> Result<Ebpf, LoadError> {
    let mut loader = EbpfLoader::new();
    let settings = kind.settings();
    let interval = settings.map(|settings| icmp_interval(settings.icmp_rate));
    if let (Some(Settings { hash_seed, gates, .. }), Some(interval)) = (&settings, &interval) {
        loader.override_global(global::HASH_SEED, hash_seed, true);
        loader.override_global(global::GATES, &gates.0, true);
        loader.override_global(global::ICMP_INTERVAL, interval, true);
    }
    let (ProgramKind::Balancer { gue_port, .. } | ProgramKind::Decapsulator { gue_port }) = &kind;
    loader.override_global(global::GUE_PORT, gue_port, true);
    configure(&mut loader);
    loader.load(object).map_err(|error| {
        if let EbpfError::MapError(MapError::CreateError { name, io_error }) = &error
            && let Some(code @ (libc::EPERM | libc::ENOMEM)) = io_error.raw_os_error()
        {
            return LoadError::Memory { name: name.clone(), source: io::Error::from_raw_os_error(code) };
        }
        LoadError::Object { program: kind.name(), source: Box::new(error) }
    })
}

fn write_settings(ebpf: &mut Ebpf, value: Settings) -> Result<(), LoadError> {
    let failed = |source| LoadError::Map { what: "write the settings".to_owned(), source: Box::new(source) };
    let settings = ebpf.map_mut(map::SETTINGS).expect("the object declares the settings");
    let mut settings: Array<_, Settings> = settings.try_into().map_err(failed)?;
    settings.set(0, value, 0).map_err(failed)
}

/// Compares pinned maps with what the object declares; aya takes over any map that it finds.
fn check_pinned_maps(pins: &Pins, kind: ProgramKind, object: &[u8]) -> Result<(), LoadError> {
    let object = aya_obj::Object::parse(object)
        .map_err(|error| LoadError::Object { program: kind.name(), source: Box::new(error.into()) })?;
    for name in kind.maps() {
        let path = pins.map(name);
        let (true, Some(wanted)) = (path.exists(), object.maps.get(*name)) else { continue };
        let found = MapInfo::from_pin(&path).map_err(|source| LoadError::Map {
            what: format!("inspect {}", path.display()),
            source: Box::new(source),
        })?;
        let map_type = found.map_type().map_or(u32::MAX, |map_type| map_type as u32);
        for (what, found, wanted) in [
            ("type", map_type, wanted.map_type()),
            ("key size", found.key_size(), wanted.key_size()),
            ("value size", found.value_size(), wanted.value_size()),
            ("room for entries", found.max_entries(), wanted.max_entries()),
            // The kernel sets this one by itself for maps of devices (`dev_map_init_map`).
            ("flags", found.map_flags() & !BPF_F_RDONLY_PROG, wanted.map_flags()),
        ] {
            if found != wanted {
                return Err(LoadError::PinnedMap { name: (*name).to_owned(), what, found, wanted });
            }
        }
    }
    Ok(())
}

/// Capabilities that loading, attaching and pinning need, with what else grants them (capabilities(7)).
const CAPABILITIES: [(&str, u32, Option<u32>); 3] =
    [("CAP_BPF", 39, Some(CAP_SYS_ADMIN)), ("CAP_NET_ADMIN", 12, None), ("CAP_PERFMON", 38, Some(CAP_SYS_ADMIN))];
const CAP_SYS_ADMIN: u32 = 21;

/// Fails with the names of what is missing.
pub fn check_capabilities() -> Result<(), LoadError> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(effective) = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()) else {
        // Without /proc the kernel's own refusal has to do.
        return Ok(());
    };
    let has = |bit: u32| effective & (1 << bit) != 0;
    let missing = CAPABILITIES.iter().filter(|(_, bit, or)| !has(*bit) && !or.is_some_and(has));
    let missing: Vec<_> = missing.map(|(name, ..)| *name).collect();
    if missing.is_empty() { Ok(()) } else { Err(LoadError::Capabilities { missing }) }
}
