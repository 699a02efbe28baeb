//! Streams that the caller reads from positions which it keeps itself.

use std::sync::Arc;

use mongodb::bson::Timestamp;
use tokio::sync::OnceCell;

use super::shared::{SPARE, Shared, start_of};
use super::{check, no_stream};
use crate::checkpoint::{Identity, Intervals, LowerBound, Pace, Resume};
use crate::config::{CheckpointConfig, Config, StreamConfig};
use crate::error::{ConfigError, Error};
use crate::event::Position;
use crate::flow::Budget;
use crate::reader::{Opened, Slices};
use crate::recovery::{Restart, hint, restart};
use crate::source::{ChangeStream, Source as _, StartAt};
use crate::telemetry::StreamStatistics;

/// The streams of a configuration, none of them open.
pub struct Sources {
    shared: Arc<Shared>,
    streams: Vec<Described>,
    /// How often checkpoints follow the streams that are opened with one.
    intervals: Option<Intervals>,
}

/// A stream, and what is told about it.
#[derive(Clone)]
struct Described {
    config: StreamConfig,
    statistics: Arc<StreamStatistics>,
    /// Its checkpoint: one for the life of the process, which a file is locked for.
    bound: Arc<OnceCell<Arc<LowerBound>>>,
}

/// How a checkpoint follows a stream.
#[derive(Clone, Copy)]
struct Follows {
    resume: Resume,
    intervals: Intervals,
}

impl Sources {
    /// Checks what the configuration asks for; nothing is connected yet. With `follow` checkpoints
    /// can follow the streams, where the section `checkpoint` says.
    ///
    /// # Errors
    /// A [`ConfigError`] for what only the parts of a line can tell is wrong, and where that section
    /// is missing.
    pub fn new(config: &Config, follow: bool) -> Result<Self, Error> {
        let mut streams = Vec::new();
        let checkpoint = if follow {
            config.checkpoint.clone().ok_or_else(no_checkpoint)?
        } else {
            CheckpointConfig::in_memory()
        };
        let shared = Shared::new(config, &checkpoint, SPARE);
        for config in config.streams()? {
            check(&config)?;
            let statistics = Arc::new(StreamStatistics::new(&config.id));
            shared.add(&config, &statistics);
            streams.push(Described { config, statistics, bound: Arc::default() });
        }
        let intervals = follow.then(|| Intervals::from(&checkpoint));
        Ok(Self { shared: Arc::new(shared), streams, intervals })
    }

    /// Reads `stream` from `start`, or else from its checkpoint or where its `startup` says, up to
    /// the cluster time `until` (inclusive) or for ever. With `resume` a checkpoint follows it. An
    /// unreachable server is waited out as `error_handling` says. Needs a Tokio runtime.
    ///
    /// # Errors
    /// A [`ConfigError`] where no stream has this name, its `startup` cannot be understood, or no
    /// checkpoint can follow it.
    pub fn open(
        &self,
        stream: &str,
        start: Option<Position>,
        until: Option<Timestamp>,
        resume: Option<Resume>,
    ) -> Result<Slices, ConfigError> {
        let follows = resume.map(|resume| {
            let intervals = self.intervals.ok_or_else(no_checkpoint)?;
            Ok(Follows { resume, intervals })
        });
        let follows = follows.transpose()?;
        let described = self.streams.iter().find(|known| known.config.id.to_string() == stream);
        let stream = described.ok_or_else(|| no_stream(stream))?.clone();
        let start = match start {
            Some(position) => Start::Again(position),
            None => Start::New(start_of(&stream.config)?),
        };
        let opening = Opening { shared: Arc::clone(&self.shared), stream, start, follows };
        let budget = Budget::of_one(&self.shared.config.flow, self.streams.len());
        Ok(Slices::start(opening.open(), until, budget))
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.shared.close().await;
    }
}

/// Where a stream begins.
#[derive(Clone)]
enum Start {
    /// In a new pipeline: with its checkpoint, or else here.
    New(StartAt),
    /// Where a bundle has left it.
    Again(Position),
}

/// A stream that is about to be opened.
struct Opening {
    shared: Arc<Shared>,
    stream: Described,
    start: Start,
    follows: Option<Follows>,
}

impl Opening {
    /// Opens it, again and again while waiting may help.
    async fn open(self) -> Result<Opened<ChangeStream>, Error> {
        let mut backoff = self.shared.backoff.start();
        loop {
            let error = match self.attempt().await {
                Ok(opened) => return Ok(opened),
                Err(error) => error,
            };
            if restart(&error) != Restart::Always || backoff.is_exhausted() {
                return Err(error);
            }
            let delay = backoff.next_delay();
            let (stream, wait_ms) = (self.stream.config.id.to_string(), delay.as_millis());
            tracing::warn!(stream, %error, hint = hint(&error), wait_ms, "opening is tried again");
            tokio::time::sleep(delay).await;
        }
    }

    async fn attempt(&self) -> Result<Opened<ChangeStream>, Error> {
        let Described { config, statistics, .. } = &self.stream;
        let mut source = self.shared.source(config, statistics).await?;
        let cluster = source.connect().await?;
        let bound = match self.follows {
            Some(follows) => Some(self.bound(cluster.replica_set, follows.intervals).await?),
            None => None,
        };
        let start = match (&self.start, self.follows.zip(bound.as_ref())) {
            (Start::Again(position), _) => StartAt::Position(position.clone()),
            (Start::New(start), None) => start.clone(),
            (Start::New(start), Some((follows, bound))) => {
                let stored = bound.begin(follows.resume).await?;
                stored.map_or_else(|| start.clone(), StartAt::Position)
            }
        };
        let position = source.open(start).await?;
        if let (Start::New(_), Some(bound), Some(follows)) = (&self.start, &bound, self.follows)
            && follows.resume != Resume::FailIfExists
        {
            // Before the first event is read: a pipeline that ends before its first bundle is
            // committed loses nothing. Where it must be the first of all, its own second attempt
            // would find what the first one stored; there the committed bundle stores it.
            bound.keep(&position, Pace::AtOnce).await?;
        }
        Ok(Opened { position, source, bound })
    }

    async fn bound(
        &self,
        replica_set: String,
        intervals: Intervals,
    ) -> Result<Arc<LowerBound>, Error> {
        let bound = self.stream.bound.get_or_try_init(async || {
            let config = &self.stream.config;
            let store = self.shared.store(config).await?;
            let identity = Identity { replica_set, ..Identity::of_reader(config) };
            Ok::<_, Error>(Arc::new(LowerBound::new(store, identity, intervals)))
        });
        Ok(Arc::clone(bound.await?))
    }
}

fn no_checkpoint() -> ConfigError {
    ConfigError { path: "checkpoint".into(), message: "missing: `resume` needs it".into() }
}
