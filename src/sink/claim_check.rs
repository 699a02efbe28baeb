//! The data of large messages, stored before the messages are published.

mod folder;

use std::sync::Arc;

use super::batcher::Batch;
use super::codes::{Failure, Fate};
use crate::config::{ClaimCheckPlace, SourceConfig};
use crate::error::{Error, PublishError, PublishErrorKind};
use crate::event::Claim;
use crate::gcp::{self, Bucket, StorageError};

use folder::Folder;

/// Where the data of a stream's large messages is kept.
#[derive(Debug)]
pub struct ClaimStore {
    place: Place,
}

#[derive(Debug)]
enum Place {
    Bucket { bucket: Bucket, prefix: String },
    Folder(Folder),
}

impl ClaimStore {
    /// The store of `source`, if it has one; nothing is sent yet. Needs a Tokio runtime.
    ///
    /// # Errors
    /// What is wrong with the configuration, and `ClaimCheck` without credentials.
    pub fn open(source: &SourceConfig) -> Result<Option<Arc<Self>>, Error> {
        let Some(place) = source.oversize.place()? else { return Ok(None) };
        let place = match place {
            ClaimCheckPlace::Bucket(name, prefix) => {
                let bucket = Bucket::open(&name, gcp::storage_emulator().as_deref());
                let bucket = bucket.map_err(|error| PublishError {
                    kind: PublishErrorKind::ClaimCheck,
                    message: error.message,
                    sequence: None,
                })?;
                let prefix = if prefix.is_empty() { prefix } else { prefix + "/" };
                Place::Bucket { bucket, prefix }
            }
            ClaimCheckPlace::Folder(path) => Place::Folder(Folder::new(path)),
        };
        Ok(Some(Arc::new(Self { place })))
    }

    async fn put(&self, claim: &Arc<Claim>) -> Result<(), Failure> {
        match &self.place {
            Place::Bucket { bucket, prefix } => {
                let object = format!("{prefix}{}", claim.name);
                // An object of this name holds the same data.
                bucket.put(&object, 0, claim.payload.clone()).await.map(|_| ()).map_err(failure)
            }
            Place::Folder(folder) => folder.put(Arc::clone(claim)).await,
        }
    }
}

/// Stores what the messages of `batch` refer to and what is not there yet. Without a store no such
/// message may go out: it would refer to nothing.
pub(super) async fn store(store: Option<&ClaimStore>, batch: &Batch) -> Result<(), Failure> {
    for claim in batch.messages.iter().filter_map(|message| message.claim.as_ref()) {
        if !claim.is_stored() {
            store.ok_or_else(no_store)?.put(claim).await?;
            claim.stored();
        }
    }
    Ok(())
}

fn no_store() -> Failure {
    let fate = Fate::Stop(PublishErrorKind::ClaimCheck);
    Failure { fate, reason: "its stream has no `oversize.claim_check` here".to_owned() }
}

fn failure(error: StorageError) -> Failure {
    let fate = if error.passing { Fate::Retry } else { Fate::Stop(PublishErrorKind::ClaimCheck) };
    Failure { fate, reason: error.message }
}
