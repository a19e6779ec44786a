//! The records of sessions and the newest messages of channels, in an embedded store: `redb`.
//!
//! A thread of its own takes what waits and commits it as one transaction, so that many changes share one sync. In the
//! order of the calls. After an error the store is opened again, so that a full disk is an interruption only.

use super::{files::Files, frame, open::OpenError};
use crate::{
    bayeux::{ClientId, Seq},
    engine::{Draft, EngineError, Publication},
};
use bytes::Bytes;
use redb::{Builder, Database, ReadableTable, TableDefinition, WriteTransaction};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};
use tokio::sync::{mpsc, oneshot};

const RECORDS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("records");
const NEWEST: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("newest");
/// Changes committed together.
const GROUP: usize = 4096;
/// Its name in the folder.
pub(super) const FILE: &str = "records.redb";

type Reply<T> = oneshot::Sender<Result<T, EngineError>>;
type Failure = Box<dyn std::error::Error>;

/// What the store is asked.
enum Job {
    Save(ClientId, Bytes, Reply<()>),
    Forget(ClientId, Reply<()>),
    Load(ClientId, Reply<Option<Bytes>>),
    All(Reply<Vec<(ClientId, Bytes)>>),
    /// Instead of those stored before.
    KeepNewest(Vec<Arc<Publication>>, Reply<()>),
}

/// The way to the store. The clones share it.
#[derive(Clone)]
pub(super) struct Records {
    jobs: mpsc::Sender<Job>,
}

/// An answer of the store.
pub(super) type Coming<T> = Result<oneshot::Receiver<Result<T, EngineError>>, EngineError>;

impl Records {
    /// Opens the store of a folder, of which `cache` bytes are held in memory, and starts its thread, which ends with the
    /// last clone. Also the newest messages that it holds.
    pub(super) fn open(
        folder: &Path,
        cache: usize,
        waiting: usize,
        files: &Files,
    ) -> Result<(Self, JoinHandle<()>, Vec<Publication>), OpenError> {
        let path = folder.join(FILE);
        let failed = |error: Failure| OpenError::Store { path: folder.join(FILE), text: error.to_string() };
        let mut store = Store { path, cache, database: None, files: files.clone(), failing: false };
        let newest = store.newest().map_err(failed)?;
        let (jobs, waiting) = mpsc::channel(waiting);
        let thread = std::thread::Builder::new().name("records".into()).spawn(move || store.run(waiting));
        let thread = thread.map_err(|error| failed(error.into()))?;
        Ok((Self { jobs }, thread, newest))
    }

    fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Coming<T> {
        let (reply, answer) = oneshot::channel();
        let refused = |_| EngineError::Unavailable("too many changes of sessions wait to be written".into());
        self.jobs.try_send(job(reply)).map_err(refused)?;
        Ok(answer)
    }

    pub(super) fn save(&self, id: ClientId, record: Bytes) -> Coming<()> {
        self.ask(|reply| Job::Save(id, record, reply))
    }

    pub(super) fn forget(&self, id: ClientId) -> Coming<()> {
        self.ask(|reply| Job::Forget(id, reply))
    }

    pub(super) fn load(&self, id: ClientId) -> Coming<Option<Bytes>> {
        self.ask(|reply| Job::Load(id, reply))
    }

    pub(super) fn all(&self) -> Coming<Vec<(ClientId, Bytes)>> {
        self.ask(Job::All)
    }

    /// Stores newest messages whose files are about to go. Waits; called by the writer only.
    pub(super) fn keep_newest(&self, newest: Vec<Arc<Publication>>) -> Result<(), EngineError> {
        let answer = self.ask(|reply| Job::KeepNewest(newest, reply))?;
        answer.blocking_recv().unwrap_or_else(|_| Err(ended()))
    }
}

/// What is said when the thread is gone.
pub(super) fn ended() -> EngineError {
    EngineError::Unavailable("the engine has ended".into())
}

/// The thread's side.
struct Store {
    path: PathBuf,
    cache: usize,
    /// `None` after an error, until it is needed again.
    database: Option<Database>,
    #[cfg_attr(not(test), allow(dead_code, reason = "tests let it fail"))]
    files: Files,
    failing: bool,
}

/// An answer that is given when the transaction is committed.
type Answer = Box<dyn FnOnce(Result<(), EngineError>)>;

