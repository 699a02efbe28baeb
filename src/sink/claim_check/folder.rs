//! A folder that the data of large messages is kept in.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::error::PublishErrorKind;
use crate::event::Claim;
use crate::sink::codes::{Failure, Fate};

/// A file for each payload, in a folder for each stream.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Writes the data of `claim`. Whoever finds the file finds all of it.
    pub async fn put(&self, claim: Arc<Claim>) -> Result<(), Failure> {
        let file = self.path.join(&claim.name);
        let written = spawn_blocking(move || match write(&file, &claim.payload) {
            Ok(()) => Ok(()),
            Err(error) => Err(failure(&file, &error)),
        });
        written.await.unwrap_or_else(|_| Err(Failure::unknown("the data was not written")))
    }
}

fn write(file: &Path, payload: &[u8]) -> io::Result<()> {
    if fs::metadata(file).is_ok_and(|found| found.len() == payload.len() as u64) {
        // Renamed into place: the same data.
        return Ok(());
    }
    let folder = file.parent().unwrap_or(file);
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // The name tells event and content: only another process can write it at the same time.
    let temporary = file.with_extension(format!("{}.tmp", process::id()));
    let mut open = OpenOptions::new();
    open.create(true).truncate(true).write(true).mode(0o600);
    let mut out = open.open(&temporary)?;
    let written = out.write_all(payload).and_then(|()| out.sync_all());
    let renamed = written.and_then(|()| fs::rename(&temporary, file));
    if renamed.is_err() {
        fs::remove_file(&temporary).ok();
    }
    renamed?;
    File::open(folder)?.sync_all()
}

fn failure(file: &Path, error: &io::Error) -> Failure {
    let final_kinds = [
        ErrorKind::PermissionDenied,
        ErrorKind::NotADirectory,
        ErrorKind::ReadOnlyFilesystem,
        ErrorKind::InvalidFilename,
        ErrorKind::AlreadyExists,
    ];
    let fate = if final_kinds.contains(&error.kind()) {
        Fate::Stop(PublishErrorKind::ClaimCheck)
    } else {
        Fate::Retry
    };
    Failure { fate, reason: format!("cannot write {}: {error}", file.display()) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn claim(name: &str) -> Arc<Claim> {
        Arc::new(Claim::new(name.into(), Bytes::from_static(b"{}")))
    }

    #[tokio::test]
    async fn a_payload_is_there_whole_and_written_once() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path().join("large"));
        folder.put(claim("main.orders/a.json")).await.unwrap();
        let file = root.path().join("large/main.orders/a.json");
        assert_eq!(fs::read(&file).unwrap(), b"{}");
        let first = fs::metadata(&file).unwrap().modified().unwrap();
        folder.put(claim("main.orders/a.json")).await.unwrap();
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), first);
        // What a crash has left behind is written anew.
        fs::write(&file, b"{").unwrap();
        folder.put(claim("main.orders/a.json")).await.unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"{}");
        let files = fs::read_dir(file.parent().unwrap()).unwrap().count();
        assert_eq!(files, 1);
    }

    #[tokio::test]
    async fn a_folder_that_is_a_file_is_for_a_person_to_mend() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        fs::write(&path, b"").unwrap();
        let failure = Folder::new(path).put(claim("main.orders/a.json")).await.unwrap_err();
        assert_eq!(failure.fate, Fate::Stop(PublishErrorKind::ClaimCheck), "{failure:?}");
        assert!(failure.reason.contains("file"), "{failure:?}");
    }
}
