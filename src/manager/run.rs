//! A run: all streams started at once, shown while they run, and how they ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::build::Builder;
use super::report::{self, Report};
use super::stored::Noted;
use super::supervisor::{RestartPolicy, Running, Supervisor};
use super::{Manager, RunOptions, Stream, signals};
use crate::checkpoint::CheckpointStore;
use crate::config::StreamConfig;
use crate::error::Error;
use crate::pipeline::{self, Ended};
use crate::telemetry::logging::STATISTICS;
use crate::telemetry::{StreamState, StreamStatistics};

/// Restarts in a row with [`RunOptions::until_caught_up`], where `error_handling.max_retries` does
/// not say how many: such a run is to end. It is the original project's number.
const RETRIES_UNTIL_CAUGHT_UP: u32 = 3;

/// How often the rates are sampled.
pub(super) const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

impl Manager {
    /// Runs every stream until it has ended. SIGINT, SIGTERM and `stop` drain; a stream that fails
    /// is started again as `error_handling` says and leaves the others alone.
    pub async fn run(&self, options: RunOptions, stop: CancellationToken) -> Report {
        let mut report = Report::new(options);
        let signals = signals::drain_on_signal(stop.clone());
        match Builder::new(&self.config, &self.streams) {
            Ok(builder) => {
                let builder = Arc::new(builder);
                let running = self.start(&builder, options, &stop);
                self.follow(running, options.timeout, &stop, &mut report).await;
                builder.close().await;
            }
            Err(error) => report.failed(String::new(), &error),
        }
        signals.abort();
        report
    }

    /// Starts a supervised line for each stream.
    fn start(
        &self,
        builder: &Arc<Builder>,
        options: RunOptions,
        stop: &CancellationToken,
    ) -> Lines<'_> {
        let how = pipeline::RunOptions {
            until_caught_up: options.until_caught_up,
            accept_lane_change: options.accept_lane_change,
            drain_timeout: self.config.shutdown.drain_timeout.duration(),
        };
        let default = options.until_caught_up.then_some(RETRIES_UNTIL_CAUGHT_UP);
        let policy = RestartPolicy::new(&self.config.error_handling, default);
        let mut lines = Lines::default();
        for stream in &self.streams {
            let (statistics, paused) = (Arc::clone(&stream.statistics), stream.paused.subscribe());
            let supervisor = Supervisor::new(&policy, statistics, paused, stop.clone());
            let line = Restartable::new(Arc::clone(builder), stream);
            // Of the level `error`: the most silent `logging.level` still says whose error it is.
            let span = tracing::error_span!("stream", stream = %stream.config.id);
            let run = supervisor.run(move |halt| line.run(halt, how)).instrument(span);
            lines.streams.insert(lines.running.spawn(run).id(), stream);
        }
        lines
    }

    /// Waits for the end of all lines.
    async fn follow(
        &self,
        mut lines: Lines<'_>,
        timeout: Option<Duration>,
        stop: &CancellationToken,
        report: &mut Report,
    ) {
        let deadline = tokio::time::sleep(timeout.unwrap_or(Duration::MAX));
        tokio::pin!(deadline);
        let period = self.config.monitoring.report_interval.duration();
        let mut show = interval_at(Instant::now() + period, period);
        let mut sample = tokio::time::interval(SAMPLE_INTERVAL);
        sample.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ended = lines.next() => match ended {
                    None => break,
                    Some((stream, ended)) => report.ended(stream, ended),
                },
                () = &mut deadline, if !stop.is_cancelled() => {
                    report.timed_out();
                    stop.cancel();
                }
                _ = sample.tick() => self.streams.iter().for_each(|stream| stream.statistics.sample()),
                _ = show.tick() => self.show(),
            }
        }
        self.show();
    }

    /// Logs the statistics of every stream.
    fn show(&self) {
        for Stream { config, statistics, .. } in &self.streams {
            let now = statistics.snapshot();
            tracing::info!(
                target: STATISTICS,
                stream = %config.id,
                state = now.state.name(),
                events_per_second = now.events_per_second,
                lag = now.lag,
                in_flight = now.in_flight,
                read = now.read,
                published = now.processed_changes,
                dead_lettered = now.dead_lettered,
                invalid = now.invalid,
                skipped = now.skipped,
                requests = now.requests,
                retries = now.retries,
                errors = now.total_errors,
                "statistics"
            );
        }
    }
}

/// The lines that run.
#[derive(Default)]
struct Lines<'a> {
    running: JoinSet<Result<Ended, Error>>,
    streams: HashMap<Id, &'a Stream>,
}

impl Lines<'_> {
    /// The next line that ends, by its stream's name, and how; `None` once all have.
    async fn next(&mut self) -> Option<(String, Result<Ended, Error>)> {
        let ended = self.running.join_next_with_id().await?;
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let stream = self.streams.remove(&id);
        let name = stream.map_or_else(String::new, |stream| stream.config.id.to_string());
        let lost = match ended {
            Ok((_, ended)) => return Some((name, ended)),
            Err(error) => report::lost(&error),
        };
        if let Some(stream) = stream {
            stream.statistics.failed(&lost);
            stream.statistics.enter(StreamState::Failed);
        }
        Some((name, Err(lost)))
    }
}

/// What a line is made of anew at each start, and the store that stays.
#[derive(Clone)]
struct Restartable {
    builder: Arc<Builder>,
    stream: Arc<StreamConfig>,
    statistics: Arc<StreamStatistics>,
    store: Arc<OnceCell<Arc<dyn CheckpointStore>>>,
}

impl Restartable {
    fn new(builder: Arc<Builder>, stream: &Stream) -> Self {
        Self {
            builder,
            stream: Arc::new(stream.config.clone()),
            statistics: Arc::clone(&stream.statistics),
            store: Arc::default(),
        }
    }

    /// Builds a line and runs it.
    fn run(&self, halt: CancellationToken, how: pipeline::RunOptions) -> Running {
        let parts = self.clone();
        Box::pin(async move {
            let line = tokio::select! {
                line = parts.line() => line?,
                () = halt.cancelled() => return Ok(Ended::Stopped),
            };
            line.run(halt, how).await
        })
    }

    async fn line(&self) -> Result<super::build::Line, Error> {
        let store = self.store.get_or_try_init(async || {
            let store = self.builder.store(&self.stream).await?;
            let statistics = Arc::clone(&self.statistics);
            Ok::<_, Error>(Arc::new(Noted { store, statistics }) as Arc<dyn CheckpointStore>)
        });
        let store = Arc::clone(store.await?);
        self.builder.line(&self.stream, &self.statistics, store).await
    }
}
