//! `pubsub`: where and how to publish.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BigQueryConfig, ByteSize, Millis, OrderingField, RoutingRule, SubscriptionConfig};

/// Where and how to publish.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PubSubConfig {
    /// Topics by the key that sources name them with. At least one.
    pub topics: BTreeMap<String, TopicConfig>,
    /// Endpoint instead of the service's own or that of `gcp.region`, such as
    /// `https://europe-west1-pubsub.googleapis.com`; `http://` for this machine only.
    /// `PUBSUB_EMULATOR_HOST` goes before it.
    /// Default: none.
    #[schemars(example = &"https://europe-west1-pubsub.googleapis.com")]
    pub endpoint: Option<String>,
    /// In which order messages are published. Default: `lanes`.
    #[serde(default)]
    pub ordering: Ordering,
    /// Number of ordering keys that documents are spread over with `ordering: lanes`. Part of
    /// every stored position. Default: `64`.
    #[serde(default = "default_lanes")]
    #[schemars(range(min = 1))]
    pub lanes: u32,
    /// Number of requests in flight, shared by all lanes of a stream. Default: `8`.
    #[serde(default = "default_slots")]
    #[schemars(range(min = 1))]
    pub slots: u32,
    /// How messages are put into requests.
    #[serde(default)]
    pub batch: BatchConfig,
    /// Attributes that are sent; they are billed like data. Default: all of them.
    #[serde(default = "Attribute::all")]
    pub attributes: Vec<Attribute>,
    /// Further attributes by their name, each a text with fields in braces, such as
    /// `{collection}.{operation}` or `{field:customer.id}`; left out where a field is missing.
    /// Default: `{}`.
    #[serde(default)]
    pub extra_attributes: BTreeMap<String, String>,
    /// Rules for all sources, by the key of the topic that gets the events that they take beside
    /// those topics that other rules name, such as `alerts: {source: orders, field: total,
    /// operator: greater_than, value: 100}`. Default: `{}`.
    #[serde(default)]
    pub routing: BTreeMap<String, RoutingRule>,
    /// What the data of a message is, where neither the topic nor the source says so.
    /// Default: `change_event`.
    #[serde(default)]
    pub envelope: Envelope,
    /// How values are written in JSON, where neither the topic nor the source says so.
    /// Default: `relaxed`.
    #[serde(default)]
    pub json_mode: JsonMode,
}

fn default_lanes() -> u32 {
    64
}

fn default_slots() -> u32 {
    8
}

/// A Pub/Sub topic.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopicConfig {
    /// The topic's name, without `projects/…/topics/`.
    #[schemars(example = &"shop-changes")]
    pub name: String,
    /// What the topic is for, for people. Default: none.
    #[schemars(example = &"Changes of the shop")]
    pub description: Option<String>,
    /// What the data of a message is. Default: that of the source.
    #[schemars(example = &"change_event")]
    pub envelope: Option<Envelope>,
    /// How values are written in JSON. Default: that of the source.
    #[schemars(example = &"relaxed")]
    pub json_mode: Option<JsonMode>,
    /// The table that the rows go to, for `envelope: bigquery_cdc`. Default: none.
    #[schemars(example = &serde_json::json!({"dataset": "shop", "table": "orders"}))]
    pub bigquery: Option<BigQueryConfig>,
    /// Subscriptions of the topic by their name, without `projects/…/subscriptions/`: those that
    /// `setup` creates and `check` looks at. Default: none.
    #[serde(default)]
    pub subscriptions: BTreeMap<String, SubscriptionConfig>,
}

/// In which order messages are published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// In order for each document, documents hashed onto `lanes` ordering keys: order and full
    /// requests together.
    #[default]
    Lanes,
    /// In order for each document, an ordering key and so a request for each document.
    Document,
    /// No ordering key and no promise.
    None,
    /// In order for each value of this field of the document, also across the collections of a
    /// stream; values hashed onto `lanes` ordering keys.
    #[serde(untagged)]
    Field(OrderingField),
}

