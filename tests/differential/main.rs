//! The real program against the model: random configurations, random packets, and every difference ever found.
//!
//! `XDP_LB_FUZZ_SECONDS` makes a long run with a new seed (`cargo xtask test --fuzz-seconds`), `XDP_LB_FUZZ_SEED` repeats
//! a run that failed. Without them the seed is fixed, so an ordinary run does the same each time.

mod backend;
mod case;
mod configs;
mod counts;
mod frames;
mod round;
mod smaller;
mod subject;

use std::{
    env,
    time::{Duration, Instant, SystemTime},
};

/// Configurations of an ordinary run.
const ROUNDS: u64 = 24;
/// Packets of a configuration in an ordinary run, and in a long one, in which setting up takes less of the time.
const PACKETS: [usize; 2] = [8192, 65_536];
/// Seed of an ordinary run.
const SEED: u64 = 0x0dd_ba11;

fn variable(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`, which is no number")))
}

/// What is to be run.
struct Run {
    started: Instant,
    limit: Option<Duration>,
    /// The seed to repeat.
    seed: Option<u64>,
}

impl Run {
    fn start() -> Self {
        let limit = variable("XDP_LB_FUZZ_SECONDS").map(Duration::from_secs);
        Self { started: Instant::now(), limit, seed: variable("XDP_LB_FUZZ_SEED") }
    }

    /// Seeds, of which an ordinary run takes so many.
    fn seeds(&self, ordinary: u64) -> impl Iterator<Item = u64> {
        let (first, rounds) = match (self.seed, self.limit) {
            (Some(seed), _) => (seed, 1),
            (None, Some(_)) => (now(), u64::MAX),
            (None, None) => (SEED, ordinary),
        };
        let is_over = || self.limit.is_some_and(|limit| self.started.elapsed() > limit);
        (0..rounds).take_while(move |_| !is_over()).map(move |round| first.wrapping_add(round))
    }

    fn packets(&self) -> usize {
        PACKETS[usize::from(self.limit.is_some() || self.seed.is_some())]
    }
}

fn now() -> u64 {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970");
    time.as_micros() as u64
}

#[test]
fn the_program_does_what_the_model_does() {
    subject::beside_a_port(|| {
        let run = Run::start();
        let mut tally = round::Tally::default();
        for seed in run.seeds(ROUNDS) {
            round::run(seed, run.packets(), &mut tally);
        }
        eprintln!("{}", tally.summary());
        if run.seed.is_none() {
            tally.check();
        }
    });
}

#[test]
fn the_backends_program_does_what_its_model_does() {
    for seed in Run::start().seeds(1) {
        backend::compare(seed, PACKETS[1]);
    }
}

#[test]
fn every_difference_ever_found_is_gone() {
    subject::beside_a_port(|| case::all().iter().for_each(case::Case::replay));
}
