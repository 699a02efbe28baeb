//! The statistics of a stream at one moment.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

use super::rate::as_f64;
use super::{StreamState, StreamStatistics};

/// The statistics of a stream at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct StatisticsSnapshot {
    /// What the stream is doing.
    pub state: StreamState,
    /// The last transitions, oldest first: when (in seconds since the epoch) which state was
    /// entered.
    pub transitions: Vec<(f64, StreamState)>,
    /// Failures in a row; 0 while it is streaming.
    pub retry_count: u32,
    /// What failed last.
    pub last_error: Option<String>,
    /// When it failed, in seconds since the epoch.
    pub last_error_time: Option<f64>,
    /// When the stream was last in order, in seconds since the epoch: while it is streaming, when
    /// the server last replied.
    pub last_healthy: Option<f64>,
    /// All failures, each counted once, those that were waited out included.
    pub total_errors: u64,
    /// Events whose receipt has come back.
    pub processed_changes: u64,
    /// When a receipt last came back, in seconds since the epoch.
    pub last_processed: Option<f64>,
    /// Dead letters that are safe; their events count as processed.
    pub dead_lettered: u64,
    /// Events read; those that a restart reads again count again.
    pub read: u64,
    /// Bytes of BSON read.
    pub bytes: u64,
    /// Publish requests that were acknowledged.
    pub requests: u64,
    /// Events whose document breaks a rule of `schemas`, whatever became of them.
    pub invalid: u64,
    /// Events that made no message, as the configuration says; they count as processed.
    pub skipped: u64,
    /// Attempts after the first, of reads and publishes.
    pub retries: u64,
    /// Events published a second, over the last ten seconds.
    pub events_per_second: f64,
    /// Bytes of BSON read a second, over the last ten seconds.
    pub bytes_per_second: f64,
    /// Events read and not acknowledged.
    pub in_flight: u64,
    /// How far what is published lies behind the cluster, in seconds: from the position's cluster
    /// time to the server's operation time. From the last reply on it grows with the clock.
    pub lag: Option<f64>,
    /// Seconds since the position was last stored.
    pub position_age: Option<f64>,
    /// Seconds from the oldest entry of the oplog to the position; `None` where `local` may not be
    /// read. At zero the position is lost.
    pub oplog_headroom: Option<f64>,
}

impl StatisticsSnapshot {
    /// Whether the stream reads and publishes.
    #[must_use]
    pub fn active(&self) -> bool {
        self.state == StreamState::Streaming
    }
}

impl StreamStatistics {
    /// The statistics now.
    #[must_use]
    pub fn snapshot(&self) -> StatisticsSnapshot {
        // First what is counted last, so that their difference is never negative.
        let published = self.published.load(Relaxed);
        let (read, bytes) = (self.read.load(Relaxed), self.bytes.load(Relaxed));
        let (events_per_second, bytes_per_second) =
            self.rates.lock().unwrap_or_else(PoisonError::into_inner).now(published, bytes);
        let life = self.life();
        let streaming = life.state == StreamState::Streaming;
        let last_error = life.last_error.clone();
        StatisticsSnapshot {
            state: life.state,
            transitions: life.transitions.iter().copied().collect(),
            retry_count: life.failures_in_a_row,
            last_error_time: last_error.as_ref().map(|error| error.at),
            last_error: last_error.map(|error| error.message),
            last_healthy: if streaming { self.replied_at_epoch() } else { life.last_healthy },
            total_errors: life.total_errors,
            processed_changes: published,
            last_processed: self.since_epoch(&self.processed_at),
            dead_lettered: self.dead_lettered.load(Relaxed),
            read,
            bytes,
            requests: self.requests.load(Relaxed),
            invalid: self.invalid.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            retries: self.retries.load(Relaxed),
            events_per_second,
            bytes_per_second,
            in_flight: read.saturating_sub(published).saturating_sub(self.abandoned.load(Relaxed)),
            lag: self.lag(),
            position_age: self.seconds_since(&self.stored_at),
            oplog_headroom: self.oplog_headroom(),
        }
    }

    fn lag(&self) -> Option<f64> {
        let since_reply = self.seconds_since(&self.replied_at)?;
        let operation_time = Some(self.operation_time.load(Relaxed)).filter(|time| *time > 0)?;
        let position_time = Some(self.position_time.load(Relaxed)).filter(|time| *time > 0)?;
        Some((as_f64(operation_time) + since_reply - as_f64(position_time)).max(0.0))
    }

    fn oplog_headroom(&self) -> Option<f64> {
        let oplog_start = Some(self.oplog_start.load(Relaxed)).filter(|time| *time > 0)?;
        let position_time = Some(self.position_time.load(Relaxed)).filter(|time| *time > 0)?;
        Some(as_f64(position_time) - as_f64(oplog_start))
    }
}