/// How messages are put into requests.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// Most messages in a request; Pub/Sub's own limit is 1,000. Default: `1000`.
    #[schemars(range(min = 1, max = 1000))]
    pub max_messages: u32,
    /// Most bytes in a request, counted with overhead; Pub/Sub's own limit is 10 MB. A bare number
    /// is in bytes. Default: `9.5MB`.
    pub max_bytes: ByteSize,
    /// How long a message waits for others to share its request while the stream is up to date.
    /// A bare number is in milliseconds. Default: `5ms`.
    pub max_delay: Millis,
    /// The same while the stream catches up with a backlog. A bare number is in milliseconds.
    /// Default: `250ms`.
    pub max_delay_catching_up: Millis,
    /// Bytes that may wait for fuller requests; above it, the messages that wait longest are sent
    /// before their time. A bare number is in bytes. Default: `8MB`.
    pub max_held: ByteSize,
    /// Deadline of one attempt of a request. A bare number is in milliseconds. Default: `1m`.
    pub request_timeout: Millis,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self {
            max_messages: 1000,
            max_bytes: ByteSize::from_bytes(9_500_000),
            max_delay: Millis::from_millis(5),
            max_delay_catching_up: Millis::from_millis(250),
            max_held: ByteSize::from_bytes(8_000_000),
            request_timeout: Millis::from_millis(60_000),
        }
    }
}

/// An attribute of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attribute {
    /// 128-bit digest of the resume token in hex; the same in every replay, on every machine.
    EventId,
    /// `insert`, `update`, `replace`, `delete`, …
    Operation,
    /// `database.collection`.
    Namespace,
    /// The event's cluster time as `<seconds>.<ordinal>`.
    ClusterTime,
    /// The stream's connection.
    ConnectionId,
    /// The stream's source.
    SourceName,
    /// Where the document of an insert, update, replacement or deletion comes from: `image`, as it
    /// was directly after the change; `lookup`, as it was when the event was read, which may be
    /// later; `missing`, the event has none; `deleted`.
    FullDocument,
    /// `application/json`.
    ContentType,
}

impl Attribute {
    /// What it is called in a message and in the configuration.
    #[must_use]
    pub fn name(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|name| Some(name.as_str()?.to_owned()))
            .unwrap_or_default()
    }

    /// All of them, the default.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![
            Self::EventId,
            Self::Operation,
            Self::Namespace,
            Self::ClusterTime,
            Self::ConnectionId,
            Self::SourceName,
            Self::FullDocument,
            Self::ContentType,
        ]
    }
}

/// What the data of a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Envelope {
    /// The change event as the server sends it.
    #[default]
    ChangeEvent,
    /// The document after the change, and nothing around it; without a document an attribute
    /// `document_key` and no data.
    Document,
    /// CloudEvents 1.0 in binary mode: the change event, and the event's context in attributes
    /// that begin with `ce-`.
    Cloudevents,
    /// CloudEvents 1.0 in structured mode: one JSON object of the context and the change event.
    CloudeventsStructured,
    /// As the original Python project wrote it: `data`, the document in plain JSON, and
    /// `attributes`, with the operation and the time.
    Original,
    /// As Debezium's MongoDB connector writes it, with schemas switched off.
    Debezium,
    /// A row for BigQuery's change data capture: the document after the change, field by field,
    /// with `_CHANGE_TYPE` and `_CHANGE_SEQUENCE_NUMBER`. Needs the topic's `bigquery`.
    BigqueryCdc,
}

/// How values are written in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JsonMode {
    /// Extended JSON v2, relaxed: numbers and dates as JSON readers expect them; types may be lost.
    #[default]
    Relaxed,
    /// Extended JSON v2, canonical: every type kept.
    Canonical,
    /// Plain JSON, no value wrapped: ids, dates, decimals and binary data are texts.
    Simplified,
}
