//! One rule, compiled from its settings: what it is about and whether it concerns somebody. Held by `set`, asked there and by
//! `mark`. Knows nothing of other rules.

use super::{Action, Asked, Shape, Subject, Who};
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

impl Rule {
    /// Reads a rule; `place` is what it is called in the configuration.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(place: String, settings: &RuleSettings) -> Result<Self, String> {
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

    /// Whether everything that is asked for is in its channels.
    pub(super) fn covers(&self, asked: Option<&Asked<'_>>, subject: &Subject<'_>) -> bool {
        asked.zip(self.shape.as_ref()).is_none_or(|(asked, shape)| shape.covers(asked, subject))
    }

    /// Whether anything that is asked for is in its channels.
    pub(super) fn overlaps(&self, asked: Option<&Asked<'_>>, subject: &Subject<'_>) -> bool {
        asked.zip(self.shape.as_ref()).is_none_or(|(asked, shape)| shape.overlaps(asked, subject))
    }
}
