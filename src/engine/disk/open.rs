//! Opens a folder: one process at a time, the store, the chains of the classes, and what memory must know of them.
//!
//! Called once, before anything is served. Changes nothing that was acknowledged; refuses what it cannot understand.

use super::{
    chain::{Chain, Checking},
    files::{Files, sync_folder},
    frame::Frame,
    read,
    tail::Snapshot,
};
use crate::{
    bayeux::{Pattern, Seq},
    engine::{Publication, Retention, idempotency::Keys, newest::Newest},
};
use std::{
    collections::{HashMap, VecDeque},
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Holds the number of the process that uses the folder.
const LOCK: &str = "LOCK";
/// Where the log is.
const LOG: &str = "log";
/// The log while it is divided anew, and the one before.
const LOG_NEW: &str = "log.new";
const LOG_OLD: &str = "log.old";
/// Names the patterns of the classes, in the order of their folders.
const CLASSES: &str = "classes.json";
/// Messages moved at once when the log is divided anew.
const MOVED: usize = 1000;

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system says no.
    #[error("{path}: {error}", path = path.display())]
    File {
        /// Of what.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Something else has it open.
    #[error("{path} is in use by process {owner}: one process a folder", path = path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The other process.
        owner: String,
    },
    /// What was written is not there any more.
    #[error(
        "{path} is damaged at byte {at}: {why}. Acknowledged messages may be missing; docs/engines.md tells how to go on",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, in bytes from its beginning.
        at: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// A file before this one is not there any more.
    #[error("{path}: the file before it is missing or cut short, it ends at position {after}", path = path.display())]
    Missing {
        /// The file after the missing one.
        path: PathBuf,
        /// The newest position before the missing part.
        after: Seq,
    },
    /// The store of records.
    #[error("{path}: the store of sessions cannot be opened: {text}", path = path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// Why.
        text: String,
    },
}

impl OpenError {
    pub(super) fn file(path: &Path, error: io::Error) -> Self {
        Self::File { path: path.to_owned(), error }
    }
}

/// Takes a folder for this process. Free again when the file is closed, whatever ends the process.
pub(super) fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join(LOCK);
    let failed = |error| OpenError::file(&path, error);
    fs::create_dir_all(folder).map_err(|error| OpenError::file(folder, error))?;
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            file.read_to_string(&mut owner).map_err(failed)?;
            return Err(OpenError::InUse { path: folder.to_owned(), owner: owner.trim().to_owned() });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    if let Err(error) = written {
        // A full disk must not keep it from starting: the number is only for people.
        tracing::warn!(%error, file = %path.display(), "the number of this process cannot be noted");
    }
    Ok(file)
}

/// The log as it was found.
pub(super) struct Found {
    pub chains: Vec<Chain>,
    pub keys: Keys,
    pub newest_messages: Newest,
    /// The newest position.
    pub newest: Seq,
}

/// How to look at the log.
pub(super) struct Opening<'a> {
    pub folder: &'a Path,
    pub files: &'a Files,
    pub retention: &'a Retention,
    pub check_bytes: u64,
    /// Where a new log begins.
    pub begin: Seq,
    /// The wall clock.
    pub now_ms: u64,
    /// Newest messages that the store knows.
    pub stored: Vec<Publication>,
}

