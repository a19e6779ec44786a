//! How results reach the caller: a line for each case as it ends, and one closing line.
//!
//! Called by the runner. Never decides what a result is.

use crate::transport::Transport;
use clap::ValueEnum;
use serde_json::json;
use std::time::Duration;

/// The shape of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line on stdout; the closing line goes to stderr.
    Json,
}

/// How one case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server does what the contract says.
    Passed,
    /// It does not; what was seen.
    Failed(String),
    /// It was not run; why.
    Skipped(String),
    /// It failed as the file of known differences says; the reason given there.
    Differs(String),
}

/// One case on one transport, done.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The case.
    pub id: &'static str,
    /// The sentence it checks.
    pub contract: &'static str,
    /// Over which transport.
    pub transport: Transport,
    /// How it ended.
    pub outcome: Outcome,
    /// A note beside the outcome: a known difference that is none any more.
    pub note: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// The figures of the closing line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Cases that passed.
    pub passed: usize,
    /// Cases that failed and should not.
    pub failed: usize,
    /// Cases that were not run, or whose failure is a known difference.
    pub skipped: usize,
}

impl Totals {
    /// Counts one verdict.
    pub fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Skipped(_) | Outcome::Differs(_) => self.skipped += 1,
        }
    }

    /// The closing line.
    pub fn line(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

impl Verdict {
    /// The lines for people.
    pub fn text(&self) -> String {
        let name = format!("{}[{}]", self.id, self.transport);
        let mut text = match &self.outcome {
            Outcome::Passed => format!("pass    {name} ({} ms)", self.took.as_millis()),
            Outcome::Failed(seen) => {
                format!("FAIL    {name}\n        contract: {}\n        seen: {seen}", self.contract)
            }
            Outcome::Skipped(reason) => format!("skip    {name}: {reason}"),
            Outcome::Differs(reason) => format!("skip    {name}: known difference: {reason}"),
        };
        if let Some(note) = &self.note {
            text += &format!("\n        note: {note}");
        }
        text
    }

    /// The line for programs.
    pub fn json(&self) -> String {
        let (outcome, detail) = match &self.outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Failed(seen) => ("failed", Some(seen)),
            Outcome::Skipped(reason) => ("skipped", Some(reason)),
            Outcome::Differs(reason) => ("differs", Some(reason)),
        };
        let took = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        json!({"id": self.id, "transport": self.transport.name(), "outcome": outcome, "detail": detail,
               "note": self.note, "contract": self.contract, "ms": took})
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_counts_known_differences_as_skipped() {
        let mut totals = Totals::default();
        for outcome in
            [Outcome::Passed, Outcome::Failed("x".into()), Outcome::Skipped("y".into()), Outcome::Differs("z".into())]
        {
            totals.count(&outcome);
        }
        assert_eq!(totals.line(), "1 passed, 1 failed, 2 skipped");
    }
}
