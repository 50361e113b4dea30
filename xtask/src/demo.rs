//! `cargo xtask demo`: builds the product and hands over to the demo, a program of the tests' package.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::setup::{self, Level};
use crate::{build_ebpf, process};

/// What the demo is told.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Options {
    /// How long traffic flows.
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Print one JSON object on stdout instead of the live table.
    #[arg(long)]
    json: bool,
}

/// Builds everything, then becomes the demo, so that signals and the exit code are its own.
pub(crate) fn run(options: Options) -> Result<()> {
    setup::require_root("the demo")?;
    setup::ensure(Level::Test)?;
    build_ebpf::run(build_ebpf::Options::default())?;
    process::run(process::cargo().args(["build", "--bins", "-p", "lb-agent", "-p", "lbctl", "-p", "xdp-lb-tests"]))?;

    // cargo puts all programs of a profile into one directory, and this tool is one of them.
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    let mut demo = process::command(own.with_file_name("demo"));
    if let Some(seconds) = options.seconds {
        demo.arg("--seconds").arg(seconds.to_string());
    }
    if options.json {
        demo.arg("--json");
    }
    process::announce(&demo);
    Err(demo.exec()).with_context(|| format!("cannot start {}", demo.get_program().display()))
}
