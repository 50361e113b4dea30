//! From a file to a config.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{Config, Diagnostic, parse};

/// Largest file that is read: several times what the tables of a node can hold.
pub const MAX_FILE_BYTES: usize = 16 << 20;

/// A config file that cannot be used. Prints one line per error, each beginning with the file's name.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{}: cannot read the config file; name a file that exists and that this user may read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file can be read and has errors.
    #[error("{}", Lines { path, diagnostics })]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Its errors in the order of their places; never empty.
        diagnostics: Vec<Diagnostic>,
    },
}

struct Lines<'a> {
    path: &'a Path,
    diagnostics: &'a [Diagnostic],
}

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:{diagnostic}", self.path.display())?;
        }
        Ok(())
    }
}

/// Reads and checks a config file.
///
/// # Errors
///
/// [`LoadError`]: the file cannot be read, or all that is wrong with it.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    let invalid = |diagnostics| LoadError::Invalid { path: path.to_owned(), diagnostics };
    let bytes = read_limited(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(invalid(vec![Diagnostic {
            line: 1,
            column: 1,
            message: format!("the file is larger than {} MiB", MAX_FILE_BYTES >> 20),
            remedy: "no node can hold that many services; check what wrote the file".to_owned(),
        }]));
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| invalid(vec![not_utf8(&bytes, error.valid_up_to())]))?;
    parse(text).map_err(invalid)
}

/// At most one byte more than the limit, so that a device or a pipe in the file's place cannot fill the memory.
fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // A FIFO without a writer would hold up whoever opens it, and with that the agent.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn not_utf8(bytes: &[u8], valid: usize) -> Diagnostic {
    let before = String::from_utf8_lossy(&bytes[..valid]);
    let last_line = before.rsplit('\n').next().unwrap_or_default();
    Diagnostic {
        line: before.matches('\n').count() + 1,
        column: last_line.chars().count() + 1,
        message: format!("byte {:#04x} is not UTF-8", bytes[valid]),
        remedy: "save the file as UTF-8".to_owned(),
    }
}
