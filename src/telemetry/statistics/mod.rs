//! What one stream tells about itself: noted by its parts, read by whoever shows it.

mod rate;
mod snapshot;
mod state;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mongodb::bson::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::event::StreamId;

use rate::Rates;
use state::Life;

pub use snapshot::StatisticsSnapshot;
pub use state::{Part, StreamState};

/// Counters, states and times of one stream, for as long as the process lives: a restart of its
/// line goes on counting.
#[derive(Debug)]
pub struct StreamStatistics {
    /// The stream's name, for the log.
    stream: String,
    /// Events read.
    pub read: AtomicU64,
    /// Bytes of BSON read.
    pub bytes: AtomicU64,
    /// Events whose receipt has come back.
    pub published: AtomicU64,
    /// Dead letters that are safe.
    pub dead_lettered: AtomicU64,
    /// Events that the position has passed.
    pub passed: AtomicU64,
    /// Events whose document breaks a rule of `schemas`.
    pub invalid: AtomicU64,
    /// Events that made no message, on purpose.
    pub skipped: AtomicU64,
    /// Attempts after the first, of reads and publishes.
    pub retries: AtomicU64,
    /// Publish requests that were acknowledged.
    pub requests: AtomicU64,
    /// Events that were read and have no receipt, and never get one: their line has ended.
    abandoned: AtomicU64,
    /// Cluster time, in seconds since the epoch, up to which everything is published; 0 before the
    /// stream is open.
    position_time: AtomicU64,
    /// Operation time of the server in its last reply, in seconds since the epoch.
    operation_time: AtomicU64,
    /// Time of the oldest entry in the oplog, in seconds since the epoch.
    oplog_start: AtomicU64,
    /// When the server last replied, in milliseconds after `born`.
    replied_at: AtomicU64,
    /// When a receipt last came back, in milliseconds after `born`.
    processed_at: AtomicU64,
    /// When the position was last stored, in milliseconds after `born`.
    stored_at: AtomicU64,
    born: Instant,
    life: Mutex<Life>,
    rates: Mutex<Rates>,
    state: watch::Sender<StreamState>,
}

impl Default for StreamStatistics {
    fn default() -> Self {
        Self::new(&StreamId::new("", ""))
    }
}

impl StreamStatistics {
    /// Those of a stream that is about to start.
    #[must_use]
    pub fn new(stream: &StreamId) -> Self {
        Self {
            stream: stream.to_string(),
            read: AtomicU64::default(),
            bytes: AtomicU64::default(),
            published: AtomicU64::default(),
            dead_lettered: AtomicU64::default(),
            passed: AtomicU64::default(),
            invalid: AtomicU64::default(),
            skipped: AtomicU64::default(),
            retries: AtomicU64::default(),
            requests: AtomicU64::default(),
            abandoned: AtomicU64::default(),
            position_time: AtomicU64::default(),
            operation_time: AtomicU64::default(),
            oplog_start: AtomicU64::default(),
            replied_at: AtomicU64::default(),
            processed_at: AtomicU64::default(),
            stored_at: AtomicU64::default(),
            born: Instant::now(),
            life: Mutex::default(),
            rates: Mutex::default(),
            state: watch::Sender::new(StreamState::Starting),
        }
    }

