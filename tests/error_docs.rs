//! Keeps `docs/errors.md` current: it is made from the table of errors in `src/bayeux/error.rs`, from its comments and
//! from what each error looks like on the wire.
//!
//! `UPDATE_DOCS=1 cargo test --test error_docs` writes it anew. Fails when an error is missing here.

#![allow(clippy::expect_used, reason = "a test panics")]

use bayeuxd::bayeux::ProtocolError::{self, *};
use std::{fmt::Write, fs, path::PathBuf};

const INTRODUCTION: &str = "\
# Errors on the wire

<!-- Made by `UPDATE_DOCS=1 cargo test --test error_docs`; a test fails when it is out of date. -->

A reply with `successful: false` carries an `error` of the form `code:args:text`: three digits, exactly two colons, and in
between and behind only characters that every client's parser accepts. Errors of single messages come with HTTP status 200;
a request that is refused as a whole (malformed, too large, from a page that is not let in) has the code as its status, and a
body of the same form. What backends see of the API is in [api.md](api.md#errors).

| on the wire | meaning |
| --- | --- |
";

/// One of each.
fn all() -> Vec<ProtocolError> {
    vec![
        NoCommonConnectionType("iframe flash".into()),
        ProtocolError::malformed("data", "missing"),
        ReplayInvalid("17".into()),
        NotAuthenticated("reason".into()),
        SessionUnknown("402::session_unknown".into()),
        HandshakeDenied("reason".into()),
        CreateDenied("reason".into()),
        SubscribeDenied("reason".into()),
        PublishDenied("reason".into()),
        SubscriptionMissing,
        SubscriptionInvalid,
        ChannelDenied,
        OriginDenied,
        NoSuchStream,
        MessageDeleted,
        ChannelInvalid,
        MessageIdInvalid,
        Timeout,
        Conflict("reason".into()),
        MessageTooLarge,
        TooManyMessages,
        TooManySubscriptions,
        UnsupportedMediaType,
        RateLimited,
        BackendFailed("reason".into()),
        BackendUnavailable("reason".into()),
        PolicyUnavailable,
        EngineUnavailable,
        TooManySessions,
        ShuttingDown,
    ]
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The variants of the table with their comments, in order.
fn table() -> Vec<(String, String)> {
    let source = fs::read_to_string(root().join("src/bayeux/error.rs")).expect("the table is there");
    let body = source.split_once("pub enum ProtocolError {\n").expect("it is an enum").1;
    let body = body.split_once("\n}").expect("it ends").0;
    let mut found = Vec::new();
    let mut comment = String::new();
    for line in body.lines().map(str::trim) {
        match line.strip_prefix("///") {
            Some(text) => comment.push_str(text),
            None => {
                let name = line.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
                found.push((name.to_owned(), std::mem::take(&mut comment)));
            }
        }
    }
    found
}

fn page() -> String {
    let mut out = INTRODUCTION.to_owned();
    for ((name, comment), error) in table().iter().zip(all()) {
        assert!(format!("{error:?}").starts_with(name.as_str()), "{name} has no line of its own here");
        let meaning = comment.split_once('–').map_or(comment.as_str(), |(_, meaning)| meaning).trim();
        let first: String = meaning.chars().take(1).flat_map(char::to_uppercase).collect();
        let rest: String = meaning.chars().skip(1).collect();
        writeln!(out, "| `{error}` | {first}{rest} |").expect("a String takes all");
    }
    out
}

#[test]
fn the_page_is_current() {
    assert_eq!(table().len(), all().len());
    let file = root().join("docs/errors.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, page()).expect("the page can be written");
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(written == page(), "docs/errors.md is out of date: UPDATE_DOCS=1 cargo test --test error_docs");
}
