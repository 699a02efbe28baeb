//! `error_handling`, `monitoring`, `logging`, `shutdown`: how a run behaves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Millis, Seconds};

/// How failures are waited out: the wait before attempt n is random between 0 and
/// `min(max_backoff, 100ms · backoff_factor^n)` (full jitter).
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ErrorHandlingConfig {
    /// Retries in a row after which an interrupted read gives up, and restarts in a row after which
    /// a stream has failed for good; a receipt, or `max_backoff` without a failure, starts the
    /// count over. Publishing is tried again without a limit.
    /// Where it is not set: for ever, and 3 restarts with `--until-caught-up`. Default: `null`.
    pub max_retries: Option<u32>,
    /// Longest wait between two attempts. A bare number is in seconds. Default: `30s`.
    pub max_backoff: Seconds,
    /// Growth of the wait from one attempt to the next. Default: `2`.
    #[schemars(range(min = 1))]
    pub backoff_factor: f64,
    /// Name of the topic for dead letters, without `projects/…/topics/`, as the original had it;
    /// `dead_letter.topic` goes before it. Default: `null`.
    pub dead_letter_topic: Option<String>,
}

impl Default for ErrorHandlingConfig {
    fn default() -> Self {
        Self {
            max_retries: None,
            max_backoff: Seconds::from_secs(30),
            backoff_factor: 2.0,
            dead_letter_topic: None,
        }
    }
}

/// Timeouts and intervals of supervision.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MonitoringConfig {
    /// How long a connection may take to find a server. A bare number is in milliseconds.
    /// Default: `5s`.
    pub connection_timeout: Millis,
    /// How often statistics are logged. A bare number is in seconds. Default: `10s`.
    pub report_interval: Seconds,
    /// How long a stream may be without a reply of its server and still be called healthy, by
    /// `health()` in Python. A bare number is in seconds. Default: `30s`.
    pub max_inactivity_seconds: Seconds,
}

impl Default for MonitoringConfig {
    fn default() -> Self {
        Self {
            connection_timeout: Millis::from_millis(5000),
            report_interval: Seconds::from_secs(10),
            max_inactivity_seconds: Seconds::from_secs(30),
        }
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoggingConfig {
    /// Least severe level that is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter
    /// such as `info,mongo_gcp_stream::sink=debug`. Default: `info`.
    pub level: String,
    /// Form of a log line. Default: `text`.
    pub format: LogFormat,
}

impl Default for LoggingConfig {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// How a run ends.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShutdownConfig {
    /// How long a drain may take. A bare number is in seconds. Default: `30s`.
    pub drain_timeout: Seconds,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self { drain_timeout: Seconds::from_secs(30) }
    }
}
