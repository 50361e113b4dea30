//! `lbctl stats`.

use std::{
    io::{self, IsTerminal},
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use lb_api::{PATH_STATS, Stats};
use tokio::{
    signal,
    time::{self, MissedTickBehavior},
};

use super::Outcome;
use crate::{args::Format, output, place::Place, print, rates::Rates};

/// Moves a terminal's cursor home and clears it (ECMA-48: CUP, ED).
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

/// Prints totals.
pub(crate) async fn once(place: &Place, format: Format) -> Result<Outcome> {
    output::document(format, &read(place).await?, print::stats)?;
    Ok(Outcome::Done)
}

/// Prints rates until Ctrl-C.
pub(crate) async fn watch(place: &Place, format: Format, interval: Duration) -> Result<Outcome> {
    let mut interrupted = pin!(signal::ctrl_c());
    let mut ticks = time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<(Instant, Stats)> = None;
    loop {
        tokio::select! {
            biased;
            interrupt = &mut interrupted => {
                interrupt.context("cannot wait for Ctrl-C")?;
                return Ok(Outcome::Done);
            }
            _ = ticks.tick() => {}
        }
        let (now, stats) = (Instant::now(), read(place).await?);
        if let Some((before, old)) = &last {
            show(format, &Rates::between(old, stats.clone(), now - *before))?;
        }
        last = Some((now, stats));
    }
}

fn show(format: Format, rates: &Rates) -> Result<()> {
    match format {
        Format::Table | Format::Wide => {
            let terminal = io::stdout().is_terminal();
            output::stdout(if terminal { CLEAR } else { b"" })?;
            output::document(format, rates, print::rates)?;
            output::stdout(if terminal { b"" } else { b"\n" })
        }
        Format::Json => output::json_line(rates),
        Format::Yaml => {
            output::stdout(b"---\n")?;
            output::document(format, rates, print::rates)
        }
    }
}

async fn read(place: &Place) -> Result<Stats> {
    place.read(PATH_STATS, |maps| maps.stats).await
}
