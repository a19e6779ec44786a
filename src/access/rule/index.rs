//! Finds the few rules that can match a channel among many: a tree of their segments. What it offers is checked in full
//! by `set`, so that it can only be too generous, and only in time.

use super::{
    mark::{Group, Mark, Own},
    shape::{Asked, Segment, Shape, Tail},
};
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Numbers of rules by their channels.
#[derive(Debug)]
pub(super) struct Index {
    /// The rules about all channels, in order.
    all: Group,
    root: Node,
}

impl Default for Index {
    fn default() -> Self {
        Self { all: Group::default(), root: Node::new() }
    }
}

/// The rules that share their first segments.
#[derive(Debug)]
struct Node {
    /// The first of all rules here and below.
    first: u32,
    literal: HashMap<Box<str>, Node, RandomState>,
    /// Below a segment that is not literal.
    open: Option<Box<Node>>,
    ends: Group,
    deep: Group,
}

/// What of a rule's channels must be asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// They hold everything.
    Covers,
    /// They hold anything.
    Overlaps,
}

/// A walk that looks for the first rule.
struct Search<'a, F> {
    asked: &'a Asked<'a>,
    own: &'a Own<'a>,
    relation: Relation,
    fits: F,
    best: u32,
}

impl Index {
    /// Adds a rule; numbers must grow.
    pub(super) fn insert(&mut self, number: u32, shape: Option<&Shape>, marks: Option<&[Mark]>) {
        match shape {
            None => self.all.push(number, marks),
            Some(shape) => self.root.insert(number, &shape.segments, shape.deep, marks),
        }
    }

    /// The first rule before `limit` that fits.
    pub(super) fn first(
        &self,
        asked: Option<&Asked<'_>>,
        own: &Own<'_>,
        relation: Relation,
        limit: u32,
        mut fits: impl FnMut(u32) -> bool,
    ) -> Option<u32> {
        let among_all = self.all.first(own, limit, &mut fits);
        let best = match asked {
            None => among_all,
            Some(asked) => {
                let mut search = Search { asked, own, relation, fits, best: among_all };
                search.look(&self.root, 0);
                search.best
            }
        };
        (best < limit).then_some(best)
    }
}

impl Node {
    fn new() -> Self {
        Self {
            first: u32::MAX,
            literal: HashMap::default(),
            open: None,
            ends: Group::default(),
            deep: Group::default(),
        }
    }

    fn insert(&mut self, number: u32, segments: &[Segment], deep: bool, marks: Option<&[Mark]>) {
        self.first = self.first.min(number);
        match segments.split_first() {
            None if deep => self.deep.push(number, marks),
            None => self.ends.push(number, marks),
            Some((Segment::Literal(text), rest)) => {
                self.literal.entry(text.clone()).or_insert_with(Self::new).insert(number, rest, deep, marks);
            }
            Some((_, rest)) => self.open.get_or_insert_with(|| Box::new(Self::new())).insert(number, rest, deep, marks),
        }
    }
}

impl<F: FnMut(u32) -> bool> Search<'_, F> {
    /// Looks at a node `depth` segments below the root.
    fn look(&mut self, node: &Node, depth: usize) {
        if node.first >= self.best {
            return;
        }
        let (own, tail) = (self.asked.prefix.len(), self.asked.tail);
        let deep = match (tail, self.relation) {
            (Tail::End, _) => depth < own,
            (Tail::Deep, Relation::Overlaps) => true,
            _ => depth <= own,
        };
        let ends = match (tail, self.relation) {
            (Tail::End, _) => depth == own,
            (Tail::One, _) => depth == own + 1,
            (Tail::Deep, Relation::Overlaps) => depth > own,
            (Tail::Deep, Relation::Covers) => false,
        };
        for group in [deep.then_some(&node.deep), ends.then_some(&node.ends)].into_iter().flatten() {
            self.best = group.first(self.own, self.best, &mut self.fits);
        }
        if let Some(text) = self.asked.prefix.get(depth) {
            if let Some(below) = node.literal.get(*text) {
                self.look(below, depth + 1);
            }
        } else if self.relation == Relation::Overlaps && (tail == Tail::Deep || tail == Tail::One && depth == own) {
            node.literal.values().for_each(|below| self.look(below, depth + 1));
        }
        if depth < own || tail == Tail::One && depth == own || tail == Tail::Deep && self.relation == Relation::Overlaps
        {
            node.open.iter().for_each(|below| self.look(below, depth + 1));
        }
    }
}
