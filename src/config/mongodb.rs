//! `mongodb`: connections and their sources.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Compressor, EnrichConfig, Envelope, FullDocument, FullDocumentBeforeChange, JsonMode, Millis,
    NamespaceFilter, OnEventTooLarge, OnMissingDocument, Operation, OversizeConfig, ProtectRule,
    ReadPreference, RouteConfig, Secret, SplitLargeEvents, TopicList, ValidationConfig,
};

/// What to read.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MongoDbConfig {
    /// Connections by their id: 1 to 100 letters, digits, `_` and `-`. At least one.
    pub connections: BTreeMap<String, ConnectionConfig>,
}

/// One deployment and what to capture from it.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionConfig {
    /// Connection string, `mongodb://…` or `mongodb+srv://…`, with credentials and TLS options. In a
    /// Beam pipeline it may be a secret of Secret Manager, read on the worker:
    /// `secret://projects/<project>/secrets/<secret>/versions/latest`.
    #[schemars(example = &"${MONGODB_URI}")]
    pub uri: Secret,
    /// Default database of the sources below. Default: none.
    #[schemars(example = &"shop")]
    pub database: Option<String>,
    /// Compressors that the server may choose from, the best first. Replaces `compressors` of the
    /// URI. Default: `[]`.
    #[serde(default)]
    pub compressors: Vec<Compressor>,
    /// Sources by their name: 1 to 100 letters, digits, `_` and `-`. At least one; each is a
    /// stream, called `<connection id>.<source name>`.
    pub sources: BTreeMap<String, SourceConfig>,
}

/// One change stream.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// What is captured. Default: a collection where `collection` is set, else the database.
    #[schemars(example = &"collection")]
    pub scope: Option<Scope>,
    /// Database, for the scopes `database` and `collection`. Default: that of the connection.
    #[schemars(example = &"shop")]
    pub database: Option<String>,
    /// Collection, for the scope `collection`. Default: none.
    #[schemars(example = &"orders")]
    pub collection: Option<String>,
    /// Where events go that no rule takes: a key below `pubsub.topics`, or a template of a topic's
    /// name such as `{database}.{collection}`, or a list of those: each gets every event.
    /// Default: `default`.
    #[serde(default)]
    pub topic: TopicList,
    /// Rules that send events to other topics by what is in the document, such as `{topic: paid,
    /// when: {field: status, equals: paid}}`. The first that holds decides. Default: `[]`.
    #[serde(default)]
    pub routes: Vec<RouteConfig>,
    /// What becomes of documents that break a rule of `schemas`.
    #[serde(default)]
    pub validation: ValidationConfig,
    /// What the data of a message is, where the topic does not say so. Default: that of `pubsub`.
    #[schemars(example = &"change_event")]
    pub envelope: Option<Envelope>,
    /// How values are written in JSON, where the topic does not say so. Default: that of `pubsub`.
    #[schemars(example = &"relaxed")]
    pub json_mode: Option<JsonMode>,
    /// Largest number of events in a server reply. Default: `1000`.
    #[serde(default = "default_batch_size")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub batch_size: u32,
    /// How long the server may wait for an event before it answers with an empty reply, which
    /// moves the position of an idle stream; also how long the server keeps the cursor of a stream
    /// that was stopped. A bare number is in milliseconds. Default: `500ms`.
    #[serde(default = "default_max_await")]
    pub max_await_time_ms: Millis,
    /// What is captured of a wider scope: what is in one of the databases and in one of the
    /// collections named, where any are named. The server leaves out the rest; what is created
    /// later counts from its first event. A rename into it comes, too, and so does what names no
    /// collection, such as a dropped database.
    #[serde(default)]
    pub include: NamespaceFilter,
    /// What is not captured of a wider scope: what is in one of the databases or in one of the
    /// collections named. Goes before `include`.
    #[serde(default)]
    pub exclude: NamespaceFilter,
    /// Operations whose events the server leaves out. Default: `[]`.
    #[serde(default)]
    pub skip_operations: Vec<Operation>,
    /// Aggregation stages that run on the server after `$changeStream` and after the filters
    /// above: `$match`, `$project`, `$addFields`, `$set`, `$unset`, `$replaceRoot`, `$replaceWith`
    /// or `$redact`, in Extended JSON. They must keep `_id`, the resume token. Default: `[]`.
    #[serde(default)]
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub pipeline: Vec<serde_json::Map<String, serde_json::Value>>,
    /// Fields that may not go out as they are. Applied to every part of an event; the first rule
    /// that fits a value counts. Default: `[]`.
    #[serde(default)]
    pub protect: Vec<ProtectRule>,
    /// What is added to a document, and which of its fields go out.
    #[serde(default)]
    pub enrich: EnrichConfig,
    /// Where a stream without a checkpoint begins. Default: `latest`.
    #[serde(default)]
    pub startup: Startup,
    /// Which image of an updated document comes with its event. Default: `update_lookup`.
    #[serde(default)]
    pub full_document: FullDocument,
    /// What becomes of an update that comes without its document. Default: `keep_delta`.
    #[serde(default)]
    pub on_missing_document: OnMissingDocument,
    /// Whether the document as it was before a change comes with the event. The collection needs
    /// `changeStreamPreAndPostImages: {enabled: true}`. Default: `off`.
    #[serde(default)]
    pub full_document_before_change: FullDocumentBeforeChange,
    /// Whether events of collections and indexes that are created or changed come, too. Needs
    /// MongoDB 6.0. Default: `false`.
    #[serde(default)]
    pub show_expanded_events: bool,
    /// What becomes of a message that is larger than Pub/Sub takes.
    #[serde(default)]
    pub oversize: OversizeConfig,
    /// Whether the server splits events that are larger than the 16 MiB that it can return.
    /// Default: `auto`.
    #[serde(default)]
    pub split_large_events: SplitLargeEvents,
    /// What becomes of an event that the server cannot return for its size. Default: `fail`.
    #[serde(default)]
    pub on_event_too_large: OnEventTooLarge,
    /// Which members of the replica set the stream is read from. Replaces `readPreference` of the
    /// URI, with its tags and its staleness. Default: that of the URI, else `primary`.
    #[schemars(example = &"primary")]
    pub read_preference: Option<ReadPreference>,
}

fn default_batch_size() -> u32 {
    1000
}

fn default_max_await() -> Millis {
    Millis::from_millis(500)
}

/// What a change stream captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All databases of the deployment.
    Deployment,
    /// All collections of a database.
    Database,
    /// One collection.
    Collection,
}

/// Where a stream without a checkpoint begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Startup {
    /// With the first event after the start.
    #[default]
    Latest,
    /// With the oldest event of the oplog.
    Earliest,
    /// At this time, RFC 3339, inclusive.
    Timestamp(String),
    /// After the event with this resume token: the value of `_data`.
    Token(Secret),
}

/// What a change stream captures, with its names resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capture {
    /// All databases of the deployment.
    Deployment,
    /// All collections of this database.
    Database(String),
    /// One collection, as database and collection.
    Collection(String, String),
}

impl std::fmt::Display for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Deployment => f.write_str("deployment"),
            Self::Database(database) => write!(f, "database {database}"),
            Self::Collection(database, collection) => {
                write!(f, "collection {database}.{collection}")
            }
        }
    }
}
