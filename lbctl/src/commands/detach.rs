//! `lbctl detach`.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use xdp_lb::{Pins, attach};

use super::Outcome;
use crate::{
    args::{Detach, Format},
    output::{self, say},
    place::Place,
};

#[derive(Serialize)]
struct Detached {
    /// Interfaces that the program no longer runs on.
    detached: Vec<String>,
}

/// Stops forwarding, after asking.
pub(crate) async fn run(place: &Place, format: Format, options: &Detach) -> Result<Outcome> {
    let pins = &place.pins().await;
    pins.check_bpffs()?;
    let interfaces = pins.linked_interfaces().context("cannot tell where the program runs; are you root?")?;
    if place.client().is_alive().await {
        say(format_args!(
            "lb-agent is running at {}: it will rest until it is restarted, and then attach again",
            place.client().socket().display()
        ));
    }
    if !options.yes && !agreed(pins, &interfaces)? {
        say(format_args!("nothing was changed"));
        return Ok(Outcome::Finding);
    }
    let detached = attach::detach_all(pins).context("cannot detach; are you root?")?;
    if detached.is_empty() {
        say(format_args!("the program runs on no interface"));
    }
    output::document(format, &Detached { detached }, table)?;
    Ok(Outcome::Done)
}

fn agreed(pins: &Pins, interfaces: &[String]) -> Result<bool> {
    if !io::stdin().is_terminal() {
        bail!("`lbctl detach` stops forwarding, and there is no terminal to ask on: add --yes");
    }
    let place = if interfaces.is_empty() { String::new() } else { format!(" on {}", interfaces.join(", ")) };
    let root = pins.root();
    let all_releases = root.parent().unwrap_or(&root).display();
    let mut stderr = io::stderr();
    let asked =
        write!(stderr, "This stops forwarding{place} and removes everything under {all_releases}. Continue? [y/N] ");
    asked.and_then(|()| stderr.flush()).context("cannot ask on the terminal")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("cannot read the answer from the terminal")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn table(out: &mut dyn Write, detached: &Detached, _wide: bool) -> io::Result<()> {
    detached.detached.iter().try_for_each(|interface| writeln!(out, "{interface}"))
}
