//! A broker as a process on a folder of its own, and how it ends.

use crate::DEADLINE;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicU32, Ordering},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
    sync::mpsc,
    time::timeout,
};

/// A folder that goes with the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("disk-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The newest file of the log's only class.
    pub(crate) fn newest_log(&self) -> PathBuf {
        let files = std::fs::read_dir(self.0.join("log/0")).unwrap().map(|entry| entry.unwrap().path());
        files.max().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running broker.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    lines: mpsc::UnboundedReceiver<String>,
}

/// How one ended that did not start.
pub(crate) struct Refused {
    pub(crate) code: i32,
    pub(crate) text: String,
}

fn command(folder: &Path, address: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bayeuxd"));
    command.args(["serve", "--listen", address, "--set", "engine.kind=disk"]);
    command.args(["--set", &format!("engine.disk.path={}", folder.display()), "--set", "broker.timeout=2s"]);
    command.env_remove("RUST_LOG").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

impl Process {
    /// Starts one on a free port.
    pub(crate) async fn start(folder: &Folder) -> Self {
        Self::start_at(&folder.0, "127.0.0.1:0").await
    }

    /// Starts one where another was.
    pub(crate) async fn start_at(folder: &Path, address: &str) -> Self {
        let mut child = command(folder, address).spawn().unwrap();
        let (send, mut lines) = mpsc::unbounded_channel();
        let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
        tokio::spawn(async move {
            while let Ok(Some(line)) = errors.next_line().await {
                let _ = send.send(line);
            }
        });
        let mut before = Vec::new();
        let started = async {
            loop {
                let line = lines.recv().await.unwrap_or_else(|| panic!("it did not start: {before:#?}"));
                if let Some(url) = line.trim().strip_prefix("Bayeux").map(str::trim) {
                    return url.trim_start_matches("http://").trim_end_matches("/bayeux").parse().unwrap();
                }
                before.push(line);
            }
        };
        let address = timeout(DEADLINE, started).await.expect("it starts in time");
        let (again, receiver) = mpsc::unbounded_channel();
        before.into_iter().for_each(|line| drop(again.send(line)));
        tokio::spawn(async move {
            while let Some(line) = lines.recv().await {
                let _ = again.send(line);
            }
        });
        Self { child, address, lines: receiver }
    }

    /// Starts one that must refuse to.
    pub(crate) async fn refused(folder: &Folder) -> Refused {
        let mut child = command(&folder.0, "127.0.0.1:0").spawn().unwrap();
        let mut text = String::new();
        let mut errors = child.stderr.take().unwrap();
        timeout(DEADLINE, errors.read_to_string(&mut text)).await.expect("it ends in time").unwrap();
        let status = timeout(DEADLINE, child.wait()).await.expect("it ends in time").unwrap();
        assert!(!text.contains("Playground"), "it greets nobody whom it does not serve: {text}");
        Refused { code: status.code().unwrap(), text }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Waits for a line of its log that holds `what`.
    pub(crate) async fn line(&mut self, what: &str) -> String {
        let find = async {
            loop {
                let line = self.lines.recv().await.unwrap_or_else(|| panic!("no line with {what}"));
                if line.contains(what) {
                    return line;
                }
            }
        };
        timeout(DEADLINE, find).await.unwrap_or_else(|_| panic!("no line with {what} in time"))
    }

    /// `kill -9`.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM, and waits until it has ended well.
    pub(crate) async fn terminate(mut self) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().await.unwrap().success());
        let status = timeout(DEADLINE, self.child.wait()).await.expect("it ends in time").unwrap();
        assert!(status.success(), "{status}");
    }
}
