//! A disk that is really full: a small file system in memory. Needs to be root, as in a container; says so where it is not.

use crate::{
    client::{self, Subscriber},
    process::{Folder, Process},
};
use reqwest::Client;
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};

/// A file system of a few megabytes, gone with the test.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"]).arg(at).output().ok()?;
        mounted.status.success().then_some(Self(at))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_publishes_until_there_is_room() {
    let folder = Folder::new();
    let Some(_small) = Small::mount(&folder.0) else {
        println!("skipped a_full_disk_refuses_publishes_until_there_is_room: a tmpfs can only be mounted by root");
        return;
    };
    let ballast = folder.0.join("ballast");
    fs::write(&ballast, vec![1; 2 << 20]).unwrap();
    let broker = Process::start(&folder).await;
    let address = broker.address;
    let http = Client::new();
    let mut subscriber = Subscriber::new(address, "/a").await;
    let text = "x".repeat(50_000);
    let message = |n: u64| json!({"n": n, "text": text});
    let mut acknowledged = Vec::new();
    let mut refused = None;
    for n in 0..200 {
        let messages = json!([{"channel": "/a", "data": message(n)}]);
        let reply = client::send(&http, address, &messages).await.unwrap();
        if reply[0]["successful"] == true {
            acknowledged.push(n);
        } else {
            refused = Some(reply[0]["error"].clone());
            break;
        }
    }
    assert_eq!(refused, Some(json!("503::engine_unavailable")));
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    let counted = async || {
        let text = reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap();
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        ["unavailable_total", "disk_refused_total", "disk_failing"].map(|name| value(&format!("bayeuxd_{name}")))
    };
    assert_eq!(counted().await, [Some(1.0), Some(1.0), Some(1.0)], "a refusal is counted and the trouble shows");
    fs::remove_file(&ballast).unwrap();
    assert_eq!(client::publish(&http, address, "/a", &[message(1000)]).await, Some(vec![true]), "there is room again");
    acknowledged.push(1000);
    assert_eq!(counted().await, [Some(1.0), Some(1.0), Some(0.0)], "and is over");
    broker.kill().await;
    let broker = Process::start_at(&folder.0, &address.to_string()).await;
    subscriber.until(&message(1000)).await;
    let numbers: Vec<u64> = subscriber.received.iter().map(|data: &Value| data["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, acknowledged);
    broker.terminate().await;
}
