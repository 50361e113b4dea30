//! Where things are in this workspace.

use std::path::{Path, PathBuf};

/// The workspace's root directory.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."))
}

/// What `cargo install --root` is told for programs of this workspace alone.
pub(crate) fn tools_root() -> PathBuf {
    root().join("target/tools")
}

/// Programs of this workspace alone.
pub(crate) fn tools() -> PathBuf {
    tools_root().join("bin")
}

/// Where the finished BPF objects lie. The build script of `xdp-lb` looks here, whatever cargo's target directory is.
pub(crate) fn bpf_objects() -> PathBuf {
    root().join("target/bpf")
}
