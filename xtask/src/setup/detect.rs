//! Looking for what is needed. Nothing here changes the machine.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::requirements::{CargoProgram, Detect};
use crate::{bpf_toolchain, process, workspace};

/// What was found, or why nothing was, in words for a person.
pub(super) fn find(detect: Detect) -> Result<String, String> {
    match detect {
        Detect::Program(name) => {
            found(program(name), || format!("no {name} on PATH, in /usr/local/sbin, /usr/sbin or /sbin"))
        }
        Detect::CargoProgram(wanted) => found(cargo_program(wanted), || {
            format!("no {} {}x on PATH or in {}", wanted.name, wanted.accepted, cargo_bin().display())
        }),
        Detect::ToolchainProgram(name) => {
            let path =
                env::var_os("CARGO").map(|cargo| Path::new(&cargo).with_file_name(name)).filter(|path| path.is_file());
            found(path.or_else(|| program(name)), || format!("no {name} beside cargo"))
        }
        Detect::BpfCompiler => {
            bpf_toolchain::find().map(|found| found.to_string()).map_err(|obstacles| obstacles.to_string())
        }
        Detect::BpfClippy => {
            let clippy = bpf_toolchain::find().ok().and_then(|toolchain| toolchain.clippy());
            found(clippy, || "no clippy beside the BPF compiler".into())
        }
    }
}

fn found(path: Option<PathBuf>, why_not: impl FnOnce() -> String) -> Result<String, String> {
    path.map(|path| path.display().to_string()).ok_or_else(why_not)
}

/// A program on PATH, or where root finds programs and others do not.
fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(system).map(|directory| directory.join(name)).find(|path| is_executable(path))
}

/// A program that cargo installed, if there is one in an accepted version.
pub(crate) fn cargo_program(wanted: CargoProgram) -> Option<PathBuf> {
    let installed = [workspace::tools(), cargo_bin()];
    let path = env::var_os("PATH").unwrap_or_default();
    installed
        .into_iter()
        .map(|root| root.join(wanted.name))
        .chain(env::split_paths(&path).map(|directory| directory.join(wanted.name)))
        .filter(|path| is_executable(path))
        .find(|path| version(path).is_some_and(|version| version.starts_with(wanted.accepted)))
}

/// Where `cargo install` puts programs; not on everybody's PATH.
pub(super) fn cargo_bin() -> PathBuf {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| env::home_dir().map(|home| home.join(".cargo"))).unwrap_or_default().join("bin")
}

/// The last word of `PROGRAM --version`.
fn version(path: &Path) -> Option<String> {
    let line = process::ask(Command::new(path).arg("--version"))?;
    line.lines().next()?.split_whitespace().last().map(str::to_owned)
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
