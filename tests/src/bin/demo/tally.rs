//! What the client saw.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use xdp_lb_tests::traffic::Outcome;

/// What is known of failures after a backend has come back.
const STATELESS: &str = " (a connection that is open when its slot goes back to a returned backend is reset: selection \
                         keeps no state)";

/// Counts of outcomes, and when requests failed.
#[derive(Debug)]
pub(crate) struct Tally {
    start: Instant,
    failover_limit: Duration,
    killed: Option<Instant>,
    returned: Option<Instant>,
    /// All requests.
    pub(crate) requests: u64,
    /// Requests to the VIP in IPv6.
    pub(crate) ipv6_requests: u64,
    /// Requests answered, by backend.
    pub(crate) answered: BTreeMap<String, u64>,
    /// Requests that failed: when, and why.
    failures: Vec<(Instant, String)>,
}

impl Tally {
    /// Nothing yet. A dead backend may cost requests for `failover_limit`.
    pub(crate) fn new(start: Instant, failover_limit: Duration) -> Self {
        Self {
            start,
            failover_limit,
            killed: None,
            returned: None,
            requests: 0,
            ipv6_requests: 0,
            answered: BTreeMap::new(),
            failures: Vec::new(),
        }
    }

    /// Counts one request.
    pub(crate) fn add(&mut self, outcome: Outcome) {
        self.requests += 1;
        self.ipv6_requests += u64::from(outcome.is_ipv6);
        match outcome.result {
            Ok(backend) => *self.answered.entry(backend).or_default() += 1,
            Err(error) => self.failures.push((outcome.at, format!("{error:#}"))),
        }
    }

    /// Notes that a backend's server was killed now.
    pub(crate) fn note_kill(&mut self) {
        self.killed = Some(Instant::now());
    }

    /// Notes that the server is back since now.
    pub(crate) fn note_return(&mut self) {
        self.returned = Some(Instant::now());
    }

    /// When traffic began.
    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    /// Requests that failed.
    pub(crate) fn failed(&self) -> usize {
        self.failures.len()
    }

    /// Failures after the health checks must have noticed the dead backend.
    pub(crate) fn failed_after_failover(&self) -> usize {
        self.count(|killed, at| at > killed + self.failover_limit)
    }

    /// Failures that no dead backend explains: before it died, or after the failover.
    pub(crate) fn unexplained(&self) -> impl Iterator<Item = String> {
        self.failures.iter().filter(|(at, _)| !self.is_explained(*at)).map(|(at, why)| {
            let after = at.duration_since(self.start).as_secs_f64();
            let hint = if self.returned.is_some_and(|returned| returned <= *at) { STATELESS } else { "" };
            format!("a request failed {after:.1} s after the start: {why}{hint}")
        })
    }

    /// From the kill to the last failure that it explains; zero if none failed.
    pub(crate) fn failover(&self) -> Duration {
        let last = self.failures.iter().map(|(at, _)| *at).filter(|at| self.is_explained(*at)).max();
        last.zip(self.killed).map_or(Duration::ZERO, |(last, killed)| last.duration_since(killed))
    }

    fn is_explained(&self, at: Instant) -> bool {
        self.killed.is_some_and(|killed| killed <= at && at <= killed + self.failover_limit)
    }

    fn count(&self, matches: impl Fn(Instant, Instant) -> bool) -> usize {
        self.killed.map_or(0, |killed| self.failures.iter().filter(|(at, _)| matches(killed, *at)).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    fn failures_at(offsets: &[u64]) -> Tally {
        let start = Instant::now();
        let mut tally = Tally::new(start, LIMIT);
        tally.killed = Some(start + Duration::from_secs(10));
        for offset in offsets {
            let at = start + Duration::from_millis(*offset);
            tally.add(Outcome { at, is_ipv6: false, result: Err(anyhow::anyhow!("refused")) });
        }
        tally
    }

    #[test]
    fn failures_within_the_limit_are_the_failover() {
        let tally = failures_at(&[10_000, 10_200, 10_700]);
        assert_eq!(tally.failed(), 3);
        assert_eq!(tally.failed_after_failover(), 0);
        assert_eq!(tally.failover(), Duration::from_millis(700));
        assert_eq!(tally.unexplained().count(), 0);
    }

    #[test]
    fn a_failure_later_than_the_limit_counts_against_us() {
        let tally = failures_at(&[10_500, 11_001, 15_000]);
        assert_eq!(tally.failed_after_failover(), 2);
        assert_eq!(tally.failover(), Duration::from_millis(500));
    }

    #[test]
    fn a_failure_before_the_kill_is_unexplained() {
        let tally = failures_at(&[9_000]);
        assert_eq!(tally.failed_after_failover(), 0);
        assert_eq!(tally.unexplained().count(), 1);
    }
}
