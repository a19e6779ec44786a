//! The three layers above the defaults, each turned into a tree: the TOML file, the environment, the flags.
//!
//! Called by `load` alone. Never fits a value to a type: text from the environment or a flag is read as TOML where that
//! works, and `fit` falls back to the text itself where the reading does not fit.

use super::{
    problems::Problem,
    tree::{Kind, Node, Origin},
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};
use toml::{
    Spanned, Value,
    de::{DeTable, DeValue, ValueDeserializer},
};

/// What environment variables that set something begin with; the next `__` separates section from key.
pub const ENVIRONMENT_PREFIX: &str = "BAYEUXD__";

/// One setting of the command line.
#[derive(Clone, Debug)]
pub struct Flag {
    /// The flag as it was typed, without its value, for messages.
    pub name: String,
    /// The dotted key.
    pub key: String,
    /// The value as text.
    pub value: String,
}

impl Flag {
    /// Reads the argument of `--set`.
    ///
    /// # Errors
    /// When it has no `=`.
    pub fn set(argument: &str) -> Result<Self, String> {
        let (key, value) = argument
            .split_once('=')
            .ok_or_else(|| format!("\"{argument}\" is not key=value, like broker.timeout=30s"))?;
        Ok(Self { name: format!("--set {}", key.trim()), key: key.trim().into(), value: value.trim().into() })
    }
}

/// The tree of a TOML text. What cannot be parsed is a problem with its line; the lines around it still count.
pub(super) fn file(name: &str, text: &str, problems: &mut Vec<Problem>) -> Node {
    let name: Arc<str> = name.into();
    let (table, errors) = DeTable::parse_recoverable(text);
    let lines = Lines { name: name.clone(), text };
    let mut unreadable = BTreeSet::new();
    for error in errors {
        let line = lines.of(&error.span().unwrap_or(0..0));
        // The parser stumbles on over the rest of a bad line; one message a line tells enough.
        if unreadable.insert(line) {
            let origin = Origin::File { name: name.clone(), line };
            problems.push(Problem::new(origin, "", format!("not TOML: {}", error.message())));
        }
    }
    lines.table(Origin::File { name: name.clone(), line: 1 }, table.into_inner(), &unreadable, problems)
}

struct Lines<'a> {
    name: Arc<str>,
    text: &'a str,
}

impl Lines<'_> {
    fn of(&self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    fn origin(&self, span: &Range<usize>) -> Origin {
        Origin::File { name: self.name.clone(), line: self.of(span) }
    }

    fn table(
        &self,
        origin: Origin,
        table: DeTable<'_>,
        unreadable: &BTreeSet<usize>,
        problems: &mut Vec<Problem>,
    ) -> Node {
        let mut entries = BTreeMap::new();
        for (key, value) in table {
            let (line, at) = (self.of(&key.span()), self.origin(&key.span()));
            // A line that is not TOML was reported as such; what the parser guessed of it is worth nothing.
            if !unreadable.contains(&line) {
                let node = self.value(at, value, unreadable, problems);
                entries.extend(node.map(|node| (key.into_inner().into_owned(), node)));
            }
        }
        Node { origin, text: None, kind: Kind::Table(entries) }
    }

    /// The node of a value; nothing when it is a number that does not fit into a machine's.
    fn value(
        &self,
        origin: Origin,
        value: Spanned<DeValue<'_>>,
        unreadable: &BTreeSet<usize>,
        problems: &mut Vec<Problem>,
    ) -> Option<Node> {
        let span = value.span();
        let kind = match value.into_inner() {
            DeValue::Table(table) => return Some(self.table(origin, table, unreadable, problems)),
            DeValue::Array(array) => {
                let node = |item: Spanned<DeValue<'_>>| {
                    let origin = self.origin(&item.span());
                    self.value(origin, item, unreadable, problems)
                };
                Kind::List(array.into_iter().filter_map(node).enumerate().collect())
            }
            scalar => match Value::deserialize(ValueDeserializer::from(Spanned::new(span, scalar))) {
                Ok(value) => Kind::Scalar(value),
                Err(_) => {
                    problems.push(Problem::new(origin, "", "the number is too large for TOML".into()));
                    return None;
                }
            },
        };
        Some(Node { origin, text: None, kind })
    }
}

/// The tree of those variables that begin with [`ENVIRONMENT_PREFIX`], in any case of letters.
pub(super) fn environment(variables: impl IntoIterator<Item = (String, String)>, problems: &mut Vec<Problem>) -> Node {
    let mut root = Node::table(Origin::Default);
    for (name, value) in variables {
        let is_ours = name.get(..ENVIRONMENT_PREFIX.len()).is_some_and(|p| p.eq_ignore_ascii_case(ENVIRONMENT_PREFIX));
        if is_ours {
            let key = name[ENVIRONMENT_PREFIX.len()..].to_ascii_lowercase().replace("__", ".");
            given(&mut root, &key, &value, Origin::Environment(name), problems);
        }
    }
    root
}

/// The tree of the flags; a later flag wins over an earlier one.
pub(super) fn flags(flags: &[Flag], problems: &mut Vec<Problem>) -> Node {
    let mut root = Node::table(Origin::Default);
    for flag in flags {
        given(&mut root, &flag.key, &flag.value, Origin::Flag(flag.name.clone()), problems);
    }
    root
}

/// Lays one value given as text at its dotted key.
fn given(root: &mut Node, key: &str, value: &str, origin: Origin, problems: &mut Vec<Problem>) {
    let parts: Vec<&str> = key.split('.').map(str::trim).collect();
    if parts.iter().any(|part| part.is_empty()) {
        problems.push(Problem::new(origin, key, "is not a key like broker.timeout".into()));
        return;
    }
    let leaf = parts.iter().rev().fold(from_text(value, &origin), |below, part| {
        let mut table = Node::table(origin.clone());
        table.kind = Kind::Table([((*part).to_owned(), below)].into());
        table
    });
    root.merge(leaf);
}

/// Reads text as TOML where that works, and keeps the text as the second reading.
fn from_text(text: &str, origin: &Origin) -> Node {
    match text.trim().parse::<Value>() {
        Ok(value) => Node { text: Some(text.to_owned()), ..from_value(value, origin) },
        Err(_) => from_value(Value::String(text.to_owned()), origin),
    }
}

fn from_value(value: Value, origin: &Origin) -> Node {
    let kind = match value {
        Value::Table(table) => Kind::Table(table.into_iter().map(|(k, v)| (k, from_value(v, origin))).collect()),
        Value::Array(array) => Kind::List(array.into_iter().map(|v| from_value(v, origin)).enumerate().collect()),
        scalar => Kind::Scalar(scalar),
    };
    Node { origin: origin.clone(), text: None, kind }
}
