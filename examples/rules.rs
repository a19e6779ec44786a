//! What a check against a thousand rules costs: `cargo run --release --example rules`.
//!
//! Prints nanoseconds of computing a check, the median of several rounds, for each of the questions that verbs ask. The rules are
//! those of a larger application: rooms by name, places of users and of teams, some denials among them. The last lines
//! are the worst there is: a thousand rules that all match the channel and differ in what they ask of claims.

use bayeuxd::{
    access::{Plan, judge::Judge, rule::Action, settings::RuleSettings},
    broker::Identity,
};
use serde_json::{Value, json};
use std::hint::black_box;

const CHECKS: u32 = 20_000;
const ROUNDS: usize = 15;

fn rule(allow: bool, action: Action, channel: String) -> RuleSettings {
    let (allow, deny) = if allow { (vec![action], Vec::new()) } else { (Vec::new(), vec![action]) };
    RuleSettings { allow, deny, channel: Some(channel), ..RuleSettings::default() }
}

/// A thousand rules of many kinds.
fn application() -> Vec<RuleSettings> {
    let mut rules = Vec::new();
    for n in 0..1000 {
        let action = if n % 2 == 0 { Action::Publish } else { Action::Subscribe };
        rules.push(match n % 10 {
            0 | 1 => rule(true, action, format!("/rooms/{n}/**")),
            2 | 3 => rule(true, action, format!("/shops/{n}/orders/*")),
            4 | 5 => rule(true, action, format!("/users/{{sub}}/app{n}/**")),
            6 | 7 => rule(false, action, format!("/rooms/{n}/secret")),
            _ => rule(true, action, format!("/teams/{{teams}}/{n}")),
        });
    }
    rules
}

/// A thousand rules for the same channels.
fn alike() -> Vec<RuleSettings> {
    let mut rules = Vec::new();
    for n in 0..1000 {
        let mut one = rule(true, Action::Publish, "/users/{sub}/**".into());
        one.when = json!({ "plan": n }).as_object().cloned().unwrap_or_default();
        rules.push(one);
    }
    rules
}

/// What this thread has computed so far, which other programs on the machine do not change; Linux tells.
fn cpu_ns() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default()
}

fn measure(name: &str, judge: &Judge, who: &Identity, action: Action, channel: &str) {
    let mut rounds: Vec<u64> = (0..ROUNDS)
        .map(|_| {
            let begun = cpu_ns();
            for _ in 0..CHECKS {
                black_box(judge.decide(black_box(who), action, Some(black_box(channel))).allowed);
            }
            (cpu_ns() - begun) / u64::from(CHECKS)
        })
        .collect();
    rounds.sort_unstable();
    let allowed = judge.decide(who, action, Some(channel)).allowed;
    println!(
        "{:>7} ns  {:7}  {name}: {} {channel}",
        rounds[ROUNDS / 2],
        if allowed { "allowed" } else { "denied" },
        action.name()
    );
}

fn main() -> Result<(), String> {
    let claims = json!({"sub": "ann", "teams": ["red", "blue"], "plan": 999, "iss": "https://auth.example"});
    let claims = claims.as_object().cloned().unwrap_or_default();
    let user = claims.get("sub").and_then(Value::as_str).map(Into::into);
    let who = Identity { user, claims, ..Identity::default() };
    let judge = |rules| Judge::new(&Plan { rules, ..Plan::default() });
    let application = judge(application())?;
    for (name, action, channel) in [
        ("a literal rule, late in the list", Action::Publish, "/rooms/990/lobby"),
        ("a user's own place", Action::Publish, "/users/ann/app994/x"),
        ("somebody else's place", Action::Publish, "/users/bob/app994/x"),
        ("one of several teams", Action::Publish, "/teams/blue/998"),
        ("a denial inside", Action::Publish, "/rooms/996/secret"),
        ("nothing matches", Action::Publish, "/elsewhere/1/2/3"),
        ("a pattern that a rule covers", Action::Subscribe, "/rooms/991/**"),
        ("a pattern of a user", Action::Subscribe, "/users/ann/app995/**"),
        ("a pattern that denials lie below", Action::Subscribe, "/rooms/**"),
        ("a pattern that is too wide", Action::Subscribe, "/shops/**"),
        ("everything", Action::Subscribe, "/**"),
    ] {
        measure(name, &application, &who, action, channel);
    }
    let alike = judge(alike())?;
    measure("1 000 rules alike, the last one fits", &alike, &who, Action::Publish, "/users/ann/x");
    let nobody = Identity { claims: json!({"sub": "ann"}).as_object().cloned().unwrap_or_default(), ..who.clone() };
    measure("1 000 rules alike, none fits", &alike, &nobody, Action::Publish, "/users/ann/x");
    Ok(())
}