    /// The state now and each later one; a reader that is slow sees the newest.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<StreamState> {
        self.state.subscribe()
    }

    /// Enters `state`; being in it already is no transition.
    pub fn enter(&self, state: StreamState) {
        self.change(|life, at| life.enter(state, at));
    }

    /// Notes that a line is open, its opening position stored.
    pub fn opened(&self) {
        self.abandon();
        self.change(|life, at| {
            life.openings += 1;
            life.enter(StreamState::Streaming, at)
        });
    }

    /// Notes that a line has ended: what it had in flight is not followed any more.
    pub fn abandon(&self) {
        let published = self.published.load(Relaxed);
        self.abandoned.store(self.read.load(Relaxed).saturating_sub(published), Relaxed);
    }

    /// Counts a failure that `part` waits out by itself. A stream at rest stays there: what is told
    /// of it comes late.
    pub fn interrupted(&self, part: Part, error: &impl fmt::Display) {
        self.change(|life, at| {
            if life.state.is_rest() {
                return false;
            }
            life.count(error.to_string(), at);
            life.fails(part);
            life.enter(StreamState::BackingOff, at)
        });
    }

    /// Notes that `part` works again.
    pub fn recovered(&self, part: Part) {
        self.change(|life, at| life.works(part) && life.enter(StreamState::Streaming, at));
    }

    /// Counts a failure that ended a line.
    pub fn failed(&self, error: &impl fmt::Display) {
        self.abandon();
        self.life().count(error.to_string(), epoch_seconds());
    }

    /// Notes a reply of the server and the operation time that it shows.
    pub fn replied(&self, operation_time: Option<Timestamp>) {
        self.replied_at.store(self.now_ms(), Relaxed);
        if let Some(time) = operation_time {
            self.operation_time.store(u64::from(time.time), Relaxed);
        }
    }

    /// Notes the cluster time up to which everything is published.
    pub fn passed_time(&self, cluster_time: Timestamp) {
        self.position_time.store(u64::from(cluster_time.time), Relaxed);
    }

    /// Notes the receipts of `count` events.
    pub fn processed(&self, count: u64) {
        self.published.fetch_add(count, Relaxed);
        self.processed_at.store(self.now_ms(), Relaxed);
    }

    /// Notes that the position was stored.
    pub fn stored(&self) {
        self.stored_at.store(self.now_ms(), Relaxed);
    }

    /// Notes the time of the oldest entry in the oplog; `None` where it cannot be read.
    pub fn oplog_starts(&self, at: Option<Timestamp>) {
        self.oplog_start.store(at.map_or(0, |at| u64::from(at.time)), Relaxed);
    }

    /// Takes a sample for the rates; to be called about once a second.
    pub fn sample(&self) {
        let (events, bytes) = (self.published.load(Relaxed), self.bytes.load(Relaxed));
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).sample(events, bytes);
    }

    /// How often the stream has been opened in this process.
    #[must_use]
    pub fn openings(&self) -> u64 {
        self.life().openings
    }

    /// For how long the stream has been streaming without a failure; `None` while it does not.
    #[must_use]
    pub fn streaming_for(&self) -> Option<Duration> {
        let life = self.life();
        let since = life.since.filter(|_| life.state == StreamState::Streaming)?;
        Some(since.elapsed())
    }

    /// Makes a change under the lock; tells and logs the state where the change returns true.
    fn change(&self, change: impl FnOnce(&mut Life, f64) -> bool) {
        let mut life = self.life();
        if life.state == StreamState::Streaming {
            life.last_healthy = self.replied_at_epoch();
        }
        if change(&mut life, epoch_seconds()) {
            // Under the lock, so that they are told in their order.
            self.state.send_replace(life.state);
            tracing::info!(stream = self.stream, state = life.state.name(), "state");
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since these statistics began, at least 1: 0 stands for never.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// Seconds since the moment that `at` holds; `None` for never.
    fn seconds_since(&self, at: &AtomicU64) -> Option<f64> {
        let at = at.load(Relaxed);
        let elapsed = self.born.elapsed().saturating_sub(Duration::from_millis(at));
        (at > 0).then_some(elapsed.as_secs_f64())
    }

    fn replied_at_epoch(&self) -> Option<f64> {
        self.since_epoch(&self.replied_at)
    }

    /// The moment that `at` holds, in seconds since the epoch; `None` for never.
    fn since_epoch(&self, at: &AtomicU64) -> Option<f64> {
        self.seconds_since(at).map(|ago| epoch_seconds() - ago)
    }
}

/// Seconds since the epoch.
fn epoch_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64())
}
