//! The table of what building and testing need: what it is for, how it is recognised, and where it comes from.

use super::detect;

/// What a requirement is needed for; see [`Level::includes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Building the XDP programs.
    Build,
    /// The tests and the demo.
    Test,
    /// Tests against optional servers, and the checks of `.ci/run`.
    All,
    /// The tests on another kernel, in a virtual machine.
    Vm,
}

impl Level {
    /// Whether whoever needs this level needs what is required for the other one: each includes those before it, except that
    /// the virtual machine needs no servers, and nothing else needs the virtual machine.
    pub(crate) fn includes(self, other: Self) -> bool {
        match self {
            Self::Build | Self::Test | Self::All => other <= self,
            Self::Vm => matches!(other, Self::Build | Self::Vm),
        }
    }
}

/// How a requirement is recognised.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Detect {
    /// A program of this name.
    Program(&'static str),
    /// A program that cargo installs, in one of the versions that begin with `version`.
    CargoProgram(CargoProgram),
    /// A program beside the cargo that runs this tool.
    ToolchainProgram(&'static str),
    /// A compiler for the BPF target.
    BpfCompiler,
    /// clippy beside that compiler: it must read the same `core`.
    BpfClippy,
}

/// Where a requirement comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// Debian packages.
    Packages(&'static [&'static str]),
    /// A Debian package that brings services; tests start such programs themselves, and the system must not.
    Server {
        /// Name of the package.
        package: &'static str,
        /// Names of their systemd units.
        services: &'static [&'static str],
    },
    /// crates.io, in the version that [`Detect::CargoProgram`] names.
    CratesIo(CargoProgram),
    /// A rustup component of the toolchain in use.
    Component(&'static str),
    /// clippy from where the BPF compiler came from.
    BpfClippy,
}

/// A program that `cargo install` builds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CargoProgram {
    /// Name of the crate and of its program.
    pub(crate) name: &'static str,
    /// The version that is installed if there is none.
    pub(crate) version: &'static str,
    /// Beginning of the versions that will do.
    pub(crate) accepted: &'static str,
}

/// Links BPF objects. Each minor version belongs to one LLVM (see [`crate::bpf_toolchain::LLVM_MAJOR`]).
pub(crate) const BPF_LINKER: CargoProgram = CargoProgram { name: "bpf-linker", version: "0.10.3", accepted: "0.10." };

const CARGO_DENY: CargoProgram = CargoProgram { name: "cargo-deny", version: "0.20.2", accepted: "0." };

/// One thing that a command needs.
#[derive(Debug)]
pub(crate) struct Requirement {
    /// Name in reports.
    pub(crate) name: &'static str,
    /// What it is for.
    pub(crate) purpose: &'static str,
    /// From which level on it is needed.
    pub(crate) level: Level,
    /// How it is recognised.
    pub(crate) detect: Detect,
    /// Where it comes from.
    pub(crate) source: Source,
}

impl Requirement {
    /// What was found, or why nothing was, in words for a person.
    pub(crate) fn find(&self) -> Result<String, String> {
        detect::find(self.detect)
    }
}

/// A program that Debian packages.
const fn packaged(
    program: &'static str,
    packages: &'static [&'static str],
    level: Level,
    purpose: &'static str,
) -> Requirement {
    let source = Source::Packages(packages);
    Requirement { name: program, purpose, level, detect: Detect::Program(program), source }
}

/// A server that Debian packages.
const fn server(
    program: &'static str,
    package: &'static str,
    services: &'static [&'static str],
    level: Level,
    purpose: &'static str,
) -> Requirement {
    let source = Source::Server { package, services };
    Requirement { name: program, purpose, level, detect: Detect::Program(program), source }
}

/// Everything, in the order in which it is reported.
pub(crate) const REQUIREMENTS: &[Requirement] = &[
    Requirement {
        name: "BPF compiler",
        purpose: "compiles the XDP programs",
        level: Level::Build,
        detect: Detect::BpfCompiler,
        source: Source::Packages(&["rustc-web", "libstd-rust-web-dev-bpf"]),
    },
    Requirement {
        name: "bpf-linker",
        purpose: "links the XDP programs",
        level: Level::Build,
        detect: Detect::CargoProgram(BPF_LINKER),
        source: Source::CratesIo(BPF_LINKER),
    },
    packaged("ip", &["iproute2"], Level::Test, "makes network namespaces"),
    packaged("ethtool", &["ethtool"], Level::Test, "switches veth offloads off"),
    packaged("ping", &["iputils-ping"], Level::Test, "asks whether a VIP is there"),
    packaged("traceroute", &["traceroute"], Level::Test, "follows the way to a VIP"),
    packaged("curl", &["curl"], Level::Test, "sends requests through a VIP"),
    server("nginx", "nginx-light", &["nginx"], Level::Test, "answers them"),
    packaged("tcpdump", &["tcpdump"], Level::Test, "shows what is on the wire"),
    packaged("bpftool", &["bpftool"], Level::Test, "shows programs and maps as the kernel sees them"),
    packaged("capsh", &["libcap2-bin"], Level::Test, "runs programs with few capabilities"),
    packaged("sysctl", &["procps"], Level::Test, "tunes interfaces in test beds"),
    server("haproxy", "haproxy", &["haproxy"], Level::All, "backend in tests"),
    server("varnishd", "varnish", &["varnish", "varnishncsa"], Level::All, "backend in tests"),
    packaged("wrk", &["wrk"], Level::All, "load in tests"),
    packaged("h2load", &["nghttp2-client"], Level::All, "HTTP/2 load in tests"),
    packaged("tshark", &["tshark"], Level::All, "an independent reading of our packets"),
    packaged("iperf3", &["iperf3"], Level::All, "throughput in tests"),
    server("promtool", "prometheus", &["prometheus"], Level::All, "checks metrics and alert rules"),
    packaged("qemu-system-x86_64", &["qemu-system-x86"], Level::Vm, "runs another kernel"),
    packaged("busybox", &["busybox-static"], Level::Vm, "is the user space of that kernel"),
    Requirement {
        name: "rustfmt",
        purpose: "checks the code's format",
        level: Level::All,
        detect: Detect::ToolchainProgram("cargo-fmt"),
        source: Source::Component("rustfmt"),
    },
    Requirement {
        name: "clippy",
        purpose: "checks the user-space code",
        level: Level::All,
        detect: Detect::ToolchainProgram("cargo-clippy"),
        source: Source::Component("clippy"),
    },
    Requirement {
        name: "BPF clippy",
        purpose: "checks the XDP programs",
        level: Level::All,
        detect: Detect::BpfClippy,
        source: Source::BpfClippy,
    },
    Requirement {
        name: "cargo-deny",
        purpose: "checks licences and sources of dependencies",
        level: Level::All,
        detect: Detect::CargoProgram(CARGO_DENY),
        source: Source::CratesIo(CARGO_DENY),
    },
];
