//! The rules against an evaluator that goes through the list one by one, and how channels relate against the enumeration
//! of all channels of a small world.

use super::{
    shape::{Segment, Tail},
    *,
};
use crate::{access::settings::RuleSettings, bayeux::ChannelLimits, broker::Identity};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Deeper than any pattern of these tests, so that what is below it makes no difference.
const DEEPEST: usize = 4;
/// One segment more than patterns use: whoever is not named.
const WORDS: [&str; 5] = ["a", "b", "ann", "service", "zzz"];

fn identity(claims: Value) -> Identity {
    let Value::Object(claims) = claims else { panic!("claims are an object") };
    Identity { user: claims.get("sub").and_then(Value::as_str).map(Into::into), claims, ..Identity::default() }
}

fn ann() -> Identity {
    identity(json!({"sub": "ann", "teams": ["a", "b"], "evil": "**", "deep": "a/b"}))
}

fn shape(text: &str) -> Shape {
    Shape::parse(text, ChannelLimits::default()).unwrap_or_else(|why| panic!("{text}: {why}"))
}

/// All channels of the small world.
fn world() -> Vec<String> {
    let mut all = Vec::new();
    let mut level = vec![String::new()];
    for _ in 0..DEEPEST {
        level = level.iter().flat_map(|above| WORDS.map(|word| format!("{above}/{word}"))).collect();
        all.extend(level.iter().cloned());
    }
    all
}

/// What the words of the contract say, without any cleverness: whether a rule's channels hold a channel.
fn holds(rule: &str, channel: &str, who: &Identity) -> bool {
    let (own, theirs): (Vec<&str>, Vec<&str>) =
        (rule.split('/').skip(1).collect(), channel.split('/').skip(1).collect());
    if theirs[0] == "service" && own[0] != "service" {
        return false;
    }
    let deep = own.last() == Some(&"**");
    let fixed = if deep { &own[..own.len() - 1] } else { &own[..] };
    let long_enough = if deep { theirs.len() > fixed.len() } else { theirs.len() == fixed.len() };
    long_enough
        && fixed.iter().zip(&theirs).all(|(own, text)| match *own {
            "*" => true,
            "{sub}" => who.claims.get("sub") == Some(&json!(text)),
            "{teams}" => who.claims.get("teams").and_then(Value::as_array).is_some_and(|t| t.contains(&json!(text))),
            own => own == *text,
        })
}

/// The channels that a subscription reaches.
fn reached<'a>(asked: &str, world: &'a [String]) -> Vec<&'a String> {
    let pattern = crate::bayeux::Pattern::of_valid(asked);
    world.iter().filter(|channel| pattern.matches(channel)).collect()
}

fn segment() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just("a"), 3 => Just("b"), 2 => Just("ann"), 2 => Just("*"), 2 => Just("{sub}"),
        1 => Just("{teams}"), 1 => Just("service")]
}

fn rule_channel() -> impl Strategy<Value = String> {
    (prop::collection::vec(segment(), 0..=3), any::<bool>()).prop_filter_map("a channel", |(segments, deep)| {
        let text: String = segments.iter().map(|s| format!("/{s}")).collect();
        match (text.is_empty(), deep) {
            (_, true) => Some(format!("{text}/**")),
            (false, false) => Some(text),
            (true, false) => None,
        }
    })
}

fn asked() -> impl Strategy<Value = String> {
    let word = prop_oneof![Just("a"), Just("b"), Just("ann")];
    (prop::collection::vec(word, 0..=3), 0..3).prop_filter_map("a pattern", |(segments, tail)| {
        let text: String = segments.iter().map(|s| format!("/{s}")).collect();
        match tail {
            0 if text.is_empty() => None,
            0 => Some(text),
            1 => Some(format!("{text}/*")),
            _ => Some(format!("{text}/**")),
        }
    })
}

fn rule_settings() -> impl Strategy<Value = RuleSettings> {
    let actions = prop::sample::subsequence(Action::ALL.to_vec(), 1..=3);
    let who = prop_oneof![
        4 => Just(Vec::new()),
        1 => Just(vec!["user".to_owned()]),
        1 => Just(vec!["user:bob".to_owned(), "key".to_owned()]),
        1 => Just(vec!["anonymous".to_owned()]),
        2 => prop::sample::subsequence(vec!["user:ann", "user:bob", "role:a", "role:b", "key:ann"], 1..=3)
            .prop_map(|all| all.into_iter().map(Into::into).collect()),
    ];
    let when = prop::sample::select(vec![
        json!({}),
        json!({}),
        json!({}),
        json!({"sub": "ann"}),
        json!({"teams": "c"}),
        json!({"teams": ["c", "b"], "sub": ["ann", "bob"]}),
        json!({"teams": []}),
        json!({"realm.n": 7}),
        json!({"realm": {"n": 7}, "sub": "ann"}),
        json!({"n": 0.0}),
        json!({"n": [["a"], 0]}),
    ]);
    (actions, any::<bool>(), prop::option::weighted(0.9, rule_channel()), who, when).prop_map(
        |(actions, deny, channel, who, when)| RuleSettings {
            allow: if deny { Vec::new() } else { actions.clone() },
            deny: if deny { actions } else { Vec::new() },
            channel,
            who,
            when: when.as_object().cloned().unwrap_or_default(),
            name: None,
        },
    )
}

