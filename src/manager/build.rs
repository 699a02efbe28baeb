//! From the configuration of one stream to the parts of its line.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::connection::MongoConnection;
use super::{Stream, connection_path, source_path};
use crate::checkpoint::{CheckpointStore, Identity, Intervals, Stores};
use crate::config::{CheckpointConfig, Config, PubSubConfig, RunSections, StreamConfig};
use crate::error::Error;
use crate::flow::{BackoffPolicy, Budget};
use crate::pipeline::Pipeline;
use crate::sink::{ClaimStore, Connection, DeadLetterFile, DeadLetterPlaces, Publishing, Topics};
use crate::source::{self, ChangeStream, Prefetch, StartAt};
use crate::telemetry::StreamStatistics;
use crate::transform::Transform;

/// The line of one source.
pub(super) type Line = Pipeline<Prefetch<ChangeStream>, Topics>;

/// Receipts that may wait for the ledger; each stands for a whole request.
const RECEIPTS: usize = 64;

/// How long closing the connections may take.
const CLOSING: Duration = Duration::from_secs(1);

/// Builds the lines of one configuration, sharing a client for each MongoDB connection and one
/// connection to Pub/Sub.
pub(super) struct Builder {
    config: Config,
    pubsub: PubSubConfig,
    checkpoint: CheckpointConfig,
    publisher: Connection,
    /// One for all streams.
    dead_letter_file: Option<Arc<DeadLetterFile>>,
    connections: HashMap<Arc<str>, MongoConnection>,
    streams: usize,
    stores: Stores,
    backoff: BackoffPolicy,
}

impl Builder {
    pub fn new(config: &Config, streams: &[Stream]) -> Result<Self, Error> {
        let RunSections { gcp, pubsub, checkpoint } = config.require_run()?;
        let mut connections = HashMap::new();
        for Stream { config: stream, statistics, .. } in streams {
            let id = Arc::clone(&stream.id.connection_id);
            let connection = connections.entry(id).or_insert_with(|| {
                let monitoring = config.monitoring.clone();
                MongoConnection::new(connection_path(&stream.id), &stream.connection, monitoring)
            });
            connection.add(Arc::clone(statistics));
        }
        Ok(Self {
            config: config.clone(),
            pubsub: pubsub.clone(),
            checkpoint: checkpoint.clone(),
            publisher: Connection::open(gcp, pubsub)?,
            dead_letter_file: dead_letter_file(config).map(Arc::new),
            connections,
            streams: streams.len(),
            stores: Stores::new(config, checkpoint),
            backoff: BackoffPolicy::from(&config.error_handling),
        })
    }

    /// A line of `stream` that goes on from what is in `store`.
    pub async fn line(
        &self,
        stream: &StreamConfig,
        statistics: &Arc<StreamStatistics>,
        store: Arc<dyn CheckpointStore>,
    ) -> Result<Line, Error> {
        let (sender, receipts) = mpsc::channel(RECEIPTS);
        let client = self.client(stream).await?;
        let stream = &*source::with_own_schema(&client, stream).await?;
        let source = ChangeStream::new(
            client,
            stream.capture.clone(),
            &stream.source,
            self.checkpoint.excluded_from(&stream.capture),
            &self.backoff,
            Arc::clone(statistics),
        )
        .map_err(|error| error.below(&source_path(&stream.id)))?;
        Ok(Pipeline {
            identity: Identity::of(stream, &self.pubsub),
            source: Prefetch::new(source),
            start: StartAt::from_config(&stream.source.startup)
                .map_err(|error| error.below(&source_path(&stream.id)))?,
            transform: Transform::compile(&self.config, stream)?,
            sink: Topics::new(Publishing {
                connection: self.publisher.clone(),
                pubsub: self.pubsub.clone(),
                backoff: self.backoff.clone(),
                receipts: sender,
                statistics: Arc::clone(statistics),
                dead_letters: self.dead_letters(stream)?,
                claims: ClaimStore::open(&stream.source)?,
            }),
            receipts,
            store,
            intervals: Intervals::from(&self.checkpoint),
            budget: Budget::of_one(&self.config.flow, self.streams),
            statistics: Arc::clone(statistics),
        })
    }

    /// Where the position of `stream` is kept. Opened once and kept across restarts: no other
    /// process takes it over in between, and what is in memory stays.
    pub async fn store(&self, stream: &StreamConfig) -> Result<Arc<dyn CheckpointStore>, Error> {
        self.stores.open(stream).await
    }

    /// Closes the connections, in a second at the most: what has not ended by then ends with the
    /// runtime.
    pub async fn close(&self) {
        let closing = join_all(self.connections.values().map(MongoConnection::close));
        if timeout(CLOSING, closing).await.is_err() {
            tracing::debug!("a connection to MongoDB was left open");
        }
    }

    /// Where the dead letters of `stream` go.
    fn dead_letters(&self, stream: &StreamConfig) -> Result<Option<DeadLetterPlaces>, Error> {
        if !self.config.has_dead_letters() {
            return Ok(None);
        }
        let gcp = self.config.require_run()?.gcp;
        let topic = self.config.dead_letter_topic();
        Ok(Some(DeadLetterPlaces {
            stream: stream.id.to_string().into(),
            file: self.dead_letter_file.clone(),
            topic: topic.map(|name| format!("projects/{}/topics/{name}", gcp.project_id).into()),
        }))
    }

    /// One client a connection.
    async fn client(&self, stream: &StreamConfig) -> Result<mongodb::Client, Error> {
        match self.connections.get(&stream.id.connection_id) {
            Some(connection) => connection.client().await,
            None => Err(Error::Internal(format!("no connection for stream {}", stream.id))),
        }
    }
}

fn dead_letter_file(config: &Config) -> Option<DeadLetterFile> {
    config.dead_letter.as_ref()?.file.as_ref().map(DeadLetterFile::new)
}
