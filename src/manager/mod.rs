//! Runs one supervised line for each source of the configuration, all in parallel.
//!
//! Lines share what is a connection's (the client) and what is the process's (the connection to
//! Pub/Sub), and nothing else: one that fails leaves the others alone.

mod build;
mod connection;
mod in_flight;
mod reading;
mod report;
mod run;
mod shared;
mod signals;
mod sources;
mod stored;
mod supervisor;
mod writer;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::{Config, StreamConfig};
use crate::error::{ConfigError, Error};
use crate::event::StreamId;
use crate::source::{self, StartAt};
use crate::telemetry::{StatisticsSnapshot, StreamState, StreamStatistics};
use crate::transform::Transform;

pub use reading::{Reading, States};
pub use report::{Exit, Failure, Report};
pub use sources::Sources;
pub use writer::Writer;

/// How a run is meant to go.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// End once every event committed before the start has been published.
    pub until_caught_up: bool,
    /// Drain and end after this time, whatever has been reached.
    pub timeout: Option<Duration>,
    /// Take over checkpoints that were stored with another `ordering` or number of lanes.
    pub accept_lane_change: bool,
}

/// All streams of one configuration.
#[derive(Debug)]
pub struct Manager {
    config: Config,
    streams: Vec<Stream>,
}

/// One stream as the manager knows it, whether it runs or not.
#[derive(Debug)]
struct Stream {
    config: StreamConfig,
    statistics: Arc<StreamStatistics>,
    paused: watch::Sender<bool>,
}

impl Manager {
    /// Checks what the configuration asks for; nothing is connected yet.
    ///
    /// # Errors
    /// A [`ConfigError`] for what `run` needs and the file does not have, and for what only the
    /// parts of a line can tell is wrong.
    pub fn new(config: Config) -> Result<Self, Error> {
        let streams = config.streams()?;
        for stream in &streams {
            check(stream)?;
            Transform::compile(&config, &stream.without_unread_schema())?;
        }
        let streams = streams.into_iter().map(|config| Stream {
            statistics: Arc::new(StreamStatistics::new(&config.id)),
            config,
            paused: watch::Sender::new(false),
        });
        Ok(Self { streams: streams.collect(), config })
    }

    /// Number of streams.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// The statistics of each stream now, ordered by connection id and source name.
    #[must_use]
    pub fn statistics(&self) -> Vec<(&StreamId, StatisticsSnapshot)> {
        let now = |stream: &Stream| stream.statistics.snapshot();
        self.streams.iter().map(|stream| (&stream.config.id, now(stream))).collect()
    }

    /// The state of a stream now and each later one; a reader that is slow sees the newest. The
    /// last transitions with their times are in [`statistics`](Self::statistics).
    ///
    /// # Errors
    /// A [`ConfigError`] where no stream has this name.
    pub fn watch(&self, stream: &str) -> Result<watch::Receiver<StreamState>, ConfigError> {
        Ok(self.stream(stream)?.statistics.watch())
    }

    /// Asks a stream (`<connection id>.<source name>`) to drain and to keep its position until it
    /// is resumed. Returns at once: [`watch`](Self::watch) shows [`StreamState::Paused`] when it has
    /// drained. A stream that is paused before the run does not start.
    ///
    /// # Errors
    /// A [`ConfigError`] where no stream has this name.
    pub fn pause(&self, stream: &str) -> Result<(), ConfigError> {
        self.stream(stream)?.paused.send_replace(true);
        Ok(())
    }

    /// Lets a paused stream go on from its position.
    ///
    /// # Errors
    /// A [`ConfigError`] where no stream has this name.
    pub fn resume(&self, stream: &str) -> Result<(), ConfigError> {
        self.stream(stream)?.paused.send_replace(false);
        Ok(())
    }

    fn stream(&self, name: &str) -> Result<&Stream, ConfigError> {
        let found = self.streams.iter().find(|stream| stream.config.id.to_string() == name);
        found.ok_or_else(|| no_stream(name))
    }
}

/// The error for a stream that the configuration does not have.
pub(crate) fn no_stream(name: &str) -> ConfigError {
    ConfigError {
        path: "mongodb.connections".into(),
        message: format!("no stream is called `{name}`"),
    }
}

/// Where a stream's connection stands in the configuration.
fn connection_path(id: &StreamId) -> String {
    format!("mongodb.connections.{}", id.connection_id)
}

/// Where a stream's source stands in the configuration.
fn source_path(id: &StreamId) -> String {
    format!("{}.sources.{}", connection_path(id), id.source_name)
}

/// What the driver and the oplog can express, told before anything is connected.
fn check(stream: &StreamConfig) -> Result<(), ConfigError> {
    let streams = u32::try_from(stream.connection.sources.len()).unwrap_or(u32::MAX);
    source::check_uri(&stream.connection.uri, streams)
        .map_err(|error| error.below(&connection_path(&stream.id)))?;
    StartAt::from_config(&stream.source.startup)
        .map(drop)
        .map_err(|error| error.below(&source_path(&stream.id)))
}
