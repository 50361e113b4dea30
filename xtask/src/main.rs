//! The project's own tool: `cargo xtask setup`, `build-ebpf`, `test`, `demo` and the rest.
//!
//! Words for people go to stderr; stdout carries only what a command is asked for, such as `--json`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod bpf_toolchain;
mod build_ebpf;
mod process;
mod workspace;

/// Set-up, builds, tests and the demo of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the XDP programs into target/bpf/.
    BuildEbpf(build_ebpf::Options),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::BuildEbpf(options) => build_ebpf::run(options),
    }
}
