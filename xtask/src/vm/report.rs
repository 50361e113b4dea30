//! What the console of the virtual machine says, and what follows from it.

use std::fmt::Write;

use anyhow::{Result, bail};
use serde_json::{Value, json};

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    kernel: Option<String>,
    /// Kernel, program and verified instructions, as `tests/packet/verified.txt` has them.
    verified: Vec<(String, String, u64)>,
    failed: Vec<String>,
    passed: u64,
    complete: bool,
}

impl Report {
    /// Takes a line of the console.
    pub(super) fn read(&mut self, line: &str) {
        if let Some(release) = line.strip_prefix("vm: kernel ") {
            self.kernel = Some(release.to_owned());
        } else if line == "vm: ok" {
            self.complete = true;
        } else if let Some((_, words)) = line.split_once("verified: ") {
            self.verified.extend(verified(words));
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += counted(counts, "passed").unwrap_or_default();
        } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failed.push(name.to_owned());
        }
    }

    /// One JSON object.
    pub(super) fn to_json(&self) -> Value {
        let verified: Vec<_> = self
            .verified
            .iter()
            .map(|(_, program, instructions)| json!({"program": program, "verified_instructions": instructions}))
            .collect();
        let Self { kernel, passed, failed, complete, .. } = self;
        json!({"ok": complete, "kernel": kernel, "programs": verified, "passed": passed, "failed": failed})
    }

    /// The same for a person.
    pub(super) fn to_table(&self) -> String {
        let mut table = format!("\n{:<10}  {:<24}  verified instructions\n", "kernel", "program");
        for (kernel, program, instructions) in &self.verified {
            // Writing to a string cannot fail.
            let _ = writeln!(table, "{kernel:<10}  {program:<24}  {instructions:>21}");
        }
        let _ = writeln!(table, "\n{} packet tests passed", self.passed);
        table
    }

    /// Fails unless the machine came up, and all tests passed.
    pub(super) fn verdict(&self) -> Result<()> {
        let Some(kernel) = &self.kernel else {
            bail!("the machine did not come up; the lines above are what it said");
        };
        if !self.complete {
            bail!("tests failed on kernel {kernel}: {}; the lines above say why", self.failed.join(", "));
        }
        eprintln!("All passed on kernel {kernel}.");
        Ok(())
    }
}

/// The words of `KERNEL PROGRAM NUMBER`.
fn verified(words: &str) -> Option<(String, String, u64)> {
    let mut words = words.split_whitespace();
    Some((words.next()?.to_owned(), words.next()?.to_owned(), words.next()?.parse().ok()?))
}

/// The number in front of a word, as in `ok. 3 passed; 0 failed`.
fn counted(text: &str, what: &str) -> Option<u64> {
    let words: Vec<_> = text.split([' ', ';']).collect();
    words.windows(2).find(|pair| pair[1] == what)?[0].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lines: &[&str]) -> Report {
        let mut report = Report::default();
        for line in lines {
            report.read(line);
        }
        report
    }

    #[test]
    fn a_machine_that_says_ok_has_passed() {
        let report = report(&[
            "vm: kernel 6.1.0-56-cloud-amd64",
            "test verified::grows ... verified: 6.1 decapsulator 812",
            "test result: ok. 86 passed; 0 failed; 0 ignored",
            "vm: ok",
        ]);
        assert!(report.verdict().is_ok());
        assert_eq!(
            report.to_json(),
            json!({
                "ok": true,
                "kernel": "6.1.0-56-cloud-amd64",
                "programs": [{"program": "decapsulator", "verified_instructions": 812}],
                "passed": 86,
                "failed": [],
            })
        );
    }

    #[test]
    fn a_failed_test_is_named() {
        let report = report(&["vm: kernel 6.1.0", "test echo::answers ... FAILED", "vm: failed"]);
        let error = report.verdict().expect_err("a test failed").to_string();
        assert!(error.contains("echo::answers"), "{error}");
    }

    #[test]
    fn a_machine_that_never_came_up_has_not_passed() {
        assert!(report(&["Kernel panic"]).verdict().is_err());
    }
}
