//! The `[[rule_test]]` entries of a configuration: what is asked, what must come out, and what came out.

use super::{
    judge::{Judge, somebody},
    settings::{Expect, RuleTestSettings},
};

/// What a rule test failed with; `None` when it holds.
pub fn failure(judge: &Judge, user_claims: &[String], test: &RuleTestSettings) -> Option<String> {
    if let Some(name) = test.key.as_deref().filter(|name| judge.keys.named(name).is_none()) {
        return Some(format!("there is no key named \"{name}\""));
    }
    let who = somebody(test.who.clone(), user_claims, test.key.as_deref());
    let explained = judge.explain(&who, test.action.name(), test.channel.as_deref());
    let expected = test.expect == Expect::Allow;
    (explained.allowed != expected).then(|| {
        let word = |allowed| if allowed { "allowed" } else { "denied" };
        let by = explained.rule.unwrap_or_else(|| "no rule".to_owned());
        format!(
            "{}{} was expected to be {}, but is {} by {by}: {}",
            test.action.name(),
            test.channel.as_deref().map(|channel| format!(" {channel}")).unwrap_or_default(),
            word(expected),
            word(explained.allowed),
            explained.reason
        )
    })
}
