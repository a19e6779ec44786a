//! The channels of a rule: segments that are literal, any (`*`) or taken from a claim (`{sub}`), and what may follow
//! (`**`). And what is asked for: a channel or a pattern. How the two relate is decided here, segment by segment.
//!
//! `/service/…` and `/meta/…` are met by rules only that begin so in so many words: no wildcard and no claim leads there.

use super::{Subject, who::is_safe};
use crate::bayeux::{ChannelLimits, Pattern};

/// A segment of a rule's channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// This text.
    Literal(Box<str>),
    /// Any text.
    Any,
    /// The value of a claim, with texts around it.
    Claim { before: Box<str>, name: Box<str>, after: Box<str> },
}

/// The channels of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub(super) segments: Vec<Segment>,
    /// Whether one or more segments follow.
    pub(super) deep: bool,
}

/// What may follow the literal segments of what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing: one channel.
    End,
    /// One segment, whichever.
    One,
    /// One or more.
    Deep,
}

/// A channel or pattern that somebody asks for.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    pub(super) prefix: Vec<&'a str>,
    pub(super) tail: Tail,
}

impl<'a> Asked<'a> {
    /// A channel or pattern that was checked before.
    pub fn new(pattern: &'a str) -> Self {
        let (text, tail) = match Pattern::of_valid(pattern) {
            Pattern::Exact(text) => (text, Tail::End),
            Pattern::Children(text) => (text, Tail::One),
            Pattern::Descendants(text) => (text, Tail::Deep),
        };
        Self { prefix: text.split('/').skip(1).collect(), tail }
    }

    /// Whether it is a single channel.
    pub fn is_exact(&self) -> bool {
        self.tail == Tail::End
    }

    fn reserved(&self) -> Option<&'a str> {
        self.prefix.first().copied().filter(|first| is_reserved(first))
    }
}

fn is_reserved(first: &str) -> bool {
    matches!(first, "service" | "meta")
}

impl Shape {
    /// Reads a rule's channel.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, limits: ChannelLimits) -> Result<Self, String> {
        let rest = text.strip_prefix('/').ok_or("must begin with a slash")?;
        let (rest, deep) = match rest.strip_suffix("**") {
            Some("") => return Ok(Self { segments: Vec::new(), deep: true }),
            Some(before) if before.ends_with('/') => (&before[..before.len() - 1], true),
            _ => (rest, false),
        };
        let segments = rest.split('/').map(|segment| Segment::parse(segment, limits)).collect::<Result<Vec<_>, _>>()?;
        if segments.len() > limits.segments {
            return Err(format!("has more than {} segments", limits.segments));
        }
        if matches!(segments.first(), Some(Segment::Literal(first)) if **first == *"meta") {
            return Err("/meta/ belongs to the protocol; say handshake or subscribe".into());
        }
        Ok(Self { segments, deep })
    }

    /// Whether everything that is asked for is in it.
    pub(super) fn covers(&self, asked: &Asked<'_>, subject: &Subject<'_>) -> bool {
        let (own, theirs) = (self.segments.len(), asked.prefix.len());
        let (fits, last) = match asked.tail {
            Tail::End if self.deep => (own < theirs, None),
            Tail::End => (own == theirs, None),
            Tail::One if !self.deep => (own == theirs + 1, self.segments.last()),
            Tail::One | Tail::Deep => (self.deep && own <= theirs, None),
        };
        fits && last.is_none_or(|last| *last == Segment::Any) && self.begins_like(asked, subject, false)
    }

    /// Whether anything that is asked for is in it. `loosely` takes claims for what they say, safe or not: who denies
    /// must not miss anything.
    pub(super) fn overlaps(&self, asked: &Asked<'_>, subject: &Subject<'_>) -> bool {
        let (own, theirs) = (self.segments.len(), asked.prefix.len());
        let fits = match asked.tail {
            Tail::End if self.deep => own < theirs,
            Tail::End => own == theirs,
            Tail::One if self.deep => own <= theirs,
            Tail::One => own == theirs + 1,
            Tail::Deep => self.deep || own > theirs,
        };
        let rest = self.segments.iter().skip(theirs);
        // A pattern that is open at the root does not reach what is reserved.
        let reaches =
            theirs > 0 || !matches!(self.segments.first(), Some(Segment::Literal(first)) if is_reserved(first));
        fits && reaches
            && rest.into_iter().all(|segment| segment.can_be(subject))
            && self.begins_like(asked, subject, true)
    }

    /// Whether the segments that both have fit.
    fn begins_like(&self, asked: &Asked<'_>, subject: &Subject<'_>, loosely: bool) -> bool {
        if let Some(reserved) = asked.reserved()
            && !matches!(self.segments.first(), Some(Segment::Literal(first)) if **first == *reserved)
        {
            return false;
        }
        self.segments.iter().zip(&asked.prefix).all(|(own, text)| own.is(text, subject, loosely))
    }
}

impl Segment {
    fn parse(text: &str, limits: ChannelLimits) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if text.contains('*') {
            return Err("a * stands alone in its segment, and ** at the end".into());
        }
        let Some((before, rest)) = text.split_once('{') else {
            return if text.contains('}') { Err("has a } without {".into()) } else { literal(text, limits) };
        };
        let (name, after) = rest.split_once('}').ok_or("has a { without }")?;
        if name.is_empty() || [before, name, after].concat().contains(['{', '}']) {
            return Err("a segment holds one claim in braces, like {sub} or team-{team}".into());
        }
        for part in [before, after].into_iter().filter(|part| !part.is_empty()) {
            literal(part, limits)?;
        }
        Ok(Self::Claim { before: before.into(), name: name.into(), after: after.into() })
    }

    fn is(&self, text: &str, subject: &Subject<'_>, loosely: bool) -> bool {
        match self {
            Self::Literal(own) => **own == *text,
            Self::Any => true,
            Self::Claim { before, name, after } => {
                let value = text.strip_prefix(&**before).and_then(|rest| rest.strip_suffix(&**after));
                value.is_some_and(|value| {
                    subject.claims_text(name, |claim| claim == value && (loosely || is_safe(claim)))
                })
            }
        }
    }

    /// Whether any text fits at all.
    fn can_be(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::Claim { name, .. } => subject.claims_text(name, |claim| !claim.is_empty() && !claim.contains('/')),
            _ => true,
        }
    }
}

fn literal(text: &str, limits: ChannelLimits) -> Result<Segment, String> {
    match Pattern::parse(&format!("/{text}"), limits) {
        Some(Pattern::Exact(_)) => Ok(Segment::Literal(text.into())),
        _ => Err(format!("\"{text}\" is no segment of a channel")),
    }
}
