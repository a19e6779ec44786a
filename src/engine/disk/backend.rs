//! The store's file in tests: fails as the files of the log do. Used by `redb` only.

use super::files::Files;
use redb::{StorageBackend, backends::FileBackend};
use std::io::{Error, ErrorKind, Result};
use std::sync::atomic::Ordering;

/// A file that fails when it should.
#[derive(Debug)]
pub(super) struct Backend {
    file: FileBackend,
    files: Files,
}

impl Backend {
    pub(super) fn new(file: FileBackend, files: Files) -> Self {
        Self { file, files }
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> Result<()> {
        if self.files.faults.unsynced.load(Ordering::Relaxed) {
            return Err(Error::other("the medium does not answer"));
        }
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        if self.files.faults.full.load(Ordering::Relaxed) {
            return Err(Error::from(ErrorKind::StorageFull));
        }
        self.file.write(offset, data)
    }

    fn close(&self) -> Result<()> {
        self.file.close()
    }
}
