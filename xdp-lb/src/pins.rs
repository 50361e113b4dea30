//! The pin directory: what outlives the agent.
//!
//! ```text
//! <bpffs>/xdp-lb/v<ABI_VERSION>/programs/<program>   links/<interface>   maps/<NAME>   rings/<VIP id>
//! ```
//!
//! Inner maps are pinned too, because opening them through the outer one needs `CAP_SYS_ADMIN`.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{Flock, FlockArg},
    sys::{
        statfs::{FsType, statfs},
        statvfs::FsFlags,
    },
};
use xdp_lb_abi::ABI_VERSION;

/// Where bpffs is unless configured otherwise.
pub const DEFAULT_BPFFS: &str = "/sys/fs/bpf";

/// `BPF_FS_MAGIC` in the kernel's `include/uapi/linux/magic.h`.
const BPF_FS_MAGIC: FsType = FsType(0xcafe_4a11);

/// The pin directory of this ABI version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    bpffs: PathBuf,
}

/// What is wrong with the pin directory.
#[derive(Debug, thiserror::Error)]
pub enum PinsError {
    /// No bpffs there.
    #[error("{} is not a BPF file system: make it one with `mkdir -p {} && mount -t bpf bpf {}`", path.display(), path.display(), path.display())]
    NoBpffs {
        /// Where one was expected.
        path: PathBuf,
    },
    /// One that nothing can be pinned to.
    #[error("{} is mounted read-only: `mount -o remount,rw {}`", path.display(), path.display())]
    ReadOnly {
        /// Its mount point.
        path: PathBuf,
    },
    /// Pins of another release.
    #[error(
        "{} holds pins of ABI version {found}, this is ABI version {ABI_VERSION}: \
         take them away with `lbctl detach` (this stops forwarding), or run the release that made them",
        path.display()
    )]
    OtherAbi {
        /// Directory of the other version.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// Another agent works with the same pins.
    #[error("another lb-agent uses {}: stop it, or give each its own `node.bpffs`", path.display())]
    Busy {
        /// The pin directory.
        path: PathBuf,
    },
    /// A program or link cannot be pinned.
    #[error("cannot pin {}", path.display())]
    Pin {
        /// The pin.
        path: PathBuf,
        /// Why it failed.
        source: Box<aya::pin::PinError>,
    },
    /// A file operation failed.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl Pins {
    /// Pins under the given bpffs. Touches nothing.
    pub fn new(bpffs: impl Into<PathBuf>) -> Self {
        Self { bpffs: bpffs.into() }
    }

    fn all_versions(&self) -> PathBuf {
        self.bpffs.join("xdp-lb")
    }

    /// The directory of this ABI version.
    pub fn root(&self) -> PathBuf {
        self.all_versions().join(format!("v{ABI_VERSION}"))
    }

    /// Pin of a program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.root().join("programs").join(name)
    }

    /// Directory of the links.
    pub fn links(&self) -> PathBuf {
        self.root().join("links")
    }

    /// Pin of the link to an interface. bpffs has no dots in names (they are reserved, kernel `bpf_lookup`), so the
    /// dot of `eth0.100` becomes `%2e`.
    pub fn link(&self, interface: &str) -> PathBuf {
        self.links().join(interface.replace('.', "%2e"))
    }

    /// Pin of a map.
    pub fn map(&self, name: &str) -> PathBuf {
        self.root().join("maps").join(name)
    }

    /// Directory of the rings.
    pub fn rings(&self) -> PathBuf {
        self.root().join("rings")
    }

    /// Pin of a ring.
    pub fn ring(&self, id: u32) -> PathBuf {
        self.rings().join(id.to_string())
    }

    /// Whether anything of this ABI version is installed.
    pub fn exist(&self) -> bool {
        self.root().join("programs").is_dir()
    }

    /// Interfaces that have a pinned link, by name.
    pub fn linked_interfaces(&self) -> Result<Vec<String>, PinsError> {
        let mut names: Vec<_> = list(&self.links())?.into_iter().map(|name| name.replace("%2e", ".")).collect();
        names.sort();
        Ok(names)
    }

    /// Makes the directories, after checking that this is a bpffs and that no other release has pins here. The guard
    /// keeps a second agent from working with the same pins.
    pub fn prepare(&self) -> Result<PinsLock, PinsError> {
        self.check_bpffs()?;
        if statfs(&self.bpffs).is_ok_and(|stat| stat.flags().contains(FsFlags::ST_RDONLY)) {
            return Err(PinsError::ReadOnly { path: self.bpffs.clone() });
        }
        self.check_abi()?;
        for directory in ["programs", "links", "maps", "rings"] {
            let path = self.root().join(directory);
            fs::create_dir_all(&path).map_err(|source| PinsError::Io { what: "create", path, source })?;
        }
        self.lock()
    }

    /// Checks that there is a bpffs.
    pub fn check_bpffs(&self) -> Result<(), PinsError> {
        match statfs(&self.bpffs) {
            Ok(stat) if stat.filesystem_type() == BPF_FS_MAGIC => Ok(()),
            Ok(_) | Err(_) => Err(PinsError::NoBpffs { path: self.bpffs.clone() }),
        }
    }

    /// Checks that no other release has pins here.
    pub fn check_abi(&self) -> Result<(), PinsError> {
        for name in list(&self.all_versions())? {
            if name != format!("v{ABI_VERSION}") {
                let found = name.trim_start_matches('v').to_owned();
                return Err(PinsError::OtherAbi { path: self.all_versions().join(name), found });
            }
        }
        Ok(())
    }

    fn lock(&self) -> Result<PinsLock, PinsError> {
        let path = self.root();
        let directory =
            File::open(&path).map_err(|source| PinsError::Io { what: "open", path: path.clone(), source })?;
        match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(PinsLock { _lock: lock }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Err(PinsError::Busy { path }),
            Err((_, errno)) => Err(PinsError::Io { what: "lock", path, source: errno.into() }),
        }
    }

    /// Takes every pin away, of all ABI versions, links first: forwarding stops, and what nobody else holds is freed.
    /// Gives the interfaces whose links were removed.
    pub fn remove_all(&self) -> Result<Vec<String>, PinsError> {
        let (mut interfaces, mut trouble) = (Vec::new(), None);
        for version in list(&self.all_versions())? {
            // What somebody else put beside our pins must not keep ours from going.
            let removed = remove_version(&self.all_versions().join(version), &mut interfaces);
            trouble = trouble.or(removed.err());
        }
        trouble.map_or(Ok(interfaces), Err)
    }
}

