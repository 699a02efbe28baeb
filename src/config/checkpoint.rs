//! `checkpoint`: where positions are stored.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::validate::{error, expect, is_deployment};
use super::{Capture, Config, Seconds, Secret, streams};
use crate::error::ConfigError;

/// Cloud Storage takes one update of an object a second: <https://cloud.google.com/storage/quotas>.
const GCS_SHORTEST_INTERVAL: Seconds = Seconds::from_secs(1);

/// Most bytes of `prefix`: an object's name has at most 1,024
/// (<https://cloud.google.com/storage/docs/objects#naming>), and a stream's is part of it.
const GCS_LONGEST_PREFIX: usize = 512;

/// Where positions are stored. Needed by `run`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Kind of store.
    #[schemars(example = &"file")]
    pub store: StoreKind,
    /// Folder of the store `file`, relative to the working directory: one JSON file a stream.
    /// Required for `store: file`.
    #[schemars(example = &"./state")]
    pub path: Option<PathBuf>,
    /// Connection string of the store `mongodb`; in a Beam pipeline also a `secret://`. Default: that
    /// of `connection`.
    #[schemars(example = &"${MONGODB_URI}")]
    pub uri: Option<Secret>,
    /// Key below `mongodb.connections` of the deployment that the store `mongodb` is in. Default:
    /// each stream's own.
    #[schemars(example = &"main")]
    pub connection: Option<String>,
    /// Database of the store `mongodb`. Default: `mongo_gcp_stream`.
    #[serde(default = "default_database")]
    pub database: String,
    /// Collection of the store `mongodb`: one document a stream. No stream ever sees it, on any
    /// deployment. Default: `checkpoints`.
    #[serde(default = "default_collection")]
    pub collection: String,
    /// Bucket of the store `gcs`: one object a stream. Required for `store: gcs`.
    #[schemars(example = &"my-checkpoints")]
    pub bucket: Option<String>,
    /// What the objects' names begin with in the store `gcs`: `<prefix><stream>.json`. Default:
    /// nothing.
    #[schemars(example = &"production/")]
    pub prefix: Option<String>,
    /// How often a position that moved is stored; at least `1s` with the store `gcs`. A bare number
    /// is in seconds. Default: `1s`.
    #[serde(default = "default_interval")]
    pub interval: Seconds,
    /// How often a position is stored that only idle replies moved. A bare number is in seconds.
    /// Default: `30s`.
    #[serde(default = "default_idle_interval")]
    pub idle_interval: Seconds,
}

impl CheckpointConfig {
    /// Positions are kept for the life of the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            store: StoreKind::Memory,
            path: None,
            uri: None,
            connection: None,
            database: default_database(),
            collection: default_collection(),
            bucket: None,
            prefix: None,
            interval: default_interval(),
            idle_interval: default_idle_interval(),
        }
    }
}

fn default_database() -> String {
    "mongo_gcp_stream".into()
}

fn default_collection() -> String {
    "checkpoints".into()
}

fn default_interval() -> Seconds {
    Seconds::from_secs(1)
}

fn default_idle_interval() -> Seconds {
    Seconds::from_secs(30)
}

/// Kind of checkpoint store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// A JSON file a stream in the folder `path`.
    File,
    /// A document a stream in a MongoDB collection.
    MongoDb,
    /// A JSON object a stream in a Google Cloud Storage bucket.
    Gcs,
    /// In memory: nothing survives the process. For tests.
    Memory,
}

impl CheckpointConfig {
    /// The namespace, as database and collection, that a stream of `capture` must never see: the
    /// one that its own position is stored in. It would feed itself for ever. Whether two
    /// connection strings name the same deployment cannot be told, so it is left out of all.
    #[must_use]
    pub fn excluded_from(&self, capture: &Capture) -> Option<(String, String)> {
        let covered = match capture {
            Capture::Deployment => true,
            Capture::Database(database) => *database == self.database,
            Capture::Collection(..) => false,
        };
        let excluded = covered && self.store == StoreKind::MongoDb;
        excluded.then(|| (self.database.clone(), self.collection.clone()))
    }

    /// What the types cannot tell.
    pub(super) fn validate(&self, config: &Config) -> Result<(), ConfigError> {
        let positive = "must be more than 0";
        expect(!self.interval.duration().is_zero(), "checkpoint.interval", positive)?;
        expect(!self.idle_interval.duration().is_zero(), "checkpoint.idle_interval", positive)?;
        match self.store {
            StoreKind::File => {
                let path = self.path.as_ref().filter(|path| !path.as_os_str().is_empty());
                let message = "missing: `store: file` needs a folder";
                expect(path.is_some(), "checkpoint.path", message)
            }
            StoreKind::MongoDb => self.validate_mongodb(config),
            StoreKind::Gcs => self.validate_gcs(),
            StoreKind::Memory => Ok(()),
        }
    }

