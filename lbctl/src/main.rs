//! The command line. Data goes to stdout and words to stderr; exit code 0 means done, 1 a finding (something is not
//! found, not well, or not forwarded), 2 wrong usage or a failure. A reader that closes the pipe early is no failure.
#![forbid(unsafe_code)]

mod args;
mod client;
mod commands;
mod output;
mod place;
mod print;
mod rates;

use std::process::ExitCode;

use clap::Parser;

use crate::{args::Cli, commands::Outcome, output::ReaderGone};

/// Exit code of a finding.
const FINDING: u8 = 1;
/// Exit code of a failure; clap uses the same for wrong usage.
const FAILURE: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match commands::run(Cli::parse()).await {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Finding) => FINDING.into(),
        Err(error) if error.is::<ReaderGone>() => ExitCode::SUCCESS,
        Err(error) => {
            output::say(format_args!("lbctl: {error:#}"));
            FAILURE.into()
        }
    }
}
