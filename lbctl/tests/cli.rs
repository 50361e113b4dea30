//! The program as scripts see it: exit codes, and what goes to which stream. No agent and no privileges are needed.

use std::{
    io::Read,
    process::{Command, Output, Stdio},
};

/// `lbctl` on a node where nothing is installed and no agent runs.
fn lbctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lbctl"));
    command.args(["--socket", "/nonexistent/api.sock", "--bpffs", "/proc"]).args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> (Output, String, String) {
    let output = lbctl(arguments).output().expect("lbctl starts");
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    (output, stdout, stderr)
}

#[test]
fn a_failure_has_code_2_and_its_words_on_stderr() {
    for arguments in [
        &["status"][..],
        &["vip", "list", "-o", "json"],
        &["vip", "show", "web"],
        &["backend", "list"],
        &["stats", "--watch"],
        &["explain", "--from", "192.0.2.1:1", "--to", "192.0.2.10:80", "--protocol", "tcp"],
        &["detach", "--yes"],
    ] {
        let (output, stdout, stderr) = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert_eq!(stdout, "", "{arguments:?}");
        assert!(stderr.starts_with("lbctl: ") && stderr.contains("mount -t bpf"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn wrong_usage_has_code_2_and_its_words_on_stderr() {
    let (output, stdout, stderr) = run(&["vip", "frobnicate"]);
    assert_eq!((output.status.code(), stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains("Usage: lbctl vip"), "{stderr}");
}

#[test]
fn the_version_needs_no_agent() {
    let (output, stdout, stderr) = run(&["version", "-o", "json"]);
    assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains(concat!("\"lbctl\": \"", env!("CARGO_PKG_VERSION"), "\"")), "{stdout}");
    assert!(stdout.contains("\"agent\": null"), "{stdout}");
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    // Closed at once, in all likelihood before the first write; if not, the output fits the pipe and nothing fails.
    let mut child =
        lbctl(&["completion", "zsh"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("lbctl starts");
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("text");
    assert_eq!((child.wait().expect("lbctl ends").code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let (output, stdout, _) = run(&["completion", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(stdout.contains("explain"), "{shell}: {stdout}");
    }
}
