//! `gcp`: the Google Cloud project.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The Google Cloud project.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GcpConfig {
    /// Project id.
    pub project_id: String,
    /// Region: publishing goes to its endpoint, which keeps the order of a key within it.
    pub region: Option<String>,
}
