//! A network namespace that lives as long as its guard.
//!
//! A namespace is entered by `setns(2)` for the network alone. `ip netns exec` would also mount a fresh `/sys` and so
//! hide the BPF file systems that the agents pin to.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    panic,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result, bail};
use nix::{
    mount::{MntFlags, umount2},
    sched::{CloneFlags, setns},
};

/// Where iproute2 keeps its namespaces.
pub(super) const DIRECTORY: &str = "/run/netns";

/// A network namespace, known to `ip netns` by its name; deleted on drop.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
}

impl Namespace {
    /// Creates the namespace.
    pub fn create(name: String) -> Result<Self> {
        output(Command::new("ip").args(["netns", "add", &name])).context("network namespaces need root")?;
        let path = path(&name);
        let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        Ok(Self { name, file })
    }

    /// Name, as `ip netns` lists it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Moves the calling thread into the namespace, for good.
    pub fn enter(&self) -> Result<()> {
        setns(&self.file, CloneFlags::CLONE_NEWNET).with_context(|| format!("enter the namespace {}", self.name))
    }

    /// Runs `work` on a thread of its own inside the namespace.
    pub fn on_thread<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                self.enter()?;
                work()
            });
            worker.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
        })
    }

    /// A command that will run inside the namespace.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Result<Command> {
        let file = self.file.try_clone().with_context(|| format!("duplicate the handle of {}", self.name))?;
        let mut command = Command::new(program);
        let enter = move || setns(&file, CloneFlags::CLONE_NEWNET).map_err(Into::into);
        // SAFETY: between fork and exec the closure makes one system call; it neither allocates nor takes a lock.
        unsafe { command.pre_exec(enter) };
        Ok(command)
    }

    /// Runs a command inside the namespace to its end; its standard output, or an error with what it complained about.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        output(self.command(program)?.args(arguments)).with_context(|| format!("in the namespace {}", self.name))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        delete(&path(&self.name));
    }
}

fn path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

/// Deletes a namespace as `ip netns delete` does. Nothing is reported: a concurrent sweep may have been faster.
pub(super) fn delete(path: &Path) {
    let _ = umount2(path, MntFlags::MNT_DETACH);
    let _ = fs::remove_file(path);
}

/// Runs a command to its end; its standard output, or an error with its standard error.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("run {shown}"))?;
    if !output.status.success() {
        bail!("{shown}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
