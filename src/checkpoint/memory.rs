//! A checkpoint store for tests: nothing survives the process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;

use super::{Checkpoint, CheckpointStore, Stored, check_advance};
use crate::error::CheckpointError;

/// Keeps the checkpoint in memory, by the same rules as the stores that last.
#[derive(Debug, Default)]
pub struct MemoryStore {
    checkpoint: Mutex<Option<Checkpoint>>,
}

impl MemoryStore {
    fn checkpoint(&self) -> MutexGuard<'_, Option<Checkpoint>> {
        self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CheckpointStore for MemoryStore {
    fn read(&self) -> BoxFuture<'_, Result<Option<Stored>, CheckpointError>> {
        let checkpoint = self.checkpoint().clone();
        let stored =
            checkpoint.map(|checkpoint| Stored { checkpoint, stored_at: None, owner: None });
        Box::pin(async { Ok(stored) })
    }

    fn store<'a>(
        &'a self,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<(), CheckpointError>> {
        Box::pin(async {
            let mut stored = self.checkpoint();
            check_advance(stored.as_ref(), checkpoint)?;
            *stored = Some(checkpoint.clone());
            Ok(())
        })
    }

    fn clear(&self) -> BoxFuture<'_, Result<(), CheckpointError>> {
        Box::pin(async {
            *self.checkpoint() = None;
            Ok(())
        })
    }
}
