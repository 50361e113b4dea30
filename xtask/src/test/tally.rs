//! Counts of tests, read from what `cargo test` prints.

use std::time::Duration;

use serde_json::{Value, json};

/// Results so far, suite by suite.
#[derive(Debug, Default)]
pub(super) struct Tally {
    suites: Vec<Suite>,
}

/// One test program, or the documentation tests of one crate.
#[derive(Debug)]
struct Suite {
    name: String,
    /// `None` until its last line has come; a program that crashes never prints it.
    counts: Option<Counts>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Tally {
    /// Takes the next line.
    pub(super) fn read(&mut self, line: &str) {
        let line = line.trim();
        if let Some(name) = suite_name(line) {
            self.suites.push(Suite { name, counts: None });
        } else if let Some(counts) = Counts::parse(line)
            && let Some(suite) = self.suites.last_mut()
        {
            // A suite may print such a line of its own inside a test's output; the last one is the harness's.
            suite.counts = Some(counts);
        }
    }

    /// The report; `passed` is cargo's own word on the whole run.
    pub(super) fn to_json(&self, passed: bool, took: Duration) -> Value {
        let total = self.suites.iter().filter_map(|suite| suite.counts).fold(Counts::default(), Counts::plus);
        let suites: Vec<_> = self.suites.iter().map(Suite::to_json).collect();
        json!({
            "ok": passed,
            "passed": total.passed,
            "failed": total.failed,
            "ignored": total.ignored,
            "seconds": took.as_secs(),
            "suites": suites,
        })
    }
}

impl Suite {
    fn to_json(&self) -> Value {
        let counts = self.counts.unwrap_or_default();
        json!({
            "name": self.name,
            "finished": self.counts.is_some(),
            "passed": counts.passed,
            "failed": counts.failed,
            "ignored": counts.ignored,
        })
    }
}

impl Counts {
    /// From `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |what: &str| rest.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse().ok());
        Some(Self { passed: count("passed")?, failed: count("failed")?, ignored: count("ignored")? })
    }

    fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }
}

/// `Running unittests src/lib.rs (target/debug/deps/xdp_lb-0123456789abcdef)` and `Doc-tests xdp_lb`.
fn suite_name(line: &str) -> Option<String> {
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{name}: documentation"));
    }
    let (source, program) = line.strip_prefix("Running ")?.strip_suffix(')')?.split_once(" (")?;
    let (name, _hash) = program.rsplit('/').next()?.rsplit_once('-')?;
    Some(format!("{name}: {}", source.trim_start_matches("unittests ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(text: &str) -> Value {
        let mut tally = Tally::default();
        text.lines().for_each(|line| tally.read(line));
        tally.to_json(false, Duration::from_secs(3))
    }

    #[test]
    fn suites_are_named_and_counted() {
        let report = tally(
            "     Running unittests src/lib.rs (target/debug/deps/xdp_lb-0123456789abcdef)\n\
             running 4 tests\n\
             test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s\n\
             \n     Running netns/main.rs (target/debug/deps/netns-0123456789abcdef)\n\
             test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 9.00s\n\
             \n   Doc-tests xdp_lb\n\
             test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n",
        );
        assert_eq!((&report["passed"], &report["failed"], &report["ignored"]), (&json!(9), &json!(2), &json!(1)));
        let names: Vec<_> = report["suites"].as_array().into_iter().flatten().map(|suite| &suite["name"]).collect();
        assert_eq!(names, ["xdp_lb: src/lib.rs", "netns: netns/main.rs", "xdp_lb: documentation"]);
    }

    #[test]
    fn a_suite_that_crashes_is_reported_as_unfinished() {
        let report =
            tally("     Running unittests src/lib.rs (target/debug/deps/xdp_lb-0123456789abcdef)\nrunning 4 tests\n");
        assert_eq!(report["suites"][0]["finished"], json!(false));
    }
}
