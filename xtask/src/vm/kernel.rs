//! Debian's kernel package, downloaded and unpacked here: installing it would change how the machine itself boots.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process;

/// Depends on the newest kernel of the release. The cloud one is the smaller one, and has all that is needed.
const PACKAGE: &str = "linux-image-cloud-amd64";

/// What kernels must begin with to be the one that is meant.
const VERSION: &str = "6.1.";

/// An unpacked kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    /// The image that a machine boots.
    pub(super) image: PathBuf,
    /// The module of veth interfaces.
    pub(super) veth: PathBuf,
}

/// The kernel that is here already, or the one that Debian has.
pub(super) fn find_or_fetch(directory: &Path) -> Result<Kernel> {
    let root = directory.join("kernel");
    if let Some(kernel) = find(&root) {
        return Ok(kernel);
    }
    fetch(directory, &root)?;
    find(&root).with_context(|| {
        format!(
            "{PACKAGE} brought no kernel {VERSION}x into {}; add Debian 12 (bookworm) to the package sources, or unpack its \
             kernel package there by hand",
            root.display()
        )
    })
}

fn find(root: &Path) -> Option<Kernel> {
    let entries = fs::read_dir(root.join("boot")).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let releases = names.filter_map(|name| name.strip_prefix("vmlinuz-").map(str::to_owned));
    let release = releases.filter(|release| release.starts_with(VERSION)).max()?;
    let image = root.join("boot").join(format!("vmlinuz-{release}"));
    let veth = root.join("lib/modules").join(release).join("kernel/drivers/net/veth.ko");
    veth.exists().then_some(Kernel { image, veth })
}

fn fetch(directory: &Path, root: &Path) -> Result<()> {
    let packages = directory.join("packages");
    fs::create_dir_all(&packages).with_context(|| format!("cannot create {}", packages.display()))?;
    let depends = process::ask(process::command("apt-cache").args(["depends", PACKAGE])).unwrap_or_default();
    let named = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let Some(package) = named.into_iter().find(|name| name.starts_with("linux-image-")) else {
        bail!("apt knows no package {PACKAGE}; run `apt-get update` as root on Debian, then this again");
    };
    process::run(process::command("apt-get").args(["download", package]).current_dir(&packages))?;
    let entries = fs::read_dir(&packages).with_context(|| format!("cannot read {}", packages.display()))?;
    let downloaded = entries.filter_map(|entry| Some(entry.ok()?.path()));
    for file in downloaded.filter(|path| path.extension().is_some_and(|extension| extension == "deb")) {
        process::run(process::command("dpkg-deb").arg("--extract").arg(file).arg(root))?;
    }
    Ok(())
}
