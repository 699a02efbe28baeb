//! What the user asked for, defined once: one file a section of the YAML.
//!
//! [`load()`] is the way from a file to a [`Config`]: YAML to a tree ([`from_yaml`]), overrides and
//! variables from the environment into the tree ([`from_value`]), the tree compared with the JSON
//! Schema that the structs give ([`schema()`]), the tree into the structs, and what the types
//! cannot tell ([`Config::validate`]). No error shows a secret.

mod capture;
mod checkpoint;
mod endpoint;
mod flow;
mod gcp;
mod mongodb;
mod namespaces;
mod oversize;
mod pubsub;
mod running;
mod subscriptions;

mod secret;
mod units;

mod check;
mod dotenv;
mod effective;
mod expand;
mod later;
mod load;
mod masked_uri;
mod overrides;
mod path;
mod schema;
mod stages;
mod streams;
mod validate;
mod yaml;

pub use capture::{Compressor, FullDocument, FullDocumentBeforeChange, Operation, ReadPreference};
pub use checkpoint::{CheckpointConfig, StoreKind};
pub use effective::{EffectiveValue, Explained, Origin, VariableOrigin, explain, explain_yaml};
pub use endpoint::Endpoint;
pub use flow::FlowConfig;
pub use gcp::GcpConfig;
pub use load::{Environment, Loaded, from_value, from_yaml, load};
pub use mongodb::{Capture, ConnectionConfig, MongoDbConfig, Scope, SourceConfig, Startup};
pub use namespaces::{NamePattern, NamespaceFilter};
pub use oversize::{
    ClaimCheckConfig, ClaimCheckPlace, OnEventTooLarge, OversizeConfig, OversizePolicy,
    SplitLargeEvents,
};
pub use pubsub::{Attribute, BatchConfig, Envelope, JsonMode, Ordering, PubSubConfig, TopicConfig};
pub use running::{
    ErrorHandlingConfig, LogFormat, LoggingConfig, MonitoringConfig, ShutdownConfig,
};
pub use schema::schema;
pub use secret::Secret;
pub use streams::{RunSections, StreamConfig};
pub use subscriptions::SubscriptionConfig;
pub use units::{ByteSize, Millis, Seconds};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The whole configuration of mongo-gcp-stream.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What to read.
    pub mongodb: MongoDbConfig,
    /// The Google Cloud project. Needed by `run`.
    pub gcp: Option<GcpConfig>,
    /// Where and how to publish. Needed by `run`.
    pub pubsub: Option<PubSubConfig>,
    /// Where positions are stored. Needed by `run`.
    pub checkpoint: Option<CheckpointConfig>,
    /// How much may be in flight, for each stream. The only back-pressure there is.
    #[serde(default)]
    pub flow: FlowConfig,
    /// How failures are waited out: the wait before attempt n is random between 0 and
    /// `min(max_backoff, 100ms · backoff_factor^n)` (full jitter).
    #[serde(default)]
    pub error_handling: ErrorHandlingConfig,
    /// Timeouts and intervals of supervision.
    #[serde(default)]
    pub monitoring: MonitoringConfig,
    /// What is logged, and how.
    #[serde(default)]
    pub logging: LoggingConfig,
    /// How a run ends.
    #[serde(default)]
    pub shutdown: ShutdownConfig,
}
