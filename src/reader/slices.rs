//! The changes of a stream in slices, for a caller that keeps the position itself.

use std::future::Future;
use std::sync::Arc;

use mongodb::bson::Timestamp;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use crate::checkpoint::LowerBound;
use crate::error::{Error, SourceError, SourceErrorKind};
use crate::event::{Batch, Position};
use crate::flow::Budget;
use crate::source::{Source, event_time};

/// Replies that wait for the caller at the most, however small they are.
const READ_AHEAD: usize = 64;

/// Events of one reply that share the second of their cluster time; or none, where only the
/// position has moved.
#[derive(Debug)]
pub struct Slice {
    /// The events.
    pub batch: Batch,
    /// The position after them: what comes next begins here.
    pub position: Position,
    /// The cluster time that nothing to come lies before; `None` where the token does not tell.
    pub time: Option<Timestamp>,
    /// The end that was asked for is reached, and nothing comes any more.
    pub done: bool,
}

/// A stream that has been opened.
pub struct Opened<S> {
    /// The position that it opened at.
    pub position: Position,
    /// What it is read from.
    pub source: S,
    /// The checkpoint that follows it, if one is wanted.
    pub bound: Option<Arc<LowerBound>>,
}

/// What the reading task tells.
enum Read {
    /// The stream is open at this position.
    Opened(Position, Option<Arc<LowerBound>>),
    /// The server has replied.
    Replied(Batch),
}

/// A stream that is read ahead in a task of its own. Dropping it ends the task.
pub struct Slices {
    reads: mpsc::Receiver<Result<Read, Error>>,
    /// What is left of a reply.
    rest: Option<Batch>,
    /// The position after the last slice.
    position: Option<Position>,
    /// The last cluster time that is asked for.
    until: Option<Timestamp>,
    /// The checkpoint that follows; `None` before the stream is open.
    bound: Option<Arc<LowerBound>>,
    /// What may be read ahead.
    budget: Arc<Budget>,
    _task: AbortOnDropHandle<()>,
}

impl Slices {
    /// Reads what `open` opens, up to the cluster time `until` (inclusive) or for ever, and ahead as
    /// far as `budget` lets it; one more reply is in the reader's hands. The first slice is empty and
    /// tells the position that the stream opened at. Needs a Tokio runtime.
    pub fn start<S: Source + 'static>(
        open: impl Future<Output = Result<Opened<S>, Error>> + Send + 'static,
        until: Option<Timestamp>,
        budget: Budget,
    ) -> Self {
        let (sender, reads) = mpsc::channel(READ_AHEAD);
        let budget = Arc::new(budget);
        let task = tokio::spawn(feed(open, sender, Arc::clone(&budget)).in_current_span());
        let task = AbortOnDropHandle::new(task);
        Self { reads, rest: None, position: None, until, bound: None, budget, _task: task }
    }

    /// Waits for the next slice, of `most` events at the most.
    ///
    /// Cancel safe: a dropped call loses nothing.
    ///
    /// # Errors
    /// What ended the stream; waiting does not help, or has helped too often.
    pub async fn next(&mut self, most: usize) -> Result<Slice, Error> {
        loop {
            if let Some(batch) = self.rest.take() {
                return self.cut(batch, most.max(1));
            }
            match self.reads.recv().await.unwrap_or_else(|| Err(ended()))? {
                Read::Opened(position, bound) => {
                    self.bound = bound;
                    return Ok(self.moved(position, false));
                }
                Read::Replied(batch) if !batch.is_empty() => {
                    self.budget.release(batch.bytes(), batch.len());
                    self.rest = Some(batch);
                }
                Read::Replied(batch) => {
                    if let Some(position) = batch.post_batch {
                        let time = position.cluster_time();
                        let done = self.until.zip(time).is_some_and(|(until, time)| time >= until);
                        return Ok(self.moved(position, done));
                    }
                }
            }
        }
    }

    /// The checkpoint that follows the stream, for the positions of committed bundles; `None` where
    /// none is wanted, or the stream is not open yet.
    #[must_use]
    pub fn bound(&self) -> Option<Arc<LowerBound>> {
        self.bound.clone()
    }

    /// A slice without events.
    fn moved(&mut self, position: Position, done: bool) -> Slice {
        self.position = Some(position.clone());
        let time = position.cluster_time();
        Slice { batch: Batch::default(), position, time, done }
    }

    /// The first slice of `batch`; the rest is kept.
    fn cut(&mut self, batch: Batch, most: usize) -> Result<Slice, Error> {
        let time = |index| batch.event(index).and_then(event_time);
        let first = time(0);
        if past(first, self.until) {
            let position = self.position.clone().ok_or_else(ended)?;
            return Ok(self.moved(position, true));
        }
        let belongs = |index| {
            let time = time(index);
            second(time) == second(first) && !past(time, self.until)
        };
        let count = leading(batch.len().min(most), belongs);
        let time = time(count - 1);
        let slice = if count < batch.len() {
            let slice = batch.upto(count);
            self.rest = Some(batch.from(count));
            slice
        } else {
            batch
        };
        let position = slice.end()?.ok_or_else(ended)?;
        self.position = Some(position.clone());
        Ok(Slice { batch: slice, position, time, done: false })
    }
}

/// How many of the first `most` belong to the first, one at least. Cluster times never go back in a
/// stream, so few are looked at: where the last one belongs, all do.
fn leading(most: usize, belongs: impl Fn(usize) -> bool) -> usize {
    if belongs(most - 1) {
        return most;
    }
    let (mut count, mut end) = (1, most - 1);
    while count < end {
        let middle = usize::midpoint(count, end);
        if belongs(middle) {
            count = middle + 1;
        } else {
            end = middle;
        }
    }
    count
}

fn second(time: Option<Timestamp>) -> Option<u32> {
    time.map(|time| time.time)
}

fn past(time: Option<Timestamp>, until: Option<Timestamp>) -> bool {
    time.zip(until).is_some_and(|(time, until)| time > until)
}

/// Sends what the stream gives until it fails or nobody listens.
async fn feed<S: Source>(
    open: impl Future<Output = Result<Opened<S>, Error>> + Send,
    reads: mpsc::Sender<Result<Read, Error>>,
    budget: Arc<Budget>,
) {
    let mut source = match open.await {
        Ok(Opened { position, source, bound }) => {
            if reads.send(Ok(Read::Opened(position, bound))).await.is_err() {
                return;
            }
            source
        }
        Err(error) => {
            reads.send(Err(error)).await.ok();
            return;
        }
    };
    loop {
        let batch = source.next_batch().await;
        let failed = batch.is_err();
        if let Ok(batch) = &batch {
            budget.acquire(batch.bytes(), batch.len()).await;
        }
        if reads.send(batch.map(Read::Replied).map_err(Error::from)).await.is_err() || failed {
            return;
        }
    }
}

fn ended() -> Error {
    let message = "the stream has ended".into();
    SourceError { kind: SourceErrorKind::Invalidated, message, code: None }.into()
}

#[cfg(test)]
mod tests;
