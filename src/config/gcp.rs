//! `gcp`: the Google Cloud project.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The Google Cloud project. Needed by `run`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GcpConfig {
    /// Project id, without `projects/`.
    #[schemars(example = &"${GCP_PROJECT_ID}")]
    pub project_id: String,
    /// Region: publishing goes to its endpoint, because Pub/Sub keeps the order of a key only
    /// within one region. Default: the global endpoint.
    #[schemars(example = &"europe-west1")]
    pub region: Option<String>,
}
