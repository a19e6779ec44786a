//! A list of rules, compiled: by action, allowing and denying apart, each with an index.

use super::{
    Action, Asked, Subject,
    compiled::Rule,
    index::{Index, Relation},
    mark::{Marks, Own},
};
use crate::access::settings::RuleSettings;

/// What a list of rules says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The rule that decides.
    pub rule: &'a str,
}

/// Rules in their order.
#[derive(Debug, Default)]
pub struct RuleSet {
    pub(super) rules: Vec<Rule>,
    allow: [Index; Action::ALL.len()],
    deny: [Index; Action::ALL.len()],
    marks: Marks,
}

impl RuleSet {
    /// Compiles rules; `place` is what their list is called in the configuration.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn new(place: &str, settings: &[RuleSettings]) -> Result<Self, String> {
        let mut set = Self::default();
        for (number, settings) in settings.iter().enumerate() {
            let place = format!("{place}[{number}]");
            set.rules.push(Rule::new(place.clone(), settings).map_err(|why| format!("{place}: {why}"))?);
        }
        let marks = set.marks.of(&set.rules);
        for ((number, rule), marks) in (0..).zip(&set.rules).zip(&marks) {
            for action in &rule.actions {
                // A handshake is about no channel, whatever else the rule is about.
                let shape = rule.shape.as_ref().filter(|_| *action != Action::Handshake);
                let indices = if rule.allows { &mut set.allow } else { &mut set.deny };
                indices[*action as usize].insert(number, shape, marks.as_deref());
            }
        }
        Ok(set)
    }

    /// Whether any rule allows the action to anybody.
    pub fn ever_allows(&self, action: Action) -> bool {
        self.rules.iter().any(|rule| rule.allows && rule.actions.contains(&action))
    }

    /// What the first rule says that matches; `None` when none does.
    ///
    /// A pattern is allowed by a rule that covers it, unless one before denies anything that it could match.
    pub fn decide(&self, action: Action, asked: Option<&Asked<'_>>, subject: &Subject<'_>) -> Option<Decision<'_>> {
        let asked = asked.filter(|_| action != Action::Handshake);
        let rule = |number: u32| self.rules.get(number as usize);
        let own = Own::new(&self.marks, subject);
        let allowed = self.allow[action as usize].first(asked, &own, Relation::Covers, u32::MAX, |number| {
            rule(number).is_some_and(|rule| rule.covers(asked, subject) && rule.is_about(subject))
        });
        let limit = allowed.unwrap_or(u32::MAX);
        let denied = self.deny[action as usize].first(asked, &own, Relation::Overlaps, limit, |number| {
            rule(number).is_some_and(|rule| rule.overlaps(asked, subject) && rule.is_about(subject))
        });
        let decides = rule(denied.or(allowed)?)?;
        Some(Decision { allowed: denied.is_none(), rule: &decides.name })
    }
}
