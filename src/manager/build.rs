//! From the configuration of one stream to the parts of its line.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::Stream;
use super::shared::{Changes, NO_SPARE, Parts, Shared};
use crate::checkpoint::{CheckpointStore, Identity};
use crate::config::{Config, PubSubConfig, RunSections, StreamConfig};
use crate::error::Error;
use crate::event::Receipt;
use crate::pipeline::{Pipeline, Publish};
use crate::sink::{ClaimStore, Connection, DeadLetterFile, DeadLetterPlaces, Publishing, Topics};
use crate::source;
use crate::telemetry::StreamStatistics;
use crate::transform::Transform;

/// The line of one source.
pub(super) type Line = Pipeline<Changes, Publish<Topics>>;

/// Receipts that may wait for the ledger; each stands for a whole request.
const RECEIPTS: usize = 64;

/// Builds the lines of one configuration that publish, sharing one connection to Pub/Sub.
pub(super) struct Builder {
    shared: Shared,
    pubsub: PubSubConfig,
    publisher: Connection,
    /// One for all streams.
    dead_letter_file: Option<Arc<DeadLetterFile>>,
}

impl Builder {
    pub fn new(config: &Config, streams: &[Stream]) -> Result<Self, Error> {
        let RunSections { gcp, pubsub, checkpoint } = config.require_run()?;
        let shared = Shared::new(config, checkpoint, NO_SPARE);
        for Stream { config: stream, statistics, .. } in streams {
            shared.add(stream, statistics);
        }
        Ok(Self {
            shared,
            pubsub: pubsub.clone(),
            publisher: Connection::open(gcp, pubsub)?,
            dead_letter_file: dead_letter_file(config).map(Arc::new),
        })
    }

    /// A line of `stream` that goes on from what is in `store`.
    pub async fn line(
        &self,
        stream: &StreamConfig,
        statistics: &Arc<StreamStatistics>,
        store: Arc<dyn CheckpointStore>,
    ) -> Result<Line, Error> {
        let client = self.shared.client(stream).await?;
        let stream = &*source::with_own_schema(&client, stream).await?;
        let (sink, receipts) = self.sink(stream, statistics)?;
        let stage = Publish { transform: Transform::compile(&self.shared.config, stream)?, sink };
        let parts = Parts { identity: Identity::of(stream, &self.pubsub), stage, receipts, store };
        self.shared.line(stream, statistics, parts).await
    }

    /// What publishes the messages of `stream`, and what becomes of them.
    pub fn sink(
        &self,
        stream: &StreamConfig,
        statistics: &Arc<StreamStatistics>,
    ) -> Result<(Topics, mpsc::Receiver<Receipt>), Error> {
        self.sink_with(stream, statistics, self.dead_letters(stream)?)
    }

    /// The same with dead letters elsewhere than the configuration says.
    pub fn sink_with(
        &self,
        stream: &StreamConfig,
        statistics: &Arc<StreamStatistics>,
        dead_letters: Option<DeadLetterPlaces>,
    ) -> Result<(Topics, mpsc::Receiver<Receipt>), Error> {
        let (sender, receipts) = mpsc::channel(RECEIPTS);
        let sink = Topics::new(Publishing {
            connection: self.publisher.clone(),
            pubsub: self.pubsub.clone(),
            backoff: self.shared.backoff.clone(),
            receipts: sender,
            statistics: Arc::clone(statistics),
            dead_letters,
            claims: ClaimStore::open(&stream.source)?,
        });
        Ok((sink, receipts))
    }

    /// Where the position of `stream` is kept.
    pub async fn store(&self, stream: &StreamConfig) -> Result<Arc<dyn CheckpointStore>, Error> {
        self.shared.store(stream).await
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.shared.close().await;
    }

    /// Where the dead letters of `stream` go.
    fn dead_letters(&self, stream: &StreamConfig) -> Result<Option<DeadLetterPlaces>, Error> {
        let config = &self.shared.config;
        if !config.has_dead_letters() {
            return Ok(None);
        }
        let gcp = config.require_run()?.gcp;
        let topic = config.dead_letter_topic();
        Ok(Some(DeadLetterPlaces {
            stream: stream.id.to_string().into(),
            file: self.dead_letter_file.clone(),
            topic: topic.map(|name| format!("projects/{}/topics/{name}", gcp.project_id).into()),
            asked: None,
        }))
    }
}

fn dead_letter_file(config: &Config) -> Option<DeadLetterFile> {
    config.dead_letter.as_ref()?.file.as_ref().map(DeadLetterFile::new)
}