    fn validate_mongodb(&self, config: &Config) -> Result<(), ConfigError> {
        let Self { database, collection, .. } = self;
        if streams::SYSTEM_DATABASES.contains(&database.as_str()) {
            let message = format!("the database `{database}` belongs to the server");
            return Err(error("checkpoint.database", message));
        }
        streams::check_database(database, "checkpoint.database")?;
        streams::check_collection(collection, "checkpoint.collection")?;
        let uri = self.uri.as_ref().is_none_or(|uri| is_deployment(uri.expose()));
        expect(
            uri,
            "checkpoint.uri",
            "expected a connection string that begins with `mongodb://` or `mongodb+srv://`",
        )?;
        if let Some(connection) = &self.connection {
            let path = "checkpoint.connection";
            let both = "has no meaning beside `checkpoint.uri`";
            expect(self.uri.is_none(), path, both)?;
            let known = config.mongodb.connections.contains_key(connection);
            expect(known, path, &format!("`{connection}` is not a key of `mongodb.connections`"))?;
        }
        let own = Capture::Collection(database.clone(), collection.clone());
        match config.streams()?.into_iter().find(|stream| stream.capture == own) {
            None => Ok(()),
            Some(stream) => Err(error(
                &format!(
                    "mongodb.connections.{}.sources.{}.collection",
                    stream.id.connection_id, stream.id.source_name
                ),
                "positions are stored in this collection: a stream of it would feed itself",
            )),
        }
    }

    fn validate_gcs(&self) -> Result<(), ConfigError> {
        // <https://cloud.google.com/storage/docs/buckets#naming>
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        let sane = |name: &String| (3..=222).contains(&name.len()) && name.chars().all(allowed);
        expect(
            self.bucket.as_ref().is_some_and(sane),
            "checkpoint.bucket",
            "`store: gcs` needs the name of a bucket, without `gs://`: 3 to 222 lower-case \
             letters, digits and - _ .",
        )?;
        let prefix = self.prefix.as_deref().unwrap_or_default();
        expect(
            prefix.len() <= GCS_LONGEST_PREFIX && !prefix.contains(['\r', '\n']),
            "checkpoint.prefix",
            "expected at most 512 bytes without line breaks",
        )?;
        expect(
            self.interval >= GCS_SHORTEST_INTERVAL,
            "checkpoint.interval",
            "expected at least `1s`: Cloud Storage takes one update of an object a second",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, from_yaml};

    /// The configuration with this section and this source.
    fn with(checkpoint: &str, source: &str) -> Result<Config, ConfigError> {
        let yaml = format!(
            "mongodb: {{connections: {{main: {{uri: 'mongodb://host/', sources: {{orders: \
             {{{source}}}}}}}}}}}\ncheckpoint: {{{checkpoint}}}\n"
        );
        from_yaml(&yaml, "test", &Environment::new()).map(|loaded| loaded.config)
    }

    const ORDERS: &str = "database: shop, collection: orders";

    #[test]
    fn every_store_has_a_shortest_form() {
        for section in [
            "store: file, path: ./state",
            "store: mongodb",
            "store: mongodb, connection: main, database: a, collection: b.c",
            "store: mongodb, uri: 'mongodb+srv://other/'",
            "store: gcs, bucket: my.check-points_1, prefix: 'a/b/'",
            "store: memory",
        ] {
            assert!(with(section, ORDERS).is_ok(), "{section}");
        }
    }

    #[test]
    fn a_mistake_is_named_by_its_key() {
        for (section, key) in [
            ("store: file", "path"),
            ("store: mongodb, database: local", "database"),
            ("store: mongodb, database: 'a b'", "database"),
            ("store: mongodb, collection: system.users", "collection"),
            ("store: mongodb, uri: 'host:hunter2'", "uri"),
            ("store: mongodb, connection: other", "connection"),
            ("store: mongodb, uri: 'mongodb://host/', connection: main", "connection"),
            ("store: gcs", "bucket"),
            ("store: gcs, bucket: 'gs://checkpoints'", "bucket"),
            ("store: gcs, bucket: checkpoints, prefix: \"a\\nb\"", "prefix"),
            ("store: gcs, bucket: checkpoints, interval: 999ms", "interval"),
            ("store: memory, interval: 0s", "interval"),
            ("store: memory, idle_interval: 0s", "idle_interval"),
        ] {
            let error = with(section, ORDERS).unwrap_err();
            assert_eq!(error.path, format!("checkpoint.{key}"), "{section}: {error}");
            assert!(!error.message.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_stores_collection_is_not_captured() {
        let source = "database: mongo_gcp_stream, collection: checkpoints";
        let error = with("store: mongodb", source).unwrap_err();
        assert_eq!(error.path, "mongodb.connections.main.sources.orders.collection");
        with("store: mongodb, collection: others", source).unwrap();

        let own = Some(("mongo_gcp_stream".to_owned(), "checkpoints".to_owned()));
        let database = |name: &str| Capture::Database(name.into());
        let mongodb = with("store: mongodb", ORDERS).unwrap().checkpoint.unwrap();
        assert_eq!(mongodb.excluded_from(&Capture::Deployment), own);
        assert_eq!(mongodb.excluded_from(&database("mongo_gcp_stream")), own);
        assert_eq!(mongodb.excluded_from(&database("shop")), None);
        let collection = Capture::Collection("mongo_gcp_stream".into(), "others".into());
        assert_eq!(mongodb.excluded_from(&collection), None);
        let memory = with("store: memory", ORDERS).unwrap().checkpoint.unwrap();
        assert_eq!(memory.excluded_from(&Capture::Deployment), None);
    }
}
