//! A checkpoint store that notes when the position was stored.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::checkpoint::{Checkpoint, CheckpointStore};
use crate::error::CheckpointError;
use crate::telemetry::StreamStatistics;

/// The store of one stream, with the statistics that show the age of its position.
pub(super) struct Noted {
    pub store: Arc<dyn CheckpointStore>,
    pub statistics: Arc<StreamStatistics>,
}

impl CheckpointStore for Noted {
    fn load(&self) -> BoxFuture<'_, Result<Option<Checkpoint>, CheckpointError>> {
        self.store.load()
    }

    fn store<'a>(
        &'a self,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<(), CheckpointError>> {
        Box::pin(async {
            self.store.store(checkpoint).await?;
            self.statistics.stored();
            Ok(())
        })
    }

    fn clear(&self) -> BoxFuture<'_, Result<(), CheckpointError>> {
        self.store.clear()
    }
}
