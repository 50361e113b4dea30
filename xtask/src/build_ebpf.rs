//! `cargo xtask build-ebpf`: the BPF objects, compiled, linked and laid where the build script of `xdp-lb` finds them.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};

use crate::bpf_toolchain::{self, BpfToolchain, TARGET};
use crate::setup::{self, BPF_LINKER, Level};
use crate::{process, workspace};

/// The programs: binaries of `xdp-lb-ebpf`, one object each.
const PROGRAMS: [&str; 2] = ["xdp_lb", "xdp_decap"];

/// cargo's profile for them, in the root manifest.
const PROFILE: &str = "bpf";

/// What to build.
#[derive(clap::Args, Clone, Copy, Default)]
pub(crate) struct Options {
    /// Trace every verdict through aya-log; for debugging, as it costs time for each packet.
    #[arg(long)]
    debug_log: bool,
    /// Run clippy on the programs instead; warnings are errors.
    #[arg(long)]
    clippy: bool,
}

/// Builds the objects and installs those that changed, or checks the programs.
pub(crate) fn run(options: Options) -> Result<()> {
    setup::ensure(if options.clippy { Level::All } else { Level::Build })?;
    let toolchain = bpf_toolchain::find().map_err(|obstacles| anyhow!("no compiler for {TARGET}: {obstacles}"))?;
    eprintln!("The XDP programs are compiled by {toolchain}.");
    let features = if options.debug_log { "debug-log" } else { "program" };
    if options.clippy {
        let mut clippy = cargo(&toolchain, "clippy", features)?;
        return process::run(clippy.args(["--", "-D", "warnings"]));
    }
    process::run(&mut cargo(&toolchain, "build", features)?)?;

    let objects = workspace::bpf_objects();
    fs::create_dir_all(&objects).with_context(|| format!("cannot create {}", objects.display()))?;
    for program in PROGRAMS {
        let built = build_dir().join(TARGET).join(PROFILE).join(program);
        install(&built, &objects.join(format!("{program}.o")))?;
    }
    Ok(())
}

/// A target directory apart from the host's: it belongs to another compiler.
fn build_dir() -> PathBuf {
    workspace::root().join("target/bpf-build")
}

fn cargo(toolchain: &BpfToolchain, subcommand: &str, features: &str) -> Result<Command> {
    let mut cargo = toolchain.cargo(subcommand);
    cargo
        .args(["--package", "xdp-lb-ebpf", "--bins", "--profile", PROFILE, "--features", features, "--target-dir"])
        .arg(build_dir())
        .env("CARGO_ENCODED_RUSTFLAGS", rustc_flags()?.join("\x1f".as_ref()))
        .env("LD_LIBRARY_PATH", linker_libraries(toolchain)?);
    Ok(cargo)
}

/// Flags for the programs only; cargo takes them from the environment, so they replace those of any configuration file.
fn rustc_flags() -> Result<Vec<OsString>> {
    let path = setup::cargo_program(BPF_LINKER).context("bpf-linker is gone; run `cargo xtask setup`")?;
    let mut linker = OsString::from("-Clinker=");
    linker.push(path);
    let rest = [
        // BTF is what map definitions are made of, and it is derived from debug information.
        "-Clink-arg=--btf",
        "-Cdebuginfo=2",
        // Atomics and 32-bit jumps, in every kernel since 5.12.
        "-Ctarget-cpu=v3",
        // Packet fields are rarely aligned; without it each is read byte by byte.
        "-Clink-arg=--cpu-features=+allows-misaligned-mem-access",
    ];
    Ok(std::iter::once(linker).chain(rest.map(OsString::from)).collect())
}

/// A directory that holds the compiler's LLVM and nothing else. bpf-linker takes the first `libLLVM*` on this path, which
/// would otherwise be that of the toolchain whose cargo runs, or any other version in a system directory.
fn linker_libraries(toolchain: &BpfToolchain) -> Result<PathBuf> {
    let directory = build_dir().join("llvm");
    let link = directory.join("libLLVM.so");
    if fs::read_link(&link).ok().as_deref() == Some(toolchain.llvm()) {
        return Ok(directory);
    }
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    if let Err(error) = fs::remove_file(&link)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("cannot remove {}", link.display()));
    }
    std::os::unix::fs::symlink(toolchain.llvm(), &link)
        .with_context(|| format!("cannot link {} to {}", link.display(), toolchain.llvm().display()))?;
    Ok(directory)
}

/// Puts an object in place in one step, and only if its content changed, so that cargo builds its users no more than needed.
fn install(built: &Path, object: &Path) -> Result<()> {
    let new = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
    if fs::read(object).is_ok_and(|old| old == new) {
        eprintln!("{} is up to date", object.display());
        return Ok(());
    }
    let aside = object.with_extension("o.new");
    fs::write(&aside, &new).with_context(|| format!("cannot write {}", aside.display()))?;
    fs::rename(&aside, object).with_context(|| format!("cannot put {} in place", object.display()))?;
    eprintln!("{} is new ({} bytes)", object.display(), new.len());
    Ok(())
}
