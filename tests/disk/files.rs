//! Files that are not as they were left, and a folder that is in use.

use crate::{
    client::{self, Subscriber},
    process::{Folder, Process},
};
use reqwest::Client;
use serde_json::json;
use std::{fs, io::Write};

/// A broker that took three messages for one subscriber and was killed.
async fn left_behind(folder: &Folder) -> Subscriber {
    let broker = Process::start(folder).await;
    let subscriber = Subscriber::new(broker.address, "/a").await;
    for n in 0..3 {
        let done = client::publish(&Client::new(), broker.address, "/a", &[json!(n)]).await;
        assert_eq!(done, Some(vec![true]));
    }
    broker.kill().await;
    subscriber
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_end_is_repaired_and_told_of() {
    let folder = Folder::new();
    left_behind(&folder).await;
    let file = folder.newest_log();
    let len = fs::metadata(&file).unwrap().len();
    fs::File::options().append(true).open(&file).unwrap().write_all(b"BXG1 and then nothing that makes sense").unwrap();
    let mut broker = Process::start(&folder).await;
    let line = broker.line("torn").await;
    assert!(line.contains(&file.display().to_string()) && line.contains(&len.to_string()), "{line}");
    let history = reqwest::get(format!("http://{}/api/v1/channels/a/history", broker.address)).await.unwrap();
    let history: serde_json::Value = serde_json::from_str(&history.text().await.unwrap()).unwrap();
    let data: Vec<_> = history["publications"].as_array().unwrap().iter().map(|p| p["data"].clone()).collect();
    assert_eq!(data, [json!(0), json!(1), json!(2)]);
    broker.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_refused_and_named() {
    let folder = Folder::new();
    left_behind(&folder).await;
    let file = folder.newest_log();
    let mut bytes = fs::read(&file).unwrap();
    // In the second of three messages.
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let refused = Process::refused(&folder).await;
    assert_ne!(refused.code, 0);
    assert!(
        refused.text.contains(&file.display().to_string()) && refused.text.contains("damaged at byte "),
        "{}",
        refused.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_refused() {
    let folder = Folder::new();
    let broker = Process::start(&folder).await;
    let refused = Process::refused(&folder).await;
    assert_ne!(refused.code, 0);
    assert!(refused.text.contains(&format!("in use by process {}", broker.pid())), "{}", refused.text);
    let done = client::publish(&Client::new(), broker.address, "/a", &[json!(1)]).await;
    assert_eq!(done, Some(vec![true]), "the first one is not disturbed");
    broker.kill().await;
    // Whatever ended it, the folder is free.
    Process::start(&folder).await.terminate().await;
}
