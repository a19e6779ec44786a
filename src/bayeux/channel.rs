//! Channel names and subscription patterns: their grammar and how they match.
//!
//! Called by the broker for every name that comes in. Never allocates to decide, never looks at sessions.

/// Bounds on names, from the broker's settings.
#[derive(Clone, Copy, Debug)]
pub struct ChannelLimits {
    /// Longest name in bytes.
    pub bytes: usize,
    /// Most segments.
    pub segments: usize,
}

impl Default for ChannelLimits {
    fn default() -> Self {
        Self { bytes: 255, segments: 16 }
    }
}

/// The three kinds of channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    /// `/meta/…`: the protocol itself.
    Meta,
    /// `/service/…`: from one session to the broker, never broadcast.
    Service,
    /// Everything else: to all subscribers.
    Broadcast,
}

/// The kind of a channel, by its first segment.
pub fn kind(name: &str) -> ChannelKind {
    let first = |word: &str| name.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if first("/meta") {
        ChannelKind::Meta
    } else if first("/service") {
        ChannelKind::Service
    } else {
        ChannelKind::Broadcast
    }
}

/// Whether a name is one that can be published to: well formed and without wildcards.
pub fn is_publishable(name: &str, limits: ChannelLimits) -> bool {
    is_well_formed(name, limits) && !matches!(last_segment(name), "*" | "**")
}

fn last_segment(name: &str) -> &str {
    name.rfind('/').map_or(name, |slash| &name[slash + 1..])
}

/// Grammar shared by names and patterns; a wildcard may only be the last segment.
fn is_well_formed(name: &str, limits: ChannelLimits) -> bool {
    if name.len() < 2 || name.len() > limits.bytes || !name.starts_with('/') || !name.bytes().all(is_channel_byte) {
        return false;
    }
    let mut segments = name[1..].split('/').peekable();
    let mut count = 0;
    while let Some(segment) = segments.next() {
        count += 1;
        let wildcard_inside = matches!(segment, "*" | "**") && segments.peek().is_some();
        if segment.is_empty() || wildcard_inside || count > limits.segments {
            return false;
        }
    }
    true
}

/// The union of what CometD and Faye accept.
fn is_channel_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"/-_!~()$@.+#{}* ".contains(&b)
}

