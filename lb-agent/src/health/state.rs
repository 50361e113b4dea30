//! From results to a state: pure, no clock, no I/O.

use std::fmt;

/// What is known of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// No result yet.
    #[default]
    Unknown,
    /// It answers.
    Up,
    /// It does not.
    Down,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// What one check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// The target answered as wanted.
    Passed,
    /// It did not.
    Failed,
    /// The check could not be made, for a reason on this side; it says nothing about the target.
    Inconclusive,
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// State before.
    pub from: State,
    /// State from now on.
    pub to: State,
}

/// The state of one target, moved by results.
///
/// The first result decides an unknown state at once, so that a backend serves, or is left out, as soon as anything is
/// known. From then on only `rise` passes or `fall` failures in a row turn the state.
#[derive(Clone, Debug)]
pub struct Tracker {
    state: State,
    rise: u32,
    fall: u32,
    /// Results in a row that contradict the state.
    streak: u32,
}

impl Tracker {
    /// A target that is believed to be in state `seed`.
    pub const fn new(rise: u32, fall: u32, seed: State) -> Self {
        Self { state: seed, rise, fall, streak: 0 }
    }

    /// The state now.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Takes one result; returns the change of state that it causes.
    pub fn observe(&mut self, result: CheckResult) -> Option<Transition> {
        let (to, needed) = match (self.state, result) {
            (_, CheckResult::Inconclusive) => return None,
            (State::Unknown, CheckResult::Passed) => (State::Up, 1),
            (State::Unknown, CheckResult::Failed) => (State::Down, 1),
            (State::Down, CheckResult::Passed) => (State::Up, self.rise),
            (State::Up, CheckResult::Failed) => (State::Down, self.fall),
            (State::Up, CheckResult::Passed) | (State::Down, CheckResult::Failed) => {
                self.streak = 0;
                return None;
            }
        };
        self.streak += 1;
        if self.streak < needed {
            return None;
        }
        self.streak = 0;
        let from = std::mem::replace(&mut self.state, to);
        Some(Transition { from, to })
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};
    use rstest::rstest;

    use super::*;

    /// `+` passed, `-` failed, `?` inconclusive.
    fn states(seed: State, rise: u32, fall: u32, results: &str) -> String {
        let mut tracker = Tracker::new(rise, fall, seed);
        let letter = |state| match state {
            State::Unknown => 'u',
            State::Up => 'U',
            State::Down => 'D',
        };
        results
            .chars()
            .map(|result| {
                tracker.observe(match result {
                    '+' => CheckResult::Passed,
                    '-' => CheckResult::Failed,
                    _ => CheckResult::Inconclusive,
                });
                letter(tracker.state())
            })
            .collect()
    }

    #[rstest]
    #[case::the_first_pass_decides(State::Unknown, "+", "U")]
    #[case::the_first_failure_decides(State::Unknown, "-", "D")]
    #[case::two_passes_raise(State::Unknown, "-++", "DDU")]
    #[case::three_failures_in_a_row_bring_down(State::Unknown, "+---", "UUUD")]
    #[case::a_pass_between_failures_starts_the_count_again(State::Unknown, "+--+--+---", "UUUUUUUUUD")]
    #[case::a_failure_between_passes_starts_the_count_again(State::Unknown, "-+-++", "DDDDU")]
    #[case::a_seeded_up_needs_all_failures(State::Up, "---", "UUD")]
    #[case::a_seeded_down_needs_all_passes(State::Down, "++", "DU")]
    #[case::inconclusive_results_decide_nothing(State::Unknown, "???+", "uuuU")]
    #[case::inconclusive_results_do_not_end_a_row(State::Up, "-?-?-", "UUUUD")]
    fn results_move_the_state_with_rise_2_and_fall_3(
        #[case] seed: State,
        #[case] results: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(states(seed, 2, 3, results), expected);
    }

    fn any_result() -> impl Strategy<Value = CheckResult> {
        select(vec![CheckResult::Passed, CheckResult::Failed, CheckResult::Inconclusive])
    }

    fn any_seed() -> impl Strategy<Value = State> {
        select(vec![State::Unknown, State::Up, State::Down])
    }

    proptest! {
        /// The definition of rise and fall, written without a counter.
        #[test]
        fn a_state_turns_exactly_when_the_last_results_all_contradict_it(
            seed in any_seed(), rise in 1_u32..6, fall in 1_u32..6, results in vec(any_result(), 0..80)
        ) {
            let mut tracker = Tracker::new(rise, fall, seed);
            let mut since_turn = Vec::new();
            for result in results {
                let before = tracker.state();
                let transition = tracker.observe(result);
                if result != CheckResult::Inconclusive {
                    since_turn.push(result);
                }
                let (contradicting, needed, to) = match before {
                    State::Up => (CheckResult::Failed, fall, State::Down),
                    State::Down => (CheckResult::Passed, rise, State::Up),
                    State::Unknown if result == CheckResult::Passed => (result, 1, State::Up),
                    State::Unknown => (CheckResult::Failed, 1, State::Down),
                };
                let row = since_turn.iter().rev().take_while(|result| **result == contradicting).count();
                let expected = (result == contradicting && row >= needed as usize).then_some(Transition { from: before, to });
                prop_assert_eq!(transition, expected);
                prop_assert_eq!(tracker.state(), expected.map_or(before, |turn| turn.to));
                if expected.is_some() {
                    since_turn.clear();
                }
            }
        }

        #[test]
        fn a_known_state_never_becomes_unknown(
            seed in any_seed(), rise in 1_u32..6, fall in 1_u32..6, results in vec(any_result(), 0..80)
        ) {
            let mut tracker = Tracker::new(rise, fall, seed);
            for result in results {
                tracker.observe(result);
                if result != CheckResult::Inconclusive {
                    prop_assert_ne!(tracker.state(), State::Unknown);
                }
            }
        }
    }
}
