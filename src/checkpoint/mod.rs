//! Where a stream is, safely stored.

#[cfg(test)]
mod batches;
mod committer;
mod document;
mod fence;
mod file;
mod gcs;
mod json;
mod lower_bound;
mod memory;
mod mongodb;
mod open;
mod positions;
mod take_over;
mod tracker;

pub use committer::{Committer, Intervals};
pub use file::FileStore;
pub use gcs::GcsStore;
pub use lower_bound::{LowerBound, Pace, Resume};
pub use memory::MemoryStore;
pub use mongodb::MongoStore;
pub use open::Stores;
pub use positions::{clear, parse_start, set, show};
pub(crate) use positions::{open_client, open_source};
pub use take_over::{TakenOver, take_over};
pub use tracker::{Committable, Freed, Tracker};

use futures_util::future::BoxFuture;

use crate::config::{Ordering, PubSubConfig, StreamConfig};
use crate::error::{CheckpointError, CheckpointErrorKind};
use crate::event::Position;
use crate::transform::HASH_NAME;

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
    /// `lanes 64 xxh3-64`, `document xxh3-64`, `field customer.id lanes 64 xxh3-64`, `none` or
    /// `reader`.
    pub ordering: String,
}

impl Identity {
    /// What the checkpoint of `stream` belongs to; the replica set's name is known only once the
    /// server has told it.
    #[must_use]
    pub fn of(stream: &StreamConfig, pubsub: &PubSubConfig) -> Self {
        Self {
            ordering: match &pubsub.ordering {
                Ordering::Lanes => format!("lanes {} {HASH_NAME}", pubsub.lanes),
                Ordering::Document => format!("document {HASH_NAME}"),
                Ordering::None => "none".into(),
                Ordering::Field(field) => {
                    format!("field {} lanes {} {HASH_NAME}", field.0, pubsub.lanes)
                }
            },
            ..Self::of_reader(stream)
        }
    }

    /// What the checkpoint of `stream` belongs to where its changes are handed to a caller, in
    /// their order.
    #[must_use]
    pub fn of_reader(stream: &StreamConfig) -> Self {
        Self {
            stream: stream.id.to_string(),
            scope: stream.capture.to_string(),
            replica_set: String::new(),
            ordering: "reader".into(),
        }
    }
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

/// A checkpoint as it lies in its store.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// When it was stored, by the clock of the machine that stored it; for people, nothing depends
    /// on it.
    pub stored_at: Option<jiff::Timestamp>,
    /// Who stored it, in a store that several processes can reach at once: a random name.
    pub owner: Option<String>,
}

/// Keeps the checkpoint of one stream. Monotone: `(epoch, sequence)` never goes backwards.
pub trait CheckpointStore: Send + Sync {
    /// What is stored, `None` where there is nothing yet.
    ///
    /// # Errors
    /// Whatever is there and cannot be understood is `Corrupt`, never a silent fresh start.
    fn read(&self) -> BoxFuture<'_, Result<Option<Stored>, CheckpointError>>;

    /// The stored checkpoint, `None` where there is none yet.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    fn load(&self) -> BoxFuture<'_, Result<Option<Checkpoint>, CheckpointError>> {
        let read = self.read();
        Box::pin(async { Ok(read.await?.map(|stored| stored.checkpoint)) })
    }

    /// Stores a checkpoint durably; a lower `(epoch, sequence)` than the stored one is `Conflict`,
    /// and so is any at all once another process has begun a newer epoch.
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
