//! Reading ahead while the caller works.

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{Cluster, Source, StartAt};
use crate::error::{SourceError, SourceErrorKind};
use crate::event::{Batch, Position};

/// Batches that wait for the caller. One more is in the reader's hands, so that up to two replies
/// (16 MiB each at most) are read ahead, and the server works on a third only when one is taken.
const READ_AHEAD: usize = 1;

/// Reads `S` in a task of its own, so that the next request is under way while the caller works
/// on a batch. Dropping it stops the task.
pub struct Prefetch<S> {
    state: State<S>,
}

enum State<S> {
    Idle(S),
    Reading { batches: mpsc::Receiver<Result<Batch, SourceError>>, _task: AbortOnDropHandle<()> },
    Ended,
}

impl<S: Source + 'static> Prefetch<S> {
    /// Reads `source` ahead as soon as it is open.
    #[must_use]
    pub fn new(source: S) -> Self {
        Self { state: State::Idle(source) }
    }

    fn idle(&mut self) -> Result<&mut S, SourceError> {
        match &mut self.state {
            State::Idle(source) => Ok(source),
            State::Reading { .. } | State::Ended => Err(ended("the stream is already open")),
        }
    }
}

impl<S: Source + 'static> Source for Prefetch<S> {
    async fn connect(&mut self) -> Result<Cluster, SourceError> {
        self.idle()?.connect().await
    }

    async fn open(&mut self, start: StartAt) -> Result<Position, SourceError> {
        let position = self.idle()?.open(start).await?;
        if let State::Idle(source) = std::mem::replace(&mut self.state, State::Ended) {
            let (sender, batches) = mpsc::channel(READ_AHEAD);
            let task = AbortOnDropHandle::new(tokio::spawn(read(source, sender)));
            self.state = State::Reading { batches, _task: task };
        }
        Ok(position)
    }

    async fn next_batch(&mut self) -> Result<Batch, SourceError> {
        let State::Reading { batches, .. } = &mut self.state else {
            return Err(ended("the stream is not open"));
        };
        batches.recv().await.unwrap_or_else(|| Err(ended("the stream has ended")))
    }
}

/// Sends what `source` gives until it fails or nobody listens.
async fn read<S: Source>(mut source: S, batches: mpsc::Sender<Result<Batch, SourceError>>) {
    loop {
        let batch = source.next_batch().await;
        let failed = batch.is_err();
        if batches.send(batch).await.is_err() || failed {
            return;
        }
    }
}

fn ended(message: &str) -> SourceError {
    SourceError { kind: SourceErrorKind::Invalidated, message: message.into(), code: None }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use mongodb::bson::Timestamp;
    use tokio::sync::Semaphore;

    use super::*;

    /// Gives `left` empty batches and then an error; each read shows in `reads`.
    struct Counted {
        left: usize,
        reads: Arc<Semaphore>,
    }

    const START: Position = Position::OperationTime(Timestamp { time: 1, increment: 1 });

    impl Source for Counted {
        async fn connect(&mut self) -> Result<Cluster, SourceError> {
            Err(ended("not needed"))
        }

        async fn open(&mut self, _start: StartAt) -> Result<Position, SourceError> {
            Ok(START)
        }

        async fn next_batch(&mut self) -> Result<Batch, SourceError> {
            self.reads.add_permits(1);
            self.left = self.left.checked_sub(1).ok_or_else(|| ended("no more"))?;
            Ok(Batch::new(Bytes::new(), Vec::new(), None, false))
        }
    }

    #[tokio::test]
    async fn reads_two_ahead_and_no_further() {
        let reads = Arc::new(Semaphore::new(0));
        let mut source = Prefetch::new(Counted { left: 10, reads: Arc::clone(&reads) });
        assert_eq!(source.open(StartAt::Latest).await, Ok(START));
        // The reads happen without a call of `next_batch`.
        reads.acquire_many(2).await.unwrap().forget();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(reads.available_permits(), 0);
        source.next_batch().await.unwrap();
        reads.acquire().await.unwrap().forget();
    }

    #[tokio::test]
    async fn an_error_comes_after_the_batches_before_it_and_is_the_last() {
        let reads = Arc::new(Semaphore::new(0));
        let mut source = Prefetch::new(Counted { left: 3, reads });
        source.open(StartAt::Latest).await.unwrap();
        for _ in 0..3 {
            source.next_batch().await.unwrap();
        }
        assert_eq!(source.next_batch().await.unwrap_err().message, "no more");
        assert_eq!(source.next_batch().await.unwrap_err().message, "the stream has ended");
    }
}
