//! The live table on standard error: redrawn in place on a terminal, a line each second elsewhere.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use crate::tally::Tally;

/// Time between two pictures on a terminal.
const FRAME: Duration = Duration::from_millis(500);
/// Time between two lines elsewhere.
const LINE: Duration = Duration::from_secs(1);
/// Width of a bar that stands for all requests.
const BAR: u64 = 40;

/// Health by backend; `None` while the agent is dead.
type Health = Option<BTreeMap<String, String>>;

/// The table.
#[derive(Debug)]
pub(crate) struct View {
    backends: Vec<String>,
    is_terminal: bool,
    /// Lines of the picture that is on the terminal now.
    drawn: usize,
    /// When the last picture was made, and what was counted then.
    last: Option<(Instant, Counts)>,
}

/// What rates and shares are taken from: they are about the time since the last picture.
#[derive(Clone, Debug, Default)]
struct Counts {
    requests: u64,
    answered: BTreeMap<String, u64>,
}

impl Counts {
    fn of(tally: &Tally) -> Self {
        Self { requests: tally.requests, answered: tally.answered.clone() }
    }

    fn since(&self, earlier: &Self) -> Self {
        let grown = |(name, count): (&String, &u64)| {
            (name.clone(), count - earlier.answered.get(name).copied().unwrap_or_default())
        };
        Self { requests: self.requests - earlier.requests, answered: self.answered.iter().map(grown).collect() }
    }

    fn share(&self, backend: &str) -> u64 {
        self.answered.get(backend).map_or(0, |count| count * 100 / self.answered.values().sum::<u64>().max(1))
    }
}

impl View {
    /// A table with a row for each backend.
    pub(crate) fn new(backends: impl Iterator<Item = String>) -> Self {
        Self { backends: backends.collect(), is_terminal: stderr().is_terminal(), drawn: 0, last: None }
    }

    /// Shows what happened just now.
    pub(crate) fn announce(&mut self, elapsed: Duration, news: &str) {
        self.erase();
        eprintln!("{:5.1} s  {news}", elapsed.as_secs_f64());
    }

    /// Shows the present state if it is time.
    pub(crate) fn refresh(&mut self, tally: &Tally, health: impl FnOnce() -> Health) {
        let now = Instant::now();
        let (since, before) = self.last.get_or_insert_with(|| (tally.start(), Counts::default()));
        let passed = now.duration_since(*since);
        if passed < if self.is_terminal { FRAME } else { LINE } {
            return;
        }
        let counts = Counts::of(tally);
        let recent = counts.since(before);
        self.last = Some((now, counts));
        let head = format!(
            "{:5.1} s  {:>4} requests/s  {:>6} requests  {:>3} failed",
            now.duration_since(tally.start()).as_secs_f64(),
            u128::from(recent.requests) * 1000 / passed.as_millis().max(1),
            tally.requests,
            tally.failed(),
        );
        self.erase();
        let health = health();
        if self.is_terminal {
            let picture = self.table(&head, tally, &recent, &health);
            self.drawn = picture.lines().count();
            eprint!("{picture}");
        } else {
            eprintln!("{head}  {}", self.line(&recent, &health));
        }
    }

    /// Leaves the last picture standing.
    pub(crate) fn end(&mut self) {
        self.drawn = 0;
    }

    fn table(&self, head: &str, tally: &Tally, recent: &Counts, health: &Health) -> String {
        let mut text = format!("{head}\n");
        for backend in &self.backends {
            let share = recent.share(backend);
            let bar = "#".repeat((share * BAR / 100) as usize);
            let answered = tally.answered.get(backend).copied().unwrap_or_default();
            let state = state(health, backend);
            writeln!(text, "  {backend:<8} {answered:>7}  {share:>3} %  {state:<10} {bar}")
                .expect("writing to a string cannot fail");
        }
        text
    }

    fn line(&self, recent: &Counts, health: &Health) -> String {
        let cell = |backend: &String| format!("{backend} {} % {}", recent.share(backend), state(health, backend));
        self.backends.iter().map(cell).collect::<Vec<_>>().join(", ")
    }

    /// Takes the last picture off the terminal.
    fn erase(&mut self) {
        if self.drawn > 0 {
            // Up by that many lines, then clear to the end of the screen (ECMA-48: CPL, ED).
            eprint!("\x1b[{}F\x1b[J", self.drawn);
            self.drawn = 0;
        }
    }
}

fn state<'h>(health: &'h Health, backend: &str) -> &'h str {
    health.as_ref().map_or("no agent", |states| states.get(backend).map_or("unknown", String::as_str))
}
