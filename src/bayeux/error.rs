//! The error table of the wire: every `code:args:text` a peer can be told, in one enum.
//!
//! Used wherever a request is refused. Nothing here knows why a room refused; internal messages never get in.

use std::{borrow::Cow, fmt, time::Duration};

/// What a peer is told when something is refused. `Display` gives the wire form `code:args:text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// `301` – the handshake named only connection types that are not offered here.
    NoCommonConnectionType(String),
    /// `400` – the message or the request is malformed: where, and what was wrong.
    Malformed(Cow<'static, str>, Cow<'static, str>),
    /// `400` – the position to replay from is no longer kept, or none; clients read the number in the braces.
    ReplayInvalid(Cow<'static, str>),
    /// `401` – credentials are needed or were not accepted.
    NotAuthenticated(Cow<'static, str>),
    /// `402` – the session is unknown, expired or somebody else's; the text is a setting of the mount.
    SessionUnknown(Cow<'static, str>),
    /// `403` – the handshake is not allowed, with the reason.
    HandshakeDenied(Cow<'static, str>),
    /// `403` – the channel may not be created, with the reason.
    CreateDenied(Cow<'static, str>),
    /// `403` – the subscription is not allowed, with the reason.
    SubscribeDenied(Cow<'static, str>),
    /// `403` – the publication is not allowed, with the reason.
    PublishDenied(Cow<'static, str>),
    /// `403` – a subscribe or unsubscribe named no channel.
    SubscriptionMissing,
    /// `403` – a subscribe or unsubscribe named something that is no channel.
    SubscriptionInvalid,
    /// `403` – the channel exists for nobody: unknown `/meta/…`.
    ChannelDenied,
    /// `403` – the page's origin is not on the list.
    OriginDenied,
    /// `404` – no session to stream to.
    NoSuchStream,
    /// `404` – an extension or a hook removed the message.
    MessageDeleted,
    /// `405` – the name is no channel one can publish to.
    ChannelInvalid,
    /// `405` – the message id is not usable.
    MessageIdInvalid,
    /// `408` – a service call found no answer in time, or a request did not come whole in time.
    Timeout,
    /// `409` – the request contradicts something newer, with the reason.
    Conflict(Cow<'static, str>),
    /// `413` – the request or message is larger than allowed.
    MessageTooLarge,
    /// `413` – the request holds more messages than allowed.
    TooManyMessages,
    /// `413` – the session holds as many subscriptions as allowed.
    TooManySubscriptions,
    /// `415` – the content type is none the endpoint reads.
    UnsupportedMediaType,
    /// `429` – too many of these for now. The args are the milliseconds to wait, where no advice can say it.
    RateLimited(Option<Duration>),
    /// `502` – the backend that serves the call failed, with the reason.
    BackendFailed(Cow<'static, str>),
    /// `503` – the backend that serves the call cannot be asked now, with the reason.
    BackendUnavailable(Cow<'static, str>),
    /// `503` – whoever decides what is allowed cannot be asked now.
    PolicyUnavailable,
    /// `503` – the log cannot take or give messages now.
    EngineUnavailable,
    /// `503` – as many sessions are open as allowed.
    TooManySessions,
    /// `503` – the server is stopping.
    ShuttingDown,
}

impl ProtocolError {
    /// A malformed field with a fixed explanation.
    pub fn malformed(place: impl Into<Cow<'static, str>>, what: impl Into<Cow<'static, str>>) -> Self {
        Self::Malformed(place.into(), what.into())
    }

    /// The three digits that clients switch on.
    pub fn code(&self) -> u16 {
        match self {
            Self::NoCommonConnectionType(_) => 301,
            Self::Malformed(..) | Self::ReplayInvalid(_) => 400,
            Self::NotAuthenticated(_) => 401,
            Self::SessionUnknown(text) => text.get(..3).and_then(|code| code.parse().ok()).unwrap_or(402),
            Self::HandshakeDenied(_)
            | Self::CreateDenied(_)
            | Self::SubscribeDenied(_)
            | Self::PublishDenied(_)
            | Self::SubscriptionMissing
            | Self::SubscriptionInvalid
            | Self::ChannelDenied
            | Self::OriginDenied => 403,
            Self::MessageDeleted | Self::NoSuchStream => 404,
            Self::ChannelInvalid | Self::MessageIdInvalid => 405,
            Self::Timeout => 408,
            Self::Conflict(_) => 409,
            Self::MessageTooLarge | Self::TooManyMessages | Self::TooManySubscriptions => 413,
            Self::UnsupportedMediaType => 415,
            Self::RateLimited(_) => 429,
            Self::BackendFailed(_) => 502,
            Self::BackendUnavailable(_)
            | Self::PolicyUnavailable
            | Self::EngineUnavailable
            | Self::TooManySessions
            | Self::ShuttingDown => 503,
        }
    }

    fn args(&self) -> &str {
        match self {
            Self::NoCommonConnectionType(theirs) => theirs,
            Self::Malformed(place, _) => place,
            Self::HandshakeDenied(reason)
            | Self::CreateDenied(reason)
            | Self::SubscribeDenied(reason)
            | Self::PublishDenied(reason)
            | Self::Conflict(reason)
            | Self::BackendFailed(reason)
            | Self::BackendUnavailable(reason)
            | Self::NotAuthenticated(reason) => reason,
            _ => "",
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::NoCommonConnectionType(_) => "no common connection type",
            Self::Malformed(_, what) => what,
            Self::ReplayInvalid(_) => "replay_invalid",
            Self::NotAuthenticated(_) => "not_authenticated",
            Self::SessionUnknown(text) => text,
            Self::HandshakeDenied(_) => "handshake_denied",
            Self::CreateDenied(_) => "create_denied",
            Self::SubscribeDenied(_) => "subscribe_denied",
            Self::PublishDenied(_) => "publish_denied",
            Self::SubscriptionMissing => "subscription_missing",
            Self::SubscriptionInvalid => "subscription_invalid",
            Self::ChannelDenied => "channel_denied",
            Self::OriginDenied => "origin_denied",
            Self::NoSuchStream => "session_unknown",
            Self::MessageDeleted => "message_deleted",
            Self::ChannelInvalid => "channel_invalid",
            Self::MessageIdInvalid => "message_id_invalid",
            Self::Timeout => "timeout",
            Self::Conflict(_) => "conflict",
            Self::MessageTooLarge => "message_too_large",
            Self::TooManyMessages => "too_many_messages",
            Self::TooManySubscriptions => "too_many_subscriptions",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::RateLimited(_) => "rate_limited",
            Self::BackendFailed(_) => "backend_failed",
            Self::BackendUnavailable(_) => "backend_unavailable",
            Self::PolicyUnavailable => "policy_unavailable",
            Self::EngineUnavailable => "engine_unavailable",
            Self::TooManySessions => "too_many_sessions",
            Self::ShuttingDown => "shutting_down",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::SessionUnknown(whole) = self {
            return f.write_str(whole);
        }
        if let Self::ReplayInvalid(id) = self {
            return write!(
                f,
                "400::The replayId {{{}}} you provided was invalid.  Please provide a valid ID, -2 to replay all events, \
                 or -1 to replay only new events.",
                plain(id)
            );
        }
        if let Self::RateLimited(Some(wait)) = self {
            return write!(f, "429:{}:rate_limited", whole_ms(*wait));
        }
        write!(f, "{}:{}:{}", self.code(), plain(self.args()), plain(self.text()))
    }
}

impl std::error::Error for ProtocolError {}

/// Milliseconds, rounded up: whoever waits so long has waited long enough.
pub fn whole_ms(wait: Duration) -> u128 {
    wait.as_nanos().div_ceil(1_000_000)
}

/// Longest args or text that leaves the broker; parsers may quote what they choked on.
const LONGEST_PART: usize = 200;

/// Keeps the characters that every client's error parser accepts; anything else becomes `_`.
fn plain(text: &str) -> String {
    text.chars().take(LONGEST_PART).map(|c| if is_plain(c) { c } else { '_' }).collect()
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || " _./*()!~$@-".contains(c)
}

/// Whether a text is a wire error: three digits, exactly two colons, only the characters clients can parse.
pub fn is_well_formed(text: &str) -> bool {
    let mut parts = text.splitn(3, ':');
    let (Some(code), Some(args), Some(rest)) = (parts.next(), parts.next(), parts.next()) else { return false };
    code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit()) && args.chars().chain(rest.chars()).all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form_has_exactly_two_colons_whatever_goes_in() {
        let hostile = "a:b\"c\u{e9}\n<d>";
        for error in [
            ProtocolError::malformed(hostile, hostile),
            ProtocolError::PublishDenied(hostile.into()),
            ProtocolError::NoCommonConnectionType("foo,bar".into()),
            ProtocolError::SessionUnknown("403::Unknown client".into()),
        ] {
            assert!(is_well_formed(&error.to_string()), "{error}");
        }
    }

    #[test]
    fn the_code_of_an_unknown_session_follows_its_configured_text() {
        assert_eq!(ProtocolError::SessionUnknown("403::Unknown client".into()).code(), 403);
        assert_eq!(ProtocolError::SessionUnknown("402::session_unknown".into()).code(), 402);
    }

    #[test]
    fn how_long_to_wait_is_said_in_whole_milliseconds() {
        let after = |wait| ProtocolError::RateLimited(wait).to_string();
        assert_eq!(after(Some(Duration::from_micros(1501))), "429:2:rate_limited");
        assert_eq!(after(Some(Duration::from_secs(2))), "429:2000:rate_limited");
        assert_eq!(after(None), "429::rate_limited");
    }

    #[test]
    fn malformed_texts_are_told_from_well_formed_ones() {
        assert!(is_well_formed("402::session_unknown"));
        for bad in ["", "402", "402:session_unknown", "4o2::x", "402::a:b", "402::\"x\""] {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }
}
