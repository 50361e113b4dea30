//! Tells when the config file should be read again: SIGHUP, or the file changed.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tracing::warn;

/// An editor writes a file in several steps: this much after the first, it is read.
const SETTLE: Duration = Duration::from_millis(100);

/// Waits for reasons to read the config file again.
pub struct ConfigFile {
    path: PathBuf,
    /// What the file was when it was last read.
    read: Option<Stamp>,
    /// When a change that was noticed has settled.
    due: Option<Instant>,
    hangup: Signal,
    changes: mpsc::UnboundedReceiver<()>,
    /// Stops watching when dropped.
    _watcher: Option<RecommendedWatcher>,
}

impl ConfigFile {
    /// Watches the file's directory, because editors and Kubernetes replace the file (or a link on the way to it)
    /// rather than write into it. Where the directory cannot be watched, SIGHUP remains.
    pub fn watch(path: &Path) -> Result<Self> {
        let hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
        let (sender, changes) = mpsc::unbounded_channel();
        let watcher = watch_directory(path, sender)
            .inspect_err(|error| warn!("changes of {} are not noticed, send SIGHUP: {error:#}", path.display()));
        let read = Stamp::of(path);
        Ok(Self { path: path.to_owned(), read, due: None, hangup, changes, _watcher: watcher.ok() })
    }

    /// Returns when the file should be read again. May be dropped at any time: what was noticed is kept.
    pub async fn changed(&mut self) {
        loop {
            if let Some(due) = self.due {
                sleep_until(due).await;
                self.due = None;
                while self.changes.try_recv().is_ok() {}
                return;
            }
            tokio::select! {
                _ = self.hangup.recv() => return,
                Some(()) = self.changes.recv() => self.due = Some(Instant::now() + SETTLE),
            }
        }
    }

    /// Whether the file is another one than was last read: finds what no event tells, such as a change behind a link
    /// into another directory.
    pub fn is_unread(&self) -> bool {
        self.due.is_none() && Stamp::of(&self.path) != self.read
    }

    /// To be called before the file is read.
    pub fn mark_read(&mut self) {
        self.read = Stamp::of(&self.path);
    }
}

/// What tells one version of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// `None` while there is no file.
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }
}

fn watch_directory(path: &Path, sender: mpsc::UnboundedSender<()>) -> Result<RecommendedWatcher> {
    let file = path.file_name().context("the config path has no file name")?.to_owned();
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading the file is an event too: only what may have changed it counts. A Kubernetes volume changes by a new
        // link named `..data`.
        let concerns = |event: &notify::Event| {
            event.paths.iter().any(|path| path.file_name().is_some_and(|name| name == file || name == "..data"))
        };
        let written = AccessKind::Close(AccessMode::Write);
        let reads = |kind: EventKind| matches!(kind, EventKind::Access(access) if access != written);
        if event.is_ok_and(|event| concerns(&event) && !reads(event.kind)) {
            // Fails only when nobody waits any more.
            let _ = sender.send(());
        }
    })?;
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    /// A directory that is removed at the end, also of a test that fails.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("lb-agent-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).expect("a temporary directory");
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    async fn is_told(file: &mut ConfigFile) {
        timeout(Duration::from_secs(5), file.changed()).await.expect("the change is told");
    }

    #[tokio::test]
    async fn a_change_is_told_although_the_wait_is_broken_off_again_and_again() {
        let directory = Directory::new("broken-off");
        let path = directory.0.join("config.yaml");
        fs::write(&path, "one").expect("a file");
        let mut file = ConfigFile::watch(&path).expect("a watch");
        fs::write(&path, "two").expect("a file");
        let deadline = Instant::now() + Duration::from_secs(5);
        // Any other event of the loop that waits here drops the future.
        while timeout(SETTLE / 10, file.changed()).await.is_err() {
            assert!(Instant::now() < deadline, "the change was lost");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_renamed_into_place_is_told() {
        let directory = Directory::new("renamed");
        let path = directory.0.join("config.yaml");
        fs::write(&path, "one").expect("a file");
        let mut file = ConfigFile::watch(&path).expect("a watch");
        fs::write(directory.0.join("new"), "two").expect("a file");
        fs::rename(directory.0.join("new"), &path).expect("a rename");
        is_told(&mut file).await;
    }

    #[tokio::test]
    async fn a_change_behind_a_link_is_found_by_looking() {
        let (here, there) = (Directory::new("link"), Directory::new("target"));
        let (path, target) = (here.0.join("config.yaml"), there.0.join("config.yaml"));
        fs::write(&target, "one").expect("a file");
        std::os::unix::fs::symlink(&target, &path).expect("a link");
        let mut file = ConfigFile::watch(&path).expect("a watch");
        assert!(!file.is_unread());
        fs::write(&target, "longer").expect("a file");
        assert!(file.is_unread());
        file.mark_read();
        assert!(!file.is_unread());
    }
}
