//! What the user asked for, defined once: one file a section of the YAML.
//!
//! [`load()`] is the way from a file to a [`Config`]: YAML to a tree ([`from_yaml`]), overrides and
//! variables from the environment into the tree ([`from_value`]), the tree compared with the JSON
//! Schema that the structs give ([`schema()`]), the tree into the structs, and what the types
//! cannot tell ([`Config::validate`]). No error shows a secret.

mod beam;
mod bigquery;
mod capture;
mod checkpoint;
mod dead_letter;
mod endpoint;
mod enrich;
mod flow;
mod gcp;
pub(crate) mod json_schema;
mod mongodb;
mod namespaces;
mod oversize;
mod protect;
mod pubsub;
mod routing;
mod running;
mod subscriptions;
mod validation;

mod secret;
mod units;

mod check;
mod dotenv;
mod effective;
mod expand;
pub(crate) mod field_path;
mod later;
mod load;
mod masked_uri;
mod overrides;
mod path;
mod schema;
mod stages;
mod streams;
mod template;
mod validate;
mod yaml;

pub use beam::{Autoscaling, DataflowConfig, StreamingConfig};
pub use bigquery::BigQueryConfig;
pub use capture::{
    Compressor, FullDocument, FullDocumentBeforeChange, OnMissingDocument, Operation,
    ReadPreference,
};
pub use checkpoint::{CheckpointConfig, StoreKind};
pub use dead_letter::{DeadLetterConfig, DeadLetterFileConfig};
pub use effective::{
    EffectiveValue, Explained, Origin, VariableOrigin, explain, explain_yaml, shown,
};
pub use endpoint::Endpoint;
pub use enrich::EnrichConfig;
pub(crate) use enrich::static_value;
pub use flow::FlowConfig;
pub use gcp::GcpConfig;
pub use json_schema::JsonSchemaConfig;
pub use load::{
    Environment, Loaded, Resolved, add_missing, from_resolved, from_value, from_yaml, load,
    resolve, resolve_value,
};
pub use mongodb::{Capture, ConnectionConfig, MongoDbConfig, Scope, SourceConfig, Startup};
pub use namespaces::{NamePattern, NamespaceFilter};
pub use oversize::{
    ClaimCheckConfig, ClaimCheckPlace, OnEventTooLarge, OversizeConfig, OversizePolicy,
    SplitLargeEvents,
};
pub(crate) use protect::leads_to_id;
pub use protect::{ProtectAction, ProtectRule, ProtectionConfig};
pub use pubsub::{Attribute, BatchConfig, Envelope, JsonMode, Ordering, PubSubConfig, TopicConfig};
pub use routing::{
    ConditionConfig, Conditions, OrderingField, RouteConfig, RoutingOperator, RoutingRule,
    TopicList,
};
pub use running::{
    ErrorHandlingConfig, LogFormat, LoggingConfig, MonitoringConfig, ShutdownConfig,
};
pub use schema::schema;
pub use secret::Secret;
pub use streams::{RunSections, StreamConfig};
pub use subscriptions::SubscriptionConfig;
pub(crate) use template::{Field, Part, Template, is_template};
pub use units::{ByteSize, Millis, Seconds};
pub(crate) use validate::{is_resource_id, is_secret_reference};
pub use validation::{FieldRule, FieldRules, FieldType, OnInvalid, ValidationConfig};

use std::collections::BTreeMap;

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
    /// What documents have to be like: rules by the name of a stream, `<connection>.<source>`, and
    /// the dotted path of a field. Default: `{}`.
    #[serde(default)]
    pub schemas: BTreeMap<String, FieldRules>,
    /// How much may be in flight, for each stream. The only back-pressure there is.
    #[serde(default)]
    pub flow: FlowConfig,
    /// How failures are waited out: the wait before attempt n is random between 0 and
    /// `min(max_backoff, 100ms · backoff_factor^n)` (full jitter).
    #[serde(default)]
    pub error_handling: ErrorHandlingConfig,
    /// Where events and messages go that cannot be delivered. Default: such an event stops its stream.
    pub dead_letter: Option<DeadLetterConfig>,
    /// Timeouts and intervals of supervision.
    #[serde(default)]
    pub monitoring: MonitoringConfig,
    /// What is logged, and how.
    #[serde(default)]
    pub logging: LoggingConfig,
    /// The secret behind `hash` and `tokenise`.
    #[serde(default)]
    pub protection: ProtectionConfig,
    /// How a run ends.
    #[serde(default)]
    pub shutdown: ShutdownConfig,
    /// How the Beam pipeline batches and windows. Without effect in `run`.
    #[serde(default)]
    pub streaming: StreamingConfig,
    /// Workers of a pipeline on Dataflow. Without effect in `run` and on other runners; options of
    /// the command line and of the template go before it.
    #[serde(default)]
    pub dataflow: DataflowConfig,
}
