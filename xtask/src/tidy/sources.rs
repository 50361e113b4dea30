//! Rules for Rust files that no lint checks.

/// Beyond this a file is hard to read in one go; most split well before.
const LONGEST_FILE: usize = 500;

/// What is wrong with a Rust file, each as the rest of a line that begins with the file's name.
pub(super) fn problems(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        problems.push(format!(": {lines} lines, more than {LONGEST_FILE}; split it"));
    }
    if !text.lines().any(|line| line.starts_with("//!")) {
        problems.push(": no `//!` that says what lives here".into());
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_file_that_introduces_itself_is_in_order() {
        assert!(problems("//! What lives here.\nfn main() {}\n").is_empty());
        assert!(problems("#!/usr/bin/env run\n//! After a first line of another kind.\n").is_empty());
    }

    #[test]
    fn a_file_without_introduction_or_end_is_named() {
        assert_eq!(problems("fn main() {}\n").len(), 1);
        assert_eq!(problems(&"// a line\n".repeat(LONGEST_FILE + 1)).len(), 2);
    }
}
