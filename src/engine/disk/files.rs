//! How this engine writes to files: in full, at a place, and down to the medium. Tests make it fail here.
//!
//! Called by the writer's thread only. Knows nothing of what is written.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
    path::Path,
};

/// The way to the medium.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    /// Set by tests: what fails now.
    #[cfg(test)]
    pub faults: std::sync::Arc<Faults>,
}

/// What tests let fail.
#[cfg(test)]
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Every write stops in its middle: the disk is full.
    pub full: std::sync::atomic::AtomicBool,
    /// Writes seem to work, but cannot be brought to the medium.
    pub unsynced: std::sync::atomic::AtomicBool,
}

impl Files {
    /// Writes all bytes at a place.
    pub(super) fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        #[cfg(test)]
        if self.faults.full.load(std::sync::atomic::Ordering::Relaxed) {
            file.write_all_at(&bytes[..bytes.len() / 2], at)?;
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        file.write_all_at(bytes, at)
    }

    /// Brings a file's data to the medium.
    #[cfg_attr(not(test), allow(clippy::unused_self, reason = "tests let it fail"))]
    pub(super) fn sync(&self, file: &File) -> io::Result<()> {
        #[cfg(test)]
        if self.faults.unsynced.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(io::Error::other("the medium does not answer"));
        }
        file.sync_data()
    }

    /// Makes a file under its name only once all of it is on the medium.
    pub(super) fn create(&self, path: &Path, bytes: &[u8]) -> io::Result<File> {
        let unfinished = path.with_extension(UNFINISHED);
        let made = (|| {
            let file = File::options().read(true).write(true).create(true).truncate(true).open(&unfinished)?;
            self.write(&file, bytes, 0)?;
            self.sync(&file)?;
            (&file).flush()?;
            std::fs::rename(&unfinished, path)?;
            sync_folder(path.parent().unwrap_or(Path::new(".")))?;
            Ok(file)
        })();
        if made.is_err() {
            // What is left of it takes room that may be needed.
            let _ = std::fs::remove_file(&unfinished);
        }
        made
    }
}

/// How files end whose making was cut short.
pub(super) const UNFINISHED: &str = "new";

/// Brings the names in a folder to the medium.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
