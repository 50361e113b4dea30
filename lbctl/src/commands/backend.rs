//! `lbctl backend list`.

use anyhow::Result;
use lb_api::{Backend, PATH_BACKENDS, report};

use super::Outcome;
use crate::{args::Format, output, place::Place, print};

/// Prints all backends.
pub(crate) async fn list(place: &Place, format: Format) -> Result<Outcome> {
    let backends: Vec<Backend> = place.read(PATH_BACKENDS, |maps| report::backends(&maps.stats.vips)).await?;
    output::document(format, backends.as_slice(), print::backends)?;
    if backends.is_empty() {
        output::say(format_args!("no backends are installed"));
    }
    Ok(Outcome::Done)
}
