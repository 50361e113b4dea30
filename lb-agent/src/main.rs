//! `lb-agent`: entry point of the daemon.
//!
//! Exit codes: 0 done, 1 the config has errors, 2 usage or any other failure.
#![forbid(unsafe_code)]

use std::{
    fmt,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use lb_agent::{agent, config};

/// Decides what the load balancer's XDP program does, and keeps its maps equal to that decision.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run in the foreground until SIGTERM or SIGINT; forwarding goes on afterwards.
    Run {
        /// Config file (YAML). Read again on SIGHUP and when it changes.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Report every error of a config file, with line, column and remedy.
    Check {
        /// Config file (YAML).
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run { config } => run(&config),
        Command::Check { file } => check(&file),
    }
}

fn run(file: &Path) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(format_args!("error: cannot start threads: {error}"));
            return ExitCode::from(2);
        }
    };
    match runtime.block_on(agent::run(file)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            ExitCode::from(error.downcast_ref().map_or(2, config_error_code))
        }
    }
}

fn check(file: &Path) -> ExitCode {
    match config::load(file) {
        Ok(config) => {
            let backends: usize = config.services.values().map(|service| service.backends.len()).sum();
            say(format_args!("{}: ok, {} services with {backends} backends", file.display(), config.services.len()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            let code = config_error_code(&error);
            say(format_args!("{:#}", anyhow::Error::from(error)));
            ExitCode::from(code)
        }
    }
}

const fn config_error_code(error: &config::LoadError) -> u8 {
    match error {
        config::LoadError::Invalid { .. } => 1,
        config::LoadError::Read { .. } => 2,
    }
}

/// On standard error; that it cannot be written is no reason for another exit code.
fn say(words: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{words}");
}
