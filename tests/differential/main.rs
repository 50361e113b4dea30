//! The real program against the model: random configurations, random packets, and every difference ever found.
//!
//! `XDP_LB_FUZZ_SECONDS` makes a long run with a new seed (`cargo xtask test --fuzz-seconds`), `XDP_LB_FUZZ_SEED` repeats
//! a run that failed. Without them the seed is fixed, so an ordinary run does the same each time.

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

#[test]
fn the_program_does_what_the_model_does() {
    subject::beside_a_port(compare);
}

#[test]
fn every_difference_ever_found_is_gone() {
    subject::beside_a_port(|| case::all().iter().for_each(case::Case::replay));
}

fn compare() {
    let started = Instant::now();
    let limit = variable("XDP_LB_FUZZ_SECONDS").map(Duration::from_secs);
    let seed = variable("XDP_LB_FUZZ_SEED");
    let packets = PACKETS[usize::from(limit.is_some() || seed.is_some())];
    let first = seed.unwrap_or_else(|| match limit {
        Some(_) => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos() as u64 >> 8,
        None => SEED,
    });
    let goes_on = |rounds| limit.map_or(rounds < ROUNDS, |limit| started.elapsed() < limit);
    let mut tally = round::Tally::default();
    let mut rounds = 0;
    while goes_on(rounds) {
        round::run(first + rounds, packets, &mut tally);
        rounds += 1;
    }
    eprintln!("seed {first}, {rounds} configurations, {}", tally.summary());
    tally.check();
}
