//! Streams that the caller reads from positions which it keeps itself.

use std::sync::Arc;

use mongodb::bson::Timestamp;

use super::shared::{SPARE, Shared, start_of};
use super::{check, no_stream};
use crate::config::{CheckpointConfig, Config, StreamConfig};
use crate::error::{ConfigError, Error};
use crate::event::Position;
use crate::reader::Slices;
use crate::recovery::{Restart, hint, restart};
use crate::source::{ChangeStream, Source as _, StartAt};
use crate::telemetry::StreamStatistics;

/// The streams of a configuration, none of them open.
pub struct Sources {
    shared: Arc<Shared>,
    streams: Vec<Described>,
}

/// A stream, and what is told about it.
#[derive(Clone)]
struct Described {
    config: StreamConfig,
    statistics: Arc<StreamStatistics>,
}

impl Sources {
    /// Checks what the configuration asks for; nothing is connected yet.
    ///
    /// # Errors
    /// A [`ConfigError`] for what only the parts of a line can tell is wrong.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let mut streams = Vec::new();
        let shared = Shared::new(config, &CheckpointConfig::in_memory(), SPARE);
        for config in config.streams()? {
            check(&config)?;
            let statistics = Arc::new(StreamStatistics::new(&config.id));
            shared.add(&config, &statistics);
            streams.push(Described { config, statistics });
        }
        Ok(Self { shared: Arc::new(shared), streams })
    }

    /// Reads `stream` from `start`, or else from where its `startup` says, up to the cluster time
    /// `until` (inclusive) or for ever. An unreachable server is waited out as `error_handling`
    /// says. Needs a Tokio runtime.
    ///
    /// # Errors
    /// A [`ConfigError`] where no stream has this name, or its `startup` cannot be understood.
    pub fn open(
        &self,
        stream: &str,
        start: Option<Position>,
        until: Option<Timestamp>,
    ) -> Result<Slices, ConfigError> {
        let described = self.streams.iter().find(|known| known.config.id.to_string() == stream);
        let described = described.ok_or_else(|| no_stream(stream))?.clone();
        let start =
            start.map_or_else(|| start_of(&described.config), |at| Ok(StartAt::Position(at)));
        Ok(Slices::start(open(Arc::clone(&self.shared), described, start?), until))
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.shared.close().await;
    }
}

/// Opens a stream, again and again while waiting may help.
async fn open(
    shared: Arc<Shared>,
    stream: Described,
    start: StartAt,
) -> Result<(Position, ChangeStream), Error> {
    let mut backoff = shared.backoff.start();
    loop {
        let error = match attempt(&shared, &stream, start.clone()).await {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        if restart(&error) != Restart::Always || backoff.is_exhausted() {
            return Err(error);
        }
        let delay = backoff.next_delay();
        let (stream, wait_ms) = (stream.config.id.to_string(), delay.as_millis());
        tracing::warn!(stream, %error, hint = hint(&error), wait_ms, "opening is tried again");
        tokio::time::sleep(delay).await;
    }
}

async fn attempt(
    shared: &Shared,
    stream: &Described,
    start: StartAt,
) -> Result<(Position, ChangeStream), Error> {
    let mut source = shared.source(&stream.config, &stream.statistics).await?;
    source.connect().await?;
    let position = source.open(start).await?;
    Ok((position, source))
}
