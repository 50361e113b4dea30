//! `lbctl status`.

use anyhow::Result;
use lb_api::{PATH_STATUS, Report, Status};

use super::{Outcome, VERSION};
use crate::{args::Format, output, place::Place, print};

/// Prints whether all is well.
pub(crate) async fn run(place: &Place, format: Format) -> Result<Outcome> {
    let status = place.read(PATH_STATUS, |report| without_agent(report, &place.client().socket().display())).await?;
    output::document(format, &status, print::status)?;
    Ok(if status.problems.is_empty() { Outcome::Done } else { Outcome::Finding })
}

fn without_agent(report: Report, socket: &dyn std::fmt::Display) -> Status {
    let mut status = report.status(VERSION);
    let problem = format!(
        "lb-agent is not running, or not at {socket}: what is installed goes on working, but follows no \
         change; start it, or name its socket with --socket"
    );
    status.problems.insert(0, problem);
    status
}
