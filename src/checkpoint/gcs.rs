//! One object a stream in a Google Cloud Storage bucket.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use super::fence::Fence;
use super::{Checkpoint, CheckpointStore, Stored, corrupt, json, unreachable};
use crate::error::CheckpointError;
use crate::gcp::{Bucket, StorageError};

#[cfg(test)]
mod tests;

/// How often an object that someone else has changed is read and judged anew.
const ATTEMPTS: u32 = 3;

/// Keeps the checkpoint of a stream in the object `<prefix><stream>.json`.
///
/// A store replaces the object only if it still has the generation whose content was judged, so
/// that it moves forward or not at all, whoever else writes.
#[derive(Debug)]
pub struct GcsStore {
    bucket: Bucket,
    object: String,
    fence: Fence,
    /// What is known of the object; `None` before it was read and after an unknown outcome.
    known: Mutex<Option<Known>>,
}

/// A generation of the object and what it holds. Generation 0 is no object.
#[derive(Debug)]
struct Known {
    generation: u64,
    stored: Option<Stored>,
}

impl GcsStore {
    /// The store of `stream`; nothing is sent yet.
    #[must_use]
    pub fn new(bucket: &Bucket, prefix: &str, stream: &str) -> Self {
        Self {
            bucket: bucket.clone(),
            object: format!("{prefix}{stream}.json"),
            fence: Fence::new(),
            known: Mutex::default(),
        }
    }

    async fn look(&self) -> Result<Known, CheckpointError> {
        let Some((generation, json)) = self.bucket.get(&self.object).await? else {
            return Ok(Known { generation: 0, stored: None });
        };
        let stored = json::decode(&json)
            .map_err(|what| corrupt(format!("{}: {what}", self.bucket.describe(&self.object))))?;
        Ok(Known { generation, stored: Some(stored) })
    }

    async fn replace(&self, next: &Checkpoint) -> Result<(), CheckpointError> {
        let stored_at = jiff::Timestamp::now();
        let owner = self.fence.owner();
        let json = json::encode(next, Some(owner), stored_at)
            .map_err(|what| corrupt(format!("{}: {what}", self.bucket.describe(&self.object))))?;
        let json = Bytes::from(json);
        let mut known = self.known.lock().await;
        for _ in 0..ATTEMPTS {
            // Taken out: nothing is known after an error, or where the answer never comes.
            let before = match known.take() {
                Some(before) => before,
                None => self.look().await?,
            };
            self.fence.check(before.stored.as_ref(), next)?;
            let put = self.bucket.put(&self.object, before.generation, json.clone()).await?;
            if let Some(generation) = put {
                let owner = Some(owner.to_owned());
                let checkpoint = next.clone();
                let stored = Some(Stored { checkpoint, stored_at: Some(stored_at), owner });
                *known = Some(Known { generation, stored });
                self.fence.stored(next);
                return Ok(());
            }
        }
        let object = self.bucket.describe(&self.object);
        Err(unreachable(format!("{object} was changed by others at every attempt")))
    }
}

impl CheckpointStore for GcsStore {
    fn read(&self) -> BoxFuture<'_, Result<Option<Stored>, CheckpointError>> {
        Box::pin(async { Ok(self.look().await?.stored) })
    }

    fn store<'a>(
        &'a self,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<(), CheckpointError>> {
        Box::pin(self.replace(checkpoint))
    }

    fn clear(&self) -> BoxFuture<'_, Result<(), CheckpointError>> {
        Box::pin(async {
            *self.known.lock().await = None;
            Ok(self.bucket.delete(&self.object).await?)
        })
    }
}

impl From<StorageError> for CheckpointError {
    fn from(error: StorageError) -> Self {
        unreachable(error.message)
    }
}
