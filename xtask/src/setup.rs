//! `cargo xtask setup`: finds or installs what building and testing need. Every other command begins with it.
//!
//! What is needed stands in a table ([`requirements`]); this file looks, reports, and has the installers fetch the rest.

use anyhow::{Result, bail};

use crate::process;

mod apt;
mod detect;
mod installers;
mod requirements;

pub(crate) use detect::cargo_program;
pub(crate) use requirements::{BPF_LINKER, Level};
use requirements::{REQUIREMENTS, Requirement};

/// How much to set up.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Options {
    /// Also set up what only some tests and `.ci/run` use.
    #[arg(long)]
    all: bool,
}

/// Looks for everything, installs what is missing, and reports on all of it.
pub(crate) fn run(options: Options) -> Result<()> {
    let level = if options.all { Level::All } else { Level::Test };
    ensure(level)?;
    for requirement in up_to(level) {
        if let Ok(found) = requirement.find() {
            eprintln!("{:>12}  {found}", requirement.name);
        }
    }
    eprintln!("Set-up is complete.");
    Ok(())
}

/// Makes sure that everything up to `level` is there. Says nothing if it is.
pub(crate) fn ensure(level: Level) -> Result<()> {
    let missing = look(level);
    if missing.is_empty() {
        return Ok(());
    }
    installers::install(&missing)?;
    let missing = look(level);
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|requirement| requirement.name).collect();
        bail!("still missing after installation: {}; the lines above say why", names.join(", "));
    }
    Ok(())
}

fn up_to(level: Level) -> impl Iterator<Item = &'static Requirement> {
    REQUIREMENTS.iter().filter(move |requirement| level.includes(requirement.level))
}

/// What is missing up to a level, each named on stderr with what it is for.
fn look(level: Level) -> Vec<&'static Requirement> {
    up_to(level)
        .filter(|requirement| match requirement.find() {
            Ok(_) => false,
            Err(why) => {
                eprintln!("{:>12}  missing ({}): {why}", requirement.name, requirement.purpose);
                true
            }
        })
        .collect()
}

/// Fails unless root runs this, with the remedy.
pub(crate) fn require_root(purpose: &str) -> Result<()> {
    if !process::is_root() {
        bail!("{purpose} needs root: it makes network namespaces and loads BPF programs; run the same command as root");
    }
    Ok(())
}
