//! The line, read aloud from top to bottom: one stream, from its checkpoint to its checkpoint.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::checkpoint::{self, Checkpoint, CheckpointStore, Committer, Identity, Tracker};
use crate::error::Error;
use crate::event::Receipt;
use crate::flow::{Budget, Ledger};
use crate::sink::Sink;
use crate::source::{CaughtUp, Source, StartAt};
use crate::telemetry::StreamStatistics;
use crate::transform::Transform;

/// The parts of one stream's line.
pub struct Pipeline<S, K> {
    /// What the checkpoint belongs to; the replica set's name is filled in on connecting.
    pub identity: Identity,
    /// Where the changes come from.
    pub source: S,
    /// Where a stream without a checkpoint begins.
    pub start: StartAt,
    /// What turns events into messages.
    pub transform: Transform,
    /// Where the messages go.
    pub sink: K,
    /// What becomes of them.
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

impl<S: Source, K: Sink> Pipeline<S, K> {
    /// Runs the line until it is stopped, has caught up or cannot go on.
    ///
    /// # Errors
    /// What ended the stream. The position is stored before the event that could not be handled.
    pub async fn run(
        mut self,
        stop: CancellationToken,
        options: RunOptions,
    ) -> Result<Ended, Error> {
        let cluster = self.source.connect().await?;
        self.identity.replica_set = cluster.replica_set;
        let taken =
            checkpoint::take_over(&*self.store, &self.identity, options.accept_lane_change).await?;
        let opening =
            self.source.open(taken.position.map_or(self.start, StartAt::Position)).await?;
        // Stored before the first event is published: a crash or an idle run loses nothing.
        self.store
            .store(&Checkpoint::new(self.identity.clone(), taken.epoch, 0, opening.clone()))
            .await?;

        let ledger = Ledger::new(Tracker::new(opening), self.budget, self.statistics);
        let mut committer = Committer::new(self.store, self.identity, taken.epoch, self.intervals);
        let mut target = options.until_caught_up.then(|| CaughtUp::new(cluster.operation_time));

        let mut ended = tokio::select! {
            ended = read(&mut self.source, &self.transform, &mut self.sink, &ledger, &mut target) => ended,
            failure = ledger.receive(&mut self.receipts) => Err(failure),
            failure = committer.run(|| ledger.committable()) => Err(failure.into()),
            () = stop.cancelled() => Ok(Ended::Stopped),
        };
        drop(self.source);

        let drained = tokio::select! {
            drained = tokio::time::timeout(options.drain_timeout, self.sink.flush()) => drained.is_ok(),
            failure = ledger.receive(&mut self.receipts) => { ended = ended.and(Err(failure)); true }
        };
        ledger.settle(&mut self.receipts);
        committer.finish(ledger.committable()).await?;
        if drained { ended } else { ended.map(|_| Ended::DrainTimedOut) }
    }
}

/// Reads, transforms and publishes, batch after batch, until the target is reached.
async fn read<S: Source, K: Sink>(
    source: &mut S,
    transform: &Transform,
    sink: &mut K,
    ledger: &Ledger,
    target: &mut Option<CaughtUp>,
) -> Result<Ended, Error> {
    loop {
        let batch = source.next_batch().await?;
        let first = ledger.begin(&batch).await?;
        let (messages, refused) = transform.apply_batch(first, &batch);
        sink.publish(messages, !batch.catching_up).await?;
        if let Some(refused) = refused {
            return Err(refused.into());
        }
        if target.as_mut().is_some_and(|target| target.observe(&batch)) {
            return Ok(Ended::CaughtUp);
        }
    }
}
