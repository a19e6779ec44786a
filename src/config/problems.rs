//! What is wrong with a configuration, in words: every problem with its place, its key and the way out.
//!
//! Made by `layers`, `mend` and `load`; printed by `cli`. Never shows the value of a secret.

use super::{
    effective::is_secret,
    fit::{Misfit, Reason},
    tree::{Origin, Path, Step},
};
use std::fmt;

/// How alike two names must be (0 to 1) for one to be offered in place of the other.
const ALIKE: f64 = 0.6;
/// How alike when the key belongs to another section.
const ALIKE_ELSEWHERE: f64 = 0.8;

/// One thing to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file and line, the variable or the flag.
    pub origin: Origin,
    /// The dotted key; empty when no key could be read.
    pub key: String,
    /// What is wrong and what would be right.
    pub text: String,
}

impl Problem {
    pub(super) fn new(origin: Origin, key: impl ToString, text: String) -> Self {
        Self { origin, key: key.to_string(), text }
    }

    /// Puts a misfit into words; `every_key` holds all dotted keys there are.
    pub(super) fn of_misfit(origin: Origin, misfit: &Misfit, every_key: &[String]) -> Self {
        let text = match &misfit.reason {
            Reason::UnknownKey { known } => unknown_key(&misfit.path, known, every_key),
            Reason::MissingKey(key) => format!("misses the key {key}"),
            Reason::Wrong { expected, .. } | Reason::Other(expected) if is_secret(&misfit.path) => {
                let hint =
                    if matches!(misfit.reason, Reason::Wrong { .. }) { expected.as_str() } else { "something else" };
                format!("expected {hint} (the value is not shown)")
            }
            Reason::UnknownChoice { known, .. } if is_secret(&misfit.path) => format!("expected {}", one_of(known)),
            Reason::Wrong { expected, found } => format!("expected {expected}, found {found}"),
            Reason::UnknownChoice { found, known } => {
                let near = nearest(found, known.iter().copied(), ALIKE);
                let hint = near.map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
                format!("expected {}, found {found:?}{hint}", one_of(known))
            }
            Reason::Other(message) => message.clone(),
        };
        Self::new(origin, &misfit.path, text)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.text)
    }
}

/// Everything that is wrong, at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "{count} {} in the configuration", if count == 1 { "problem" } else { "problems" })?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}

fn one_of(known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|choice| format!("\"{choice}\"")).collect();
    match quoted.as_slice() {
        [only] => only.clone(),
        several => format!("one of {}", several.join(", ")),
    }
}

fn unknown_key(path: &Path, known: &[&str], every_key: &[String]) -> String {
    let Some((Step::Key(name), section)) = path.0.split_last() else { return "unknown key".into() };
    let section = Path(section.to_vec());
    if let Some(sibling) = nearest(name, known.iter().copied(), ALIKE) {
        return format!("unknown key; did you mean {}?", section.child(Step::Key(sibling.into())));
    }
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let elsewhere = every_key.iter().map(|key| (strsim::normalized_damerau_levenshtein(name, &last(key)), key));
    match elsewhere.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((likeness, key)) if likeness >= ALIKE_ELSEWHERE => format!("unknown key; did you mean {key}?"),
        _ if known.is_empty() => "unknown key; this table has none".into(),
        _ => format!("unknown key; known here: {}", known.join(", ")),
    }
}

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>, at_least: f64) -> Option<&'a str> {
    let likeness = |candidate: &str| strsim::normalized_damerau_levenshtein(&name.to_ascii_lowercase(), candidate);
    known
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness >= at_least)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
