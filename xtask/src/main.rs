//! The project's own tool: `cargo xtask setup`, `build-ebpf`, `test`, `demo` and the rest.
//!
//! Words for people go to stderr; stdout carries only what a command is asked for, such as `--json`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod bpf_toolchain;
mod build_ebpf;
mod demo;
mod process;
mod setup;
mod test;
mod tidy;
mod vm;
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
    /// Find or install what building and testing need.
    Setup(setup::Options),
    /// Build the XDP programs into target/bpf/.
    BuildEbpf(build_ebpf::Options),
    /// Run every test: host code, packets through the real programs, traffic in network namespaces.
    Test(test::Options),
    /// Show the load balancer at work in network namespaces, with real traffic and a backend that fails.
    Demo(demo::Options),
    /// Run the packet tests on Debian's 6.1 kernel, in a virtual machine.
    Vm(vm::Options),
    /// Check that docs match the code, links lead somewhere and files say what lives in them.
    Tidy(tidy::Options),
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
        Command::Setup(options) => setup::run(options),
        Command::BuildEbpf(options) => build_ebpf::run(options),
        Command::Test(options) => test::run(&options),
        Command::Demo(options) => demo::run(options),
        Command::Vm(options) => vm::run(&options),
        Command::Tidy(options) => tidy::run(options),
    }
}
