//! A list of rules, compiled: by action, allowing and denying apart, each with an index.

use super::{
    Action, Asked, Shape, Subject, Who,
    index::{Index, Relation},
    mark::{Marks, Own},
};
use crate::{access::settings::RuleSettings, bayeux::ChannelLimits};
use serde_json::{Map, Value};

/// A rule, ready to be asked.
#[derive(Debug)]
pub(super) struct Rule {
    /// How the configuration and people name it.
    pub(super) name: String,
    pub(super) allows: bool,
    pub(super) actions: Vec<Action>,
    pub(super) shape: Option<Shape>,
    pub(super) who: Vec<Who>,
    pub(super) when: Map<String, Value>,
}

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

impl Rule {
    fn new(place: String, settings: &RuleSettings) -> Result<Self, String> {
        let shape = settings.channel.as_deref().map(|text| Shape::parse(text, ChannelLimits::default())).transpose()?;
        let name = settings.name.as_deref().map_or_else(|| place.clone(), |name| format!("{place} ({name})"));
        Ok(Self {
            name,
            allows: settings.deny.is_empty(),
            actions: if settings.deny.is_empty() { settings.allow.clone() } else { settings.deny.clone() },
            shape,
            who: settings.who.iter().map(|who| Who::parse(who)).collect::<Result<_, _>>()?,
            when: settings.when.clone(),
        })
    }

    /// Whether it is about this one.
    pub(super) fn is_about(&self, subject: &Subject<'_>) -> bool {
        (self.who.is_empty() || self.who.iter().any(|who| who.is(subject)))
            && (self.when.is_empty() || subject.claims_fit(&self.when))
    }

    pub(super) fn covers(&self, asked: Option<&Asked<'_>>, subject: &Subject<'_>) -> bool {
        asked.zip(self.shape.as_ref()).is_none_or(|(asked, shape)| shape.covers(asked, subject))
    }

    pub(super) fn overlaps(&self, asked: Option<&Asked<'_>>, subject: &Subject<'_>) -> bool {
        asked.zip(self.shape.as_ref()).is_none_or(|(asked, shape)| shape.overlaps(asked, subject))
    }
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
