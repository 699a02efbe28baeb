//! Streams whose changes the caller takes, batch after batch, and that may come and go.

mod reader;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::run::SAMPLE_INTERVAL;
use super::shared::{SPARE, Shared};
use super::supervisor::RestartPolicy;
use super::{Failure, check};
use crate::config::{CheckpointConfig, Config, StreamConfig};
use crate::error::{ConfigError, Error};
use crate::event::StreamId;
use crate::flow::{Backoff, BackoffPolicy};
use crate::pipeline::RunOptions;
use crate::reader::Consumer;
use crate::telemetry::{Part, StatisticsSnapshot, StreamState};

use reader::Reader;

/// What each stream is doing, by its name.
pub type States = BTreeMap<String, StreamState>;

/// The streams of a configuration, read by the caller.
pub struct Reading {
    config: Config,
    shared: Arc<Shared>,
    streams: Mutex<BTreeMap<String, Arc<Reader>>>,
    /// A stream has come or gone.
    joined: Notify,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Reading {
    /// Checks what the configuration asks for; nothing is connected yet. Without `checkpoint`
    /// positions are kept in memory.
    ///
    /// # Errors
    /// A [`ConfigError`] for what only the parts of a line can tell is wrong.
    pub fn new(config: Config) -> Result<Self, Error> {
        let checkpoint = config.checkpoint.clone().unwrap_or_else(CheckpointConfig::in_memory);
        let reading = Self {
            shared: Arc::new(Shared::new(&config, &checkpoint, SPARE)),
            streams: Mutex::default(),
            joined: Notify::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            config,
        };
        for stream in reading.config.streams()? {
            reading.add(stream)?;
        }
        Ok(reading)
    }

    /// Adds the stream `name` as `config` describes it. It starts with the next
    /// [`start`](Self::start).
    ///
    /// # Errors
    /// A [`ConfigError`] where `config` has no such stream, or there is one of this name already, or
    /// it asks for what cannot be.
    pub fn add_source(&self, config: &Config, name: &str) -> Result<(), ConfigError> {
        let found = config.streams()?.into_iter().find(|stream| stream.id.to_string() == name);
        self.add(found.ok_or_else(|| super::no_stream(name))?)
    }

    fn add(&self, config: StreamConfig) -> Result<(), ConfigError> {
        check(&config)?;
        let name = config.id.to_string();
        let mut streams = self.lock();
        if streams.contains_key(&name) {
            let message = format!("a stream is called `{name}` already");
            return Err(ConfigError { path: "mongodb.connections".into(), message });
        }
        let reader = Reader::new(config, self.stop.child_token());
        self.shared.add(&reader.config, &reader.statistics);
        streams.insert(name, Arc::new(reader));
        self.joined.notify_waiters();
        Ok(())
    }

    /// Starts every stream that has not been started, all at once, and returns; false where it was
    /// closed: nothing starts any more. Needs a Tokio runtime.
    #[must_use]
    pub fn start(self: &Arc<Self>) -> bool {
        if self.stop.is_cancelled() {
            return false;
        }
        if self.tasks.is_empty() {
            self.tasks.spawn(Arc::clone(self).sample());
        }
        let how = RunOptions {
            until_caught_up: false,
            accept_lane_change: false,
            drain_timeout: self.drain_timeout(),
        };
        for reader in self.lock().values().filter(|reader| reader.begin()) {
            let policy = RestartPolicy::new(&self.config.error_handling, None);
            let span = tracing::error_span!("stream", stream = %reader.config.id);
            let run = Arc::clone(reader).run(Arc::clone(&self.shared), policy, how);
            self.tasks.spawn(run.instrument(span));
        }
        true
    }

    /// How long a drain may take: `shutdown.drain_timeout`.
    #[must_use]
    pub fn drain_timeout(&self) -> Duration {
        self.config.shutdown.drain_timeout.duration()
    }

    /// How long a stream may be silent: `monitoring.max_inactivity_seconds`.
    #[must_use]
    pub fn max_inactivity(&self) -> Duration {
        self.config.monitoring.max_inactivity_seconds.duration()
    }

    /// Waits until each stream that was started is open, or has failed at its first attempt.
    pub async fn opened(&self) {
        let readers: Vec<_> = self.lock().values().cloned().collect();
        join_all(readers.iter().map(|reader| async {
            let mut state = reader.statistics.watch();
            let known = state.wait_for(|state| *state != StreamState::Starting);
            tokio::select! {
                _ = known => {}
                () = reader.ended.cancelled() => {}
            }
        }))
        .await;
    }

    /// Stops a stream and forgets it; what was committed is stored. False where there is none of
    /// this name.
    pub async fn remove(&self, stream: &str) -> bool {
        let Some(reader) = self.lock().remove(stream) else { return false };
        self.joined.notify_waiters();
        reader.finish().await;
        true
    }

    /// Stops all streams, stores what was committed and closes the connections.
    pub async fn close(&self) {
        self.stop.cancel();
        let readers: Vec<_> = self.lock().values().cloned().collect();
        join_all(readers.iter().map(|reader| reader.finish())).await;
        self.tasks.close();
        self.tasks.wait().await;
        self.shared.close().await;
    }

    /// Lets all streams end by themselves, their positions stored: nobody reads them any more.
    pub fn abandon(&self) {
        self.stop.cancel();
    }

    /// The right to take the batches of `stream`; `None` while somebody else has it.
    ///
    /// # Errors
    /// A [`ConfigError`] where no stream has this name.
    pub fn consumer(&self, stream: &str) -> Result<Option<Consumer>, ConfigError> {
        Ok(self.reader(stream)?.desk.consumer())
    }

    /// Why `stream` ended, if by an error.
    ///
    /// # Errors
    /// A [`ConfigError`] where no stream has this name.
    pub fn failure(&self, stream: &str) -> Result<Option<Failure>, ConfigError> {
        Ok(self.reader(stream)?.failure())
    }

    /// Ends `stream` as failed: the caller could not take an event, for the reason `message`, which
    /// holds no value.
    ///
    /// # Errors
    /// A [`ConfigError`] where no stream has this name.
    pub fn refuse(&self, stream: &str, message: String) -> Result<(), ConfigError> {
        self.reader(stream)?.refused.send_replace(Some(message));
        Ok(())
    }

    /// Notes that the caller could not take an event and tries again (a message without any value),
    /// or that it goes on (`None`).
    ///
    /// # Errors
    /// A [`ConfigError`] where no stream has this name.
    pub fn interrupted(&self, stream: &str, message: Option<&str>) -> Result<(), ConfigError> {
        let statistics = &self.reader(stream)?.statistics;
        match message {
            Some(message) => statistics.interrupted(Part::Sink, &message),
            None => statistics.recovered(Part::Sink),
        }
        Ok(())
    }

    /// How long to wait before the caller tries again.
    #[must_use]
    pub fn backoff(&self) -> Backoff {
        BackoffPolicy::from(&self.config.error_handling).start()
    }

    /// Pauses a stream, or lets it go on.
    ///
    /// # Errors
    /// A [`ConfigError`] where no stream has this name.
    pub fn pause(&self, stream: &str, paused: bool) -> Result<(), ConfigError> {
        self.reader(stream)?.paused.send_replace(paused);
        Ok(())
    }

    /// Waits until a stream that is to pause has drained, or has ended; returns at once where it was
    /// never started or is gone, and when it is resumed meanwhile.
    pub async fn at_rest(&self, stream: &str) {
        if let Ok(reader) = self.reader(stream) {
            reader.at_rest().await;
        }
    }

    /// The statistics of each stream now, ordered by connection id and source name.
    #[must_use]
    pub fn statistics(&self) -> Vec<(StreamId, StatisticsSnapshot)> {
        let streams = self.lock();
        let now = |reader: &Arc<Reader>| (reader.config.id.clone(), reader.statistics.snapshot());
        streams.values().map(now).collect()
    }

    /// Waits until the states differ from `seen`, also by a stream that came or went; returns those
    /// of all streams.
    pub async fn changed(&self, seen: &States) -> States {
        loop {
            // Before the look: what changes in between is not missed.
            let joined = self.joined.notified();
            let mut watches: Vec<_> = {
                let streams = self.lock();
                streams.values().map(|reader| reader.statistics.watch()).collect()
            };
            let now = self.states();
            if now != *seen {
                return now;
            }
            let mut changes: FuturesUnordered<_> =
                watches.iter_mut().map(watch::Receiver::changed).collect();
            tokio::select! {
                () = joined => {}
                // `None` where there is no stream.
                Some(_) = changes.next() => {}
            }
        }
    }

    fn states(&self) -> States {
        let streams = self.lock();
        let state = |reader: &Reader| *reader.statistics.watch().borrow();
        streams.iter().map(|(name, reader)| (name.clone(), state(reader))).collect()
    }

    /// Takes samples for the rates until all is closed.
    async fn sample(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(SAMPLE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.lock().values().for_each(|reader| reader.statistics.sample());
        }
    }

    fn reader(&self, stream: &str) -> Result<Arc<Reader>, ConfigError> {
        let found = self.lock().get(stream).cloned();
        found.ok_or_else(|| super::no_stream(stream))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Reader>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
