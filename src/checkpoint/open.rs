//! From the configuration to the stores of its streams.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use mongodb::Client;
use tokio::sync::Mutex;

use super::{CheckpointStore, FileStore, GcsStore, MemoryStore, MongoStore, Stored};
use crate::config::{
    CheckpointConfig, Config, ConnectionConfig, MonitoringConfig, StoreKind, StreamConfig,
};
use crate::error::{CheckpointError, ConfigError, Error};
use crate::gcp::{self, Bucket};
use crate::source;

/// Opens the stores of one configuration, which share a client for each deployment, or the
/// connection to their bucket.
#[derive(Debug)]
pub struct Stores {
    checkpoint: CheckpointConfig,
    connections: BTreeMap<String, ConnectionConfig>,
    monitoring: MonitoringConfig,
    /// By where the connection string stands in the configuration.
    clients: Mutex<HashMap<String, Client>>,
    bucket: OnceLock<Bucket>,
}

impl Stores {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(config: &Config, checkpoint: &CheckpointConfig) -> Self {
        Self {
            checkpoint: checkpoint.clone(),
            connections: config.mongodb.connections.clone(),
            monitoring: config.monitoring.clone(),
            clients: Mutex::default(),
            bucket: OnceLock::new(),
        }
    }

    /// The store of `stream`, to move its checkpoint.
    ///
    /// # Errors
    /// [`Error::Checkpoint`], `Conflict` where another process has locked the file, `Unreachable`
    /// where the folder cannot be made or there are no credentials; [`Error::Config`] for a
    /// connection string that the driver refuses.
    pub async fn open(&self, stream: &StreamConfig) -> Result<Arc<dyn CheckpointStore>, Error> {
        let name = stream.id.to_string();
        Ok(match self.checkpoint.store {
            StoreKind::File => Arc::new(FileStore::open(self.folder()?, &name)?),
            StoreKind::MongoDb => Arc::new(self.mongodb(stream, &name).await?),
            StoreKind::Gcs => Arc::new(self.gcs(&name)?),
            StoreKind::Memory => Arc::new(MemoryStore::default()),
        })
    }

    /// What is stored for `stream`, whoever moves it meanwhile.
    ///
    /// # Errors
    /// Those of [`CheckpointStore::read`] and of a connection string that the driver refuses.
    pub async fn read(&self, stream: &StreamConfig) -> Result<Option<Stored>, Error> {
        // The file's lock would keep `run` from starting, and be refused while it runs.
        if self.checkpoint.store == StoreKind::File {
            return Ok(FileStore::look(self.folder()?, &stream.id.to_string())?);
        }
        Ok(self.open(stream).await?.read().await?)
    }

    fn folder(&self) -> Result<&Path, ConfigError> {
        self.checkpoint
            .path
            .as_deref()
            .ok_or_else(|| missing("path", "the store `file` needs a folder"))
    }

    async fn mongodb(&self, stream: &StreamConfig, name: &str) -> Result<MongoStore, Error> {
        let CheckpointConfig { database, collection, .. } = &self.checkpoint;
        let client = self.client(stream).await?;
        Ok(MongoStore::new(&client, database, collection, name))
    }

    /// One client for each deployment that positions are stored in.
    async fn client(&self, stream: &StreamConfig) -> Result<Client, Error> {
        let connection = self.checkpoint.connection.as_deref();
        let connection = connection.unwrap_or(&*stream.id.connection_id);
        let (uri, parent) = if let Some(uri) = &self.checkpoint.uri {
            (uri, "checkpoint".to_owned())
        } else {
            let found = self.connections.get(connection);
            let found = found.ok_or_else(|| missing("connection", "no such connection"))?;
            (&found.uri, format!("mongodb.connections.{connection}"))
        };
        let mut clients = self.clients.lock().await;
        if let Some(client) = clients.get(&parent) {
            return Ok(client.clone());
        }
        let client = source::build_client(uri, &[], &self.monitoring, 0).await;
        let client = client.map_err(|error| match error {
            Error::Config(error) => error.below(&parent).into(),
            error => error,
        })?;
        clients.insert(parent, client.clone());
        Ok(client)
    }

    fn gcs(&self, name: &str) -> Result<GcsStore, Error> {
        let prefix = self.checkpoint.prefix.as_deref().unwrap_or_default();
        if let Some(bucket) = self.bucket.get() {
            return Ok(GcsStore::new(bucket, prefix, name));
        }
        let bucket = self.checkpoint.bucket.as_deref();
        let bucket = bucket.ok_or_else(|| missing("bucket", "the store `gcs` needs a bucket"))?;
        let emulator = gcp::storage_emulator();
        let bucket = Bucket::open(bucket, emulator.as_deref()).map_err(CheckpointError::from)?;
        Ok(GcsStore::new(self.bucket.get_or_init(|| bucket), prefix, name))
    }
}

fn missing(key: &str, message: &str) -> ConfigError {
    ConfigError { path: format!("checkpoint.{key}"), message: message.into() }
}
