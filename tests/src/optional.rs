//! Programs that tests can do without on a machine that `cargo xtask setup` has not given everything.

use std::{env, process::Command};

/// Set by `cargo xtask test --all`: then nothing may be missing.
const ALL: &str = "XDP_LB_TEST_ALL";

/// Whether a test can use the program; says so in the test's output if not.
///
/// # Panics
///
/// If the program is missing although everything should be there.
pub fn is_there(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let is_there = found.is_ok_and(|output| output.status.success());
    assert!(is_there || env::var_os(ALL).is_none(), "{program} is missing: run `cargo xtask setup --all`");
    if !is_there {
        eprintln!("skipped: {program} is not installed; `cargo xtask test --all` installs it");
    }
    is_there
}
