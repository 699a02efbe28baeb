//! One readable JSON file a stream.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tracing::warn;

use super::{Checkpoint, CheckpointStore, check_advance, conflict, corrupt, json, unreachable};
use crate::error::CheckpointError;

/// Keeps the checkpoint of a stream in `<folder>/<stream>.json`.
///
/// A store writes a temporary file, syncs it, renames it over the old one and syncs the folder: at
/// any moment the file is the old or the new checkpoint, whole. `<stream>.lock` is locked for as
/// long as this lives, so that no second process moves the same checkpoint.
#[derive(Debug)]
pub struct FileStore {
    files: Arc<Mutex<Files>>,
}

#[derive(Debug)]
struct Files {
    folder: PathBuf,
    checkpoint: PathBuf,
    temporary: PathBuf,
    /// Holds the lock: the system frees it when the process ends, however it ends.
    lock: File,
    /// Id of the process that took the lock.
    owner: u32,
}

/// Closing the file is not enough while a forked child has it open, too; and a child that drops its
/// copy must not take the lock from its parent.
impl Drop for Files {
    fn drop(&mut self) {
        if self.owner == process::id()
            && let Err(error) = self.lock.unlock()
        {
            warn!(%error, "a checkpoint's lock is not given back");
        }
    }
}

impl FileStore {
    /// Opens the store of `stream` in `folder`, which is created if need be, and locks it.
    ///
    /// # Errors
    /// `Conflict` where another process has it open, `Unreachable` where the folder or the lock
    /// file cannot be created.
    pub fn open(folder: &Path, stream: &str) -> Result<Self, CheckpointError> {
        let files = Files::open(folder, &file_stem(stream))?;
        Ok(Self { files: Arc::new(Mutex::new(files)) })
    }

    /// What is stored of `stream` in `folder`, without the lock: for a look while another process
    /// may be moving it. Blocks.
    ///
    /// # Errors
    /// As [`CheckpointStore::load`].
    pub fn peek(folder: &Path, stream: &str) -> Result<Option<Checkpoint>, CheckpointError> {
        read(&folder.join(format!("{}.json", file_stem(stream))))
    }

    /// Runs `work` on a thread that may block. One call after the other, in the order in which they
    /// are made: a store whose caller has gone is still brought to its end before the next begins.
    fn with_files<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T, CheckpointError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, CheckpointError>> {
        Box::pin(async move {
            let files = Arc::clone(&self.files).lock_owned().await;
            spawn_blocking(move || work(&files)).await.unwrap_or_else(|error| {
                Err(unreachable(format!("the checkpoint's file was not dealt with: {error}")))
            })
        })
    }
}

impl CheckpointStore for FileStore {
    fn load(&self) -> BoxFuture<'_, Result<Option<Checkpoint>, CheckpointError>> {
        self.with_files(Files::load)
    }

    fn store<'a>(
        &'a self,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<(), CheckpointError>> {
        let checkpoint = checkpoint.clone();
        self.with_files(move |files| files.store(&checkpoint))
    }

    fn clear(&self) -> BoxFuture<'_, Result<(), CheckpointError>> {
        self.with_files(Files::clear)
    }
}

impl Files {
    fn open(folder: &Path, stem: &str) -> Result<Self, CheckpointError> {
        create_folder(folder)?;
        let lock = lock(&folder.join(format!("{stem}.lock")))?;
        let checkpoint = folder.join(format!("{stem}.json"));
        let temporary = folder.join(format!("{stem}.json.tmp"));
        // Left over where a process died between writing it and renaming it: never the checkpoint.
        remove(&temporary)?;
        Ok(Self { folder: folder.to_owned(), checkpoint, temporary, lock, owner: process::id() })
    }

    fn load(&self) -> Result<Option<Checkpoint>, CheckpointError> {
        read(&self.checkpoint)
    }

    fn store(&self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        check_advance(self.load()?.as_ref(), checkpoint)?;
        let stored_at = format!("{:.3}", jiff::Timestamp::now());
        let json = json::encode(checkpoint, stored_at)
            .map_err(|what| corrupt(format!("{}: {what}", self.checkpoint.display())))?;
        self.write(&json).map_err(|error| failed("write", &self.checkpoint, &error))
    }

    fn write(&self, json: &[u8]) -> io::Result<()> {
        // A token holds the document's `_id` in plain hex: for this user's eyes only.
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&self.temporary)?;
        file.write_all(json)?;
        file.sync_all()?;
        fs::rename(&self.temporary, &self.checkpoint)?;
        sync_folder(&self.folder)
    }

    fn clear(&self) -> Result<(), CheckpointError> {
        remove(&self.checkpoint)?;
        sync_folder(&self.folder).map_err(|error| failed("sync", &self.folder, &error))
    }
}

fn read(path: &Path) -> Result<Option<Checkpoint>, CheckpointError> {
    let json = match fs::read(path) {
        Ok(json) => json,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path, &error)),
    };
    let corrupt = |what| corrupt(format!("{}: {what}", path.display()));
    json::decode(&json).map(Some).map_err(corrupt)
}

/// Creates `folder` and what is missing above it, so that it is still there after a power cut.
fn create_folder(folder: &Path) -> Result<(), CheckpointError> {
    if folder.is_dir() {
        return Ok(());
    }
    // The parent of a relative path of one part is the empty path.
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_folder(parent)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder(parent.unwrap_or(Path::new("."))),
    }
    .map_err(|error| failed("create the folder", folder, &error))
}

/// Makes the names in a folder durable, as `fsync` of a file does not.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn lock(path: &Path) -> Result<File, CheckpointError> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|error| failed("open", path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(conflict(format!(
            "{}: another process holds this lock; a checkpoint has one process at a time",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(failed("lock", path, &error)),
    }
}

fn remove(path: &Path) -> Result<(), CheckpointError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", path, &error)),
        _ => Ok(()),
    }
}

fn failed(what: &str, path: &Path, error: &io::Error) -> CheckpointError {
    unreachable(format!("cannot {what} {}: {error}", path.display()))
}

/// The stream's name as a file name: every byte but letters, digits, `-`, `_` and `.` as `%` and
/// two hex digits, and a leading `.` too, so that no two streams share a file and none leaves the
/// folder.
fn file_stem(stream: &str) -> String {
    let mut stem = String::with_capacity(stream.len());
    for (index, byte) in stream.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_')
            || (byte == b'.' && index > 0);
        if plain {
            stem.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(stem, "%{byte:02X}");
        }
    }
    stem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_stems_are_readable_safe_and_distinct() {
        assert_eq!(file_stem("main.orders"), "main.orders");
        assert_eq!(file_stem("../../etc.x"), "%2E.%2F..%2Fetc.x");
        let stems: std::collections::HashSet<String> =
            ["a.b", "a/b", "a%2Fb", "a%b", "ä.b", ".a.b", "%2Ea.b", "a b"].map(file_stem).into();
        assert_eq!(stems.len(), 8);
        assert!(stems.iter().all(|stem| stem.is_ascii() && !stem.contains('/')));
    }
}
