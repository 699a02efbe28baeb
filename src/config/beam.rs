//! `streaming`, `dataflow`: how the Beam pipeline batches, and what it runs on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Seconds;
use super::validate::expect;
use crate::error::ConfigError;

/// How the Beam pipeline batches and windows. Without effect in `run`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StreamingConfig {
    /// Most events that a stream hands to one Beam bundle. Without effect in `run`.
    /// Default: `20000`.
    #[schemars(range(min = 1))]
    pub batch_size: u32,
    /// Length of the fixed windows that events are put into by their cluster time; without it all
    /// are in the global window. A bare number is in seconds. Without effect in `run`.
    /// Default: `null`.
    pub window_size_seconds: Option<Seconds>,
}

impl Default for StreamingConfig {
    fn default() -> Self {
        Self { batch_size: 20_000, window_size_seconds: None }
    }
}

impl StreamingConfig {
    /// What the types cannot tell.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let empty = self.window_size_seconds.is_some_and(|size| size.duration().is_zero());
        expect(!empty, "streaming.window_size_seconds", "must be more than 0")
    }
}

/// Workers of a pipeline on Dataflow. Without effect in `run` and on other runners; options of the
/// command line and of the template go before it.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DataflowConfig {
    /// Compute Engine machine type of a worker. Dataflow bills its cores and its memory.
    /// Without effect in `run`. Default: `n1-standard-1`.
    pub machine_type: String,
    /// Workers to begin with. Without effect in `run`. Default: `1`.
    #[schemars(range(min = 1, max = 1000))]
    pub num_workers: u32,
    /// Most workers that autoscaling may start; more than there are streams to read have nothing to
    /// do. Without effect in `run`. Default: `1`.
    #[schemars(range(min = 1, max = 1000))]
    pub max_num_workers: u32,
    /// How the number of workers changes. Without effect in `run`. Default: `throughput_based`.
    pub autoscaling: Autoscaling,
}

impl Default for DataflowConfig {
    fn default() -> Self {
        Self {
            machine_type: "n1-standard-1".into(),
            num_workers: 1,
            max_num_workers: 1,
            autoscaling: Autoscaling::ThroughputBased,
        }
    }
}

/// How the number of Dataflow's workers changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Autoscaling {
    /// It stays at `num_workers`.
    None,
    /// With backlog and load, from 1 to `max_num_workers`.
    ThroughputBased,
}

impl DataflowConfig {
    /// What the types cannot tell.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let named = self.machine_type.starts_with(|c: char| c.is_ascii_lowercase())
            && self.machine_type.chars().all(allowed);
        expect(
            named,
            "dataflow.machine_type",
            "expected a machine type: lower-case letters, digits and `-`, such as `n1-standard-1`",
        )?;
        expect(
            self.num_workers <= self.max_num_workers,
            "dataflow.num_workers",
            "more than `dataflow.max_num_workers`: raise that, too",
        )
    }
}
