//! The settings as they were given, before they are fitted to types: a tree whose every node knows where it came from.
//!
//! Built by `layers`, read by `fit`, asked for origins by `effective`. Never reads a file or the environment, and never
//! knows what a key means.

use std::{collections::BTreeMap, fmt, sync::Arc};

/// Where a value came from. A later layer wins over an earlier one: default, file, environment, flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the configuration file.
    File {
        /// The file as it was named.
        name: Arc<str>,
        /// Counted from 1; 0 when the whole file is meant.
        line: usize,
    },
    /// An environment variable, by its name.
    Environment(String),
    /// A flag of the command line, as it was typed but for its value.
    Flag(String),
}

impl Origin {
    /// Whether two values came from the same file, variable or flag.
    pub(super) fn same_source(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File { name: a, .. }, Self::File { name: b, .. }) => a == b,
            (a, b) => a == b,
        }
    }

    /// Orders problems: by layer, and within the file by line.
    pub(super) fn rank(&self) -> (u8, usize) {
        match self {
            Self::Default => (0, 0),
            Self::File { line, .. } => (1, *line),
            Self::Environment(_) => (2, 0),
            Self::Flag(_) => (3, 0),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, line: 0 } => f.write_str(name),
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// One step from a table or list to what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// A way through the tree, written `rule[2].allow`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(pub(super) Vec<Step>);

impl Path {
    pub(super) fn child(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    pub(super) fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// The path that a dotted key with optional indices names; what a room's `validate` reports is written that way.
    pub(super) fn of_dotted(key: &str) -> Self {
        let mut steps = Vec::new();
        for part in key.split('.') {
            let mut pieces = part.split('[');
            steps.extend(pieces.next().filter(|name| !name.is_empty()).map(|name| Step::Key(name.into())));
            steps.extend(pieces.filter_map(|index| index.trim_end_matches(']').parse().ok()).map(Step::Index));
        }
        Self(steps)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if i == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A given value or table.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) origin: Origin,
    /// What was typed, when the source is untyped text (a variable, a flag) and `kind` is only the first reading of it.
    pub(super) text: Option<String>,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Table(BTreeMap<String, Node>),
    /// By index rather than in a `Vec`, so that taking out a bad element does not rename the ones behind it.
    List(BTreeMap<usize, Node>),
    /// Never a table or an array.
    Scalar(toml::Value),
}

impl Node {
    pub(super) fn table(origin: Origin) -> Self {
        Self { origin, text: None, kind: Kind::Table(BTreeMap::new()) }
    }

    /// Lays `over` on top: tables are merged key by key, everything else is replaced whole.
    pub(super) fn merge(&mut self, over: Self) {
        match (&mut self.kind, over.kind) {
            (Kind::Table(below), Kind::Table(above)) => {
                for (key, node) in above {
                    match below.get_mut(&key) {
                        Some(existing) => existing.merge(node),
                        None => drop(below.insert(key, node)),
                    }
                }
            }
            (_, kind) => *self = Self { kind, origin: over.origin, text: over.text },
        }
    }

    fn child(&self, step: &Step) -> Option<&Self> {
        match (&self.kind, step) {
            (Kind::Table(entries), Step::Key(key)) => entries.get(key),
            (Kind::List(entries), Step::Index(index)) => entries.get(index),
            _ => None,
        }
    }

    fn child_mut(&mut self, step: &Step) -> Option<&mut Self> {
        match (&mut self.kind, step) {
            (Kind::Table(entries), Step::Key(key)) => entries.get_mut(key),
            (Kind::List(entries), Step::Index(index)) => entries.get_mut(index),
            _ => None,
        }
    }

    /// The node at `path`.
    pub(super) fn at(&self, path: &Path) -> Option<&Self> {
        path.0.iter().try_fold(self, |node, step| node.child(step))
    }

    /// The node at `path`, to change it.
    pub(super) fn at_mut(&mut self, path: &Path) -> Option<&mut Self> {
        path.0.iter().try_fold(self, |node, step| node.child_mut(step))
    }

    /// Takes out the node at `path`; says whether there was one.
    pub(super) fn remove(&mut self, path: &Path) -> bool {
        let Some((last, above)) = path.0.split_last() else { return false };
        match (self.at_mut(&Path(above.to_vec())).map(|node| &mut node.kind), last) {
            (Some(Kind::Table(entries)), Step::Key(key)) => entries.remove(key).is_some(),
            (Some(Kind::List(entries)), Step::Index(index)) => entries.remove(index).is_some(),
            _ => false,
        }
    }

    /// One origin for each source that gave something at or below this node.
    pub(super) fn sources(&self) -> Vec<Origin> {
        let mut found = Vec::new();
        self.collect_sources(&mut found);
        found
    }

    fn collect_sources(&self, found: &mut Vec<Origin>) {
        if !found.iter().any(|origin: &Origin| origin.same_source(&self.origin)) {
            found.push(self.origin.clone());
        }
        match &self.kind {
            Kind::Table(entries) => entries.values().for_each(|node| node.collect_sources(found)),
            Kind::List(entries) => entries.values().for_each(|node| node.collect_sources(found)),
            Kind::Scalar(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_and_read_the_same_way() {
        for text in ["broker.timeout", "rule[2].allow", "a[0][1].b.c", "x"] {
            assert_eq!(Path::of_dotted(text).to_string(), text);
        }
    }

    #[test]
    fn removing_an_element_does_not_rename_the_next() {
        let scalar = |n: i64| Node { origin: Origin::Default, text: None, kind: Kind::Scalar(n.into()) };
        let mut list =
            Node { origin: Origin::Default, text: None, kind: Kind::List([(0, scalar(0)), (1, scalar(1))].into()) };
        assert!(list.remove(&Path(vec![Step::Index(0)])));
        assert!(list.child(&Step::Index(1)).is_some());
        assert!(!list.remove(&Path(vec![Step::Index(0)])));
    }
}
