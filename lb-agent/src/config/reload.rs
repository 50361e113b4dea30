//! What a new config may change while the agent runs.

use std::path::{Path, PathBuf};

use super::{Config, LoadError, load};

/// A new version of the file that is not taken over; the old config keeps running.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file has errors.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A setting that is read at the start only.
    #[error("{}: `{key}` cannot change while the agent runs: restart it (forwarding goes on meanwhile)", path.display())]
    NeedsRestart {
        /// The file.
        path: PathBuf,
        /// Which.
        key: &'static str,
    },
}

/// Reads the file again, for an agent that runs `current`.
///
/// # Errors
///
/// If the file has errors or changes what only a restart can.
pub fn reload(path: &Path, current: &Config) -> Result<Config, ReloadError> {
    let new = load(path)?;
    let fixed = [
        ("role", new.role == current.role),
        ("node.bpffs", new.node.bpffs == current.node.bpffs),
        ("node.api_socket", new.node.api_socket == current.node.api_socket),
        ("node.metrics", new.node.metrics == current.node.metrics),
        ("log.format", new.log.format == current.log.format),
    ];
    match fixed.into_iter().find(|(_, same)| !same) {
        Some((key, _)) => Err(ReloadError::NeedsRestart { path: path.to_owned(), key }),
        None => Ok(new),
    }
}
