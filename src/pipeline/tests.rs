use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::*;
use crate::checkpoint::{MemoryStore, Stored};
use crate::config::{Environment, from_value};
use crate::error::{
    CheckpointError, CheckpointErrorKind, PublishError, PublishErrorKind, SourceError,
};
use crate::event::{Batch, Message};
use crate::source::Cluster;

const TIME: Timestamp = Timestamp { time: 1, increment: 1 };

/// An idle source: one empty reply, and the line is told to stop when it is asked for another.
struct Idle {
    stop: CancellationToken,
    reply: Option<Batch>,
}

impl Idle {
    fn new(stop: &CancellationToken) -> Self {
        let position = Position::OperationTime(Timestamp { time: 2, increment: 1 });
        let reply = Batch::new(Bytes::new(), Vec::new(), Some(position), false);
        Self { stop: stop.clone(), reply: Some(reply) }
    }
}

impl Source for Idle {
    async fn connect(&mut self) -> Result<Cluster, SourceError> {
        Ok(Cluster { replica_set: "rs0".into(), operation_time: TIME })
    }

    async fn open(&mut self, _start: StartAt) -> Result<Position, SourceError> {
        Ok(Position::OperationTime(TIME))
    }

    async fn next_batch(&mut self) -> Result<Batch, SourceError> {
        if let Some(reply) = self.reply.take() {
            return Ok(reply);
        }
        self.stop.cancel();
        pending().await
    }
}

/// A sink that never gets a message, and flushes with this result.
struct Unused(Result<(), PublishError>);

impl Sink for Unused {
    async fn publish(&mut self, _: Vec<Message>, _: bool) -> Result<(), PublishError> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), PublishError> {
        self.0.clone()
    }
}

fn gives_up() -> PublishError {
    PublishError { kind: PublishErrorKind::Auth, message: "not allowed".into(), sequence: None }
}

/// A sink of two topics, of which one gives up during the drain.
struct OneTopicFails {
    receipts: mpsc::Sender<Receipt>,
    /// Whether the other topic never answers again.
    hangs: bool,
    flushed: Arc<AtomicBool>,
}

impl Sink for OneTopicFails {
    async fn publish(&mut self, _: Vec<Message>, _: bool) -> Result<(), PublishError> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), PublishError> {
        self.receipts.send(Receipt::Failed(gives_up())).await.unwrap();
        if self.hangs {
            pending::<()>().await;
        }
        // More than the channel takes: somebody goes on receiving.
        for _ in 0..5 {
            self.receipts.send(Receipt::Published(Vec::new())).await.unwrap();
        }
        self.flushed.store(true, Relaxed);
        Err(gives_up())
    }
}

/// A store that takes the opening position and then answers no more.
struct Hangs(AtomicBool);

impl CheckpointStore for Hangs {
    fn read(&self) -> BoxFuture<'_, Result<Option<Stored>, CheckpointError>> {
        Box::pin(async { Ok(None) })
    }

    fn store<'a>(&'a self, _: &'a Checkpoint) -> BoxFuture<'a, Result<(), CheckpointError>> {
        if self.0.swap(true, Relaxed) { Box::pin(pending()) } else { Box::pin(async { Ok(()) }) }
    }

    fn clear(&self) -> BoxFuture<'_, Result<(), CheckpointError>> {
        Box::pin(async { Ok(()) })
    }
}

async fn run(
    sink: impl Sink,
    receipts: mpsc::Receiver<Receipt>,
    store: Arc<dyn CheckpointStore>,
) -> Result<Ended, Error> {
    let stop = CancellationToken::new();
    let config = json!({
        "mongodb": { "connections": { "main": {
            "uri": "mongodb://localhost",
            "sources": { "orders": { "database": "shop", "collection": "orders" } },
        } } },
        "gcp": { "project_id": "p" },
        "pubsub": { "topics": { "default": { "name": "shop-changes" } } },
        "checkpoint": { "store": "memory" },
    });
    let config = from_value(config, &Environment::new()).unwrap().config;
    let stream = &config.streams().unwrap()[0];
    let line = Pipeline {
        identity: Identity {
            stream: "main.orders".into(),
            scope: "collection shop.orders".into(),
            replica_set: String::new(),
            ordering: "none".into(),
        },
        source: Idle::new(&stop),
        start: StartAt::Latest,
        stage: Publish { transform: Transform::compile(&config, stream).unwrap(), sink },
        receipts,
        store,
        intervals: checkpoint::Intervals {
            interval: Duration::from_secs(1),
            idle_interval: Duration::from_secs(30),
        },
        budget: Budget::new(1, 1),
        statistics: Arc::default(),
    };
    let options = RunOptions {
        until_caught_up: false,
        accept_lane_change: false,
        drain_timeout: Duration::from_secs(30),
    };
    line.run(stop, options).await
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_gives_up_during_the_drain_is_an_error() {
    let store = Arc::new(MemoryStore::default());
    let ended = run(Unused(Err(gives_up())), mpsc::channel(1).1, store).await;
    assert!(matches!(ended, Err(Error::Publish(_))), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_fails_during_the_drain_does_not_end_it_for_the_others() {
    for hangs in [false, true] {
        let started = Instant::now();
        let (sender, receipts) = mpsc::channel(1);
        let flushed = Arc::new(AtomicBool::default());
        let sink = OneTopicFails { receipts: sender, hangs, flushed: Arc::clone(&flushed) };
        let ended = run(sink, receipts, Arc::new(MemoryStore::default())).await;
        assert!(matches!(ended, Err(Error::Publish(_))), "{ended:?}");
        assert_eq!(flushed.load(Relaxed), !hangs);
        assert!((started.elapsed() >= Duration::from_secs(30)) == hangs);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_holds_the_end_back_until_the_deadline_only() {
    let started = Instant::now();
    let store = Arc::new(Hangs(AtomicBool::default()));
    let ended = run(Unused(Ok(())), mpsc::channel(1).1, store).await;
    let Err(Error::Checkpoint(error)) = ended else { panic!("{ended:?}") };
    assert_eq!(error.kind, CheckpointErrorKind::Unreachable);
    // The drain's time, to the millisecond that a timer is precise to.
    let took = started.elapsed();
    assert!(took.abs_diff(Duration::from_secs(30)) < Duration::from_millis(5), "{took:?}");
}
