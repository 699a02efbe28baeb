//! Stores the position as it moves.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout_at};
use tracing::{info, warn};

use super::{Checkpoint, CheckpointStore, Committable, Identity};
use crate::config::CheckpointConfig;
use crate::error::{CheckpointError, CheckpointErrorKind};

#[cfg(test)]
mod tests;

/// How long storing the last position may take, at least: where the flush has used up the drain's
/// time, the position that was reached is still worth a moment.
const LAST_STORE: Duration = Duration::from_secs(1);

/// How often a position is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// Where events moved it.
    pub interval: Duration,
    /// Where only empty replies did.
    pub idle_interval: Duration,
}

impl From<&CheckpointConfig> for Intervals {
    fn from(config: &CheckpointConfig) -> Self {
        Self {
            interval: config.interval.duration(),
            idle_interval: config.idle_interval.duration(),
        }
    }
}

/// Stores the position of one stream: every `checkpoint.interval` where events moved it, every
/// `checkpoint.idle_interval` where only empty replies did, and once more at the end.
///
/// The idle interval keeps a stream that captures its own checkpoints' deployment from feeding
/// itself: each store would move the post-batch token that the next one stores.
pub struct Committer {
    store: Arc<dyn CheckpointStore>,
    identity: Identity,
    epoch: u64,
    intervals: Intervals,
    /// What was stored last, `None` while that is the opening position.
    stored: Option<Committable>,
    stored_at: Instant,
    failing: bool,
}

impl Committer {
    /// A committer for a stream whose opening position has just been stored with `epoch`.
    #[must_use]
    pub fn new(
        store: Arc<dyn CheckpointStore>,
        identity: Identity,
        epoch: u64,
        intervals: Intervals,
    ) -> Self {
        let stored_at = Instant::now();
        Self { store, identity, epoch, intervals, stored: None, stored_at, failing: false }
    }

    /// Stores what `committable` says, as it moves. Returns only with an error that ends the
    /// stream: the store's content is no longer this process's (`Conflict`, `Corrupt`).
    ///
    /// A store that cannot be reached is tried again at the next interval: events flow on, and a
    /// crash would repeat more of them. To be dropped before [`finish`](Self::finish).
    pub async fn run(&mut self, committable: impl Fn() -> Option<Committable>) -> CheckpointError {
        // A timer with a period of zero panics.
        let period = self.intervals.interval.max(Duration::from_millis(1));
        let mut ticks = interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(next) = self.moved(committable()).filter(|next| self.is_due(next)) else {
                continue;
            };
            match self.commit(next).await {
                Err(error) if error.kind == CheckpointErrorKind::Unreachable => {
                    let stream = &self.identity.stream;
                    warn!(%stream, %error, "the position is not stored; trying again");
                    self.failing = true;
                }
                Err(error) => return error,
                Ok(()) => {}
            }
        }
    }

    /// Stores the last position, if it is not stored yet, by `deadline` or within [`LAST_STORE`].
    ///
    /// # Errors
    /// Those of the store, `Unreachable` too, also when it does not answer: there is no next time.
    pub async fn finish(
        &mut self,
        committable: Option<Committable>,
        deadline: Instant,
    ) -> Result<(), CheckpointError> {
        let Some(next) = self.moved(committable) else { return Ok(()) };
        let deadline = deadline.max(Instant::now() + LAST_STORE);
        timeout_at(deadline, self.commit(next)).await.unwrap_or_else(|_| {
            Err(CheckpointError {
                kind: CheckpointErrorKind::Unreachable,
                message: "the last position was not stored before the drain's time was over".into(),
            })
        })
    }

    fn moved(&self, committable: Option<Committable>) -> Option<Committable> {
        committable.filter(|next| self.stored.as_ref() != Some(next))
    }

    /// The sequence number stands still where only empty replies moved the position.
    fn is_due(&self, next: &Committable) -> bool {
        next.sequence != self.stored.as_ref().map_or(0, |stored| stored.sequence)
            || self.stored_at.elapsed() >= self.intervals.idle_interval
    }

    async fn commit(&mut self, next: Committable) -> Result<(), CheckpointError> {
        let Committable { sequence, position } = next.clone();
        let checkpoint = Checkpoint::new(self.identity.clone(), self.epoch, sequence, position);
        self.store.store(&checkpoint).await?;
        self.stored = Some(next);
        self.stored_at = Instant::now();
        if std::mem::take(&mut self.failing) {
            info!(stream = %self.identity.stream, "the position is stored again");
        }
        Ok(())
    }
}
