//! Tells when the config file should be read again: SIGHUP, or the file changed.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::sleep,
};
use tracing::warn;

/// An editor writes a file in several steps: this much after the first, it is read.
const SETTLE: Duration = Duration::from_millis(100);

/// Waits for reasons to read the config file again.
pub struct ConfigFile {
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
        Ok(Self { hangup, changes, _watcher: watcher.ok() })
    }

    /// Returns when the file should be read again.
    pub async fn changed(&mut self) {
        tokio::select! {
            _ = self.hangup.recv() => {}
            Some(()) = self.changes.recv() => {
                sleep(SETTLE).await;
                while self.changes.try_recv().is_ok() {}
            }
        }
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
