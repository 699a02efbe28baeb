//! `StreamStatistics`: what one stream tells about itself.

use pyo3::prelude::*;

use crate::event::StreamId;
use crate::telemetry::StatisticsSnapshot;

/// The statistics of one stream at one moment.
#[pyclass(frozen, get_all, name = "StreamStatistics", module = "mongo_gcp_stream._core")]
pub(super) struct PyStreamStatistics {
    connection_id: String,
    source_name: String,
    state: &'static str,
    active: bool,
    retry_count: u32,
    last_error: Option<String>,
    last_error_time: Option<f64>,
    last_healthy: Option<f64>,
    total_errors: u64,
    processed_changes: u64,
    last_processed: Option<f64>,
    dead_lettered: u64,
    invalid: u64,
    skipped: u64,
    read: u64,
    bytes: u64,
    requests: u64,
    retries: u64,
    events_per_second: f64,
    bytes_per_second: f64,
    in_flight: u64,
    lag: Option<f64>,
    position_age: Option<f64>,
    oplog_headroom: Option<f64>,
    transitions: Vec<(f64, &'static str)>,
}

impl PyStreamStatistics {
    pub(super) fn new(id: &StreamId, now: StatisticsSnapshot) -> Self {
        let transitions = now.transitions.iter().map(|(at, state)| (*at, state.name()));
        Self {
            connection_id: id.connection_id.to_string(),
            source_name: id.source_name.to_string(),
            state: now.state.name(),
            active: now.active(),
            transitions: transitions.collect(),
            retry_count: now.retry_count,
            last_error: now.last_error,
            last_error_time: now.last_error_time,
            last_healthy: now.last_healthy,
            total_errors: now.total_errors,
            processed_changes: now.processed_changes,
            last_processed: now.last_processed,
            dead_lettered: now.dead_lettered,
            invalid: now.invalid,
            skipped: now.skipped,
            read: now.read,
            bytes: now.bytes,
            requests: now.requests,
            retries: now.retries,
            events_per_second: now.events_per_second,
            bytes_per_second: now.bytes_per_second,
            in_flight: now.in_flight,
            lag: now.lag,
            position_age: now.position_age,
            oplog_headroom: now.oplog_headroom,
        }
    }
}

#[pymethods]
impl PyStreamStatistics {
    fn __repr__(&self) -> String {
        format!(
            "StreamStatistics({}.{}, {}, {} processed, {} errors)",
            self.connection_id,
            self.source_name,
            self.state,
            self.processed_changes,
            self.total_errors
        )
    }
}
