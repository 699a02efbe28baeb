//! Where a stream is, safely stored.

#[cfg(test)]
mod batches;
mod committer;
mod file;
mod json;
mod memory;
mod take_over;
mod tracker;

pub use committer::{Committer, Intervals};
pub use file::FileStore;
pub use memory::MemoryStore;
pub use take_over::{TakenOver, take_over};
pub use tracker::{Committable, Freed, Tracker};

use futures_util::future::BoxFuture;

use crate::error::{CheckpointError, CheckpointErrorKind};
use crate::event::Position;

/// What a checkpoint belongs to; stored with it and compared on load, since the server does not
/// notice a foreign token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `"{connection_id}.{source_name}"`.
    pub stream: String,
    /// What is captured: `deployment`, `database shop`, `collection shop.orders`.
    pub scope: String,
    /// Name of the replica set.
    pub replica_set: String,
    /// `lanes 64 xxh3-64`, `document xxh3-64` or `none`.
    pub ordering: String,
}

/// A stored position.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// What it belongs to.
    pub identity: Identity,
    /// Grows by one with each process that takes the checkpoint over.
    pub epoch: u64,
    /// Sequence number, within the epoch, of the last change before the position.
    pub sequence: u64,
    /// The position.
    pub position: Position,
}

impl Checkpoint {
    /// The checkpoint of the process with this `epoch` at `position`, which lies directly after
    /// event number `sequence`.
    #[must_use]
    pub fn new(identity: Identity, epoch: u64, sequence: u64, position: Position) -> Self {
        Self { identity, epoch, sequence, position }
    }
}

/// Keeps the checkpoint of one stream. Monotone: `(epoch, sequence)` never goes backwards.
pub trait CheckpointStore: Send + Sync {
    /// The stored checkpoint, `None` where there is none yet.
    ///
    /// # Errors
    /// Whatever is there and cannot be understood is `Corrupt`, never a silent fresh start.
    fn load(&self) -> BoxFuture<'_, Result<Option<Checkpoint>, CheckpointError>>;

    /// Stores a checkpoint durably; a lower `(epoch, sequence)` than the stored one is `Conflict`.
    fn store<'a>(
        &'a self,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<(), CheckpointError>>;

    /// Removes the checkpoint.
    fn clear(&self) -> BoxFuture<'_, Result<(), CheckpointError>>;
}

/// The rule of every store: `(epoch, sequence)` never goes backwards. It may stand still, since an
/// idle stream moves its position without an event.
fn check_advance(stored: Option<&Checkpoint>, next: &Checkpoint) -> Result<(), CheckpointError> {
    let order = |checkpoint: &Checkpoint| (checkpoint.epoch, checkpoint.sequence);
    match stored {
        Some(stored) if order(next) < order(stored) => Err(conflict(format!(
            "the stored checkpoint of stream {} is newer (epoch {}, sequence {}) than epoch {}, sequence {}: another process moves it",
            stored.identity.stream, stored.epoch, stored.sequence, next.epoch, next.sequence
        ))),
        _ => Ok(()),
    }
}

fn conflict(message: String) -> CheckpointError {
    CheckpointError { kind: CheckpointErrorKind::Conflict, message }
}

fn corrupt(message: String) -> CheckpointError {
    CheckpointError { kind: CheckpointErrorKind::Corrupt, message }
}

fn unreachable(message: String) -> CheckpointError {
    CheckpointError { kind: CheckpointErrorKind::Unreachable, message }
}