/// What a subscription asks for, borrowed from its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern<'a> {
    /// One channel.
    Exact(&'a str),
    /// `/a/*`: one level below the prefix `/a`.
    Children(&'a str),
    /// `/a/**`: one or more levels below the prefix `/a`.
    Descendants(&'a str),
}

impl<'a> Pattern<'a> {
    /// Reads a pattern; `None` when the text is not one.
    pub fn parse(text: &'a str, limits: ChannelLimits) -> Option<Self> {
        if !is_well_formed(text, limits) {
            return None;
        }
        Some(Self::of_valid(text))
    }

    /// The pattern of a text that was checked before, as subscriptions in a session are.
    pub fn of_valid(text: &'a str) -> Self {
        if let Some(prefix) = text.strip_suffix("/**") {
            Self::Descendants(prefix)
        } else if let Some(prefix) = text.strip_suffix("/*") {
            Self::Children(prefix)
        } else {
            Self::Exact(text)
        }
    }

    /// Whether a publishable channel is asked for. Wildcards at the root reach neither `/meta` nor `/service`.
    pub fn matches(self, channel: &str) -> bool {
        if kind(channel) != ChannelKind::Broadcast {
            return false;
        }
        match self {
            Self::Exact(name) => name == channel,
            Self::Children(prefix) => parent(channel) == prefix,
            Self::Descendants(prefix) => {
                channel.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
            }
        }
    }
}

impl Pattern<'_> {
    /// Whether it matches everything that the other one matches.
    pub fn covers(self, other: Pattern<'_>) -> bool {
        match (self, other) {
            (_, Pattern::Exact(name)) => self.matches(name) || self == other,
            (Self::Exact(_), _) | (Self::Children(_), Pattern::Descendants(_)) => false,
            (Self::Children(own), Pattern::Children(theirs)) => own == theirs,
            (Self::Descendants(own), Pattern::Children(theirs) | Pattern::Descendants(theirs)) => is_at(theirs, own),
        }
    }

    /// Whether there is a channel that both match.
    pub fn overlaps(self, other: Pattern<'_>) -> bool {
        match (self, other) {
            (Self::Exact(name), _) => other.matches(name),
            (_, Pattern::Exact(name)) => self.matches(name),
            (Self::Children(own), Pattern::Children(theirs)) => own == theirs,
            (Self::Children(own), Pattern::Descendants(theirs)) => is_at(own, theirs),
            (Self::Descendants(own), Pattern::Children(theirs)) => is_at(theirs, own),
            (Self::Descendants(own), Pattern::Descendants(theirs)) => is_at(own, theirs) || is_at(theirs, own),
        }
    }
}

/// Whether `prefix` is `above` or lies below it.
fn is_at(prefix: &str, above: &str) -> bool {
    prefix.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The name without its last segment; `""` for a name of one segment.
pub fn parent(channel: &str) -> &str {
    channel.rfind('/').map_or("", |slash| &channel[..slash])
}

/// Every proper prefix, longest first, down to `""`: `/a/b/c` gives `/a/b`, `/a`, ``.
pub fn ancestors(channel: &str) -> impl Iterator<Item = &str> {
    std::iter::successors((!channel.is_empty()).then(|| parent(channel)), |prefix| {
        (!prefix.is_empty()).then(|| parent(prefix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ChannelLimits = ChannelLimits { bytes: 255, segments: 16 };

    #[test]
    fn the_union_grammar_is_accepted_and_nothing_else() {
        for good in ["/a", "/foo/bar", "/a b/c", "/-_!~()$@.+#{}", "/foo*", "/x/***", "/a/*", "/**"] {
            assert!(Pattern::parse(good, LIMITS).is_some(), "{good}");
        }
        for bad in ["", "/", "a", "a/b", "//", "//a", "/a//b", "/a/", "/é", "/a<b", "/*/a", "/a/**/b", "/a?b", "/a\n"]
        {
            assert!(Pattern::parse(bad, LIMITS).is_none(), "{bad}");
        }
    }

    #[test]
    fn length_and_depth_are_bounded() {
        assert!(is_publishable(&format!("/{}", "a".repeat(254)), LIMITS));
        assert!(!is_publishable(&format!("/{}", "a".repeat(255)), LIMITS));
        assert!(is_publishable(&"/a".repeat(16), LIMITS));
        assert!(!is_publishable(&"/a".repeat(17), LIMITS));
    }

    #[test]
    fn wildcards_cannot_be_published_to() {
        for name in ["/*", "/**", "/a/*", "/a/**"] {
            assert!(!is_publishable(name, LIMITS), "{name}");
        }
    }

    #[test]
    fn patterns_match_as_the_contract_says() {
        let matches = |pattern: &str, channel: &str| Pattern::of_valid(pattern).matches(channel);
        assert!(matches("/a", "/a"));
        assert!(matches("/a/*", "/a/b") && !matches("/a/*", "/a/b/c") && !matches("/a/*", "/a"));
        assert!(matches("/a/**", "/a/b") && matches("/a/**", "/a/b/c") && !matches("/a/**", "/a"));
        assert!(matches("/*", "/a") && !matches("/*", "/a/b") && matches("/**", "/a/b/c"));
        assert!(!matches("/**", "/meta/connect") && !matches("/**", "/service/x") && matches("/**", "/servicex"));
        assert!(!matches("/a/**", "/ab/c"));
    }

    #[test]
    fn ancestors_end_at_the_root() {
        assert_eq!(ancestors("/a/b/c").collect::<Vec<_>>(), ["/a/b", "/a", ""]);
        assert_eq!(ancestors("/a").collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn kinds_go_by_the_whole_first_segment() {
        assert_eq!(kind("/meta/connect"), ChannelKind::Meta);
        assert_eq!(kind("/meta"), ChannelKind::Meta);
        assert_eq!(kind("/metabolism"), ChannelKind::Broadcast);
        assert_eq!(kind("/service/echo"), ChannelKind::Service);
    }
}
