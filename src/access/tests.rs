//! The policy in a broker, without any transport: who gets a session, what ends it, what a new token changes. Times are
//! arguments; nothing waits for a clock.

use super::{hidden::Hidden, mint::mint, *};
use crate::{
    bayeux::{ConnectionType, DecodeLimits, ProtocolError, Reconnect, Reply, decode},
    broker::{
        Answered, Broker, BrokerSettings, Caller, Connect, Credentials, Plugins, Policy, Revocation, Session,
        wall_clock_ms,
    },
    engine::{Answer, Engine, EngineSettings, MemoryEngine},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

const HOUR: Duration = Duration::from_secs(3600);
const POLL: ConnectionType = ConnectionType::LongPolling;

struct NoFetch;

impl Fetch for NoFetch {
    fn get(&self, _: &str, _: usize) -> Answer<Result<Vec<u8>, String>> {
        Answer::Now(Err("nothing is fetched here".into()))
    }
}

fn issuer() -> JwtSettings {
    let secret = Hidden::new("a secret of more than thirty-two bytes");
    JwtSettings { secret: Some(secret), cookie: Some("session".into()), ..JwtSettings::default() }
}

/// The plan of a configuration's text.
fn plan(rules: &str) -> Plan {
    #[derive(serde::Deserialize)]
    struct Rules {
        rule: Vec<RuleSettings>,
        #[serde(default)]
        key: Vec<KeySettings>,
    }
    let Rules { rule, key } = toml::from_str(rules).unwrap();
    Plan { jwts: vec![issuer()], rules: rule, keys: key, ..Plan::default() }
}

const USERS: &str = r#"
    [[rule]]
    who = "user"
    allow = ["handshake"]
    [[rule]]
    allow = ["subscribe", "publish"]
    channel = "/users/{sub}/**"
    [[rule]]
    allow = "subscribe"
    channel = "/teams/{team}"
    [[rule]]
    who = "anonymous"
    allow = "publish"
    channel = "/open/*"
"#;

fn broker(rules: &str) -> Broker {
    broker_on(rules, Arc::new(MemoryEngine::with(&EngineSettings::default(), 1000)))
}

const OPEN: &str = "[[rule]]\nallow = [\"handshake\", \"subscribe\", \"publish\"]\n";

fn broker_on(rules: &str, engine: Arc<dyn Engine>) -> Broker {
    let fetch: Arc<dyn Fetch> = Arc::new(NoFetch);
    let policy = Arc::new(Access::new(&plan(rules), &fetch).unwrap());
    let plugins = Plugins { policy, ..Plugins::default() };
    Broker::start(BrokerSettings { lanes: 2, ..BrokerSettings::default() }, vec![POLL], engine, plugins)
}

fn token_with(user: &str, claims: Value) -> String {
    let claims = claims.as_object().cloned().unwrap();
    mint(&issuer(), user, claims, HOUR, wall_clock_ms() / 1000).unwrap().reveal().to_owned()
}

fn token(user: &str) -> String {
    token_with(user, json!({"team": "red"}))
}

fn caller(headers: &[(&str, &str)]) -> Caller {
    let credentials = headers.iter().map(|(name, value)| ((*name).into(), (*value).to_owned())).collect();
    let credentials = (!headers.is_empty()).then(|| Arc::new(Credentials(credentials)));
    Caller { peer: None, browser: None, transport: POLL, multiplexed: false, credentials }
}

async fn handshake(broker: &Broker, caller: &Caller, ext: Value) -> (Reply, Option<Arc<Session>>) {
    let body = json!({"channel": "/meta/handshake", "ext": ext}).to_string();
    let decoded = decode(body.as_bytes(), DecodeLimits { messages: 1, depth: 20 }).unwrap();
    broker.handshake(caller, &decoded.messages[0]).await
}

async fn session(broker: &Broker, token: &str) -> Arc<Session> {
    let (reply, session) = handshake(broker, &caller(&[]), json!({ "token": token })).await;
    session.unwrap_or_else(|| panic!("{reply:?}"))
}

async fn send(broker: &Broker, caller: &Caller, message: Value) -> Reply {
    let body = message.to_string();
    let decoded = decode(body.as_bytes(), DecodeLimits { messages: 1, depth: 20 }).unwrap();
    match decoded.messages[0].channel.as_ref() {
        "/meta/subscribe" => broker.subscribe(caller, &decoded.messages[0]).await,
        _ => broker.publish(caller, &[&decoded.messages[0]]).await.remove(0),
    }
}

async fn subscribe(broker: &Broker, session: &Session, pattern: &str) -> Option<String> {
    let id = session.id.to_string();
    let message = json!({"channel": "/meta/subscribe", "clientId": id, "subscription": pattern});
    send(broker, &caller(&[]), message).await.error.map(|error| error.to_string())
}

async fn publish(broker: &Broker, session: &Session, channel: &str, data: Value) -> Option<String> {
    let id = session.id.to_string();
    let message = json!({"channel": channel, "clientId": id, "data": data});
    send(broker, &caller(&[]), message).await.error.map(|error| error.to_string())
}

async fn connect(broker: &Broker, caller: &Caller, session: &Session) -> Result<Answered, Reply> {
    let body = json!({"channel": "/meta/connect", "clientId": session.id.to_string()}).to_string();
    let decoded = decode(body.as_bytes(), DecodeLimits { messages: 1, depth: 20 }).unwrap();
    match broker.connect(caller, &decoded.messages[0], false).await {
        Connect::Planned(plan) => Ok(broker.hold(plan).await),
        Connect::Refused(reply) => Err(*reply),
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_shows_its_token_in_any_of_the_places() {
    let broker = broker(USERS);
    let (ann, bearer) = (token("ann"), format!("Bearer {}", token("ann")));
    let cookie = format!("a=b; session={ann}");
    let places = [
        (json!({"token": ann}), vec![]),
        (json!({"authentication": {"token": ann}}), vec![]),
        (json!({}), vec![("authorization", bearer.as_str())]),
        (json!({}), vec![("cookie", cookie.as_str())]),
    ];
    for (ext, headers) in places {
        let (reply, session) = handshake(&broker, &caller(&headers), ext).await;
        assert_eq!(session.unwrap().identity().user.as_deref(), Some("ann"), "{reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_denied_handshake_is_not_to_be_tried_again() {
    let broker = broker(USERS);
    let (nobody, _) = handshake(&broker, &caller(&[]), json!({})).await;
    assert_eq!(nobody.error.unwrap().to_string(), "403:no rule allows it:handshake_denied");
    assert_eq!(nobody.advice.unwrap().reconnect, Reconnect::None);
    let (forged, _) = handshake(&broker, &caller(&[]), json!({"token": "a.b.c"})).await;
    assert_eq!(forged.error.unwrap().to_string(), "401:the token is malformed:not_authenticated");
    assert_eq!(forged.advice.unwrap().reconnect, Reconnect::None);
}

#[tokio::test(start_paused = true)]
async fn a_session_may_what_the_rules_say_and_no_wildcard_goes_around_them() {
    let broker = broker(USERS);
    let ann = session(&broker, &token("ann")).await;
    for good in ["/users/ann/x", "/users/ann/*", "/users/ann/**", "/teams/red", "/service/anything"] {
        assert_eq!(subscribe(&broker, &ann, good).await, None, "{good}");
    }
    for bad in ["/users/bob/x", "/users/*", "/users/**", "/**", "/*", "/teams/*", "/teams/blue", "/users/ann"] {
        let denied = Some("403:no rule allows it:subscribe_denied".into());
        assert_eq!(subscribe(&broker, &ann, bad).await, denied, "{bad}");
    }
    assert_eq!(publish(&broker, &ann, "/users/ann/x", json!(1)).await, None);
    for bad in ["/users/bob/x", "/open/x", "/service/x"] {
        let denied = Some("403:no rule allows it:publish_denied".into());
        assert_eq!(publish(&broker, &ann, bad, json!(1)).await, denied, "{bad}");
    }
    let evil = session(&broker, &token("**")).await;
    assert!(subscribe(&broker, &evil, "/users/**").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_publish_without_session_obeys_the_same_rules() {
    let rules = format!(
        "{USERS}\n[[key]]\nname = \"orders\"\nhash = \"{}\"\n[[key.rule]]\nallow = \"publish\"\nchannel = \"/orders/**\"",
        key::Hash::of("the key")
    );
    let broker = broker(&rules);
    let say = |channel: &str, ext: Value| json!({"channel": channel, "data": 1, "ext": ext});
    let error = async |caller: &Caller, message: Value| {
        send(&broker, caller, message).await.error.map(|error| error.to_string()).unwrap_or_default()
    };
    let with = |name: &str, value: &str| caller(&[(name, value)]);
    assert_eq!(error(&caller(&[]), say("/open/x", json!({}))).await, "");
    let needed = "401:credentials are needed:not_authenticated";
    assert_eq!(error(&caller(&[]), say("/orders/7", json!({}))).await, needed);
    for caller in [with("x-api-key", "the key"), with("authorization", "Bearer the key")] {
        assert_eq!(error(&caller, say("/orders/7", json!({}))).await, "");
        assert_eq!(error(&caller, say("/users/ann/x", json!({}))).await, "403:no rule allows it:publish_denied");
    }
    assert_eq!(error(&caller(&[]), say("/orders/7", json!({"token": "the key"}))).await, "");
    let unknown = "401:the key is not known:not_authenticated";
    assert_eq!(error(&with("x-api-key", "the kez"), say("/open/x", json!({}))).await, unknown);
    assert_eq!(error(&caller(&[]), say("/users/ann/x", json!({"token": token("ann")}))).await, "");
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_with_its_token_and_its_client_may_come_back() {
    let broker = broker(USERS);
    let ann = session(&broker, &token("ann")).await;
    connect(&broker, &caller(&[]), &ann).await.unwrap();
    let held = {
        let (broker, ann) = (broker.clone(), Arc::clone(&ann));
        tokio::spawn(async move { connect(&broker, &caller(&[]), &ann).await })
    };
    tokio::time::sleep(Duration::from_millis(1)).await;
    let end = ann.identity().expires_ms.unwrap();
    assert_eq!(broker.end_those_over(end - 1).await, 0);
    assert!(!held.is_finished());
    assert_eq!(broker.end_those_over(end).await, 1);
    let reply = held.await.unwrap().unwrap().reply;
    let over = "401:the token has expired or was revoked:not_authenticated";
    assert_eq!(reply.error.unwrap().to_string(), over);
    assert_eq!(reply.advice.unwrap().reconnect, Reconnect::Handshake);
    let gone = connect(&broker, &caller(&[]), &ann).await.err().unwrap();
    assert!(matches!(gone.error, Some(ProtocolError::SessionUnknown(_))), "{gone:?}");
    assert_eq!(gone.advice.unwrap().reconnect, Reconnect::Handshake);
}

#[tokio::test(start_paused = true)]
async fn a_new_token_of_the_same_user_keeps_the_session_alive() {
    let broker = broker(USERS);
    let ann = session(&broker, &token("ann")).await;
    assert_eq!(subscribe(&broker, &ann, "/teams/red").await, None);
    let first_end = ann.identity().expires_ms.unwrap();
    let longer = token_with("ann", json!({"team": "red", "exp": first_end / 1000 + 7200}));
    let refresh = async |data: Value| publish(&broker, &ann, "/service/refresh", data).await;
    assert_eq!(refresh(json!({ "token": longer })).await, None);
    assert!(ann.identity().expires_ms.unwrap() > first_end + 7_000_000);
    assert_eq!(broker.end_those_over(first_end).await, 0);
    // The first connect is answered at once, with or without messages.
    let mut delivered = connect(&broker, &caller(&[]), &ann).await.unwrap().delivery.publications;
    if delivered.is_empty() {
        delivered = connect(&broker, &caller(&[]), &ann).await.unwrap().delivery.publications;
    }
    let answer: Value = serde_json::from_str(delivered[0].draft.data()).unwrap();
    assert_eq!(
        (delivered[0].draft.channel(), &answer["expires"]),
        ("/service/refresh", &json!(ann.identity().expires_ms))
    );
    for (data, error) in [
        (json!({"token": token("bob")}), "403:the token is for somebody else:publish_denied"),
        (
            json!({"token": token_with("ann", json!({"team": "blue"}))}),
            "403:the token does not allow /teams/red:publish_denied",
        ),
        (json!({"token": "a.b.c"}), "401:the token is malformed:not_authenticated"),
        (json!({"token": 7}), "401:data must hold a token:not_authenticated"),
        (json!("x"), "401:data must hold a token:not_authenticated"),
    ] {
        assert_eq!(refresh(data).await.as_deref(), Some(error));
    }
    assert_eq!(subscribe(&broker, &ann, "/users/ann/x").await, None, "a refused token changes nothing");
}

#[tokio::test(start_paused = true)]
async fn what_is_revoked_counts_no_more_at_once() {
    let broker = broker(USERS);
    let (first, second) = (token_with("ann", json!({"jti": "one"})), token_with("ann", json!({"jti": "two"})));
    let (one, two, bob) =
        (session(&broker, &first).await, session(&broker, &second).await, session(&broker, &token("bob")).await);
    let now = wall_clock_ms();
    broker.policy().revoke(Revocation::Token("one".into()), None, now).unwrap();
    let over = Some("401:the token has expired or was revoked:not_authenticated".into());
    assert_eq!(publish(&broker, &one, "/users/ann/x", json!(1)).await, over, "also before anybody swept");
    assert_eq!(publish(&broker, &two, "/users/ann/x", json!(1)).await, None);
    let (again, _) = handshake(&broker, &caller(&[]), json!({ "token": first })).await;
    assert_eq!(again.error.unwrap().to_string(), "401:the token was revoked:not_authenticated");
    broker.policy().revoke(Revocation::User("ann".into()), None, now + 1000).unwrap();
    assert_eq!(broker.end_those_over(now + 1000).await, 1);
    assert_eq!(publish(&broker, &bob, "/users/bob/x", json!(1)).await, None);
    let newer = token_with("ann", json!({"iat": now / 1000 + 10}));
    session(&broker, &newer).await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_remembers_what_is_revoked_and_forgets_what_is_over() {
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::with(&EngineSettings::default(), 1000));
    let before = broker_on(USERS, Arc::clone(&engine));
    let (stolen, now) = (token_with("ann", json!({"jti": "one"})), wall_clock_ms());
    before.revoke(Revocation::Token("one".into()), None, now).await.unwrap();
    before.revoke(Revocation::User("bob".into()), Some(HOUR), now - 2 * 3_600_000).await.unwrap();
    let records = engine.records().await.unwrap();
    assert_eq!(records.len(), 2);
    for (id, _) in records {
        assert!(before.knows(id).await.is_ok_and(|is_known| !is_known), "a revocation is no session to deliver to");
    }
    let after = broker_on(USERS, Arc::clone(&engine));
    after.recover().await.unwrap();
    let (refused, _) = handshake(&after, &caller(&[]), json!({ "token": stolen })).await;
    assert_eq!(refused.error.unwrap().to_string(), "401:the token was revoked:not_authenticated");
    session(&after, &token("bob")).await;
    let left = engine.records().await.unwrap();
    assert_eq!(left.len(), 2, "that of bob's session is there, that of his revocation is not");
}

#[tokio::test(start_paused = true)]
async fn a_restart_with_other_rules_ends_sessions_that_hold_what_is_no_longer_allowed() {
    let rules =
        |denied: &str| format!("[[rule]]\ndeny = \"{denied}\"\nchannel = \"/secret/x\"\nwho = \"user:ann\"\n{OPEN}");
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::with(&EngineSettings::default(), 1000));
    let before = broker_on(&rules("publish"), Arc::clone(&engine));
    let (wide, narrow, bob) = (
        session(&before, &token("ann")).await,
        session(&before, &token("ann")).await,
        session(&before, &token("bob")).await,
    );
    for (session, pattern) in [(&wide, "/secret/**"), (&narrow, "/free"), (&bob, "/secret/**")] {
        assert_eq!(subscribe(&before, session, pattern).await, None);
    }
    let after = broker_on(&rules("subscribe"), Arc::clone(&engine));
    after.recover().await.unwrap();
    let gone = connect(&after, &caller(&[]), &wide).await.err().unwrap();
    assert!(matches!(gone.error, Some(ProtocolError::SessionUnknown(_))), "{gone:?}");
    assert!(connect(&after, &caller(&[]), &narrow).await.is_ok());
    assert!(connect(&after, &caller(&[]), &bob).await.is_ok());
    assert_eq!(engine.records().await.unwrap().len(), 2);
    let shut = broker_on(&rules("handshake"), Arc::clone(&engine));
    shut.recover().await.unwrap();
    assert!(connect(&shut, &caller(&[]), &narrow).await.is_err());
    assert!(connect(&shut, &caller(&[]), &bob).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_session_is_nobody_elses() {
    let broker = broker(USERS);
    let ann = session(&broker, &token("ann")).await;
    let bearer = |token: &str| caller(&[("authorization", &format!("Bearer {token}"))]);
    let stolen = connect(&broker, &bearer(&token("bob")), &ann).await.err().unwrap();
    assert!(matches!(stolen.error, Some(ProtocolError::SessionUnknown(_))), "{stolen:?}");
    assert!(connect(&broker, &bearer(&token("ann")), &ann).await.is_ok());
    let outlived = mint(&issuer(), "ann", Map::new(), HOUR, wall_clock_ms() / 1000 - 9000).unwrap();
    assert!(
        connect(&broker, &bearer(outlived.reveal()), &ann).await.is_ok(),
        "an old one proves nothing, and is not needed"
    );
}

#[test]
fn a_plan_that_lets_nobody_do_anything_is_refused_and_rule_tests_are_run() {
    let problems = |plan: &Plan| {
        let mut found = Vec::new();
        plan.validate(&mut |key, text| found.push(format!("{key}: {text}")));
        found
    };
    let shut = problems(&Plan { jwts: vec![issuer()], ..Plan::default() });
    assert!(shut[0].starts_with("jwt[0]: there are keys or issuers but no rule"), "{shut:?}");
    let test = |who: Value, expect| RuleTestSettings {
        who: who.as_object().cloned().unwrap(),
        key: None,
        action: rule::Action::Subscribe,
        channel: Some("/users/ann/**".into()),
        expect,
    };
    let (ann, bob) = (json!({"sub": "ann"}), json!({"sub": "bob"}));
    let tests = vec![
        test(ann.clone(), settings::Expect::Allow),
        test(bob, settings::Expect::Allow),
        test(ann, settings::Expect::Deny),
    ];
    let failed = problems(&Plan { tests, ..plan(USERS) });
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!(
        failed[0]
            .starts_with("rule_test[1]: subscribe /users/ann/** was expected to be allowed, but is denied by no rule")
    );
    assert!(
        failed[1]
            .starts_with("rule_test[2]: subscribe /users/ann/** was expected to be denied, but is allowed by rule[1]")
    );
}

#[test]
fn written_claims_name_the_user_as_tokens_do() {
    let claims = |value: Value| value.as_object().cloned().unwrap();
    let test = |who: Value, expect| RuleTestSettings {
        who: claims(who),
        key: None,
        action: rule::Action::Handshake,
        channel: None,
        expect,
    };
    let (mail, sub) = (json!({"email": "ann@x", "sub": "7"}), json!({"sub": "ann"}));
    let tests = vec![test(mail.clone(), settings::Expect::Allow), test(sub.clone(), settings::Expect::Deny)];
    let jwts = vec![JwtSettings { user_claim: "email".into(), ..issuer() }];
    let plan = Plan { jwts, tests, ..plan(USERS) };
    plan.validate(&mut |key, text| panic!("{key}: {text}"));
    assert!(plan.explain(claims(mail.clone()), None, "handshake", None).unwrap().allowed);
    assert!(!plan.explain(claims(sub.clone()), None, "handshake", None).unwrap().allowed);
    let fetch: Arc<dyn Fetch> = Arc::new(NoFetch);
    let access = Access::new(&plan, &fetch).unwrap();
    assert_eq!(access.user_of(&claims(mail)).as_deref(), Some("ann@x"));
    assert_eq!(access.user_of(&claims(sub)), None);
}
