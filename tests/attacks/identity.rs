//! Sessions under another identity, and subscriptions that cover what is not allowed. The policy here knows two users by
//! a header and one secret channel; the broker must ask it.

use bayeuxd::{
    bayeux::{ConnectionType, DecodeLimits, Reply, decode},
    broker::{Asking, Broker, BrokerSettings, Caller, Credentials, Denial, Identity, Plugins, Policy},
    engine::{Answer, EngineSettings, MemoryEngine},
};
use serde_json::{Value, json, value::RawValue};
use std::sync::Arc;

struct Users;

impl Policy for Users {
    fn headers(&self) -> Vec<Arc<str>> {
        vec!["x-user".into()]
    }

    fn identify(
        &self,
        shown: Option<&Arc<Credentials>>,
        _: Option<&RawValue>,
    ) -> Answer<Result<Arc<Identity>, Denial>> {
        let user = shown.and_then(|shown| shown.get("x-user")).map(Arc::from);
        Answer::Now(Ok(Arc::new(Identity { user, ..Identity::default() })))
    }

    fn may_handshake(&self, _: &Asking, _: Option<&RawValue>) -> Answer<Result<(), Denial>> {
        Answer::Now(Ok(()))
    }

    fn may_subscribe(&self, _: &Asking, pattern: &str) -> Answer<Result<(), Denial>> {
        // As rules do: a pattern is allowed only if all that it could match is.
        let covers = bayeuxd::backend::pattern::overlap("/secret/plans", pattern);
        Answer::Now(if covers { Err(Denial::Denied("secret".into())) } else { Ok(()) })
    }

    fn may_publish(&self, _: &Asking, _: &str, _: &RawValue) -> Answer<Result<Option<Box<RawValue>>, Denial>> {
        Answer::Now(Ok(None))
    }
}

fn broker() -> Broker {
    let engine = Arc::new(MemoryEngine::with(&EngineSettings::default(), 1));
    let plugins = Plugins { policy: Arc::new(Users), ..Plugins::default() };
    Broker::start(BrokerSettings::default(), vec![ConnectionType::LongPolling], engine, plugins)
}

fn caller(user: Option<&str>) -> Caller {
    let shown = user.map(|user| Arc::new(Credentials(vec![("x-user".into(), user.to_owned())])));
    Caller { peer: None, browser: None, transport: ConnectionType::LongPolling, multiplexed: false, credentials: shown }
}

/// The reply to one message.
async fn ask(broker: &Broker, caller: &Caller, message: Value) -> Reply {
    let text = message.to_string();
    let decoded = decode(text.as_bytes(), DecodeLimits { messages: 1, depth: 9 }).unwrap();
    let message = &decoded.messages[0];
    match &*message.channel {
        "/meta/handshake" => broker.handshake(caller, message).await.0,
        "/meta/subscribe" => broker.subscribe(caller, message).await,
        "/meta/unsubscribe" => broker.unsubscribe(caller, message).await,
        "/meta/disconnect" => broker.disconnect(caller, message).await,
        _ => broker.publish(caller, &[message]).await.remove(0),
    }
}

async fn session(broker: &Broker, user: &str) -> String {
    let reply = ask(broker, &caller(Some(user)), json!({"channel": "/meta/handshake"})).await;
    reply.handshake.unwrap().client_id.unwrap()
}

fn error(reply: &Reply) -> String {
    reply.error.as_ref().map(ToString::to_string).unwrap_or_default()
}

#[tokio::test]
async fn a_session_serves_nobody_else_who_says_who_he_is() {
    let broker = broker();
    let (ann, bob) = (session(&broker, "ann").await, session(&broker, "bob").await);
    for (channel, rest) in [
        ("/meta/subscribe", json!({"subscription": "/a"})),
        ("/meta/unsubscribe", json!({"subscription": "/a"})),
        ("/meta/disconnect", json!({})),
        ("/a", json!({"data": 1})),
    ] {
        let mut message = rest;
        message["channel"] = channel.into();
        message["clientId"] = ann.as_str().into();
        let reply = ask(&broker, &caller(Some("bob")), message).await;
        assert_eq!(error(&reply), "402::session_unknown", "{channel}");
    }
    // Both go on as if nothing had been tried.
    for (id, user) in [(&ann, "ann"), (&bob, "bob")] {
        let message = json!({"channel": "/meta/subscribe", "clientId": id, "subscription": "/a"});
        assert_eq!(error(&ask(&broker, &caller(Some(user)), message).await), "");
    }
}

#[tokio::test]
async fn no_wildcard_covers_what_is_not_allowed() {
    let broker = broker();
    let ann = session(&broker, "ann").await;
    let subscribe =
        |subscription: Value| json!({"channel": "/meta/subscribe", "clientId": ann, "subscription": subscription});
    let ann_asks = caller(Some("ann"));
    for covering in ["/secret/plans", "/secret/*", "/secret/**", "/**"] {
        let reply = ask(&broker, &ann_asks, subscribe(covering.into())).await;
        assert_eq!(error(&reply), "403:secret:subscribe_denied", "{covering}");
        let reply = ask(&broker, &ann_asks, subscribe(json!(["/open", covering]))).await;
        assert_eq!(error(&reply), "403:secret:subscribe_denied", "{covering} in a list");
    }
    for below in ["/meta/subscribe/x", "/meta/subscribe/**", "/meta/subscribe "] {
        let message = json!({"channel": below, "clientId": ann, "subscription": "/secret/plans"});
        assert!(!ask(&broker, &ann_asks, message).await.is_successful(), "{below}");
    }
    assert_eq!(error(&ask(&broker, &ann_asks, subscribe("/open".into())).await), "");
}
