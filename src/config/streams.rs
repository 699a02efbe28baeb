//! What is to be run: the streams of a configuration, with their names resolved.

use std::sync::Arc;

use super::{
    Capture, CheckpointConfig, Config, ConnectionConfig, GcpConfig, PubSubConfig, Scope,
    SourceConfig, namespaces, validate,
};
use crate::error::ConfigError;
use crate::event::StreamId;

/// Databases of the server itself, which have no change streams.
pub(super) const SYSTEM_DATABASES: [&str; 3] = ["admin", "config", "local"];

/// One source with all that its stream needs to know.
#[derive(Clone, Debug)]
pub struct StreamConfig {
    /// `<connection id>.<source name>`.
    pub id: StreamId,
    /// The connection that the source belongs to.
    pub connection: Arc<ConnectionConfig>,
    /// The source as it was configured.
    pub source: SourceConfig,
    /// What it captures: scope, database and collection resolved.
    pub capture: Capture,
}

impl StreamConfig {
    /// The stream without the schema of its collection, where that is read from the server and was
    /// not yet: for what is checked before anything is connected.
    #[must_use]
    pub(crate) fn without_unread_schema(&self) -> Self {
        let mut stream = self.clone();
        stream.source.validation.json_schema.collection = false;
        stream
    }
}

/// The sections that `run` cannot do without.
#[derive(Clone, Copy, Debug)]
pub struct RunSections<'a> {
    /// `gcp`.
    pub gcp: &'a GcpConfig,
    /// `pubsub`.
    pub pubsub: &'a PubSubConfig,
    /// `checkpoint`.
    pub checkpoint: &'a CheckpointConfig,
}

impl Config {
    /// All streams, ordered by connection id and source name.
    ///
    /// # Errors
    /// [`ConfigError`] where scope, database and collection of a source do not fit together; none
    /// for a configuration that was loaded.
    pub fn streams(&self) -> Result<Vec<StreamConfig>, ConfigError> {
        let mut streams = Vec::new();
        for (id, connection) in &self.mongodb.connections {
            // Shared: a hundred streams of one connection would each copy a hundred sources.
            let shared = Arc::new(connection.clone());
            if let Some(database) = &connection.database {
                check_database(database, &format!("mongodb.connections.{id}.database"))?;
            }
            for (name, source) in &connection.sources {
                let path = format!("mongodb.connections.{id}.sources.{name}");
                check_names(source, &path)?;
                let capture = capture(connection, source, &path)?;
                namespaces::check(source, &capture, &path)?;
                streams.push(StreamConfig {
                    id: StreamId::new(id, name),
                    connection: Arc::clone(&shared),
                    source: source.clone(),
                    capture,
                });
            }
        }
        Ok(streams)
    }

    /// The sections that are optional elsewhere and that `run` needs.
    ///
    /// # Errors
    /// [`ConfigError`] that names the first section that is missing.
    pub fn require_run(&self) -> Result<RunSections<'_>, ConfigError> {
        let missing = |path: &str, holds: &str| {
            validate::error(path, format!("missing: `run` needs {holds}"))
        };
        Ok(RunSections {
            gcp: self.gcp.as_ref().ok_or_else(|| missing("gcp", "`gcp.project_id`"))?,
            pubsub: self.pubsub.as_ref().ok_or_else(|| missing("pubsub", "`pubsub.topics`"))?,
            checkpoint: self
                .checkpoint
                .as_ref()
                .ok_or_else(|| missing("checkpoint", "`checkpoint.store`"))?,
        })
    }
}

/// What a source captures. Without `scope` it is the narrowest that its names tell.
fn capture(
    connection: &ConnectionConfig,
    source: &SourceConfig,
    path: &str,
) -> Result<Capture, ConfigError> {
    let refuse = |key: &str, message: &str| Err(validate::error(&format!("{path}.{key}"), message));
    let database = source.database.as_ref().or(connection.database.as_ref());
    match (source.scope, &source.collection, database) {
        (Some(Scope::Deployment), None, _) if source.database.is_none() => Ok(Capture::Deployment),
        (Some(Scope::Deployment), None, _) => {
            refuse("database", "has no meaning with `scope: deployment`")
        }
        (Some(Scope::Deployment | Scope::Database), Some(_), _) => {
            refuse("collection", "has a meaning only with `scope: collection`")
        }
        (Some(Scope::Collection), None, _) => {
            refuse("collection", "missing: `scope: collection` needs its name")
        }
        (_, Some(_), None) => refuse(
            "collection",
            "needs a database: set `database` here or as the default of the connection",
        ),
        (_, Some(collection), Some(database)) => {
            Ok(Capture::Collection(database.clone(), collection.clone()))
        }
        (_, None, Some(database)) => Ok(Capture::Database(database.clone())),
        (_, None, None) => {
            refuse("database", "missing: set `database` and `collection`, or `scope: deployment`")
        }
    }
}

fn check_names(source: &SourceConfig, path: &str) -> Result<(), ConfigError> {
    if let Some(database) = &source.database {
        check_database(database, &format!("{path}.database"))?;
    }
    if let Some(collection) = &source.collection {
        check_collection(collection, &format!("{path}.collection"))?;
    }
    Ok(())
}

/// MongoDB manual, "Naming Restrictions": 63 bytes, none of `/\. "$*<>:|?` and no NUL.
pub(super) fn check_database(name: &str, path: &str) -> Result<(), ConfigError> {
    let refused = |c: char| "/\\. \"$*<>:|?\0".contains(c);
    if name.is_empty() || name.len() > 63 || name.contains(refused) {
        let message = "expected a database name: 1 to 63 bytes, none of / \\ . \" $ * < > : | ? \
                       and no space";
        return Err(validate::error(path, message));
    }
    if SYSTEM_DATABASES.contains(&name) {
        return Err(validate::error(path, format!("the database `{name}` has no change streams")));
    }
    Ok(())
}

/// MongoDB manual, "Naming Restrictions" and "Change Streams": no `$`, no NUL, no system
/// collection; a namespace has at most 255 bytes.
pub(super) fn check_collection(name: &str, path: &str) -> Result<(), ConfigError> {
    if name.is_empty() || name.len() > 235 || name.contains(['$', '\0']) {
        let message = "expected a collection name: 1 to 235 bytes, no $";
        return Err(validate::error(path, message));
    }
    if name.starts_with("system.") {
        return Err(validate::error(path, "system collections have no change streams"));
    }
    Ok(())
}
