//! The summary, for people and for programs.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::tally::Tally;

/// What came of the demo. The field names are what scripts rely on.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    requests: u64,
    failed: usize,
    failed_after_failover: usize,
    backends: Vec<BackendShare>,
    failover_ms: u128,
    verdicts: BTreeMap<String, u64>,
    ipv6_requests: u64,
}

#[derive(Debug, Serialize)]
struct BackendShare {
    name: String,
    requests: u64,
}

impl Report {
    /// Sums up. `backends` names all that should have answered, `verdicts` counts packets by reason.
    pub(crate) fn new<'n>(
        tally: &Tally,
        backends: impl Iterator<Item = &'n str>,
        verdicts: BTreeMap<String, u64>,
    ) -> Self {
        let share = |name: &str| BackendShare {
            name: name.to_owned(),
            requests: tally.answered.get(name).copied().unwrap_or_default(),
        };
        Self {
            requests: tally.requests,
            failed: tally.failed(),
            failed_after_failover: tally.failed_after_failover(),
            backends: backends.map(share).collect(),
            failover_ms: tally.failover().as_millis(),
            verdicts,
            ipv6_requests: tally.ipv6_requests,
        }
    }

    /// What went wrong, a sentence each; empty if all is well.
    pub(crate) fn findings(&self, tally: &Tally) -> Vec<String> {
        let idle = self.backends.iter().filter(|backend| backend.requests == 0);
        idle.map(|backend| format!("{} answered no request", backend.name)).chain(tally.unexplained()).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} requests, {} of them over IPv6, each on a fresh connection",
            self.requests, self.ipv6_requests
        )?;
        for backend in &self.backends {
            writeln!(f, "  {:<8} {:>7}", backend.name, backend.requests)?;
        }
        let during = self.failed - self.failed_after_failover;
        writeln!(f, "{during} failed up to the failover, {} ms after a server's death", self.failover_ms)?;
        writeln!(f, "{} failed after the failover", self.failed_after_failover)?;
        write!(f, "packets by reason:")?;
        self.verdicts.iter().try_for_each(|(reason, packets)| write!(f, "\n  {reason:<20} {packets:>9}"))
    }
}
