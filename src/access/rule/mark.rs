//! What tells rules for the same channels apart: the names, roles and claims that they ask for. By these marks a rule is found
//! among a thousand that differ in nothing else.
//!
//! Made from rules at the start and from whoever asks at each decision, by `set`. A mark that fits says nothing yet: the
//! rule is still checked in full, so two that are equal by chance cost time only.

use super::{Subject, Who, compiled::Rule};
use foldhash::fast::RandomState;
use serde_json::Value;
use std::{cell::OnceCell, collections::HashMap, hash::BuildHasher};

/// Something that a rule asks for, or that somebody has.
pub(super) type Mark = u64;

/// What rules are marked with, and the numbers of the rules so far.
#[derive(Debug, Default)]
pub(super) struct Marks {
    hasher: RandomState,
    /// The claims that some rule is marked with.
    claims: Vec<Box<str>>,
}

/// The marks of somebody who asks, made when they are first needed.
pub(super) struct Own<'a> {
    marks: &'a Marks,
    subject: &'a Subject<'a>,
    made: OnceCell<Vec<Mark>>,
}

/// Numbers of rules, in order; those with marks apart.
#[derive(Debug, Default)]
pub(super) struct Group {
    unmarked: Vec<u32>,
    marked: HashMap<Mark, Vec<u32>, RandomState>,
}

impl Marks {
    /// The marks to file each rule under, one of which everybody has whom it is about; `None` where nothing tells. Of two
    /// ways the one is taken that fewer rules share.
    pub(super) fn of(&mut self, rules: &[Rule]) -> Vec<Option<Vec<Mark>>> {
        let ways: Vec<_> = rules.iter().map(|rule| self.ways(rule)).collect();
        let mut shared: HashMap<Mark, usize, RandomState> = HashMap::default();
        for mark in ways.iter().flatten().flat_map(|(_, marks)| marks) {
            *shared.entry(*mark).or_default() += 1;
        }
        let cost = |marks: &[Mark]| marks.iter().filter_map(|mark| shared.get(mark)).sum::<usize>();
        let mut best = Vec::new();
        for ways in ways {
            let way = ways.into_iter().min_by_key(|(_, marks)| cost(marks));
            if let Some((Some(claim), _)) = &way
                && !self.claims.contains(claim)
            {
                self.claims.push(claim.clone());
            }
            best.push(way.map(|(_, marks)| marks));
        }
        best
    }

    /// The ways to mark a rule: by whom it names, and by each of its claims.
    fn ways(&self, rule: &Rule) -> Vec<(Option<Box<str>>, Vec<Mark>)> {
        let named: Option<Vec<Mark>> = rule.who.iter().map(|who| self.named(who)).collect();
        let claims = rule.when.iter().filter_map(|(claim, wanted)| {
            let marks: Option<Vec<Mark>> = values(wanted).iter().map(|value| self.claimed(claim, value)).collect();
            Some((Some(claim.as_str().into()), marks?))
        });
        let named = named.filter(|marks| !marks.is_empty()).map(|marks| (None, marks));
        named.into_iter().chain(claims).collect()
    }

    fn named(&self, who: &Who) -> Option<Mark> {
        match who {
            Who::Anyone | Who::Anonymous | Who::User(None) | Who::Key(None) => None,
            Who::User(Some(name)) => Some(self.hasher.hash_one(("user", &**name))),
            Who::Key(Some(name)) => Some(self.hasher.hash_one(("key", &**name))),
            Who::Role(name) => Some(self.hasher.hash_one(("role", &**name))),
        }
    }

    /// The mark of a claim's value, if it is one that is simply compared.
    fn claimed(&self, claim: &str, value: &Value) -> Option<Mark> {
        let simple = !value.is_array() && !value.is_object();
        simple.then(|| self.hasher.hash_one(("claim", claim, value)))
    }

    fn all_of(&self, subject: &Subject<'_>) -> Vec<Mark> {
        let identity = subject.identity;
        let user = identity.user.iter().map(|name| self.hasher.hash_one(("user", &**name)));
        let key = identity.key.iter().map(|name| self.hasher.hash_one(("key", &**name)));
        let roles = subject.roles.iter().map(|name| self.hasher.hash_one(("role", name.as_str())));
        let claims = self.claims.iter().filter_map(|claim| Some((claim, values(subject.claim(claim)?))));
        let claims = claims.flat_map(|(claim, values)| values.iter().filter_map(|value| self.claimed(claim, value)));
        user.chain(key).chain(roles).chain(claims).collect()
    }
}

/// The values of a list, or the one that is none.
fn values(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

impl<'a> Own<'a> {
    /// Of whoever asks.
    pub(super) fn new(marks: &'a Marks, subject: &'a Subject<'a>) -> Self {
        Self { marks, subject, made: OnceCell::new() }
    }

    fn all(&self) -> &[Mark] {
        self.made.get_or_init(|| self.marks.all_of(self.subject))
    }
}

impl Group {
    /// Adds a rule; numbers must grow.
    pub(super) fn push(&mut self, number: u32, marks: Option<&[Mark]>) {
        match marks {
            None => self.unmarked.push(number),
            Some(marks) => marks.iter().for_each(|mark| self.marked.entry(*mark).or_default().push(number)),
        }
    }

    /// The first rule before `limit` that fits, of those that can be about this one; `limit` when there is none.
    pub(super) fn first(&self, own: &Own<'_>, limit: u32, fits: &mut impl FnMut(u32) -> bool) -> u32 {
        let mut best = limit;
        let mut look = |numbers: &[u32]| {
            let before = numbers.iter().copied().take_while(|number| *number < best);
            if let Some(found) = before.into_iter().find(|number| fits(*number)) {
                best = found;
            }
        };
        look(&self.unmarked);
        if !self.marked.is_empty() {
            own.all().iter().filter_map(|mark| self.marked.get(mark)).for_each(|numbers| look(numbers));
        }
        best
    }
}
