//! The API and Bayeux over HTTP: who is let in, what they are told otherwise, and what ends a session.

use super::{ADMIN, KEY, bayeux, server, support::Server, token};
use reqwest::Client;
use serde_json::{Value, json};

async fn post(server: &Server, headers: &[(&str, &str)], call: &str, body: Value) -> (u16, Value) {
    let headers = [&[("content-type", "application/json")], headers].concat();
    server.call("POST", &format!("/api/v1/{call}"), &headers, Some(&body.to_string())).await
}

fn handshake(ext: Value) -> Value {
    json!({"channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"], "ext": ext})
}

async fn session(server: &Server, token: &str) -> String {
    let reply = bayeux(server, &[], &handshake(json!({ "token": token }))).await;
    reply["clientId"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
}

#[tokio::test]
async fn the_api_tells_who_is_missing_and_who_may_not() {
    let server = server("api.toml").await;
    let bearer = format!("Bearer {KEY}");
    let order = json!({"channel": "/orders/7", "data": 1});
    for headers in [[("x-api-key", KEY)], [("authorization", bearer.as_str())]] {
        assert_eq!(post(&server, &headers, "publish", order.clone()).await.0, 200, "{headers:?}");
        let (status, body) = post(&server, &headers, "publish", json!({"channel": "/users/ann/x", "data": 1})).await;
        assert_eq!((status, &body["error"]["code"]), (403, &json!("denied")));
        let (status, body) = server.call("GET", "/api/v1/sessions", &headers, None).await;
        assert_eq!((status, &body["error"]["code"]), (403, &json!("denied")));
    }
    for headers in [vec![], vec![("x-api-key", "wrong")], vec![("authorization", "Bearer a.b.c")]] {
        let (status, body) = post(&server, &headers, "publish", order.clone()).await;
        assert_eq!((status, &body["error"]["code"]), (401, &json!("not_authenticated")), "{headers:?}");
        assert!(!body.to_string().contains("wrong"), "{body}");
    }
    let answer = Client::new().get(format!("{}/api/v1/sessions", server.origin())).send().await.unwrap();
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    assert_eq!(server.call("GET", "/api/v1/sessions", &[("x-api-key", ADMIN)], None).await.0, 200);
    assert_eq!(server.call("GET", "/metrics", &[], None).await.0, 401);
    assert_eq!(server.call("GET", "/healthz", &[], None).await.0, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_denied_handshake_says_none_and_a_good_one_opens_the_users_own_place() {
    let server = server("handshake.toml").await;
    let denied = bayeux(&server, &[], &handshake(json!({}))).await;
    assert_eq!(denied["error"], "403:no rule allows it:handshake_denied");
    assert_eq!(denied["advice"]["reconnect"], "none");
    let id = session(&server, &token("ann")).await;
    let subscribe = |pattern: &str| json!({"channel": "/meta/subscribe", "clientId": id, "subscription": pattern});
    for (pattern, good) in
        [("/users/ann/**", true), ("/orders/*", true), ("/users/**", false), ("/**", false), ("/orders/**", false)]
    {
        assert_eq!(bayeux(&server, &[], &subscribe(pattern)).await["successful"], good, "{pattern}");
    }
    let bob = format!("Bearer {}", token("bob"));
    let stolen = bayeux(&server, &[("authorization", &bob)], &subscribe("/orders/*")).await;
    assert_eq!(stolen["error"], "402::session_unknown");
    server.stop().await;
}

#[tokio::test]
async fn a_publish_without_session_obeys_the_same_rules() {
    let server = server("sessionless.toml").await;
    let say = |channel: &str, ext: Value| json!({"channel": channel, "data": 1, "ext": ext});
    let error =
        async |headers: &[(&str, &str)], message: &Value| bayeux(&server, headers, message).await["error"].clone();
    assert_eq!(error(&[("x-api-key", KEY)], &say("/orders/7", json!({}))).await, Value::Null);
    assert_eq!(error(&[], &say("/orders/7", json!({"token": KEY}))).await, Value::Null);
    assert_eq!(error(&[], &say("/users/ann/x", json!({"token": token("ann")}))).await, Value::Null);
    assert_eq!(error(&[], &say("/orders/7", json!({}))).await, "401:credentials are needed:not_authenticated");
    assert_eq!(
        error(&[], &say("/users/bob/x", json!({"token": token("ann")}))).await,
        "403:no rule allows it:publish_denied"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_cookie_counts_where_pages_of_other_origins_cannot_use_it() {
    let server = server("cookie.toml").await;
    let cookie = format!("x=y; session={}", token("ann"));
    let own = bayeux(&server, &[("cookie", &cookie)], &handshake(json!({}))).await;
    assert_eq!(own["successful"], true, "{own}");
    // A script element sends the cookie, and perhaps says nothing of where it stands.
    let message =
        handshake(json!({})).to_string().replace('"', "%22").replace(' ', "").replace('{', "%7B").replace('}', "%7D");
    let jsonp = format!("/bayeux?jsonp=f&message={message}");
    let script = server.call("GET", &jsonp, &[("cookie", &cookie)], None).await;
    assert!(script.1.to_string().contains("403::origin_denied"), "{}", script.1);
    let own = format!("{}/page", server.origin());
    let script = server.call("GET", &jsonp, &[("cookie", &cookie), ("referer", &own)], None).await;
    assert!(script.1.to_string().contains("403:no rule allows it:handshake_denied"), "{}", script.1);
    let foreign =
        [("cookie", cookie.as_str()), ("origin", "https://evil.example"), ("content-type", "application/json")];
    let (status, body) = server.call("POST", "/bayeux", &foreign, Some(&handshake(json!({})).to_string())).await;
    assert_eq!(status, 403, "{body}");
    assert_eq!(
        server.call("GET", "/api/v1/sessions", &[("cookie", &cookie)], None).await.0,
        401,
        "the API reads no cookie"
    );
    server.stop().await;
}

#[tokio::test]
async fn revoking_a_user_ends_their_sessions_and_refreshing_prolongs_one() {
    let server = server("revoke.toml").await;
    let id = session(&server, &token("ann")).await;
    let admin = [("x-api-key", ADMIN)];
    let connect = json!({"channel": "/meta/connect", "clientId": id, "connectionType": "long-polling"});
    assert_eq!(bayeux(&server, &[], &connect).await["successful"], true);
    let refresh = json!({"channel": "/service/refresh", "clientId": id, "data": {"token": token("ann")}});
    assert_eq!(bayeux(&server, &[], &refresh).await["successful"], true);
    let answer = bayeux(&server, &[], &connect).await;
    assert_eq!(answer["channel"], "/service/refresh");
    assert!(answer["data"]["expires"].as_u64().unwrap() > 1_000_000_000_000, "{answer}");
    let held = bayeux(&server, &[], &connect);
    let revoke = async {
        // The connect is held, or comes later: its reply is the same.
        loop {
            let (_, seen) = server.call("GET", &format!("/api/v1/sessions/{id}"), &admin, None).await;
            if seen["connected"] == true {
                return post(&server, &admin, "revoke", json!({"user": "ann"})).await;
            }
            tokio::task::yield_now().await;
        }
    };
    let (reply, (status, body)) = tokio::join!(held, revoke);
    assert_eq!((status, &body["sessions"]), (200, &json!(1)), "{body}");
    assert_eq!(reply["error"], "401:the token has expired or was revoked:not_authenticated");
    assert_eq!(reply["advice"]["reconnect"], "handshake");
    let again = bayeux(&server, &[], &handshake(json!({"token": token("ann")}))).await;
    assert_eq!(again["error"], "401:the token was revoked:not_authenticated", "issued in the same second");
    for wrong in
        [json!({}), json!({"user": "a", "token": "b"}), json!({"user": ""}), json!({"user": "a", "seconds": 0})]
    {
        assert_eq!(post(&server, &admin, "revoke", wrong.clone()).await.0, 400, "{wrong}");
    }
    assert_eq!(post(&server, &[("x-api-key", KEY)], "revoke", json!({"user": "ann"})).await.0, 403);
    server.stop().await;
}

#[tokio::test]
async fn explain_names_the_deciding_rule() {
    let server = server("explain.toml").await;
    let admin = [("x-api-key", ADMIN)];
    let ask = async |question: Value| post(&server, &admin, "explain", question).await.1;
    let own = ask(json!({"action": "subscribe", "channel": "/users/ann/**", "identity": {"sub": "ann"}})).await;
    assert_eq!((&own["allowed"], &own["rule"]), (&json!(true), &json!("rule[2]")));
    let bob = ask(json!({"action": "subscribe", "channel": "/users/ann/**", "token": token("bob")})).await;
    assert_eq!((&bob["allowed"], bob.get("rule")), (&json!(false), None));
    let key = ask(json!({"action": "publish", "channel": "/orders/7", "key": "orders"})).await;
    assert_eq!(key["rule"], "rule[1]");
    let admins = ask(json!({"action": "api", "key": "admin"})).await;
    assert_eq!(admins["rule"], "key[1].rule[0]");
    server.stop().await;
}

#[tokio::test]
async fn a_stream_opens_for_whom_the_session_is() {
    let server = server("stream.toml").await;
    let id = session(&server, &token("ann")).await;
    let open = async |user: Option<&str>| {
        let request = Client::new().get(format!("http://{}/bayeux/{id}", server.address));
        let request = request.header("accept", "text/event-stream");
        let request = if let Some(user) = user { request.bearer_auth(token(user)) } else { request };
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(open(Some("bob")).await, 404, "somebody else");
    assert_eq!(open(Some("ann")).await, 200);
    assert_eq!(open(None).await, 200, "browsers send no token with it: the client id is the credential");
    server.stop().await;
}

#[tokio::test]
async fn users_do_not_write_to_each_other_by_the_api() {
    let server = server("deliver.toml").await;
    let bob = format!("Bearer {}", token("bob"));
    let letter = |channel: &str| json!({"channel": channel, "data": 1});
    let own = letter("/users/bob/x");
    let (status, body) = post(&server, &[("authorization", &bob)], "users/ann/deliver", own.clone()).await;
    assert_eq!((status, &body["error"]["code"]), (403, &json!("denied")), "{body}");
    let published = post(&server, &[("authorization", &bob)], "publish", own).await;
    assert_eq!(published.0, 200, "what the rules allow");
    let (status, body) = post(&server, &[("x-api-key", KEY)], "users/ann/deliver", letter("/orders/7")).await;
    assert_eq!((status, &body["sessions"]), (200, &json!(0)), "{body}");
    server.stop().await;
}