impl Store {
    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut group = vec![first];
            while group.len() < GROUP
                && let Ok(job) = jobs.try_recv()
            {
                group.push(job);
            }
            self.serve(group);
        }
    }

    fn serve(&mut self, group: Vec<Job>) {
        let mut answers: Vec<Answer> = Vec::with_capacity(group.len());
        let done = self.transaction(group, &mut answers);
        let outcome = done.map_err(|error| {
            // It must be opened again, and repairs itself then.
            self.database = None;
            if !std::mem::replace(&mut self.failing, true) {
                tracing::error!(%error, "the store of sessions cannot be written");
            }
            EngineError::Unavailable(error.to_string())
        });
        if outcome.is_ok() && std::mem::take(&mut self.failing) {
            tracing::info!("the store of sessions can be written again");
        }
        answers.into_iter().for_each(|answer| answer(outcome.clone()));
    }

    fn transaction(&mut self, group: Vec<Job>, answers: &mut Vec<Answer>) -> Result<(), Failure> {
        let begun = self.database().and_then(|database| Ok(database.begin_write()?));
        let mut failed = None;
        let mut writes = false;
        let transaction = match begun {
            Ok(transaction) => Some(transaction),
            Err(error) => {
                failed = Some(error);
                None
            }
        };
        // Each is answered, also when there is no transaction.
        for job in group {
            writes |= !matches!(job, Job::Load(..) | Job::All(_));
            if let Err(error) = apply(transaction.as_ref(), job, answers) {
                failed = failed.or(Some(error));
            }
        }
        match (failed, transaction) {
            (Some(error), _) => Err(error),
            (None, Some(transaction)) if writes => Ok(transaction.commit()?),
            (None, Some(transaction)) => Ok(transaction.abort()?),
            (None, None) => Ok(()),
        }
    }

    fn database(&mut self) -> Result<&Database, Failure> {
        let database = match self.database.take() {
            Some(database) => database,
            None => self.open()?,
        };
        Ok(self.database.insert(database))
    }

    fn open(&self) -> Result<Database, Failure> {
        let path = self.path.display().to_string();
        let mut builder = Database::builder();
        builder.set_cache_size(self.cache);
        builder.set_repair_callback(move |session| {
            if session.progress() == 0.0 {
                tracing::warn!(file = path, "the store of sessions was not closed; it is checked and repaired");
            }
        });
        self.create(&builder)
    }

    #[cfg(not(test))]
    fn create(&self, builder: &Builder) -> Result<Database, Failure> {
        Ok(builder.create(&self.path)?)
    }

    #[cfg(test)]
    fn create(&self, builder: &Builder) -> Result<Database, Failure> {
        let file = std::fs::File::options().read(true).write(true).create(true).truncate(false).open(&self.path)?;
        let backend = super::backend::Backend::new(redb::backends::FileBackend::new(file)?, self.files.clone());
        Ok(builder.create_with_backend(backend)?)
    }

    /// The newest messages stored. Makes the tables if they are missing.
    fn newest(&mut self) -> Result<Vec<Publication>, Failure> {
        let transaction = self.database()?.begin_write()?;
        let mut found = Vec::new();
        {
            transaction.open_table(RECORDS)?;
            let table = transaction.open_table(NEWEST)?;
            for entry in table.iter()? {
                let (seq, bytes) = entry?;
                found.extend(frame::frames(seq.value(), bytes.value()).filter_map(|f| f.publication()));
            }
        }
        transaction.commit()?;
        Ok(found)
    }
}

/// Answers once the transaction is committed with what was found in it.
fn later<T: Send + 'static>(reply: Reply<T>, value: Option<T>) -> Answer {
    Box::new(move |outcome| {
        let answer = outcome.and_then(|()| value.ok_or_else(ended));
        // Whoever does not wait any more has asked all the same.
        drop(reply.send(answer));
    })
}

fn apply(to: Option<&WriteTransaction>, job: Job, answers: &mut Vec<Answer>) -> Result<(), Failure> {
    let mut failure = None;
    match job {
        Job::Save(id, record, reply) => {
            let done = to.map(|to| save(to, id, &record));
            answers.push(later(reply, keep(done, &mut failure)));
        }
        Job::Forget(id, reply) => {
            let done = to.map(|to| forget(to, id));
            answers.push(later(reply, keep(done, &mut failure)));
        }
        Job::Load(id, reply) => {
            let done = to.map(|to| load(to, id));
            answers.push(later(reply, keep(done, &mut failure)));
        }
        Job::All(reply) => {
            let done = to.map(all);
            answers.push(later(reply, keep(done, &mut failure)));
        }
        Job::KeepNewest(newest, reply) => {
            let done = to.map(|to| keep_newest(to, &newest));
            answers.push(later(reply, keep(done, &mut failure)));
        }
    }
    failure.map_or(Ok(()), Err)
}

fn keep<T>(done: Option<Result<T, Failure>>, failure: &mut Option<Failure>) -> Option<T> {
    done?.map_err(|error| *failure = Some(error)).ok()
}

fn save(to: &WriteTransaction, id: ClientId, record: &[u8]) -> Result<(), Failure> {
    to.open_table(RECORDS)?.insert(id.bits(), record)?;
    Ok(())
}

fn forget(to: &WriteTransaction, id: ClientId) -> Result<(), Failure> {
    to.open_table(RECORDS)?.remove(id.bits())?;
    Ok(())
}

fn load(from: &WriteTransaction, id: ClientId) -> Result<Option<Bytes>, Failure> {
    let table = from.open_table(RECORDS)?;
    let found = table.get(id.bits())?;
    Ok(found.map(|record| Bytes::copy_from_slice(record.value())))
}

fn all(from: &WriteTransaction) -> Result<Vec<(ClientId, Bytes)>, Failure> {
    let table = from.open_table(RECORDS)?;
    let mut found = Vec::new();
    for entry in table.iter()? {
        let (id, record) = entry?;
        found.push((ClientId::from_bits(id.value()), Bytes::copy_from_slice(record.value())));
    }
    Ok(found)
}

fn keep_newest(to: &WriteTransaction, newest: &[Arc<Publication>]) -> Result<(), Failure> {
    let mut table = to.open_table(NEWEST)?;
    let keeps: HashSet<Seq> = newest.iter().map(|p| p.seq).collect();
    table.retain(|seq, _| keeps.contains(&seq))?;
    for publication in newest {
        if table.get(publication.seq)?.is_none() {
            table.insert(publication.seq, stored(publication.seq, &publication.draft).as_slice())?;
        }
    }
    Ok(())
}

fn stored(seq: Seq, draft: &Draft) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(frame::size(draft));
    frame::put(&mut bytes, seq, seq, draft);
    bytes
}
