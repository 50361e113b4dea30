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

/// Why neither route can be taken, in words for the person who set up the machine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Obstacles {
    nightly: String,
    debian: String,
}

impl fmt::Display for Obstacles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "neither of two ways is open; rustup's nightly (`rustup toolchain install nightly --component rust-src`): {}; \
             Debian's packages: {}",
            self.nightly, self.debian
        )
    }
}

/// Tries both routes, the nightly first because it is what people set up on purpose.
pub(crate) fn find() -> Result<BpfToolchain, Obstacles> {
    nightly().or_else(|nightly| debian().map_err(|debian| Obstacles { nightly, debian }))
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

    /// This compiler's `cargo-clippy`, if it is installed.
    pub(crate) fn clippy(&self) -> Option<PathBuf> {
        Some(self.rustc.with_file_name("cargo-clippy")).filter(|path| path.is_file())
    }

    /// The LLVM that this compiler uses. bpf-linker must load this one and no other: it reads bitcode of its compiler.
    pub(crate) fn llvm(&self) -> &Path {
        &self.llvm
    }
}

fn nightly() -> Result<BpfToolchain, String> {
    let sysroot = process::ask(
        Command::new("rustup")
            .args(["run", "nightly", "rustc", "--print", "sysroot"])
            // Only look: without this, newer versions of rustup download what is asked for.
            .env("RUSTUP_AUTO_INSTALL", "0"),
    )
    .map(PathBuf::from)
    .ok_or("rustup has no such toolchain")?;
    if !sysroot.join("lib/rustlib/src/rust/library/core").is_dir() {
        return Err("the toolchain lacks the component rust-src".into());
    }
    let rustc = sysroot.join("bin/rustc");
    let version = usable_version(&rustc)?;
    let libraries = sysroot.join("lib");
    let llvm = library_in(&libraries).ok_or_else(|| format!("no libLLVM*.so in {}", libraries.display()))?;
    Ok(BpfToolchain { route: Route::Nightly, rustc, version, llvm })
}

fn debian() -> Result<BpfToolchain, String> {
    let rustc = package_files("rustc-web")?
        .into_iter()
        .find(|path| path.ends_with("bin/rustc"))
        .ok_or("the package rustc-web holds no bin/rustc")?;
    let core = package_files("libstd-rust-web-dev-bpf")?;
    if !core.iter().any(|path| path.iter().any(|part| part == TARGET)) {
        return Err(format!("the package libstd-rust-web-dev-bpf holds nothing for {TARGET}"));
    }
    let version = usable_version(&rustc)?;
    let library = format!("libllvm{LLVM_MAJOR}");
    let llvm = package_files(&library)?
        .into_iter()
        .find(|path| is_llvm_library(path))
        .ok_or_else(|| format!("the package {library} holds no libLLVM*.so"))?;
    Ok(BpfToolchain { route: Route::Debian, rustc, version, llvm })
}

/// Files of an installed Debian package.
fn package_files(package: &str) -> Result<Vec<PathBuf>, String> {
    let files = process::ask(Command::new("dpkg").args(["-L", package]));
    let files = files.ok_or_else(|| format!("the package {package} is not installed"))?;
    Ok(files.lines().map(PathBuf::from).collect())
}

/// The compiler's version, if bpf-linker can read what it writes.
fn usable_version(rustc: &Path) -> Result<String, String> {
    let verbose =
        process::ask(Command::new(rustc).arg("-vV")).ok_or_else(|| format!("{} does not run", rustc.display()))?;
    let version = verbose.lines().next().unwrap_or_default().to_owned();
    match llvm_major(&verbose) {
        Some(LLVM_MAJOR) => Ok(version),
        found => Err(format!(
            "{version} at {} uses LLVM {}, but the linker reads LLVM {LLVM_MAJOR}",
            rustc.display(),
            found.map_or_else(|| "of an unknown version".into(), |major| major.to_string()),
        )),
    }
}

fn llvm_major(verbose: &str) -> Option<u32> {
    verbose.lines().find_map(|line| line.strip_prefix("LLVM version: "))?.split('.').next()?.parse().ok()
}

fn library_in(directory: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(directory).ok()?;
    entries.flatten().map(|entry| entry.path()).find(|path| is_llvm_library(path))
}

fn is_llvm_library(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
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
        assert!(is_llvm_library("/usr/lib/x86_64-linux-gnu/libLLVM.so.22.1".as_ref()));
        assert!(is_llvm_library("lib/libLLVM-22-rust-1.97.0-nightly.so".as_ref()));
        assert!(!is_llvm_library("/usr/lib/x86_64-linux-gnu/libLTO.so.22.1".as_ref()));
        assert!(!is_llvm_library("/usr/share/doc/libllvm22/copyright".as_ref()));
    }
}
