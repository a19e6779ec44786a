//! Whom a rule is about: kinds of senders, names, roles, and what their claims must be.

use crate::broker::Identity;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Whoever asks, as rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What was proved.
    pub identity: &'a Identity,
    /// The roles of the key that was shown.
    pub roles: &'a [String],
}

/// One entry of a rule's `who`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody.
    Anyone,
    /// Those who proved nothing.
    Anonymous,
    /// Those with a token, or the one of this name.
    User(Option<Box<str>>),
    /// Those with an API key, or with the one of this name.
    Key(Option<Box<str>>),
    /// Those whose key has this role.
    Role(Box<str>),
}

impl Who {
    /// Reads an entry.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "anyone" => Ok(Self::Anyone),
            None if text == "anonymous" => Ok(Self::Anonymous),
            None if text == "user" => Ok(Self::User(None)),
            None if text == "key" => Ok(Self::Key(None)),
            Some(("user", name)) if !name.is_empty() => Ok(Self::User(Some(name.into()))),
            Some(("key", name)) if !name.is_empty() => Ok(Self::Key(Some(name.into()))),
            Some(("role", name)) if !name.is_empty() => Ok(Self::Role(name.into())),
            _ => Err("must be anyone, anonymous, user, user:NAME, key, key:NAME or role:NAME".into()),
        }
    }

    /// Whether it is this one.
    pub fn is(&self, subject: &Subject<'_>) -> bool {
        let named = |name: &Option<Box<str>>, own: Option<&str>| match (name, own) {
            (Some(name), Some(own)) => **name == *own,
            (None, own) => own.is_some(),
            (Some(_), None) => false,
        };
        match self {
            Self::Anyone => true,
            Self::Anonymous => subject.identity.is_anonymous(),
            Self::User(name) => named(name, subject.identity.user.as_deref()),
            Self::Key(name) => named(name, subject.identity.key.as_deref()),
            Self::Role(role) => subject.roles.iter().any(|own| **own == **role),
        }
    }
}

impl<'a> Subject<'a> {
    /// Whether its claims are what a rule asks for.
    pub fn claims_fit(&self, when: &Map<String, Value>) -> bool {
        when.iter().all(|(name, wanted)| self.claim(name).is_some_and(|claim| fits(wanted, claim)))
    }

    /// A claim by its name, or inside another one by a path with dots.
    pub(super) fn claim(&self, name: &str) -> Option<&'a Value> {
        let claims = &self.identity.claims;
        claims.get(name).or_else(|| {
            let (first, rest) = name.split_once('.')?;
            rest.split('.').try_fold(claims.get(first)?, |value, step| value.get(step))
        })
    }

    /// Whether a text is one of those that a claim holds.
    pub fn claims_text(&self, name: &str, mut is: impl FnMut(&str) -> bool) -> bool {
        match self.claim(name) {
            Some(Value::Array(values)) => values.iter().filter_map(text).any(|value| is(&value)),
            Some(value) => text(value).is_some_and(|value| is(&value)),
            None => false,
        }
    }
}

/// Texts and whole numbers name things; other values do not.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string().into()),
        _ => None,
    }
}

/// Whether a claim is what is wanted: equal to it, to one of its values when it is a list, or one of whose own values is.
fn fits(wanted: &Value, claim: &Value) -> bool {
    match (wanted, claim) {
        (Value::Array(any), _) => any.iter().any(|wanted| fits(wanted, claim)),
        (_, Value::Array(own)) => own.iter().any(|one| wanted == one),
        (Value::Object(wanted), Value::Object(claim)) => {
            wanted.iter().all(|(name, wanted)| claim.get(name).is_some_and(|claim| fits(wanted, claim)))
        }
        _ => wanted == claim,
    }
}

/// Whether a claim's value may stand for a channel's segment: no slash, no wildcard, no brace, nothing that channels
/// cannot hold.
pub(super) fn is_safe(value: &str) -> bool {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b"-_!~()$@.+# ".contains(&b);
    !value.is_empty() && value.len() <= 255 && value.bytes().all(safe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn identity(claims: Value) -> Identity {
        let Value::Object(claims) = claims else { panic!("claims are an object") };
        Identity { user: claims.get("sub").and_then(Value::as_str).map(Into::into), claims, ..Identity::default() }
    }

    #[test]
    fn claims_are_compared_by_value_membership_and_path() {
        let ann = identity(json!({"sub": "ann", "n": 7, "teams": ["red", "blue"], "realm": {"role": "admin"}}));
        let subject = Subject { identity: &ann, roles: &[] };
        let fit = |when: Value| subject.claims_fit(when.as_object().unwrap());
        assert!(fit(json!({"sub": "ann", "n": 7})));
        assert!(fit(json!({"teams": "red"})) && fit(json!({"teams": ["green", "blue"]})));
        assert!(fit(json!({"sub": ["bob", "ann"]})));
        assert!(fit(json!({"realm": {"role": "admin"}})) && fit(json!({"realm.role": "admin"})));
        for not in [
            json!({"sub": "bob"}),
            json!({"n": "7"}),
            json!({"teams": "green"}),
            json!({"missing": null}),
            json!({"realm.role.x": "admin"}),
            json!({"sub": "ann", "n": 8}),
        ] {
            assert!(!fit(not.clone()), "{not}");
        }
    }

    #[test]
    fn kinds_names_and_roles_are_told_apart() {
        let ann = identity(json!({"sub": "ann"}));
        let key = Identity { key: Some("orders".into()), ..Identity::default() };
        let roles = ["backend".to_owned()];
        let is = |who: &str, identity: &Identity, roles: &[String]| {
            Who::parse(who).unwrap().is(&Subject { identity, roles })
        };
        for who in ["anyone", "user", "user:ann"] {
            assert!(is(who, &ann, &[]), "{who}");
        }
        for who in ["anonymous", "user:bob", "key", "key:ann", "role:ann"] {
            assert!(!is(who, &ann, &[]), "{who}");
        }
        for who in ["anyone", "key", "key:orders", "role:backend"] {
            assert!(is(who, &key, &roles), "{who}");
        }
        assert!(!is("user", &key, &roles) && !is("anonymous", &key, &roles) && !is("role:admin", &key, &roles));
        assert!(is("anonymous", &Identity::default(), &[]));
        for bad in ["", "everyone", "user:", "role", "group:x"] {
            assert!(Who::parse(bad).is_err(), "{bad}");
        }
    }
}
