//! The compiler for `bpfel-unknown-none`, which rustup's stable toolchain does not bring.
//!
//! Two routes: a nightly with `rust-src`, whose cargo builds `core` (the usual way of Aya projects), or Debian's
//! `rustc-web`, for which `libstd-rust-web-dev-bpf` holds `core` ready built.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;

/// Target triple of the programs: kernels load BPF of their own byte order, and every supported host is little-endian.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// Major version of the LLVM that the pinned bpf-linker is built for. It loads the compiler's own LLVM when it runs.
pub(crate) const LLVM_MAJOR: u32 = 22;

/// Which way the BPF target is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `cargo +nightly build -Z build-std=core`.
    Nightly,
    /// Debian's `rustc-web`, driven by the cargo that runs this tool.
    Debian,
}

/// A compiler that can build for [`TARGET`].
#[derive(Debug)]
pub(crate) struct BpfToolchain {
    /// How it was found.
    pub(crate) route: Route,
    rustc: PathBuf,
    version: String,
    llvm: PathBuf,
}

impl fmt::Display for BpfToolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let route = match self.route {
            Route::Nightly => "rustup's nightly with rust-src",
            Route::Debian => "Debian's rustc-web with core for BPF",
        };
        write!(f, "{route}: {} at {}", self.version, self.rustc.display())
    }
}

/// Why a route cannot be taken, in words for the person who set up the machine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Obstacle(pub(crate) String);

/// Tries both routes, the nightly first because it is what people set up on purpose.
pub(crate) fn find() -> Result<BpfToolchain, [Obstacle; 2]> {
    nightly().or_else(|nightly| debian().map_err(|debian| [nightly, debian]))
}

impl BpfToolchain {
    /// A cargo command for this toolchain: `cargo build`, or `cargo clippy`.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let beside = |name: &str| self.rustc.with_file_name(name);
        let mut command = match (self.route, subcommand) {
            (_, "clippy") => Command::new(beside("cargo-clippy")),
            (Route::Nightly, _) => Command::new(beside("cargo")),
            (Route::Debian, _) => process::cargo(),
        };
        process::scrub(&mut command);
        command.current_dir(crate::workspace::root()).arg(subcommand).args(["--target", TARGET]);
        command.env("RUSTC", &self.rustc).env_remove("RUSTUP_TOOLCHAIN");
        match self.route {
            Route::Nightly => {
                command.env("CARGO", beside("cargo")).args(["-Z", "build-std=core"]);
            }
            // aya-ebpf asks for one unstable feature, which a release compiler refuses without this.
            Route::Debian => {
                command.env("RUSTC_BOOTSTRAP", "1");
            }
        }
        command
    }

    /// The LLVM that this compiler uses. bpf-linker must load this one and no other: it reads bitcode of its compiler.
    pub(crate) fn llvm(&self) -> &Path {
        &self.llvm
    }
}

fn nightly() -> Result<BpfToolchain, Obstacle> {
    let missing = |what: &str| {
        Obstacle(format!("nightly: {what}; `rustup toolchain install nightly --component rust-src` adds it"))
    };
    let sysroot = process::ask(
        Command::new("rustup")
            .args(["run", "nightly", "rustc", "--print", "sysroot"])
            // Only look: without this, newer versions of rustup download what is asked for.
            .env("RUSTUP_AUTO_INSTALL", "0"),
    );
    let sysroot = PathBuf::from(sysroot.ok_or_else(|| missing("rustup has no such toolchain"))?);
    if !sysroot.join("lib/rustlib/src/rust/library/core").is_dir() {
        return Err(missing("the toolchain is there, but not its component rust-src"));
    }
    let rustc = sysroot.join("bin/rustc");
    let version = usable_version(&rustc)?;
    let llvm = library_in(&sysroot.join("lib"))
        .ok_or_else(|| Obstacle(format!("nightly: no libLLVM*.so in {}", sysroot.join("lib").display())))?;
    Ok(BpfToolchain { route: Route::Nightly, rustc, version, llvm })
}

fn debian() -> Result<BpfToolchain, Obstacle> {
    let package = |name: &str| process::ask(Command::new("dpkg").args(["-L", name]));
    let missing = |name: &str| Obstacle(format!("Debian: the package {name} is not installed"));

    let files = package("rustc-web").ok_or_else(|| missing("rustc-web"))?;
    let rustc = files
        .lines()
        .find(|path| path.ends_with("/bin/rustc"))
        .map(PathBuf::from)
        .ok_or_else(|| Obstacle("Debian: the package rustc-web holds no bin/rustc".into()))?;
    let core = package("libstd-rust-web-dev-bpf").ok_or_else(|| missing("libstd-rust-web-dev-bpf"))?;
    if !core.lines().any(|path| path.contains(TARGET) && path.contains("/libcore-")) {
        return Err(Obstacle(format!("Debian: the package libstd-rust-web-dev-bpf holds no core for {TARGET}")));
    }
    let version = usable_version(&rustc)?;
    let library = format!("libllvm{LLVM_MAJOR}");
    let llvm = package(&library)
        .and_then(|files| files.lines().find(|path| is_llvm_library(path)).map(PathBuf::from))
        .ok_or_else(|| missing(&library))?;
    Ok(BpfToolchain { route: Route::Debian, rustc, version, llvm })
}

/// The compiler's version, if bpf-linker can read what it writes.
fn usable_version(rustc: &Path) -> Result<String, Obstacle> {
    let verbose = process::ask(Command::new(rustc).arg("-vV"))
        .ok_or_else(|| Obstacle(format!("{} does not run", rustc.display())))?;
    let version = verbose.lines().next().unwrap_or_default().to_owned();
    match llvm_major(&verbose) {
        Some(LLVM_MAJOR) => Ok(version),
        found => Err(Obstacle(format!(
            "{version} at {} uses LLVM {}, the linker needs {LLVM_MAJOR}; choose a toolchain with LLVM {LLVM_MAJOR}",
            rustc.display(),
            found.map_or_else(|| "of an unknown version".into(), |major| major.to_string()),
        ))),
    }
}

fn llvm_major(verbose: &str) -> Option<u32> {
    verbose.lines().find_map(|line| line.strip_prefix("LLVM version: "))?.split('.').next()?.parse().ok()
}

fn library_in(directory: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(directory).ok()?;
    entries.flatten().map(|entry| entry.path()).find(|path| is_llvm_library(&path.to_string_lossy()))
}

fn is_llvm_library(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.starts_with("libLLVM") && name.contains(".so")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_llvm_version_is_read_from_what_rustc_says_of_itself() {
        assert_eq!(llvm_major("rustc 1.96.0\nhost: x\nLLVM version: 22.1.8"), Some(22));
        assert_eq!(llvm_major("rustc 1.96.0\nhost: x"), None);
    }

    #[test]
    fn a_library_is_told_from_its_neighbours_by_name() {
        assert!(is_llvm_library("/usr/lib/x86_64-linux-gnu/libLLVM.so.22.1"));
        assert!(is_llvm_library("lib/libLLVM-22-rust-1.97.0-nightly.so"));
        assert!(!is_llvm_library("/usr/lib/x86_64-linux-gnu/libLTO.so.22.1"));
        assert!(!is_llvm_library("/usr/share/doc/libllvm22/copyright"));
    }
}
