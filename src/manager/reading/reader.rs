//! One stream whose changes the caller takes.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::checkpoint::{CheckpointStore, Identity};
use crate::config::StreamConfig;
use crate::error::{Error, RecordError, RecordErrorKind};
use crate::manager::Failure;
use crate::manager::shared::{Changes, Parts, Shared};
use crate::manager::stored::Noted;
use crate::manager::supervisor::{RestartPolicy, Supervisor};
use crate::pipeline::{Ended, Pipeline, RunOptions};
use crate::reader::{Deliver, Desk};
use crate::recovery;
use crate::telemetry::{StreamState, StreamStatistics};

/// One stream as its caller knows it.
pub(super) struct Reader {
    pub config: StreamConfig,
    pub statistics: Arc<StreamStatistics>,
    pub paused: watch::Sender<bool>,
    pub desk: Arc<Desk>,
    pub stop: CancellationToken,
    /// The caller could not take an event: what is told about it.
    pub refused: watch::Sender<Option<String>>,
    /// Its supervised line has ended.
    pub ended: CancellationToken,
    begun: AtomicBool,
    /// Opened with the first line, and given up, with its lock, where the last one has ended.
    store: AsyncMutex<Option<Arc<dyn CheckpointStore>>>,
    failure: Mutex<Option<Failure>>,
}

impl Reader {
    pub fn new(config: StreamConfig, stop: CancellationToken) -> Self {
        Self {
            statistics: Arc::new(StreamStatistics::new(&config.id)),
            config,
            paused: watch::Sender::new(false),
            desk: Arc::default(),
            stop,
            refused: watch::Sender::new(None),
            ended: CancellationToken::new(),
            begun: AtomicBool::default(),
            store: AsyncMutex::default(),
            failure: Mutex::default(),
        }
    }

    /// Why the stream ended, if by an error.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True for the first call: then the line is to be run.
    pub fn begin(&self) -> bool {
        !self.begun.swap(true, Relaxed)
    }

    /// Stops the line, if it runs, and waits for its end.
    pub async fn finish(&self) {
        self.stop.cancel();
        if self.begin() {
            self.statistics.enter(StreamState::Stopped);
            self.desk.end();
            self.ended.cancel();
        } else {
            self.ended.cancelled().await;
        }
    }

    /// Waits until the line is at rest, or is to run again; one that was not begun is.
    pub async fn at_rest(&self) {
        if !self.begun.load(Relaxed) {
            return;
        }
        let (mut state, mut paused) = (self.statistics.watch(), self.paused.subscribe());
        tokio::select! {
            _ = state.wait_for(|state| *state == StreamState::Paused) => {}
            _ = paused.wait_for(|paused| !paused) => {}
            () = self.ended.cancelled() => {}
        }
    }

    /// Keeps the line running until the stream is stopped or fails for good.
    pub async fn run(self: Arc<Self>, shared: Arc<Shared>, policy: RestartPolicy, how: RunOptions) {
        let (statistics, paused) = (Arc::clone(&self.statistics), self.paused.subscribe());
        let supervisor = Supervisor::new(&policy, statistics, paused, self.stop.clone());
        let ended = supervisor
            .run(|halt| {
                let (reader, shared) = (Arc::clone(&self), Arc::clone(&shared));
                Box::pin(async move { reader.line(&shared, halt, how).await })
            })
            .await;
        if let Err(error) = ended {
            let stream = self.config.id.to_string();
            let (message, hint) = (error.to_string(), recovery::advice(&error));
            tracing::error!(stream, hint, "{message}");
            let failure = Failure { stream, message, hint };
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        }
        *self.store.lock().await = None;
        self.desk.end();
        self.ended.cancel();
    }

    /// Builds a line and runs it.
    async fn line(
        &self,
        shared: &Shared,
        halt: CancellationToken,
        how: RunOptions,
    ) -> Result<Ended, Error> {
        let line = tokio::select! {
            line = self.build(shared) => line?,
            () = halt.cancelled() => return Ok(Ended::Stopped),
        };
        let mut refused = self.refused.subscribe();
        let inner = halt.child_token();
        let mut running = Box::pin(line.run(inner.clone(), how));
        let refusal = tokio::select! {
            ended = &mut running => return ended,
            // The sender lives as long as the reader.
            refused = refused.wait_for(Option::is_some) => refused.ok().and_then(|text| text.clone()),
        };
        // What was committed before is stored.
        inner.cancel();
        running.await?;
        Err(refusal_of(refusal).into())
    }

    async fn build(&self, shared: &Shared) -> Result<Pipeline<Changes, Deliver>, Error> {
        let mut opened = self.store.lock().await;
        let store = if let Some(store) = &*opened {
            Arc::clone(store)
        } else {
            let store = shared.store(&self.config).await?;
            let statistics = Arc::clone(&self.statistics);
            Arc::clone(opened.insert(Arc::new(Noted { store, statistics })))
        };
        drop(opened);
        let parts = Parts {
            identity: Identity::of_reader(&self.config),
            store,
            stage: Deliver::new(Arc::clone(&self.desk)),
            // Who commits tells the ledger itself.
            receipts: mpsc::channel(1).1,
        };
        shared.line(&self.config, &self.statistics, parts).await
    }
}

/// The error that ends a stream whose caller could not take an event.
fn refusal_of(message: Option<String>) -> RecordError {
    RecordError {
        kind: RecordErrorKind::Refused,
        message: message.unwrap_or_default(),
        namespace: None,
        event_id: None,
    }
}
