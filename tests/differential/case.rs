//! Differences that were found, kept as files in `cases/`.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};
use xdp_lb_abi::Reason;
use xdp_lb_tests::model::Config;

use crate::round::{Pair, hex};

/// Packets, the last of which program and model once differed about, and what is right.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// What was wrong.
    given: String,
    /// Names of the reasons that the packets must be counted under.
    reasons: Vec<String>,
    /// The frames in hexadecimal digits.
    frames: Vec<String>,
    config: Config,
}

/// All cases.
pub(crate) fn all() -> Vec<Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("differential/cases");
    let mut cases = Vec::new();
    for entry in fs::read_dir(directory).expect("the directory of cases") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a readable case");
        let read = serde_json::from_str(&text);
        cases.push(read.unwrap_or_else(|error| panic!("{}: {error}", path.display())));
    }
    cases
}

impl Case {
    pub(crate) fn of(config: &Config, frames: &[Vec<u8>], reasons: &[Reason]) -> Self {
        Self {
            given: "say here what was wrong".to_owned(),
            reasons: reasons.iter().map(|reason| reason.name().to_owned()).collect(),
            frames: frames.iter().map(|frame| hex(frame)).collect(),
            config: config.clone(),
        }
    }

    pub(crate) fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("a case can be written")
    }

    /// Compares the two data planes, and both with what is right.
    pub(crate) fn replay(&self) {
        let mut pair = Pair::new(&self.config);
        let frames: Vec<Vec<u8>> = self.frames.iter().map(|digits| bytes(digits)).collect();
        if let Some((_, difference)) = pair.first_difference(&frames) {
            panic!("{}:\n{difference}", self.given);
        }
        let reasons: Vec<&str> = pair.reasons(&frames).into_iter().map(Reason::name).collect();
        assert_eq!(reasons, self.reasons, "{}", self.given);
    }
}

fn bytes(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}
