//! Errors of a config file, each with its place and its remedy.

use std::fmt;

/// Errors that are kept: whoever has more has a broken template, and the first ones show it.
const MAX_DIAGNOSTICS: usize = 1000;

/// A place in the file: line, then column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// Line.
    pub(super) line: usize,
    /// Column in characters.
    pub(super) column: usize,
}

/// One error of a config file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.line, self.column, self.message, self.remedy)
    }
}

/// Proof that an error is in the report: only [`Report::error`] makes one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported(());

/// A value, or the proof that its error has been reported.
pub(super) type Checked<T> = Result<T, Reported>;

/// A value and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Located<T> {
    /// Where the value begins.
    pub(super) at: Position,
    /// The value.
    pub(super) value: T,
}

/// Collects the errors of a file.
#[derive(Debug, Default)]
pub(super) struct Report {
    diagnostics: Vec<Diagnostic>,
    left_out: usize,
}

impl Report {
    /// Notes an error.
    pub(super) fn error(&mut self, at: Position, message: impl Into<String>, remedy: impl Into<String>) -> Reported {
        self.error_with(at, || (message.into(), remedy.into()))
    }

    /// Notes an error whose message and remedy are made only if they are kept.
    pub(super) fn error_with(&mut self, at: Position, text: impl FnOnce() -> (String, String)) -> Reported {
        if self.diagnostics.len() < MAX_DIAGNOSTICS {
            let Position { line, column } = at;
            let (message, remedy) = text();
            self.diagnostics.push(Diagnostic { line, column, message, remedy });
        } else {
            self.left_out += 1;
        }
        Reported(())
    }

    /// The errors in the order of their places, if there are any.
    pub(super) fn finish(mut self) -> Result<(), Vec<Diagnostic>> {
        self.diagnostics.sort();
        if self.left_out > 0
            && let Some(last) = self.diagnostics.last()
        {
            self.diagnostics.push(Diagnostic {
                message: format!("{} more errors are not shown", self.left_out),
                remedy: "mend these first".to_owned(),
                ..*last
            });
        }
        if self.diagnostics.is_empty() { Ok(()) } else { Err(self.diagnostics) }
    }
}

/// Characters of the file that a message repeats.
const MAX_QUOTED: usize = 60;

/// Text of the file as a message repeats it: in backticks, short, and without characters that would move the cursor of
/// the terminal it is printed on.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("`");
    for (index, character) in text.chars().enumerate() {
        if index == MAX_QUOTED {
            quoted.push_str("...");
            break;
        }
        if character.is_control() { quoted.extend(character.escape_default()) } else { quoted.push(character) }
    }
    quoted.push('`');
    quoted
}
