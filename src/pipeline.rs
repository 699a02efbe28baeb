//! The line, read aloud from top to bottom: one stream, from its checkpoint to its checkpoint.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::checkpoint::{self, Checkpoint, CheckpointStore, Committer, Identity, Tracker};
use crate::error::Error;
use crate::event::{Batch, Position, Receipt};
use crate::flow::{Budget, Ledger};
use crate::sink::Sink;
use crate::source::{CaughtUp, Source, StartAt};
use crate::telemetry::StreamStatistics;
use crate::transform::{Context, Transform};

/// The parts of one stream's line.
pub struct Pipeline<S, G> {
    /// What the checkpoint belongs to; the replica set's name is filled in on connecting.
    pub identity: Identity,
    /// Where the changes come from.
    pub source: S,
    /// Where a stream without a checkpoint begins.
    pub start: StartAt,
    /// What is done with the changes.
    pub stage: G,
    /// What becomes of the messages.
    pub receipts: mpsc::Receiver<Receipt>,
    /// Where the position is kept.
    pub store: Arc<dyn CheckpointStore>,
    /// The intervals at which it is stored.
    pub intervals: checkpoint::Intervals,
    /// How much may be in flight.
    pub budget: Budget,
    /// What the line tells about itself.
    pub statistics: Arc<StreamStatistics>,
}

/// What is done with the changes that are read.
pub trait Stage: Send {
    /// Takes the changes of `batch`, numbered from `first`, on their way; waits until there is room
    /// for more. Each of them ends in exactly one receipt.
    fn take(
        &mut self,
        first: u64,
        batch: &Batch,
        ledger: &Arc<Ledger>,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Waits until nothing more is to be waited for.
    fn flush(&mut self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// The changes are turned into messages and published.
pub struct Publish<K> {
    /// What turns events into messages.
    pub transform: Transform,
    /// Where the messages go.
    pub sink: K,
}

impl<K: Sink> Stage for Publish<K> {
    async fn take(&mut self, first: u64, batch: &Batch, ledger: &Arc<Ledger>) -> Result<(), Error> {
        let transformed = self.transform.apply_batch(first, batch, &Context::now());
        ledger.expect(&transformed);
        let urgent = !batch.catching_up || ledger.is_full(batch);
        self.sink.publish(transformed.messages, urgent).await?;
        transformed.refused.map_or(Ok(()), |refused| Err(refused.into()))
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.sink.flush().await.map_err(Error::from)
    }
}

/// How a line is run.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// End once every event committed before the start has been published.
    pub until_caught_up: bool,
    /// Take over a checkpoint that was stored with another `ordering` or number of lanes.
    pub accept_lane_change: bool,
    /// How long the drain at the end may take.
    pub drain_timeout: Duration,
}

/// How a line ended, if not by an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It had caught up, as [`RunOptions::until_caught_up`] asks.
    CaughtUp,
    /// It was stopped.
    Stopped,
    /// It was to end, but events were still unpublished when the drain's time was over. They are
    /// published again after the next start.
    DrainTimedOut,
}

impl<S: Source, G: Stage> Pipeline<S, G> {
    /// Runs the line until it is stopped, has caught up or cannot go on.
    ///
    /// # Errors
    /// What ended the stream. The position is stored before the event that could not be handled.
    pub async fn run(
        mut self,
        stop: CancellationToken,
        options: RunOptions,
    ) -> Result<Ended, Error> {
        let begun = tokio::select! {
            begun = self.begin(options.accept_lane_change) => begun?,
            () = stop.cancelled() => return Ok(Ended::Stopped),
        };
        self.statistics.opened();
        let ledger = Ledger::new(Tracker::new(begun.opening), self.budget, self.statistics);
        let ledger = Arc::new(ledger);
        let mut committer = Committer::new(self.store, self.identity, begun.epoch, self.intervals);
        let mut target = options.until_caught_up.then(|| CaughtUp::new(begun.operation_time));

        let mut ended = tokio::select! {
            ended = read(&mut self.source, &mut self.stage, &ledger, &mut target) => ended,
            failure = ledger.receive(&mut self.receipts) => Err(failure),
            failure = committer.run(|| ledger.committable()) => Err(failure.into()),
            () = stop.cancelled() => Ok(Ended::Stopped),
        };
        drop(self.source);

        let deadline = Instant::now() + options.drain_timeout;
        let mut flush = pin!(timeout_at(deadline, self.stage.flush()));
        let flushed = loop {
            tokio::select! {
                flushed = &mut flush => break flushed,
                // One topic has failed: the others are flushed all the same.
                failure = ledger.receive(&mut self.receipts) => ended = ended.and(Err(failure)),
            }
        };
        let drained = flushed.is_ok();
        ended = ended.and_then(|ended| flushed.unwrap_or(Ok(())).map(|()| ended));
        ledger.settle(&mut self.receipts);
        let stored = committer.finish(ledger.committable(), deadline).await;
        let ended = if drained { ended } else { ended.map(|_| Ended::DrainTimedOut) };
        ended.and_then(|ended| stored.map(|()| ended).map_err(Error::from))
    }

    /// Connects, takes over the checkpoint, opens the stream and stores the position it opened at:
    /// before the first event is published, so that a crash or an idle run loses nothing.
    async fn begin(&mut self, accept_lane_change: bool) -> Result<Begun, Error> {
        let cluster = self.source.connect().await?;
        self.identity.replica_set = cluster.replica_set;
        let taken = checkpoint::take_over(&*self.store, &self.identity, accept_lane_change).await?;
        let start = taken.position.map_or(self.start.clone(), StartAt::Position);
        let opening = self.source.open(start).await?;
        let checkpoint = Checkpoint::new(self.identity.clone(), taken.epoch, 0, opening.clone());
        self.store.store(&checkpoint).await?;
        Ok(Begun { opening, epoch: taken.epoch, operation_time: cluster.operation_time })
    }
}

/// Where and when a line began.
struct Begun {
    opening: Position,
    epoch: u64,
    operation_time: Timestamp,
}

/// Reads, and hands on to the stage, batch after batch, until the target is reached.
async fn read<S: Source, G: Stage>(
    source: &mut S,
    stage: &mut G,
    ledger: &Arc<Ledger>,
    target: &mut Option<CaughtUp>,
) -> Result<Ended, Error> {
    loop {
        let batch = source.next_batch().await?;
        let first = ledger.begin(&batch).await?;
        stage.take(first, &batch, ledger).await?;
        if target.as_mut().is_some_and(|target| target.observe(&batch)) {
            return Ok(Ended::CaughtUp);
        }
    }
}

#[cfg(test)]
mod tests;
