//! One MongoDB connection of the configuration: its client, shared by its streams, and its oplog.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, RawDocumentBuf, Timestamp, doc};
use mongodb::error::ErrorKind;
use tokio::sync::OnceCell;
use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;

use crate::config::{Compressor, ConnectionConfig, MonitoringConfig, Secret};
use crate::error::Error;
use crate::source;
use crate::telemetry::StreamStatistics;

/// How often the oldest entry of the oplog is looked up.
const OPLOG_INTERVAL: Duration = Duration::from_secs(30);

/// Longest that the server may take for it.
const OPLOG_TIMEOUT: Duration = Duration::from_secs(5);

/// The streams of a connection.
type Streams = Mutex<Vec<Weak<StreamStatistics>>>;

/// A connection and the streams that share it.
pub(super) struct MongoConnection {
    /// Where it stands in the configuration.
    path: String,
    uri: Secret,
    compressors: Vec<Compressor>,
    monitoring: MonitoringConfig,
    streams: Arc<Streams>,
    /// Streams beyond those that are known, which may join later.
    spare: u32,
    client: OnceCell<Client>,
    oplog: OnceLock<AbortOnDropHandle<()>>,
}

impl MongoConnection {
    pub fn new(
        path: String,
        connection: &ConnectionConfig,
        monitoring: MonitoringConfig,
        spare: u32,
    ) -> Self {
        Self {
            path,
            uri: connection.uri.clone(),
            compressors: connection.compressors.clone(),
            monitoring,
            streams: Arc::default(),
            spare,
            client: OnceCell::new(),
            oplog: OnceLock::new(),
        }
    }

    /// Adds a stream: before the first client is asked for, or as one of those that were spared
    /// for.
    pub fn add(&self, statistics: &Arc<StreamStatistics>) {
        lock(&self.streams).push(Arc::downgrade(statistics));
    }

    /// How many streams share it.
    pub fn streams(&self) -> usize {
        lock(&self.streams).len()
    }

    /// The client. Who comes first builds it; what fails (DNS, say) is tried again by the next.
    pub async fn client(&self) -> Result<Client, Error> {
        let client = self.client.get_or_try_init(|| self.build()).await?;
        self.oplog.get_or_init(|| {
            let streams = Arc::clone(&self.streams);
            AbortOnDropHandle::new(tokio::spawn(watch_oplog(client.clone(), streams)))
        });
        Ok(client.clone())
    }

    /// Ends what the driver does in the background, cursors on the server included: where the
    /// runtime ends under it instead, it panics.
    pub async fn close(&self) {
        if let Some(oplog) = self.oplog.get() {
            oplog.abort();
        }
        if let Some(client) = self.client.get() {
            client.clone().shutdown().await;
        }
    }

    async fn build(&self) -> Result<Client, Error> {
        let streams = u32::try_from(lock(&self.streams).len()).unwrap_or(u32::MAX);
        let streams = streams.saturating_add(self.spare);
        let client =
            source::build_client(&self.uri, &self.compressors, &self.monitoring, streams).await;
        client.map_err(|error| match error {
            Error::Config(error) => error.below(&self.path).into(),
            error => error,
        })
    }
}

fn lock(streams: &Streams) -> MutexGuard<'_, Vec<Weak<StreamStatistics>>> {
    streams.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells the streams how far the oplog reaches back, for as long as it may be read.
async fn watch_oplog(client: Client, streams: Arc<Streams>) {
    let mut ticks = tokio::time::interval(OPLOG_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let start = oplog_start(&client).await;
        lock(&streams).retain(|stream| {
            let stream = stream.upgrade();
            stream.map(|stream| stream.oplog_starts(*start.as_ref().unwrap_or(&None))).is_some()
        });
        // Refused, or a mongos, which has no oplog: nothing that waiting would change.
        if matches!(start, Ok(None)) {
            return;
        }
    }
}

/// Time of the oldest entry; `None` where there is no oplog or it may not be read, an error where
/// that may change.
async fn oplog_start(client: &Client) -> Result<Option<Timestamp>, mongodb::error::Error> {
    let oplog = client.database("local").collection::<RawDocumentBuf>("oplog.rs");
    let oldest = oplog
        .find_one(Document::new())
        .sort(doc! { "$natural": 1 })
        .projection(doc! { "ts": 1 })
        .max_time(OPLOG_TIMEOUT)
        .await;
    match oldest {
        Ok(entry) => Ok(entry.and_then(|entry| entry.get_timestamp("ts").ok())),
        // Unauthorized, and what Atlas answers to commands that a tier does not have.
        Err(error) => match error.kind.as_ref() {
            ErrorKind::Command(command) if matches!(command.code, 13 | 8000) => Ok(None),
            _ => Err(error),
        },
    }
}
