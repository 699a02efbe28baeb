//! What comes with the events of a source, which operations come at all, and from which server.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which image of an updated document comes with its event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FullDocument {
    /// None.
    Default,
    /// The document as it is when the event is read.
    #[default]
    UpdateLookup,
    /// The stored image directly after the update, where there is one.
    WhenAvailable,
    /// The stored image directly after the update; without one the stream stops.
    Required,
}

/// What becomes of an update that comes without its document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMissingDocument {
    /// It goes out with what the update did.
    #[default]
    KeepDelta,
    /// It goes out with the document key, and without what the update did.
    KeyOnly,
    /// It makes no message where the server looked the document up and it was gone: its deletion
    /// follows. Needs `full_document: update_lookup`.
    Drop,
}

/// Whether the document as it was before a change comes with the event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FullDocumentBeforeChange {
    /// It does not.
    #[default]
    Off,
    /// The stored image from directly before the change, where there is one, else `null`.
    WhenAvailable,
    /// The stored image from directly before the change; without one the stream stops.
    Required,
}

/// A type of change event, by MongoDB's own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// A document was inserted.
    Insert,
    /// A document was changed in part.
    Update,
    /// A document was replaced.
    Replace,
    /// A document was deleted.
    Delete,
    /// A collection was dropped.
    Drop,
    /// A collection was renamed.
    Rename,
    /// A database was dropped.
    DropDatabase,
    /// What is captured was dropped or renamed; the stream goes on without the event, too.
    Invalidate,
    /// A collection was created.
    Create,
    /// Indexes were created.
    CreateIndexes,
    /// Indexes were dropped.
    DropIndexes,
    /// The options of a collection were changed.
    Modify,
    /// A collection was sharded.
    ShardCollection,
    /// The shard key of a collection was changed.
    ReshardCollection,
    /// The shard key of a collection got further fields.
    RefineCollectionShardKey,
}

/// Which members of a replica set are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadPreference {
    /// The primary.
    Primary,
    /// The primary, or a secondary while there is none.
    PrimaryPreferred,
    /// A secondary.
    Secondary,
    /// A secondary, or the primary while there is none.
    SecondaryPreferred,
    /// The member that answers fastest.
    Nearest,
}

/// How what the server sends may be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compressor {
    /// Snappy: little CPU. Worth it on a slow network only.
    Snappy,
}
