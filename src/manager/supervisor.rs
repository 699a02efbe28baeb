//! One stream under supervision: its line, started again as the policy says, paused and resumed.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::ErrorHandlingConfig;
use crate::error::Error;
use crate::flow::{Backoff, BackoffPolicy};
use crate::pipeline::Ended;
use crate::recovery::{self, Restart};
use crate::telemetry::{StreamState, StreamStatistics};

#[cfg(test)]
mod tests;

/// When a failed line is started again.
#[derive(Clone, Debug)]
pub(super) struct RestartPolicy {
    /// How long to wait before, and how often in a row.
    pub backoff: BackoffPolicy,
    /// Streaming for this long without a failure is health, which starts the count over.
    pub healthy_after: Duration,
}

impl RestartPolicy {
    /// As `config` says; where it does not say how often, `retries` or for ever.
    pub fn new(config: &ErrorHandlingConfig, retries: Option<u32>) -> Self {
        let retries = config.max_retries.or(retries);
        Self {
            backoff: BackoffPolicy::from(config).with_max_retries(retries),
            healthy_after: config.max_backoff.duration(),
        }
    }
}

/// A line under way: it drains and ends when its token is cancelled.
pub(super) type Running = BoxFuture<'static, Result<Ended, Error>>;

/// Keeps the line of one stream running.
pub(super) struct Supervisor {
    statistics: Arc<StreamStatistics>,
    backoff: Backoff,
    healthy_after: Duration,
    paused: watch::Receiver<bool>,
    stop: CancellationToken,
    /// Why the last line ended, and how often the stream had been open by then.
    failure: Option<(Error, u64)>,
}

impl Supervisor {
    pub fn new(
        policy: &RestartPolicy,
        statistics: Arc<StreamStatistics>,
        paused: watch::Receiver<bool>,
        stop: CancellationToken,
    ) -> Self {
        let (backoff, healthy_after) = (policy.backoff.start(), policy.healthy_after);
        Self { statistics, backoff, healthy_after, paused, stop, failure: None }
    }

    /// Runs `line` until it is stopped, has caught up or has failed for good. Each start goes on
    /// from the stored position. A stream that is stopped between a failure and the next opening
    /// has failed.
    pub async fn run(
        mut self,
        mut line: impl FnMut(CancellationToken) -> Running + Send,
    ) -> Result<Ended, Error> {
        self.statistics.enter(StreamState::Starting);
        loop {
            if !self.wait_while_paused().await {
                return self.ended(Ended::Stopped);
            }
            let passed = self.statistics.passed.load(Relaxed);
            match self.attempt(&mut line).await {
                Ok(Ended::Stopped | Ended::DrainTimedOut) if self.is_pausing() => {}
                Ok(ended) => return self.ended(ended),
                Err(error) => self.failed(error, passed).await?,
            }
        }
    }

    /// Ends the stream: as its last line ended, if none has been open since that failed.
    fn ended(self, ended: Ended) -> Result<Ended, Error> {
        self.statistics.abandon();
        let open = self.statistics.openings();
        let failure = self.failure.filter(|(_, before)| ended == Ended::Stopped && *before == open);
        let state = if failure.is_some() { StreamState::Failed } else { StreamState::Stopped };
        self.statistics.enter(state);
        failure.map_or(Ok(ended), |(error, _)| Err(error))
    }

    /// Runs the line once; a pause makes it drain.
    async fn attempt(
        &mut self,
        line: &mut (impl FnMut(CancellationToken) -> Running + Send),
    ) -> Result<Ended, Error> {
        let halt = self.stop.child_token();
        let mut running = line(halt.clone());
        tokio::select! {
            ended = &mut running => return ended,
            () = is(&mut self.paused, true) => {}
        }
        halt.cancel();
        running.await
    }

    fn is_pausing(&self) -> bool {
        *self.paused.borrow() && !self.stop.is_cancelled()
    }

    /// False when the stream is to end.
    async fn wait_while_paused(&mut self) -> bool {
        if self.is_pausing() {
            self.statistics.abandon();
            self.statistics.enter(StreamState::Paused);
            tokio::select! {
                () = is(&mut self.paused, false) => self.statistics.enter(StreamState::Starting),
                () = self.stop.cancelled() => {}
            }
        }
        !self.stop.is_cancelled()
    }

    /// Counts a failure, then lets time pass until the next attempt; gives the error back where
    /// there is none.
    async fn failed(&mut self, error: Error, passed_before: u64) -> Result<(), Error> {
        // What is published past a stuck position is published again with each restart: no progress.
        let progress = self.statistics.passed.load(Relaxed) > passed_before;
        let lasted = self.statistics.streaming_for();
        if progress || lasted.is_some_and(|lasted| lasted >= self.healthy_after) {
            self.backoff.reset();
        }
        self.statistics.failed(&error);
        if self.stop.is_cancelled() || !self.is_worth_it(&error) || self.backoff.is_exhausted() {
            self.statistics.enter(StreamState::Failed);
            return Err(error);
        }
        let delay = self.backoff.next_delay();
        self.statistics.enter(StreamState::BackingOff);
        tracing::warn!(
            %error,
            hint = recovery::hint(&error),
            attempts = self.backoff.attempts(),
            wait_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            "the stream failed and is started again"
        );
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.stop.cancelled() => {}
            () = is(&mut self.paused, true) => {}
        }
        self.failure = Some((error, self.statistics.openings()));
        Ok(())
    }

    fn is_worth_it(&self, error: &Error) -> bool {
        match recovery::restart(error) {
            Restart::Always => true,
            Restart::IfItWorked => match error {
                Error::Publish(_) => self.statistics.published.load(Relaxed) > 0,
                _ => self.statistics.openings() > 0,
            },
            Restart::Never => false,
        }
    }
}

/// Waits until the stream is to be paused (`wanted`) or resumed.
async fn is(paused: &mut watch::Receiver<bool>, wanted: bool) {
    if paused.wait_for(|paused| *paused == wanted).await.is_err() {
        // Nobody is left who could say so.
        std::future::pending::<()>().await;
    }
}
