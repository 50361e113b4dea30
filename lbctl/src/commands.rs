//! The commands, one file each: read, choose what is asked for, print.

mod backend;
mod detach;
pub(crate) mod explain;
mod stats;
mod status;
mod version;
mod vip;

use anyhow::Result;
use clap::CommandFactory;

use crate::{
    args::{self, Cli, Command},
    output,
    place::Place,
};

/// Version of this build.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing to object to.
    Done,
    /// Something is not found, not well, or not forwarded.
    Finding,
}

/// Runs the command.
pub(crate) async fn run(cli: Cli) -> Result<Outcome> {
    let (place, format) = (Place::new(&cli.global), cli.global.output);
    match cli.command {
        Command::Status => status::run(&place, format).await,
        Command::Vip(args::Vip::List) => vip::list(&place, format).await,
        Command::Vip(args::Vip::Show { vip }) => vip::show(&place, format, &vip).await,
        Command::Backend(args::Backend::List) => backend::list(&place, format).await,
        Command::Stats(options) if options.watch => stats::watch(&place, format, options.interval).await,
        Command::Stats(_) => stats::once(&place, format).await,
        Command::Explain(question) => explain::run(&place, format, question).await,
        Command::Detach(options) => detach::run(&place, format, &options).await,
        Command::Version => version::run(&place, format).await,
        Command::Completion { shell } => completion(shell),
    }
}

fn completion(shell: clap_complete::Shell) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lbctl", &mut script);
    output::stdout(&script)?;
    Ok(Outcome::Done)
}
