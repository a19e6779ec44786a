//! The command line: keys, tokens, explanations, the check of a configuration, and which addresses may be listened on.

use super::{ADMIN, KEY, SECRET, configuration, file, server, support::DEADLINE, token};
use serde_json::{Value, json};
use std::{path::Path, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

pub(crate) fn bayeuxd(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bayeuxd"));
    command.args(arguments).env_remove("RUST_LOG").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = timeout(DEADLINE, bayeuxd(arguments).output()).await.expect("it ends in time").unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Starts a broker. Gives it with its Bayeux URL.
pub(crate) async fn serve(arguments: &[&str]) -> (Child, String) {
    let mut child = bayeuxd(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let url = async {
        loop {
            let line = lines.next_line().await.unwrap().expect("it says where it listens");
            if let Some(url) = line.trim().strip_prefix("Bayeux ") {
                return url.trim().to_owned();
            }
        }
    };
    let url = timeout(DEADLINE, url).await.expect("it starts in time");
    // A pipe that nobody reads would stop the program.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, url)
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

#[tokio::test]
async fn a_new_key_comes_with_the_configuration_that_knows_it() {
    let (code, out, _) = run(&["key", "new", "--name", "shop"]).await;
    assert_eq!(code, 0);
    let key = out.split_whitespace().find(|word| word.starts_with("bayeuxd_")).unwrap();
    let config = file("new-key.toml", &out);
    let (code, shown, err) = run(&["check-config", path(&config)]).await;
    assert_eq!(code, 0, "{err}");
    assert!(!shown.contains("sha256:"), "{shown}");
    let plan = super::plan("new-key-again.toml", &out);
    let known = bayeuxd::access::key::Keys::new(&plan.keys);
    assert_eq!(&*known.find(key).unwrap().name, "shop");
    assert_eq!(run(&["key", "new", "--name", "a b"]).await.0, 2);
}

#[tokio::test]
async fn a_token_for_development_is_one_that_the_configuration_accepts() {
    let config = file("token.toml", &configuration());
    for how in [["--config", path(&config)], ["--secret", SECRET]] {
        let (code, out, err) =
            run(&[&["token", "--sub", "ann", "--claim", "team=red", "--ttl", "5m"], &how[..]].concat()).await;
        assert_eq!((code, err.as_str()), (0, ""));
        let server = super::server("token-server.toml").await;
        let message = serde_json::json!({"channel": "/meta/handshake", "ext": {"token": out.trim()}});
        assert_eq!(super::bayeux(&server, &[], &message).await["successful"], true);
        server.stop().await;
    }
    assert_eq!(run(&["token", "--sub", "ann", "--secret", "short"]).await.0, 2);
    assert_eq!(run(&["token", "--sub", "ann"]).await.0, 2);
}

#[tokio::test]
async fn explain_tells_which_rule_decides() {
    let config = file("explain-cli.toml", &configuration());
    let explain = async |more: &[&str]| run(&[&["explain", "--config", path(&config)], more].concat()).await;
    let (code, out, _) = explain(&["--as", r#"{"sub":"ann"}"#, "subscribe", "/users/ann/**"]).await;
    assert_eq!(code, 0);
    assert!(out.starts_with("allowed by rule[2]:"), "{out}");
    let (code, _, err) = explain(&["--as", r#"{"sub":"bob"}"#, "publish", "/users/ann/x"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("denied: no rule matches"), "{err}");
    assert!(explain(&["--key", "orders", "publish", "/orders/7"]).await.1.contains("rule[1]"));
    for wrong in [&["--key", "nobody", "publish", "/x"][..], &["--as", "ann", "publish", "/x"], &["eat", "/x"]] {
        assert_eq!(explain(wrong).await.0, 2, "{wrong:?}");
    }
}

#[tokio::test]
async fn a_rule_test_that_fails_stops_the_check_and_the_server() {
    let wrong = format!(
        "{}\n[[rule_test]]\nwho = {{ sub = \"bob\" }}\naction = \"publish\"\nchannel = \"/users/ann/x\"\nexpect = \"allow\"\n",
        configuration()
    );
    let config = file("rule-test.toml", &wrong);
    for command in
        [&["check-config", path(&config)][..], &["serve", "--listen", "127.0.0.1:0", "--config", path(&config)]]
    {
        let (code, _, err) = run(command).await;
        assert_eq!(code, 2, "{err}");
        assert!(
            err.contains("rule_test") && err.contains("was expected to be allowed, but is denied by no rule"),
            "{err}"
        );
    }
}

#[tokio::test]
async fn secrets_are_not_shown_and_mistakes_are_explained() {
    let config = file("secrets.toml", &configuration());
    let (code, out, _) = run(&["check-config", path(&config)]).await;
    assert_eq!(code, 0);
    assert!(!out.contains(SECRET) && !out.contains("sha256:"), "{out}");
    let wrong = "[[jwt]]\nissuer = \"x\"\n[[key]]\nname = \"a\"\nhash = \"sha256:short\"\n[[rule]]\nallow = [\"fly\"]\n\
        [[rule]]\nallow = \"publish\"\nchannel = \"/a*/b\"\nwho = \"everybody\"\n";
    let (code, _, err) = run(&["check-config", path(&file("mistakes.toml", wrong))]).await;
    assert_eq!(code, 2);
    for part in [
        "needs exactly one of secret",
        "hash: must be sha256:",
        "found \"fly\"",
        "a * stands alone",
        "must be anyone, anonymous",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
}

#[tokio::test]
async fn rules_open_an_address_that_is_not_loopback() {
    let (code, _, err) = run(&["serve", "--listen", "0.0.0.0:0"]).await;
    assert_eq!(code, 2);
    assert!(err.contains("[[rule]]") && err.contains("--open"), "{err}");
    let config = file("exposure.toml", &configuration());
    // It is told to listen where nobody can, so that it never opens a port: the refusal is another one.
    let (code, _, err) = run(&["serve", "--listen", "203.0.113.1:9", "--config", path(&config)]).await;
    assert_eq!(code, 1);
    assert!(err.contains("cannot listen on 203.0.113.1:9"), "{err}");
}

#[tokio::test]
async fn publish_shows_the_key_that_it_is_given() {
    let server = server("publish-cli.toml").await;
    let url = format!("http://{}/bayeux", server.address);
    let publish = ["publish", "--url", &url, "/orders/7", "1"];
    let (code, _, err) = run(&publish).await;
    assert!(code == 1 && err.contains("not_authenticated"), "{code} {err}");
    let (code, _, err) = run(&[&publish[..], &["--token", "not-the-key"]].concat()).await;
    assert!(code == 1 && !err.contains("not-the-key"), "{code} {err}");
    let (code, _, err) = run(&[&publish[..], &["--token", KEY]].concat()).await;
    assert_eq!((code, err.as_str()), (0, ""));
    let output = timeout(DEADLINE, bayeuxd(&publish).env("BAYEUXD_TOKEN", KEY).output()).await.unwrap().unwrap();
    assert!(output.status.success(), "by the environment");
    let (_, help, _) = run(&["publish", "--help"]).await;
    assert!(help.contains("BAYEUXD_TOKEN"));
    server.stop().await;
}

/// Sessions go on after a crash; what was revoked before it must not come back with them.
#[tokio::test]
async fn what_was_revoked_stays_revoked_after_a_crash() {
    let folder = std::env::temp_dir().join(format!("bayeuxd-revoked-{}", std::process::id()));
    let (config, data) = (file("revoked.toml", &configuration()), format!("engine.disk.path={}", path(&folder)));
    let start = async || serve(&["--config", path(&config), "--set", "engine.kind=disk", "--set", &data]).await;
    let http = reqwest::Client::new();
    let post = async |url: String, body: Value| -> Value {
        let request = http.post(url).header("content-type", "application/json").header("x-api-key", ADMIN);
        let answer = request.body(body.to_string()).timeout(DEADLINE).send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{answer}"))
    };
    let [old, other] = [token("ann"), token("eve")];
    let (mut broker, url) = start().await;
    let revoked = post(url.replace("/bayeux", "/api/v1/revoke"), json!({"user": "ann"})).await;
    assert_eq!(revoked, json!({"sessions": 0}));
    broker.kill().await.unwrap();
    let (mut broker, url) = start().await;
    let handshake = |token: &str| json!([{"channel": "/meta/handshake", "ext": {"token": token}}]);
    let error = async |token: &str| post(url.clone(), handshake(token)).await[0]["error"].take();
    assert_eq!(error(&old).await, "401:the token was revoked:not_authenticated");
    assert_eq!(error(&other).await, Value::Null);
    broker.kill().await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}
