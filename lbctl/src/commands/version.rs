//! `lbctl version`.

use std::io::{self, Write};

use anyhow::Result;
use lb_api::{PATH_STATUS, Status};
use serde::Serialize;
use xdp_lb_abi::ABI_VERSION;

use super::{Outcome, VERSION};
use crate::{args::Format, output, place::Place};

#[derive(Serialize)]
struct Versions {
    /// This program.
    lbctl: &'static str,
    /// Map layouts that it knows.
    abi_version: u32,
    /// The running agent; absent if it does not answer.
    agent: Option<String>,
}

/// Prints the versions.
pub(crate) async fn run(place: &Place, format: Format) -> Result<Outcome> {
    let agent = place.client().get::<Status>(PATH_STATUS).await.ok().map(|status| status.version);
    output::document(format, &Versions { lbctl: VERSION, abi_version: ABI_VERSION, agent }, table)?;
    Ok(Outcome::Done)
}

fn table(out: &mut dyn Write, versions: &Versions, _wide: bool) -> io::Result<()> {
    writeln!(out, "lbctl     {} (ABI {})", versions.lbctl, versions.abi_version)?;
    writeln!(out, "lb-agent  {}", versions.agent.as_deref().unwrap_or("not running"))
}
