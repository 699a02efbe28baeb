//! What the lines of one configuration share, whatever is done with their changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use mongodb::Client;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::connection::MongoConnection;
use super::{connection_path, source_path};
use crate::checkpoint::{CheckpointStore, Identity, Intervals, Stores};
use crate::config::{CheckpointConfig, Config, StreamConfig};
use crate::error::{ConfigError, Error};
use crate::event::Receipt;
use crate::flow::{BackoffPolicy, Budget};
use crate::pipeline::{Pipeline, Stage};
use crate::source::{ChangeStream, Prefetch, StartAt};
use crate::telemetry::StreamStatistics;

/// How long closing the connections may take.
const CLOSING: Duration = Duration::from_secs(1);

/// All streams of a connection are known from the start.
pub(super) const NO_SPARE: u32 = 0;

/// Streams that may join a connection while others run: its pool has room for them.
pub(super) const SPARE: u32 = 100;

/// Where the changes of a line come from.
pub(super) type Changes = Prefetch<ChangeStream>;

/// A client for each MongoDB connection, and the stores of the positions.
pub(super) struct Shared {
    pub config: Config,
    pub backoff: BackoffPolicy,
    checkpoint: CheckpointConfig,
    connections: Mutex<HashMap<Arc<str>, Arc<MongoConnection>>>,
    stores: Stores,
    /// Streams of a connection that may join while others run.
    spare: u32,
}

/// The parts of a line that depend on what is done with its changes.
pub(super) struct Parts<G> {
    pub identity: Identity,
    pub stage: G,
    pub receipts: mpsc::Receiver<Receipt>,
    pub store: Arc<dyn CheckpointStore>,
}

impl Shared {
    /// Connects nothing yet.
    pub fn new(config: &Config, checkpoint: &CheckpointConfig, spare: u32) -> Self {
        Self {
            config: config.clone(),
            backoff: BackoffPolicy::from(&config.error_handling),
            checkpoint: checkpoint.clone(),
            connections: Mutex::default(),
            stores: Stores::new(config, checkpoint),
            spare,
        }
    }

    /// Makes a stream known to its connection.
    pub fn add(&self, stream: &StreamConfig, statistics: &Arc<StreamStatistics>) {
        self.connection(stream).add(statistics);
    }

    /// A line of `stream` that goes on from what is in the store.
    pub async fn line<G: Stage>(
        &self,
        stream: &StreamConfig,
        statistics: &Arc<StreamStatistics>,
        parts: Parts<G>,
    ) -> Result<Pipeline<Changes, G>, Error> {
        Ok(Pipeline {
            identity: parts.identity,
            source: Prefetch::new(self.source(stream, statistics).await?),
            start: start_of(stream)?,
            stage: parts.stage,
            receipts: parts.receipts,
            store: parts.store,
            intervals: Intervals::from(&self.checkpoint),
            budget: Budget::of_one(&self.config.flow, self.streams()),
            statistics: Arc::clone(statistics),
        })
    }

    /// The changes of `stream`, not open yet.
    pub async fn source(
        &self,
        stream: &StreamConfig,
        statistics: &Arc<StreamStatistics>,
    ) -> Result<ChangeStream, Error> {
        let source = ChangeStream::new(
            self.client(stream).await?,
            stream.capture.clone(),
            &stream.source,
            self.checkpoint.excluded_from(&stream.capture),
            &self.backoff,
            Arc::clone(statistics),
        );
        Ok(source.map_err(|error| error.below(&source_path(&stream.id)))?)
    }

    /// The client of the connection of `stream`.
    pub async fn client(&self, stream: &StreamConfig) -> Result<Client, Error> {
        self.connection(stream).client().await
    }

    /// Where the position of `stream` is kept. Opened once and kept across restarts: no other
    /// process takes it over in between, and what is in memory stays.
    pub async fn store(&self, stream: &StreamConfig) -> Result<Arc<dyn CheckpointStore>, Error> {
        self.stores.open(stream).await
    }

    /// Closes the connections, in a second at the most: what has not ended by then ends with the
    /// runtime.
    pub async fn close(&self) {
        let connections: Vec<_> = {
            let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
            connections.drain().map(|(_, connection)| connection).collect()
        };
        let closing = join_all(connections.iter().map(|connection| connection.close()));
        if timeout(CLOSING, closing).await.is_err() {
            tracing::debug!("a connection to MongoDB was left open");
        }
    }

    /// The connection of `stream`, one for all that name it.
    fn connection(&self, stream: &StreamConfig) -> Arc<MongoConnection> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let connection =
            connections.entry(Arc::clone(&stream.id.connection_id)).or_insert_with(|| {
                let (path, monitoring) =
                    (connection_path(&stream.id), self.config.monitoring.clone());
                Arc::new(MongoConnection::new(path, &stream.connection, monitoring, self.spare))
            });
        Arc::clone(connection)
    }

    /// How many streams the connections have.
    fn streams(&self) -> usize {
        let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.values().map(|connection| connection.streams()).sum::<usize>().max(1)
    }
}

/// Where `stream` begins without a position.
pub(super) fn start_of(stream: &StreamConfig) -> Result<StartAt, ConfigError> {
    let start = StartAt::from_config(&stream.source.startup);
    start.map_err(|error| error.below(&source_path(&stream.id)))
}