impl Opening<'_> {
    /// Opens the log.
    pub(super) fn open(self, keys: Keys) -> Result<Found, OpenError> {
        let log = self.folder.join(LOG);
        let failed = |error| OpenError::file(&log, error);
        let old = self.folder.join(LOG_OLD);
        if old.exists() && !log.exists() {
            // It ended while the log was divided anew: from the beginning.
            fs::rename(&old, &log).map_err(failed)?;
        }
        for rest in [LOG_NEW, LOG_OLD].map(|name| self.folder.join(name)).iter().filter(|path| path.exists()) {
            fs::remove_dir_all(rest).map_err(|error| OpenError::file(rest, error))?;
        }
        let patterns: Vec<&str> = (0..self.retention.len() - 1).filter_map(|n| self.retention.pattern(n)).collect();
        match classes(&log).map_err(failed)? {
            None => write_classes(&log, &patterns, self.files).map_err(failed)?,
            Some(before) if before == patterns => {}
            Some(before) => self.divide(&log, &before, &patterns)?,
        }
        self.chains(&log, keys)
    }

    fn chains(&self, log: &Path, mut keys: Keys) -> Result<Found, OpenError> {
        let mut learned = Learned::new(&keys, self.now_ms);
        let mut chains = Vec::new();
        for class in 0..self.retention.len() {
            let keeps_last = self.retention.keeps_last(class);
            let since_ms = if keeps_last { 0 } else { learned.since_ms };
            let checking = Checking { bytes: self.check_bytes, since_ms };
            let mut each = |frame: Frame<'_>| learned.see(frame, keeps_last);
            let (folder, bounds) = (log.join(class.to_string()), self.retention.bounds(class));
            chains.push(Chain::open(folder, bounds, self.begin, self.files, checking, &mut each)?);
            learned.end_of_chain();
        }
        self.sync_folders(log).map_err(|error| OpenError::file(log, error))?;
        let newest = chains.iter().map(Chain::last).max().unwrap_or(self.begin);
        learned.all_keys.sort_unstable_by_key(|(seq, ..)| *seq);
        learned.all_keys.into_iter().for_each(|(seq, key, time_ms)| keys.insert(key, seq, time_ms));
        let stored = self.stored.iter().filter(|p| self.keeps_last(p));
        let stored = stored.map(|p| Arc::new(Publication::new(p.seq, p.draft.clone())));
        let mut last: Vec<_> = learned.last.into_values().chain(stored).collect();
        last.sort_unstable_by_key(|p| p.seq);
        let mut newest_messages = Newest::new(self.retention.max_last);
        last.iter().for_each(|publication| newest_messages.push(publication));
        Ok(Found { chains, keys, newest_messages, newest })
    }

    /// Folders that were just made must survive a power failure with what is in them.
    fn sync_folders(&self, log: &Path) -> io::Result<()> {
        sync_folder(log)?;
        sync_folder(self.folder)?;
        match self.folder.canonicalize()?.parent() {
            Some(parent) => sync_folder(parent),
            None => Ok(()),
        }
    }

    fn keeps_last(&self, publication: &Publication) -> bool {
        self.retention.keeps_last(self.retention.class_of(publication.draft.channel()))
    }

    /// The settings name other classes than before: writes the log anew, each message to the class it belongs to now.
    fn divide(&self, log: &Path, before: &[String], patterns: &[&str]) -> Result<(), OpenError> {
        let failed = |error| OpenError::file(log, error);
        let new = self.folder.join(LOG_NEW);
        tracing::info!(folder = %log.display(), "the classes of channels changed; the log is divided anew");
        let checking = Checking { bytes: u64::MAX, since_ms: 0 };
        let mut old = Vec::new();
        for class in 0..=before.len() {
            let (folder, bounds) = (log.join(class.to_string()), self.retention.bounds(usize::MAX));
            old.push(Chain::open(folder, bounds, self.begin, self.files, checking, &mut |_| {})?);
        }
        let last = old.iter().map(Chain::last).max().unwrap_or(self.begin);
        let mut chains = Vec::new();
        let mut cuts = Vec::new();
        for class in 0..=patterns.len() {
            // Whoever asks for what was cut before is told: of each class whose messages it may have been.
            let held = (0..=before.len()).filter(|o| may_share(before, *o, patterns, class));
            let cut = held.filter_map(|o| old.get(o)).map(Chain::past).max().unwrap_or(self.begin);
            let (folder, bounds) = (new.join(class.to_string()), self.retention.bounds(class));
            chains.push(Chain::open(folder, bounds, cut, self.files, checking, &mut |_| {})?);
            cuts.push(cut);
        }
        let mut after = 0;
        loop {
            let snapshot = Snapshot {
                after,
                newest: last,
                classes: old.iter().map(|chain| (0, chain.segments().into())).collect(),
            };
            let batch = read::all(&snapshot, MOVED).map_err(|e| failed(io::Error::other(e)))?;
            for publication in &batch.publications {
                let class = self.retention.class_of(publication.draft.channel());
                if publication.seq > cuts[class] {
                    chains[class].put(publication.seq, &publication.draft);
                }
            }
            for chain in chains.iter_mut().filter(|chain| chain.has_group()) {
                chain.write(false).map_err(failed)?;
                chain.accept();
            }
            if batch.publications.len() < MOVED {
                break;
            }
            after = batch.through;
        }
        chains.iter_mut().try_for_each(|chain| chain.mark(last)).map_err(failed)?;
        write_classes(&new, patterns, self.files).map_err(failed)?;
        fs::rename(log, self.folder.join(LOG_OLD)).map_err(failed)?;
        fs::rename(&new, log).map_err(failed)?;
        sync_folder(self.folder).map_err(failed)?;
        fs::remove_dir_all(self.folder.join(LOG_OLD)).map_err(failed)
    }
}

/// Whether a message of class `old` before may be of class `new` now. The class after the last pattern is everything else.
fn may_share(before: &[String], old: usize, patterns: &[&str], new: usize) -> bool {
    match (before.get(old), patterns.get(new)) {
        (Some(old), Some(new)) => Pattern::of_valid(old).overlaps(Pattern::of_valid(new)),
        (None, Some(new)) => !before.iter().any(|p| Pattern::of_valid(p).covers(Pattern::of_valid(new))),
        (Some(old), None) => !patterns.iter().any(|p| Pattern::of_valid(p).covers(Pattern::of_valid(old))),
        (None, None) => true,
    }
}

/// What is learned from the messages that are looked at.
struct Learned {
    all_keys: Vec<(Seq, Arc<str>, u64)>,
    /// Of the chain that is looked at, the newest ones.
    keys: VecDeque<(Seq, Arc<str>, u64)>,
    since_ms: u64,
    most: usize,
    last: HashMap<Box<str>, Arc<Publication>>,
}

impl Learned {
    fn new(keys: &Keys, now_ms: u64) -> Self {
        let (window_ms, most) = keys.bounds();
        let since_ms = now_ms.saturating_sub(window_ms);
        Self { all_keys: Vec::new(), keys: VecDeque::new(), since_ms, most, last: HashMap::new() }
    }

    fn see(&mut self, frame: Frame<'_>, keeps_last: bool) {
        if frame.time_ms >= self.since_ms
            && let Some(key) = frame.key()
        {
            self.keys.push_back((frame.seq, key.into(), frame.time_ms));
            if self.keys.len() > self.most {
                self.keys.pop_front();
            }
        }
        if keeps_last && let Some(publication) = frame.publication().filter(|p| p.draft.to.is_none()) {
            self.last.insert(publication.draft.channel().into(), Arc::new(publication));
        }
    }
}

impl Learned {
    fn end_of_chain(&mut self) {
        self.all_keys.extend(self.keys.drain(..));
    }
}

fn classes(log: &Path) -> io::Result<Option<Vec<String>>> {
    match fs::read(log.join(CLASSES)) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).map_err(io::Error::other)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write_classes(log: &Path, patterns: &[&str], files: &Files) -> io::Result<()> {
    fs::create_dir_all(log)?;
    let bytes = serde_json::to_vec(patterns).map_err(io::Error::other)?;
    files.create(&log.join(CLASSES), &bytes).map(drop)
}
