//! One configuration and many packets.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use fastrand::Rng;
use xdp_lb_abi::{Reason, ReasonKind};
use xdp_lb_tests::{
    model::{Config, Model, Outcome},
    test_run::{Action, Output},
};

use crate::{case::Case, configs, counts::Counts, frames::Frames, smaller, subject::Subject};

/// Packets between two looks at the counters.
const BATCH: usize = 512;

/// What has been run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    reasons: BTreeMap<Reason, u64>,
    time: Duration,
}

impl Tally {
    fn packets(&self) -> u64 {
        self.reasons.values().sum()
    }

    pub(crate) fn summary(&self) -> String {
        let by_reason = |(reason, packets): (&Reason, &u64)| format!("{} {packets}", reason.name());
        let reasons: Vec<_> = self.reasons.iter().map(by_reason).collect();
        let rate = u128::from(self.packets()) * 1000 / self.time.as_millis().max(1);
        format!("{} packets, {rate} per second: {}", self.packets(), reasons.join(", "))
    }

    /// A run that does not reach every reason looks in the wrong places.
    pub(crate) fn check(&self) {
        for reason in Reason::ALL {
            assert!(is_out_of_reach(*reason) || self.reasons.contains_key(reason), "no packet met {}", reason.name());
        }
    }
}

/// Reasons of the other program, of spoiled tables and of drivers that leave no room.
fn is_out_of_reach(reason: Reason) -> bool {
    let others = [
        Reason::NoHeadroom,
        Reason::CorruptTable,
        Reason::Decapsulated,
        Reason::NotTunnel,
        Reason::SourceRefused,
        Reason::InnerNotVip,
        Reason::InnerMalformed,
        Reason::EcnRefused,
    ];
    others.contains(&reason)
}

/// Both data planes with the same configuration.
pub(crate) struct Pair {
    model: Model,
    subject: Subject,
}

impl Pair {
    pub(crate) fn new(config: &Config) -> Self {
        Self { model: Model::new(config), subject: Subject::new(config) }
    }

    /// What the model says.
    pub(crate) fn judge(&mut self, frame: &[u8]) -> Outcome {
        self.model.judge(frame, frame.len())
    }

    /// The reasons that the model gives to these frames, which come after nothing else.
    pub(crate) fn reasons(&mut self, frames: &[Vec<u8>]) -> Vec<Reason> {
        self.model.forget();
        frames.iter().map(|frame| self.judge(frame).reason).collect()
    }

    /// The first of these frames, which come after nothing else, about which the two differ, and how.
    pub(crate) fn first_difference(&mut self, frames: &[Vec<u8>]) -> Option<(usize, String)> {
        self.model.forget();
        self.subject.forget();
        frames.iter().enumerate().find_map(|(index, frame)| Some((index, self.difference(frame)?)))
    }

    /// How the two differ about a frame.
    fn difference(&mut self, frame: &[u8]) -> Option<String> {
        let before = self.subject.counts();
        let outcome = self.judge(frame);
        let output = self.subject.run(frame);
        let mut expected = Counts::default();
        expected.add(&outcome, frame.len() as u64);
        let counted = self.subject.counts().since(&before);
        let is_same = counted == expected && does_match(&outcome, &output);
        (!is_same).then(|| {
            format!(
                "model: {expected:?}\n  {}\nprogram: {counted:?}\n  {:?} {}",
                hex(&outcome.frame),
                output.action,
                hex(&output.frame)
            )
        })
    }
}

fn does_match(outcome: &Outcome, output: &Output) -> bool {
    let action = match outcome.reason.kind() {
        ReasonKind::Forward if outcome.reason == Reason::Redirected => Action::Redirect,
        ReasonKind::Forward | ReasonKind::Reply => Action::Transmit,
        ReasonKind::Deliver | ReasonKind::Pass => Action::Pass,
        ReasonKind::Drop => Action::Drop,
    };
    output.action == action && output.frame == outcome.frame
}

/// Runs so many packets through the configuration with this seed.
pub(crate) fn run(seed: u64, packets: usize, tally: &mut Tally) {
    let mut rng = Rng::with_seed(seed);
    let config = configs::random(&mut rng);
    let frames = Frames::for_config(&config);
    let mut pair = Pair::new(&config);
    for _ in 0..packets / BATCH {
        let batch: Vec<Vec<u8>> = (0..BATCH).map(|_| frames.random(&mut rng)).collect();
        pair.model.forget();
        pair.subject.forget();
        if !is_same(&mut pair, &batch, tally) {
            explain(&mut pair, seed, &config, batch);
        }
    }
}

fn is_same(pair: &mut Pair, batch: &[Vec<u8>], tally: &mut Tally) -> bool {
    let started = Instant::now();
    let before = pair.subject.counts();
    let mut expected = Counts::default();
    let mut is_same = true;
    for frame in batch {
        let outcome = pair.judge(frame);
        let output = pair.subject.run(frame);
        is_same &= does_match(&outcome, &output);
        expected.add(&outcome, frame.len() as u64);
        *tally.reasons.entry(outcome.reason).or_default() += 1;
    }
    is_same &= pair.subject.counts().since(&before) == expected;
    tally.time += started.elapsed();
    is_same
}

/// Fails with the first frame of a batch about which the two differ, and what it takes to come to that, as small as it
/// can be made.
fn explain(pair: &mut Pair, seed: u64, config: &Config, batch: Vec<Vec<u8>>) -> ! {
    let is_one = pair.first_difference(&batch).is_some();
    assert!(is_one, "seed {seed}: the batch differs in its counters, but none of its frames does by itself");
    let frames = smaller::frames(pair, batch);
    let config = smaller::config(config, &frames);
    let mut pair = Pair::new(&config);
    let (_, difference) = pair.first_difference(&frames).expect("what is smaller still differs");
    let case = Case::of(&config, &frames, &pair.reasons(&frames));
    panic!("seed {seed}:\n{difference}\nas a file of tests/differential/cases:\n{}", case.text());
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}