/// Goes through the rules one by one.
fn naive<'a>(set: &'a RuleSet, action: Action, asked: &Asked<'_>, subject: &Subject<'_>) -> Option<Decision<'a>> {
    let asked = (action != Action::Handshake).then_some(asked);
    let mut about = set.rules.iter().filter(|rule| rule.actions.contains(&action) && rule.is_about(subject));
    let decides =
        about.find(|rule| if rule.allows { rule.covers(asked, subject) } else { rule.overlaps(asked, subject) });
    decides.map(|rule| Decision { allowed: rule.allows, rule: &rule.name })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_index_never_answers_differently_than_the_list(
        rules in prop::collection::vec(rule_settings(), 0..25),
        asked in asked(),
        action in prop::sample::select(Action::ALL.to_vec()),
        who in prop::sample::select(vec![Identity::default(), ann(), identity(json!({"sub": "bob", "n": [-0.0, 1]})),
            identity(json!({"realm": {"n": 7}, "teams": "b"})), identity(json!({"realm.n": 7, "sub": "ann", "n": 0}))]),
        roles in prop::sample::subsequence(vec!["a".to_owned(), "b".to_owned()], 0..=2),
    ) {
        let set = RuleSet::new("rule", &rules).unwrap();
        let (asked, subject) = (Asked::new(&asked), Subject { identity: &who, roles: &roles });
        prop_assert_eq!(set.decide(action, Some(&asked), &subject), naive(&set, action, &asked, &subject));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn relations_are_what_enumeration_finds(rule in rule_channel(), asked in asked()) {
        let (ann, world) = (ann(), world());
        let subject = Subject { identity: &ann, roles: &[] };
        let reached = reached(&asked, &world);
        let (covers, overlaps) =
            (reached.iter().all(|c| holds(&rule, c, &ann)), reached.iter().any(|c| holds(&rule, c, &ann)));
        let (shape, asked) = (shape(&rule), Asked::new(&asked));
        prop_assert_eq!(shape.covers(&asked, &subject), covers);
        prop_assert_eq!(shape.overlaps(&asked, &subject), overlaps);
    }

    /// What the rules are for: nobody receives through a pattern what they could not subscribe to by name.
    #[test]
    fn an_allowed_pattern_reaches_allowed_channels_only(
        rules in prop::collection::vec(rule_settings(), 1..12), asked in asked(),
    ) {
        let (ann, world) = (ann(), world());
        let set = RuleSet::new("rule", &rules).unwrap();
        let subject = Subject { identity: &ann, roles: &[] };
        let may = |name: &str| {
            set.decide(Action::Subscribe, Some(&Asked::new(name)), &subject).is_some_and(|d| d.allowed)
        };
        if may(&asked) {
            for channel in reached(&asked, &world) {
                prop_assert!(may(channel), "{} is reached by {}", channel, asked);
            }
        }
    }
}

#[test]
fn claims_that_are_no_safe_segment_never_match() {
    let ann = ann();
    let subject = Subject { identity: &ann, roles: &[] };
    for (rule, asked) in
        [("/u/{evil}", "/u/x"), ("/u/{evil}/**", "/u/a/b"), ("/u/{deep}", "/u/a/b"), ("/u/{none}", "/u/x")]
    {
        assert!(!shape(rule).covers(&Asked::new(asked), &subject), "{rule} {asked}");
    }
    assert!(!shape("/u/{evil}").covers(&Asked::new("/u/**"), &subject));
    assert!(shape("/u/{sub}/**").covers(&Asked::new("/u/ann/**"), &subject));
    assert!(shape("/u/team-{teams}").covers(&Asked::new("/u/team-b"), &subject));
    assert!(!shape("/u/team-{teams}").covers(&Asked::new("/u/team-c"), &subject));
    assert!(
        !shape("/{sub}/x")
            .covers(&Asked::new("/service/x"), &Subject { identity: &identity(json!({"sub": "service"})), roles: &[] })
    );
}

#[test]
fn shapes_are_read_and_wrong_ones_explained() {
    assert_eq!(shape("/**"), Shape { segments: Vec::new(), deep: true });
    let claim = Segment::Claim { before: "x-".into(), name: "realm.team".into(), after: "".into() };
    assert_eq!(shape("/*/x-{realm.team}").segments, [Segment::Any, claim]);
    assert_eq!(Asked::new("/a/*").tail, Tail::One);
    for bad in ["", "a", "/", "/a/", "/a//b", "/**/a", "/a*", "/a/{", "/a/}", "/{}", "/{a}{b}", "/meta/connect", "/a<b"]
    {
        assert!(Shape::parse(bad, ChannelLimits::default()).is_err(), "{bad}");
    }
    assert!(Shape::parse(&"/a".repeat(17), ChannelLimits::default()).is_err());
}

#[test]
fn a_rule_is_named_as_in_the_configuration() {
    let rules = [
        RuleSettings { deny: vec![Action::Publish], channel: Some("/x".into()), ..RuleSettings::default() },
        RuleSettings { allow: vec![Action::Publish], name: Some("all".into()), ..RuleSettings::default() },
    ];
    let set = RuleSet::new("rule", &rules).unwrap();
    let who = Identity::default();
    let decide = |channel: &str| {
        let subject = Subject { identity: &who, roles: &[] };
        set.decide(Action::Publish, Some(&Asked::new(channel)), &subject).map(|d| (d.allowed, d.rule.to_owned()))
    };
    assert_eq!(decide("/x"), Some((false, "rule[0]".into())));
    assert_eq!(decide("/y"), Some((true, "rule[1] (all)".into())));
}
