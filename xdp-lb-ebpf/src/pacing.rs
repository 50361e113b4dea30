//! How many answers of its own a CPU sends: a token bucket in one word.

/// What may be saved up in quiet times, in nanoseconds' worth of answers.
const BURST: u64 = 50_000_000;

/// Whether an answer may be sent at `now`; takes a token if so.
///
/// `next` is the time at which the bucket is full again (the "theoretical arrival time" of the generic cell rate
/// algorithm, ITU-T I.371): each answer moves it by `interval`, and it may be ahead of the clock by [`BURST`].
#[inline(always)]
pub const fn admit(next: &mut u64, now: u64, interval: u64) -> bool {
    if *next > now + BURST {
        return false;
    }
    *next = if *next > now { *next } else { now } + interval;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Answers in a second of constant demand, from an idle bucket.
    fn admitted(start: u64, interval: u64) -> u64 {
        let mut next = 0;
        (0..100_000).filter(|step| admit(&mut next, start + step * (SECOND / 100_000), interval)).count() as u64
    }

    #[test]
    fn a_second_of_demand_gets_the_rate_and_what_was_saved_up() {
        for rate in [1, 10, 1_000, 20_000] {
            let saved_up = BURST * rate / SECOND + 1;
            for start in [0, 5, 90 * SECOND] {
                let admitted = admitted(start, SECOND / rate);
                assert!((rate..=rate + saved_up).contains(&admitted), "{admitted} answers at {rate} per second");
            }
        }
    }

    #[test]
    fn an_idle_hour_saves_up_no_more_than_a_burst() {
        let mut next = 0;
        assert!(admit(&mut next, 0, SECOND / 1_000));
        let burst = (0..1_000).filter(|_| admit(&mut next, 3_600 * SECOND, SECOND / 1_000)).count();
        assert_eq!(burst, 51);
    }
}
