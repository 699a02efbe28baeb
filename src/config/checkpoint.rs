//! `checkpoint`: where positions are stored.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Seconds;

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
    /// How often a position that moved is stored. A bare number is in seconds. Default: `1s`.
    #[serde(default = "default_interval")]
    pub interval: Seconds,
    /// How often a position is stored that only idle replies moved. A bare number is in seconds.
    /// Default: `30s`.
    #[serde(default = "default_idle_interval")]
    pub idle_interval: Seconds,
}

fn default_interval() -> Seconds {
    Seconds::from_secs(1)
}

fn default_idle_interval() -> Seconds {
    Seconds::from_secs(30)
}

/// Kind of checkpoint store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// A JSON file a stream in the folder `path`.
    File,
    /// In memory: nothing survives the process. For tests.
    Memory,
}
