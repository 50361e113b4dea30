//! `cargo xtask vm`: the packet tests on the oldest kernel that is supported, Debian's 6.1, in a virtual machine.
//!
//! The machine is emulated by software, so it needs no help of the processor. It boots from memory: a kernel out of Debian's
//! package, which is unpacked and not installed, the packet tests linked statically, and busybox for the rest.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::build_ebpf;
use crate::process;
use crate::setup::{self, Level};
use crate::workspace;

mod archive;
mod guest;
mod kernel;
mod report;

use report::Report;

/// The only architecture that the kernel package is picked for.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The tests that run unless others are asked for: every program, and packets through each of them. The verifier alone takes
/// seconds on an emulated processor, and most tests load a program of their own.
const TESTS: [&str; 3] = ["verified::", "forwarding::", "decapsulation::"];

/// Which tests to run, and how to report.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Print one JSON object on stdout: kernel, verified instructions of each program, tests passed and failed.
    #[arg(long)]
    json: bool,
    /// Stop the machine after so many seconds.
    #[arg(long, value_name = "N", default_value_t = 180)]
    seconds: u64,
    /// Parts of names of the tests to run instead of the usual ones; '' is part of each.
    #[arg(last = true)]
    filter: Vec<String>,
}

/// Builds, boots, and fails unless every test passed on the other kernel.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(std::env::consts::ARCH == "x86_64", "the virtual machine is an x86_64 one, and this machine is not");
    setup::ensure(Level::Vm)?;
    build_ebpf::run(build_ebpf::Options::default())?;
    let kernel = kernel::find_or_fetch(&directory())?;
    let tests = build_tests()?;
    let image = directory().join("initramfs.cpio");
    let usual = TESTS.map(str::to_owned);
    let filter = if options.filter.is_empty() { &usual } else { options.filter.as_slice() };
    guest::write_image(&image, &kernel, &tests, filter)?;

    let mut report = Report::default();
    let ended = guest::boot(&kernel, &image, Duration::from_secs(options.seconds), |line| report.read(line))?;
    if options.json {
        println!("{}", report.to_json());
    } else {
        eprint!("{}", report.to_table());
    }
    if !ended {
        bail!("the machine was stopped after {} s; give it more with `--seconds`", options.seconds);
    }
    report.verdict()
}

/// Everything of the virtual machine.
fn directory() -> PathBuf {
    workspace::root().join("target/vm")
}

/// The packet tests as one static program: the machine has no libraries.
fn build_tests() -> Result<PathBuf> {
    let mut cargo = process::cargo();
    cargo
        .args(["test", "--no-run", "--package", "xdp-lb-tests", "--test", "packet", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics", "--target-dir"])
        .arg(directory().join("build"))
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static");
    process::announce(&cargo);
    let output = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    ensure!(output.status.success(), "the packet tests cannot be built ({})", output.status);
    let messages = String::from_utf8_lossy(&output.stdout);
    let executable = messages.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let ours = message["target"]["name"] == json!("packet");
        ours.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
    });
    executable.context("cargo built the packet tests and does not say where")
}
