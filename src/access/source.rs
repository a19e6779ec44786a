//! Where a request carries a key or a token: `ext.token`, `Authorization: Bearer`, `X-API-Key`, a cookie. The first
//! place that holds one counts.

use crate::broker::{Credentials, Denial};
use serde_json::{Value, value::RawValue};

/// What was shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Shown {
    /// Three parts with dots between: a JWT.
    Token(String),
    /// Anything else is taken for an API key.
    Key(String),
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Token(_)) { "Token(…)" } else { "Key(…)" })
    }
}

/// What a request shows, if anything; `cookies` are the names that may carry a token.
///
/// # Errors
/// When it is in the right place but cannot be one.
pub fn shown(
    credentials: Option<&Credentials>,
    ext: Option<&RawValue>,
    cookies: &[String],
    most: usize,
) -> Result<Option<Shown>, Denial> {
    let refuse = |why: &str| Err(Denial::NotAuthenticated(why.into()));
    let text = match ext.and_then(in_ext) {
        Some(Value::String(text)) => Some(text),
        Some(_) => return refuse("ext.token must be a text"),
        None => credentials.and_then(|credentials| in_headers(credentials, cookies)),
    };
    match text {
        None => Ok(None),
        Some(text) if text.is_empty() => refuse("the token is empty"),
        Some(text) if text.len() > most => refuse("the token is too long"),
        Some(text) if text.bytes().filter(|b| *b == b'.').count() == 2 => Ok(Some(Shown::Token(text))),
        Some(text) => Ok(Some(Shown::Key(text))),
    }
}

/// `ext.token`, or `ext.authentication.token`, which may be about something else.
fn in_ext(ext: &RawValue) -> Option<Value> {
    let Ok(Value::Object(mut ext)) = serde_json::from_str(ext.get()) else { return None };
    if let Some(token) = ext.remove("token").filter(|token| !token.is_null()) {
        return Some(token);
    }
    let token = ext.get_mut("authentication")?.as_object_mut()?.remove("token")?;
    token.is_string().then_some(token)
}

fn in_headers(credentials: &Credentials, cookies: &[String]) -> Option<String> {
    let bearer = credentials.get("authorization").and_then(|value| {
        let (scheme, token) = value.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    let key = || credentials.get("x-api-key").map(|key| key.trim().to_owned());
    let cookie = || {
        let pairs = credentials.get("cookie")?.split(';').filter_map(|pair| pair.trim().split_once('='));
        let mut named = pairs.filter(|(name, value)| !value.is_empty() && cookies.iter().any(|own| own == name));
        named.next().map(|(_, value)| value.trim_matches('"').to_owned())
    };
    bearer.or_else(key).or_else(cookie)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(headers: &[(&str, &str)], ext: &str) -> Result<Option<Shown>, Denial> {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).to_owned())).collect();
        let ext: Option<Box<RawValue>> = (!ext.is_empty()).then(|| serde_json::from_str(ext).unwrap());
        shown(Some(&Credentials(headers)), ext.as_deref(), &["session".into()], 100)
    }

    #[test]
    fn every_place_is_looked_at_in_order() {
        let token = |text: &str| Ok(Some(Shown::Token(text.into())));
        let all = [("authorization", "bearer a.b.1"), ("x-api-key", "k"), ("cookie", "x=y; session=a.b.2")];
        assert_eq!(at(&all, r#"{"token":"a.b.3"}"#), token("a.b.3"));
        assert_eq!(at(&all, r#"{"authentication":{"token":"a.b.4"}}"#), token("a.b.4"));
        assert_eq!(at(&all, r#"{"authentication":"mine","token":null}"#), token("a.b.1"));
        assert_eq!(at(&all, "[]"), token("a.b.1"));
        assert_eq!(at(&all[1..], ""), Ok(Some(Shown::Key("k".into()))));
        assert_eq!(at(&all[2..], ""), token("a.b.2"));
        assert_eq!(at(&[("authorization", "Basic YTpi"), ("cookie", "session=; other=a.b.c")], "{}"), Ok(None));
    }

    #[test]
    fn what_cannot_be_one_is_refused() {
        for ext in [r#"{"token":7}"#, r#"{"token":""}"#, &format!(r#"{{"token":"{}"}}"#, "x".repeat(101))] {
            assert!(at(&[], ext).is_err(), "{ext}");
        }
    }
}
