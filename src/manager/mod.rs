//! Builds one line for each source of the configuration and runs them all.

mod build;
mod report;
mod signals;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::config::{Config, StreamConfig};
use crate::error::{ConfigError, Error};
use crate::pipeline;
use crate::source::{self, StartAt};
use crate::telemetry::logging::STATISTICS;
use crate::telemetry::{StatisticsSnapshot, StreamStatistics};

use build::{Builder, connection_path, source_path};

pub use report::{Exit, Failure, Report};

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

/// The stream that could not be built (empty: none of its own fault) and why.
type Failed = (String, Error);

/// All streams of one configuration.
#[derive(Debug)]
pub struct Manager {
    config: Config,
    streams: Vec<(StreamConfig, Arc<StreamStatistics>)>,
}

impl Manager {
    /// Checks what the configuration asks for; nothing is connected yet.
    ///
    /// # Errors
    /// A [`ConfigError`] for what `run` needs and the file does not have, and for what only the
    /// parts of a line can tell is wrong.
    pub fn new(config: Config) -> Result<Self, Error> {
        config.require_run()?;
        let streams = config.streams()?;
        streams.iter().try_for_each(check)?;
        let streams = streams.into_iter().map(|stream| (stream, Arc::default())).collect();
        Ok(Self { config, streams })
    }

    /// The counters of each stream now.
    #[must_use]
    pub fn statistics(&self) -> BTreeMap<String, StatisticsSnapshot> {
        self.streams
            .iter()
            .map(|(stream, counts)| (stream.id.to_string(), counts.snapshot()))
            .collect()
    }

    /// Runs every stream until it has ended. SIGINT, SIGTERM and `stop` drain; a stream that fails
    /// drains the others, so that whoever supervises the process sees it and starts it again.
    pub async fn run(&self, options: RunOptions, stop: CancellationToken) -> Report {
        let mut report = Report::default();
        let signals = signals::drain_on_signal(stop.clone());
        let deadline = tokio::time::sleep(options.timeout.unwrap_or(Duration::MAX));
        tokio::pin!(deadline);
        let started = tokio::select! {
            started = self.start(options, &stop) => started,
            () = stop.cancelled() => return report,
            () = &mut deadline => {
                report.timed_out();
                return report;
            }
        };
        let mut running = match started {
            Ok(running) => running,
            Err((stream, error)) => {
                report.failed(stream, &error);
                return report;
            }
        };
        let mut show = tokio::time::interval(self.config.monitoring.report_interval.duration());
        show.tick().await;
        loop {
            tokio::select! {
                ended = running.join_next() => match ended {
                    None => break,
                    Some(ended) => report.ended(ended, &stop),
                },
                () = &mut deadline, if !stop.is_cancelled() => {
                    report.timed_out();
                    stop.cancel();
                }
                _ = show.tick() => self.show(),
            }
        }
        self.show();
        signals.abort();
        report
    }

    /// Builds all lines, then starts them: none runs if one cannot be built.
    async fn start(
        &self,
        options: RunOptions,
        stop: &CancellationToken,
    ) -> Result<JoinSet<report::Ended>, Failed> {
        let mut builder = Builder::new(&self.config).map_err(|error| (String::new(), error))?;
        let mut lines = Vec::with_capacity(self.streams.len());
        for (stream, counts) in &self.streams {
            let name = stream.id.to_string();
            // Of the level `error`: the most silent `logging.level` still says whose error it is.
            let span = tracing::error_span!("stream", stream = name);
            match builder.build(stream, counts).instrument(span.clone()).await {
                Ok(line) => lines.push((name, span, line)),
                Err(error) => return Err((name, error)),
            }
        }
        let how = pipeline::RunOptions {
            until_caught_up: options.until_caught_up,
            accept_lane_change: options.accept_lane_change,
            drain_timeout: self.config.shutdown.drain_timeout.duration(),
        };
        let mut running = JoinSet::new();
        for (stream, span, line) in lines {
            let run = line.run(stop.clone(), how);
            running.spawn(async move { (stream, run.await) }.instrument(span));
        }
        Ok(running)
    }

    /// Logs the counters of every stream.
    fn show(&self) {
        for (stream, counts) in &self.streams {
            let now = counts.snapshot();
            tracing::info!(
                target: STATISTICS,
                stream = %stream.id,
                read = now.read,
                published = now.published,
                requests = now.requests,
                retries = now.retries,
                "statistics"
            );
        }
    }
}

/// What the driver and the oplog can express, told before anything is connected.
fn check(stream: &StreamConfig) -> Result<(), ConfigError> {
    source::check_uri(&stream.connection.uri)
        .map_err(|error| error.below(&connection_path(&stream.id)))?;
    StartAt::from_config(&stream.source.startup)
        .map(drop)
        .map_err(|error| error.below(&source_path(&stream.id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, from_yaml};

    #[test]
    fn what_only_the_parts_can_tell_is_refused_with_its_whole_path() {
        let main = "mongodb.connections.main";
        for (uri, startup, path) in [
            ("mongodb://user:hunter2@host:port/", "latest", format!("{main}.uri")),
            (
                "mongodb://host/",
                "{timestamp: '2200-01-01T00:00:00Z'}",
                format!("{main}.sources.orders.startup.timestamp"),
            ),
        ] {
            let yaml = format!(
                "mongodb: {{connections: {{main: {{uri: '{uri}', sources: {{orders: \
                 {{database: shop, collection: orders, startup: {startup}}}}}}}}}}}\n\
                 gcp: {{project_id: some-project}}\n\
                 pubsub: {{topics: {{default: {{name: shop-changes}}}}}}\n\
                 checkpoint: {{store: memory}}\n"
            );
            let config = from_yaml(&yaml, "test", &Environment::new()).unwrap().config;
            let Err(Error::Config(error)) = Manager::new(config) else { panic!("accepted") };
            assert_eq!(error.path, path);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
