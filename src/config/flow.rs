//! `flow`: how much may be in flight.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ByteSize;

/// How much may be in flight, for each stream. The only back-pressure there is.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FlowConfig {
    /// Bytes of BSON read and not yet acknowledged. A bare number is in bytes. Default: `12MB`.
    pub bytes_in_flight: ByteSize,
    /// The same for all streams together: each has an equal share of it where that is less than
    /// `bytes_in_flight`. A bare number is in bytes. Default: `512MB`.
    pub total_bytes_in_flight: ByteSize,
    /// Number of events read and not yet covered by the position in memory, which is stored every
    /// `checkpoint.interval`: a crash replays at most these, and what was published since the
    /// position was last stored.
    /// Default: `50000`.
    #[schemars(range(min = 1))]
    pub events_in_flight: u32,
}

impl Default for FlowConfig {
    fn default() -> Self {
        Self {
            bytes_in_flight: ByteSize::from_bytes(12_000_000),
            total_bytes_in_flight: ByteSize::from_bytes(512_000_000),
            events_in_flight: 50_000,
        }
    }
}
