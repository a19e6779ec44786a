//! How the OpenAPI document writes down the grammar of names: what it allows is what the broker accepts with its usual
//! settings, character for character. `bayeux::channel` is the code that decides.

use serde::Serialize;
use std::borrow::Cow;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

/// The largest position: what every JSON reader takes for an integer.
pub const MAX_POSITION: u64 = (1 << 53) - 1;
/// Longest channel in bytes.
const MAX_CHANNEL: usize = 255;

/// A segment that is not empty, `*` or `**`.
const SEGMENT: &str = r"(\**[A-Za-z0-9_!~()$@.+#{} -][A-Za-z0-9_!~()$@.+#{} *-]*|\*{3,})";
/// The same or a wildcard.
const LAST_SEGMENT: &str = r"(\**[A-Za-z0-9_!~()$@.+#{} -][A-Za-z0-9_!~()$@.+#{} *-]*|\*+)";

fn text(about: &str, pattern: String, longest: usize, example: &str) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String).description(Some(about)).pattern(Some(pattern));
    text.max_length(Some(longest)).examples([example]).into()
}

macro_rules! named {
    ($(#[doc = $about:literal])* $name:ident, $pattern:expr, $longest:expr, $example:literal) => {
        $(#[doc = $about])*
        #[derive(Serialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                text(concat!($($about),*).trim(), $pattern, $longest, $example)
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

named!(
    /// A channel that can be published to.
    ChannelName, format!("^(/{SEGMENT}){{1,16}}$"), MAX_CHANNEL, "/chat/demo"
);
named!(
    /// A channel, or a pattern that ends in `/*` or `/**`.
    ChannelPattern, format!("^(/{SEGMENT}){{0,15}}/{LAST_SEGMENT}$"), MAX_CHANNEL, "/chat/**"
);
named!(
    /// A channel or pattern without its leading slash; slashes inside may stand or be escaped.
    ChannelInPath, format!("^({SEGMENT}/){{0,15}}{LAST_SEGMENT}$"), MAX_CHANNEL - 1, "chat/demo"
);
named!(
    /// The id of a session.
    SessionId, "^[0-9a-fA-F]{32}$".to_owned(), 32, "0123456789abcdef0123456789abcdef"
);
