//! Where changes come from: a MongoDB change stream, read in whole server replies.

mod caught_up;
mod change_stream;
mod client;
mod errors;
mod filter;
mod fragments;
mod own_schema;
mod prefetch;
mod probe;
mod query;
mod quoted;
mod reply;
mod start;
mod too_large;

pub use caught_up::CaughtUp;
pub(crate) use caught_up::event_time;
pub use change_stream::ChangeStream;
pub use client::{build_client, check_uri};
pub use own_schema::with_own_schema;
pub use prefetch::Prefetch;
pub use probe::{Probe, meaning};

use std::future::Future;

use mongodb::bson::Timestamp;

use crate::error::SourceError;
use crate::event::{Batch, Position};

/// What a source learns when it first talks to its server.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Name of the replica set, or `"sharded"` behind a mongos.
    pub replica_set: String,
    /// Operation time of a ping: everything committed before the call lies at or before it.
    pub operation_time: Timestamp,
}

/// Where a stream begins.
#[derive(Clone, Debug, PartialEq)]
pub enum StartAt {
    /// With the first event after now.
    Latest,
    /// With the oldest event in the oplog.
    Earliest,
    /// At or after a position that a user gave or a checkpoint stored.
    Position(Position),
}

/// A stream of changes, read in batches.
pub trait Source: Send {
    /// Connects and describes the server. An unreachable server is an error here, at once.
    fn connect(&mut self) -> impl Future<Output = Result<Cluster, SourceError>> + Send;

    /// Opens the stream and returns the concrete position that it opened at, before any event.
    fn open(
        &mut self,
        start: StartAt,
    ) -> impl Future<Output = Result<Position, SourceError>> + Send;

    /// Waits for the next reply, empty or not. Everything that can be waited out (elections, lost
    /// connections, an invalidated stream) is; what comes back as an error is final.
    ///
    /// Cancel safe: a dropped call loses nothing.
    fn next_batch(&mut self) -> impl Future<Output = Result<Batch, SourceError>> + Send;
}
