//! `lb-agent`: entry point of the daemon.
#![forbid(unsafe_code)]

fn main() {}
