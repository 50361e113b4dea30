//! `cargo xtask test`: every test of the workspace, with the programs they run built beforehand.

use std::io::{BufRead, BufReader, PipeReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::build_ebpf;
use crate::process;
use crate::setup::{self, Level};

mod tally;

use tally::Tally;

/// Set for the tests: an optional server that is missing is then a failure, not a reason to skip.
const ALL_VARIABLE: &str = "XDP_LB_TEST_ALL";

/// How long, in seconds, random packets go through the program and the model beside it.
const FUZZ_VARIABLE: &str = "XDP_LB_FUZZ_SECONDS";

/// Which tests to run, and how to report.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Set up the optional servers too, and fail where one is missing instead of skipping its tests.
    #[arg(long)]
    all: bool,
    /// Print one JSON object on stdout: tests passed, failed and ignored, in total and by suite.
    #[arg(long)]
    json: bool,
    /// Compare the program with its model for so long, with new random configurations and packets.
    #[arg(long, value_name = "N")]
    fuzz_seconds: Option<u32>,
    /// Passed on to the test programs, for instance a part of a test's name.
    #[arg(last = true)]
    filter: Vec<String>,
}

/// Builds what the tests run, then runs them all, also after one has failed.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::require_root("testing (without root, `cargo test` runs the tests of the host code)")?;
    setup::ensure(if options.all { Level::All } else { Level::Test })?;
    build_ebpf::run(build_ebpf::Options::default())?;
    // One build for the whole workspace: features of dependencies are then the same for programs and tests.
    process::run(process::cargo().args(["build", "--workspace", "--bins", "--tests"]))?;

    let mut cargo = process::cargo();
    cargo.args(["test", "--workspace", "--no-fail-fast"]);
    if options.all {
        cargo.env(ALL_VARIABLE, "1");
    }
    if let Some(seconds) = options.fuzz_seconds {
        cargo.env(FUZZ_VARIABLE, seconds.to_string());
    }
    if !options.filter.is_empty() {
        cargo.arg("--").args(&options.filter);
    }
    process::announce(&cargo);
    let passed = if options.json { report(cargo)? } else { cargo.stdin(Stdio::null()).status()?.success() };
    if !passed {
        bail!("tests failed; the names stand above under `failures:`");
    }
    Ok(())
}

/// Runs the tests with everything they print on stderr, and the counts on stdout.
fn report(mut cargo: Command) -> Result<bool> {
    let started = Instant::now();
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    // Suites are named on stderr and their results stand on stdout: one pipe keeps the order.
    let stderr = writer.try_clone().context("cannot duplicate a pipe")?;
    let mut child = cargo.stdin(Stdio::null()).stdout(writer).stderr(stderr).spawn().context("cannot start cargo")?;
    // The command still holds the writing ends, and the pipe ends only when all of them are closed.
    drop(cargo);
    let tally = follow(reader)?;
    let passed = child.wait().context("cannot wait for cargo")?.success();
    println!("{}", tally.to_json(passed, started.elapsed()));
    Ok(passed)
}

fn follow(reader: PipeReader) -> Result<Tally> {
    let mut tally = Tally::default();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.context("cannot read what the tests print")?;
        let line = String::from_utf8_lossy(&line);
        eprintln!("{line}");
        tally.read(&line);
    }
    Ok(tally)
}
