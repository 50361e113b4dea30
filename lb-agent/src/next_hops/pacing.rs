//! How long to collect events before acting on them. No clock: the time is an argument.

use std::time::{Duration, Instant};

/// A burst is over after this long without an event.
const QUIET: Duration = Duration::from_millis(5);

/// A burst that does not end is acted on after this long.
const PATIENCE: Duration = Duration::from_millis(100);

/// Rest between two rounds of route look-ups, as a multiple of the time that the first took: a storm of route events
/// takes at most a fifth of a core.
const REST_FACTOR: u32 = 4;

/// Longest rest.
const MAX_REST: Duration = Duration::from_secs(1);

/// Decides when a burst of events is acted on, and when routes may be looked up again.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    burst: Option<Burst>,
    rest_until: Option<Instant>,
}

#[derive(Debug)]
struct Burst {
    first: Instant,
    last: Instant,
}

impl Pacing {
    /// An event came that matters.
    pub(super) fn note(&mut self, now: Instant) {
        let first = self.burst.as_ref().map_or(now, |burst| burst.first);
        self.burst = Some(Burst { first, last: now });
    }

    /// When to act; `None` while nothing happened.
    pub(super) fn due(&self, lookups_wait: bool) -> Option<Instant> {
        let settled = self.burst.as_ref().map(|burst| (burst.last + QUIET).min(burst.first + PATIENCE));
        let rested = self.rest_until.filter(|_| lookups_wait);
        // The end of a burst is worth a look even while look-ups rest: it may have brought a neighbour's new MAC.
        settled.into_iter().chain(rested).min()
    }

    /// The burst is being acted on.
    pub(super) fn end_burst(&mut self) {
        self.burst = None;
    }

    /// Whether routes may be looked up now.
    pub(super) fn rested(&self, now: Instant) -> bool {
        self.rest_until.is_none_or(|until| now >= until)
    }

    /// Routes were looked up.
    pub(super) fn rest(&mut self, started: Instant, ended: Instant) {
        let taken = ended.saturating_duration_since(started);
        self.rest_until = Some(ended + (taken * REST_FACTOR).min(MAX_REST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_acted_on_once_it_is_quiet() {
        let start = Instant::now();
        let mut pacing = Pacing::default();
        assert_eq!(pacing.due(false), None);
        pacing.note(start);
        pacing.note(start + QUIET / 2);
        assert_eq!(pacing.due(false), Some(start + QUIET / 2 + QUIET));
        pacing.end_burst();
        assert_eq!(pacing.due(false), None);
    }

    #[test]
    fn a_burst_without_end_cannot_postpone_forever() {
        let start = Instant::now();
        let mut pacing = Pacing::default();
        for millisecond in 0..1000 {
            pacing.note(start + Duration::from_millis(millisecond));
        }
        assert_eq!(pacing.due(false), Some(start + PATIENCE));
    }

    #[test]
    fn look_ups_rest_in_proportion_to_what_they_cost() {
        let start = Instant::now();
        let mut pacing = Pacing::default();
        let ended = start + Duration::from_millis(50);
        pacing.rest(start, ended);
        assert!(!pacing.rested(ended));
        assert_eq!(pacing.due(true), Some(ended + Duration::from_millis(200)));
        assert!(pacing.rested(ended + Duration::from_millis(200)));
        let ended = start + Duration::from_secs(20);
        pacing.rest(start, ended);
        assert_eq!(pacing.due(true), Some(ended + MAX_REST));
    }
}
