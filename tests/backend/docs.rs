//! The example at the beginning of `docs/backends.md` does what the page says.

use super::places::{Backend, Broker, Client};
use serde_json::json;
use std::{path::PathBuf, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::{TcpListener, TcpStream},
    process::Command,
    time::{sleep, timeout},
};

/// The first block of a language on the page.
fn block(language: &str) -> String {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/backends.md");
    let page = std::fs::read_to_string(page).unwrap();
    let after = page.split(&format!("```{language}\n")).nth(1).expect("a block of the language");
    after.split("```").next().unwrap().to_owned()
}

/// Runs the commands of the page against a broker that is there already; what they print.
async fn walk_through(url: &str) -> String {
    let commands = block("sh").replace("http://127.0.0.1:8080/bayeux", url);
    let commands: Vec<&str> = commands.lines().filter(|line| !line.ends_with('&')).collect();
    let output = Command::new("bash").args(["-c", &commands.join("\n")]).kill_on_drop(true).output();
    let output = timeout(Duration::from_secs(60), output).await.expect("the commands end").unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_example_works_as_it_stands() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port().to_string();
    let mut command = Command::new("python3");
    command.args(["-c", &block("python").replace("9000", &port)]).kill_on_drop(true);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    while TcpStream::connect(format!("127.0.0.1:{port}")).await.is_err() {
        sleep(Duration::from_millis(20)).await;
    }
    let unused = Backend::start().await;
    let broker = Broker::start(&unused, &block("toml").replace("9000", &port)).await;
    let mut ann = Client::connect(&broker).await;
    assert_eq!(ann.call("/service/greet", json!({"name": "Ann"})).await["data"], "Hello Ann");
    assert_eq!(ann.publish("/chat/room", json!("spam")).await["error"], "403::publish_denied");
    assert_eq!(ann.publish("/chat/room", json!("ham")).await["successful"], true);
    ann.publish("/orders/7", json!({"total": 12})).await;
    let mut wanted = vec!["session_added", "'channel': '/orders/7', 'data': {'total': 12}"];
    let shown = walk_through(&broker.url).await;
    for text in ["Hello Ann", "403::publish_denied"] {
        assert!(shown.contains(text), "{text} is not in {shown}");
    }
    let find = async {
        while !wanted.is_empty() {
            let line = said.next_line().await.unwrap().unwrap();
            wanted.retain(|text| !line.contains(text));
        }
    };
    timeout(Duration::from_secs(10), find).await.expect("it says both");
}
