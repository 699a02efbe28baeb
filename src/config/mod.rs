//! What the user asked for, defined once: one file a section of the YAML.

mod checkpoint;
mod flow;
mod gcp;
mod mongodb;
mod pubsub;
mod running;
mod secret;
mod units;

pub use checkpoint::{CheckpointConfig, StoreKind};
pub use flow::FlowConfig;
pub use gcp::GcpConfig;
pub use mongodb::{
    Capture, ConnectionConfig, FullDocument, MongoDbConfig, Scope, SourceConfig, Startup,
};
pub use pubsub::{Attribute, BatchConfig, JsonMode, Ordering, PubSubConfig, TopicConfig};
pub use running::{
    ErrorHandlingConfig, LogFormat, LoggingConfig, MonitoringConfig, ShutdownConfig,
};
pub use secret::Secret;
pub use units::{ByteSize, Millis, Seconds};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The whole configuration.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What to read.
    pub mongodb: MongoDbConfig,
    /// The Google Cloud project.
    pub gcp: Option<GcpConfig>,
    /// Where and how to publish.
    pub pubsub: Option<PubSubConfig>,
    /// Where positions are stored.
    pub checkpoint: Option<CheckpointConfig>,
    /// How much may be in flight.
    #[serde(default)]
    pub flow: FlowConfig,
    /// How failures are waited out.
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
