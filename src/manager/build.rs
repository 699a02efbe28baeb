//! From the configuration of one stream to the parts of its line.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::checkpoint::{CheckpointStore, Identity, Intervals, Stores};
use crate::config::{
    CheckpointConfig, Config, ConnectionConfig, PubSubConfig, RunSections, StreamConfig,
};
use crate::error::{ConfigError, Error};
use crate::event::StreamId;
use crate::flow::{BackoffPolicy, Budget};
use crate::pipeline::Pipeline;
use crate::sink::{Connection, PubSubSink};
use crate::source::{self, ChangeStream, Prefetch, StartAt};
use crate::telemetry::StreamStatistics;
use crate::transform::Transform;

/// Where a stream's connection stands in the configuration.
pub(super) fn connection_path(id: &StreamId) -> String {
    format!("mongodb.connections.{}", id.connection_id)
}

/// Where a stream's source stands in the configuration.
pub(super) fn source_path(id: &StreamId) -> String {
    format!("{}.sources.{}", connection_path(id), id.source_name)
}

/// The line of one source.
pub(super) type Line = Pipeline<Prefetch<ChangeStream>, PubSubSink>;

/// Receipts that may wait for the ledger; each stands for a whole request.
const RECEIPTS: usize = 64;

/// Builds the lines of one configuration, sharing a client for each MongoDB connection and one
/// connection to Pub/Sub.
pub(super) struct Builder<'a> {
    config: &'a Config,
    pubsub: &'a PubSubConfig,
    checkpoint: &'a CheckpointConfig,
    project: &'a str,
    publisher: Connection,
    clients: HashMap<Arc<str>, mongodb::Client>,
    stores: Stores,
    backoff: BackoffPolicy,
}

impl<'a> Builder<'a> {
    pub fn new(config: &'a Config) -> Result<Self, Error> {
        let RunSections { gcp, pubsub, checkpoint } = config.require_run()?;
        Ok(Self {
            config,
            pubsub,
            checkpoint,
            project: &gcp.project_id,
            publisher: Connection::open(gcp, pubsub)?,
            clients: HashMap::new(),
            stores: Stores::new(config, checkpoint),
            backoff: BackoffPolicy::from(&config.error_handling),
        })
    }

    /// The line of `stream`.
    pub async fn build(
        &mut self,
        stream: &StreamConfig,
        statistics: &Arc<StreamStatistics>,
    ) -> Result<Line, Error> {
        let (sender, receipts) = mpsc::channel(RECEIPTS);
        let client = self.client(stream).await?;
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
            identity: Identity::of(stream, self.pubsub),
            source: Prefetch::new(source),
            start: StartAt::from_config(&stream.source.startup)
                .map_err(|error| error.below(&source_path(&stream.id)))?,
            transform: Transform::compile(&stream.id, self.pubsub)?,
            sink: PubSubSink::start(
                &self.publisher,
                self.topic(stream)?,
                self.pubsub,
                self.backoff.clone(),
                sender,
                Arc::clone(statistics),
            ),
            receipts,
            store: self.store(stream).await?,
            intervals: Intervals::from(self.checkpoint),
            budget: Budget::from(&self.config.flow),
            statistics: Arc::clone(statistics),
        })
    }

    /// One client a connection.
    async fn client(&mut self, stream: &StreamConfig) -> Result<mongodb::Client, Error> {
        if let Some(client) = self.clients.get(&stream.id.connection_id) {
            return Ok(client.clone());
        }
        let streams = u32::try_from(stream.connection.sources.len()).unwrap_or(u32::MAX);
        let ConnectionConfig { uri, compressors, .. } = &stream.connection;
        let client = source::build_client(uri, compressors, &self.config.monitoring, streams).await;
        let client = client.map_err(|error| match error {
            Error::Config(error) => error.below(&connection_path(&stream.id)).into(),
            error => error,
        })?;
        self.clients.insert(Arc::clone(&stream.id.connection_id), client.clone());
        Ok(client)
    }

    fn topic(&self, stream: &StreamConfig) -> Result<String, ConfigError> {
        let key = &stream.source.topic;
        let topic = self.pubsub.topics.get(key).ok_or_else(|| ConfigError {
            path: format!("pubsub.topics.{key}"),
            message: "no such topic".into(),
        })?;
        Ok(format!("projects/{}/topics/{}", self.project, topic.name))
    }

    async fn store(&self, stream: &StreamConfig) -> Result<Arc<dyn CheckpointStore>, Error> {
        self.stores.open(stream).await
    }
}
