//! The program as a person uses it: real processes, real sockets, exit codes, and what lands on which stream.
//!
//! Every process ends with its test, also when the test fails, and nothing waits longer than the deadline.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test panics")]

use std::{path::PathBuf, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

/// The longest anything may take here, a stopping server included.
const DEADLINE: Duration = Duration::from_secs(10);

fn bayeuxd(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bayeuxd"));
    command.args(arguments).env_remove("RUST_LOG").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

struct Output {
    code: i32,
    out: String,
    err: String,
}

async fn run(mut command: Command) -> Output {
    let output = timeout(DEADLINE, command.output()).await.expect("it ends in time").unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// Reads lines until one of them holds `what`.
async fn line_with(lines: &mut Lines<BufReader<ChildStderr>>, what: &str) -> String {
    let find = async {
        loop {
            let line = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("no line with {what}"));
            if line.contains(what) {
                return line;
            }
        }
    };
    timeout(DEADLINE, find).await.unwrap_or_else(|_| panic!("no line with {what} in time"))
}

async fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("it still runs").to_string();
    assert!(Command::new("kill").args(["-s", name, &pid]).status().await.unwrap().success());
}

async fn exit_code(child: &mut Child) -> Option<i32> {
    timeout(DEADLINE, child.wait()).await.expect("it ends in time").unwrap().code()
}

struct Broker {
    child: Child,
    url: String,
    lines: Lines<BufReader<ChildStderr>>,
}

async fn broker(settings: &[&str]) -> Broker {
    let mut child = bayeuxd(&[&["serve", "--listen", "127.0.0.1:0"], settings].concat()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = line_with(&mut lines, "  Bayeux ").await;
    Broker { child, url: line.split_whitespace().last().unwrap().to_owned(), lines }
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn what_is_published_is_printed_and_both_end_when_told() {
    let mut broker = broker(&[]).await;
    let mut subscriber = bayeuxd(&["subscribe", "--url", &broker.url, "/demo/**"]).spawn().unwrap();
    line_with(&mut BufReader::new(subscriber.stderr.take().unwrap()).lines(), "subscribed").await;
    let mut printed = BufReader::new(subscriber.stdout.take().unwrap()).lines();

    let data = "{\"n\": 12345678901234567890}";
    let published = run(bayeuxd(&["publish", "--url", &broker.url, "/demo/hello", data])).await;
    assert_eq!((published.code, published.out.as_str(), published.err.as_str()), (0, "", ""));
    let line = timeout(DEADLINE, printed.next_line()).await.unwrap().unwrap().unwrap();
    assert_eq!(line, format!("{{\"channel\":\"/demo/hello\",\"data\":{data}}}"));

    signal(&subscriber, "INT").await;
    assert_eq!(exit_code(&mut subscriber).await, Some(0));
    signal(&broker.child, "TERM").await;
    line_with(&mut broker.lines, "stopping (SIGTERM)").await;
    assert_eq!(exit_code(&mut broker.child).await, Some(0));
}

#[tokio::test]
async fn health_tells_by_its_exit_code() {
    let mut broker = broker(&[]).await;
    for page in ["/healthz", "/readyz"] {
        let well = run(bayeuxd(&["health", "--url", &broker.url.replace("/bayeux", page)])).await;
        assert_eq!((well.code, well.out.as_str(), well.err.as_str()), (0, "", ""), "{page}");
    }
    let elsewhere = broker.url.replace("/bayeux", "/nowhere");
    let refused = run(bayeuxd(&["health", "--url", &elsewhere])).await;
    assert_eq!((refused.code, refused.err.as_str()), (1, "bayeuxd: the server answered with HTTP status 404\n"));

    signal(&broker.child, "KILL").await;
    assert_eq!(exit_code(&mut broker.child).await, None);
    let gone = run(bayeuxd(&["health", "--url", &broker.url.replace("/bayeux", "/healthz")])).await;
    assert_eq!(gone.code, 1);
    assert!(gone.err.contains("cannot be reached"), "{}", gone.err);
    assert_eq!(run(bayeuxd(&["health", "--url", "nonsense"])).await.code, 2);
}

#[tokio::test]
async fn health_does_not_wait_for_ever() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/healthz", silent.local_addr().unwrap());
    let hung = run(bayeuxd(&["health", "--url", &url, "--timeout", "100ms"])).await;
    assert_eq!((hung.code, hung.err.as_str()), (1, "bayeuxd: the server cannot be reached: no answer in time\n"));
}

#[tokio::test]
async fn a_message_may_come_from_standard_input() {
    let broker = broker(&[]).await;
    let mut command = bayeuxd(&["publish", "--url", &broker.url, "/demo/hello", "-"]);
    let mut publisher = command.stdin(Stdio::piped()).spawn().unwrap();
    publisher.stdin.take().unwrap().write_all(b"{\n  \"text\": \"hello\"\n}\n").await.unwrap();
    assert_eq!(exit_code(&mut publisher).await, Some(0));
}

#[tokio::test]
async fn a_subscriber_that_nobody_reads_ends_quietly() {
    let broker = broker(&[]).await;
    let mut subscriber = bayeuxd(&["subscribe", "--url", &broker.url, "/demo/**"]).spawn().unwrap();
    line_with(&mut BufReader::new(subscriber.stderr.take().unwrap()).lines(), "subscribed").await;
    drop(subscriber.stdout.take());
    assert_eq!(run(bayeuxd(&["publish", "--url", &broker.url, "/demo/hello", "1"])).await.code, 0);
    assert_eq!(exit_code(&mut subscriber).await, Some(0));
}

#[tokio::test]
async fn a_broker_whose_log_nobody_reads_serves_and_ends_in_good_order() {
    let mut broker = broker(&["--set", "log.level=debug"]).await;
    drop(broker.lines);
    for _ in 0..2 {
        assert_eq!(run(bayeuxd(&["publish", "--url", &broker.url, "/demo/hello", "1"])).await.code, 0);
    }
    signal(&broker.child, "TERM").await;
    assert_eq!(exit_code(&mut broker.child).await, Some(0));
}

#[tokio::test]
async fn a_refused_publish_exits_1_with_the_brokers_words() {
    let broker = broker(&[]).await;
    let refused = run(bayeuxd(&["publish", "--url", &broker.url, "/demo/*", "1"])).await;
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("405::channel_invalid"), "{}", refused.err);
}

#[tokio::test]
async fn what_is_asked_wrongly_exits_2() {
    for arguments in [
        &["publish", "/a", "not json"][..],
        &["publish", "--url", "nonsense", "/a", "1"],
        &["serve", "--set", "broker.timeout"],
        &["serve", "--listen", "127.0.0.1:0", "--set", "broker.timeuot=1s"],
        &["serve", "--listen", "127.0.0.1:0", "--set", "log.level=a=b=c"],
        &["subscribe"],
        &["nonsense"],
    ] {
        let output = run(bayeuxd(arguments)).await;
        assert_eq!(output.code, 2, "{arguments:?}: {}", output.err);
        assert!(!output.err.is_empty(), "{arguments:?}");
    }
}

#[tokio::test]
async fn an_address_of_the_network_needs_a_word() {
    let refused = run(bayeuxd(&["serve", "--listen", "0.0.0.0:0"])).await;
    assert_eq!(refused.code, 2);
    assert!(
        refused.err.contains("refusing to listen on 0.0.0.0:0") && refused.err.contains("--open"),
        "{}",
        refused.err
    );
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let broker = broker(&[]).await;
    let address = broker.url.trim_start_matches("http://").split('/').next().unwrap();
    let failed = run(bayeuxd(&["serve", "--listen", address])).await;
    assert_eq!(failed.code, 1);
    assert!(failed.err.contains(&format!("cannot listen on {address}")), "{}", failed.err);
}

#[tokio::test]
async fn check_config_prints_all_problems_or_all_values() {
    let bad = file("bad.toml", "[broker]\ntimeuot = \"1s\"\nmax_queue = 0\n");
    let checked = run(bayeuxd(&["check-config", bad.to_str().unwrap()])).await;
    assert_eq!((checked.code, checked.out.as_str()), (2, ""));
    assert!(checked.err.contains("bad.toml:2: broker.timeuot: unknown key; did you mean broker.timeout?"));
    assert!(checked.err.contains("bad.toml:3: broker.max_queue: must be at least 1"), "{}", checked.err);

    let good = file("good.toml", "[broker]\ntimeout = \"1s\"\n");
    let mut command = bayeuxd(&["check-config", good.to_str().unwrap()]);
    let checked = run({
        command.env("BAYEUXD__BROKER__INTERVAL", "2s");
        command
    })
    .await;
    assert_eq!((checked.code, checked.err.as_str()), (0, ""));
    let origin =
        |key: &str| checked.out.lines().find(|line| line.starts_with(key)).unwrap().split("  # ").nth(1).unwrap();
    assert!(origin("broker.timeout = \"1s\"").ends_with("good.toml:2"));
    assert_eq!(origin("broker.interval = \"2s\""), "environment BAYEUXD__BROKER__INTERVAL");
    assert_eq!(origin("broker.max_queue = 1000"), "default");
}

#[tokio::test]
async fn json_logs_are_json_from_the_first_line() {
    let mut child = bayeuxd(&["serve", "--listen", "127.0.0.1:0", "--set", "log.format=json"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let listening = loop {
        let line = timeout(DEADLINE, lines.next_line()).await.unwrap().unwrap().unwrap();
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        if event["message"] == "listening" {
            break event;
        }
    };
    assert!(listening["bayeux"].as_str().unwrap().ends_with("/bayeux"));
    signal(&child, "TERM").await;
    assert_eq!(exit_code(&mut child).await, Some(0));
}

#[tokio::test]
async fn the_playground_knows_its_mount() {
    let broker = broker(&["--set", "transport.path=/live/messages"]).await;
    assert!(broker.url.ends_with("/live/messages"));
    let page = reqwest::get(broker.url.replace("/live/messages", "/")).await.unwrap().text().await.unwrap();
    assert!(page.contains("content=\"/live/messages\"") && !page.contains("{{"), "the placeholder is filled in");
}

#[tokio::test]
async fn a_folder_is_served_beside_the_mount() {
    let folder = std::env::temp_dir().join(format!("bayeuxd-pages-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("sub")).unwrap();
    std::fs::write(folder.join("index.html"), "<h1>mine</h1>").unwrap();
    std::fs::write(folder.join("sub/code.js"), "1").unwrap();
    let broker = broker(&["--set", &format!("server.pages={}", folder.display())]).await;
    let get = async |path: &str| reqwest::get(broker.url.replace("/bayeux", path)).await.unwrap();
    let index = get("/").await;
    assert_eq!(index.headers()["cache-control"], "no-cache");
    assert!(!index.headers().contains_key("content-security-policy"), "that is for their author to say");
    assert_eq!(index.text().await.unwrap(), "<h1>mine</h1>");
    let script = get("/sub/code.js").await;
    assert!(script.headers()["content-type"].to_str().unwrap().contains("javascript"));
    assert!(script.headers()["x-content-type-options"] == "nosniff");
    assert!(get("/playground").await.text().await.unwrap().contains("content=\"/bayeux\""));
    for missing in ["/none", "/sub/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd"] {
        assert_eq!(get(missing).await.status(), 404, "{missing}");
    }
    assert_eq!(get("/healthz").await.status(), 200);
    std::fs::remove_dir_all(folder).unwrap();
}
