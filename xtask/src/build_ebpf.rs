//! `cargo xtask build-ebpf`: the BPF objects, compiled, linked and laid where the build script of `xdp-lb` finds them.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use crate::bpf_toolchain::{self, BpfToolchain, TARGET};
use crate::{process, workspace};

/// The programs: binaries of `xdp-lb-ebpf`, one object each.
const PROGRAMS: [&str; 2] = ["xdp_lb", "xdp_decap"];

/// cargo's profile for them, in the root manifest.
const PROFILE: &str = "bpf";

/// What to build.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Options {
    /// Trace every verdict through aya-log; for debugging, as it costs time for each packet.
    #[arg(long)]
    debug_log: bool,
}

/// Builds the objects and installs those that changed.
pub(crate) fn run(options: Options) -> Result<()> {
    let toolchain = bpf_toolchain::find().map_err(|obstacles| anyhow!("{obstacles:?}"))?;
    let build = workspace::root().join("target/bpf-build");
    let mut cargo = toolchain.cargo("build");
    cargo
        .args(["--package", "xdp-lb-ebpf", "--bins", "--profile", PROFILE])
        .args(["--features", if options.debug_log { "debug-log" } else { "program" }])
        .arg("--target-dir")
        .arg(&build)
        .env("CARGO_ENCODED_RUSTFLAGS", rustc_flags(&linker()).join("\x1f".as_ref()))
        .env("LD_LIBRARY_PATH", linker_libraries(&toolchain, &build)?);
    process::run(&mut cargo)?;

    let objects = workspace::bpf_objects();
    fs::create_dir_all(&objects).with_context(|| format!("cannot create {}", objects.display()))?;
    for program in PROGRAMS {
        let built = build.join(TARGET).join(PROFILE).join(program);
        install(&built, &objects.join(format!("{program}.o")))?;
    }
    Ok(())
}

/// Flags for the programs only; cargo takes them from the environment, so they replace those of any configuration file.
fn rustc_flags(linker: &Path) -> Vec<OsString> {
    let mut linker_flag = OsString::from("-Clinker=");
    linker_flag.push(linker);
    let mut flags = vec![linker_flag];
    flags.extend(
        [
            // BTF is what map definitions are made of, and it is derived from debug information.
            "-Clink-arg=--btf",
            "-Cdebuginfo=2",
            // Atomics and 32-bit jumps, in every kernel since 5.12.
            "-Ctarget-cpu=v3",
            // Packet fields are rarely aligned; without it each is read byte by byte.
            "-Clink-arg=--cpu-features=+allows-misaligned-mem-access",
        ]
        .map(OsString::from),
    );
    flags
}

fn linker() -> PathBuf {
    "bpf-linker".into()
}

/// A directory that holds the compiler's LLVM and nothing else. bpf-linker takes the first `libLLVM*` on this path, which
/// would otherwise be that of the toolchain whose cargo runs, or any other version in a system directory.
fn linker_libraries(toolchain: &BpfToolchain, build: &Path) -> Result<PathBuf> {
    let directory = build.join("llvm");
    let link = directory.join("libLLVM.so");
    if fs::read_link(&link).ok().as_deref() != Some(toolchain.llvm()) {
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        match fs::remove_file(&link) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", link.display()));
            }
            _ => {}
        }
        std::os::unix::fs::symlink(toolchain.llvm(), &link)
            .with_context(|| format!("cannot link {} to {}", link.display(), toolchain.llvm().display()))?;
    }
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