fn remove_version(root: &Path, interfaces: &mut Vec<String>) -> Result<(), PinsError> {
    for directory in ["links", "programs", "rings", "maps"] {
        let path = root.join(directory);
        for name in list(&path)? {
            remove(&path.join(&name))?;
            if directory == "links" {
                interfaces.push(name.replace("%2e", "."));
            }
        }
        if path.is_dir() {
            remove_directory(&path)?;
        }
    }
    remove_directory(root)
}

fn remove_directory(path: &Path) -> Result<(), PinsError> {
    fs::remove_dir(path).map_err(|source| PinsError::Io { what: "remove", path: path.to_owned(), source })
}

/// Keeps other agents away from the pins while it lives.
#[derive(Debug)]
pub struct PinsLock {
    _lock: Flock<File>,
}

/// For failed pins.
pub(crate) fn pin_failed(path: &Path) -> impl FnOnce(aya::pin::PinError) -> PinsError {
    let path = path.to_owned();
    move |source| PinsError::Pin { path, source: Box::new(source) }
}

/// Removes a pin; one that is not there is fine.
pub(crate) fn remove(path: &Path) -> Result<(), PinsError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(PinsError::Io { what: "remove", path: path.to_owned(), source: error })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Names in a directory; none if it does not exist.
pub(crate) fn list(path: &Path) -> Result<Vec<String>, PinsError> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries,
    };
    let names = entries.and_then(|entries| {
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<io::Result<Vec<_>>>()
    });
    names.map_err(|source| PinsError::Io { what: "list", path: path.to_owned(), source })
}
