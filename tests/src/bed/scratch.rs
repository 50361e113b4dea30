//! Names and directories of a run, and the removal of what killed runs left behind.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::namespace;

/// Where beds keep their files.
const DIRECTORY: &str = "/tmp";
/// How everything that a bed creates is named: this, the process id, and a counter.
const PREFIX: &str = "xlb-";

/// The directory of one bed, with a name that no other bed on the machine has; removed on drop.
#[derive(Debug)]
pub struct Scratch {
    name: String,
    path: PathBuf,
}

impl Scratch {
    /// Creates the directory. The first call of a process also removes what dead processes left.
    pub fn create() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        static SWEEP: Once = Once::new();
        SWEEP.call_once(sweep);
        let name = format!("{PREFIX}{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(DIRECTORY).join(&name);
        fs::create_dir(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self { name, path })
    }

    /// The bed's name: prefix of its namespaces' names.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove_directory(&self.path);
    }
}

/// A BPF file system of its own; unmounted on drop, which also lets go of everything pinned in it.
#[derive(Debug)]
pub struct BpfFs {
    path: PathBuf,
}

impl BpfFs {
    /// Mounts one at `path`, which is created.
    pub fn mount(path: PathBuf) -> Result<Self> {
        fs::create_dir(&path).with_context(|| format!("create {}", path.display()))?;
        mount(Some("bpf"), &path, Some("bpf"), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("mount a BPF file system at {}", path.display()))?;
        Ok(Self { path })
    }

    /// Mount point.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
    }
}

/// Removes the namespaces, mounts and directories of processes that no longer exist. What cannot be removed is left:
/// another run may be sweeping at the same time.
fn sweep() {
    for path in left_in(namespace::DIRECTORY) {
        namespace::delete(&path);
    }
    for path in left_in(DIRECTORY) {
        remove_directory(&path);
    }
}

fn left_in(directory: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let left = |name: &str| owner(name).is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists());
    entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(left)).map(|entry| entry.path()).collect()
}

/// The process id in a name that a bed has given.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

/// Removes a directory after unmounting what is mounted below it: removing pins one by one is never wanted.
fn remove_directory(path: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for mount_point in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
        if Path::new(mount_point).starts_with(path) {
            let _ = umount2(mount_point, MntFlags::MNT_DETACH);
        }
    }
    let _ = fs::remove_dir_all(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_whose_it_is() {
        assert_eq!(owner("xlb-4711-0"), Some(4711));
        assert_eq!(owner("xlb-4711-12-client"), Some(4711));
        assert_eq!(owner("xlb-"), None);
        assert_eq!(owner("other-4711-0"), None);
    }
}
