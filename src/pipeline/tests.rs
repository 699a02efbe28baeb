use serde_json::json;

use super::*;
use crate::checkpoint::MemoryStore;
use crate::error::{PublishError, PublishErrorKind, SourceError};
use crate::event::{Batch, Message, StreamId};
use crate::source::Cluster;

const TIME: Timestamp = Timestamp { time: 1, increment: 1 };

/// An idle source; the line is told to stop when it is first asked for a batch.
struct Idle(CancellationToken);

impl Source for Idle {
    async fn connect(&mut self) -> Result<Cluster, SourceError> {
        Ok(Cluster { replica_set: "rs0".into(), operation_time: TIME })
    }

    async fn open(&mut self, _start: StartAt) -> Result<Position, SourceError> {
        Ok(Position::OperationTime(TIME))
    }

    async fn next_batch(&mut self) -> Result<Batch, SourceError> {
        self.0.cancel();
        std::future::pending().await
    }
}

/// A sink that gives up during the flush, before a receipt says so.
struct GivesUp;

impl Sink for GivesUp {
    async fn publish(&mut self, _: Vec<Message>, _: bool) -> Result<(), PublishError> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), PublishError> {
        Err(PublishError {
            kind: PublishErrorKind::Auth,
            message: "not allowed".into(),
            sequence: None,
        })
    }
}

#[tokio::test]
async fn a_sink_that_gives_up_during_the_drain_is_an_error() {
    let stop = CancellationToken::new();
    let pubsub = json!({ "topics": { "default": { "name": "shop-changes" } } });
    let pubsub = serde_json::from_value(pubsub).unwrap();
    let line = Pipeline {
        identity: Identity {
            stream: "main.orders".into(),
            scope: "collection shop.orders".into(),
            replica_set: String::new(),
            ordering: "none".into(),
        },
        source: Idle(stop.clone()),
        start: StartAt::Latest,
        transform: Transform::compile(&StreamId::new("main", "orders"), &pubsub).unwrap(),
        sink: GivesUp,
        receipts: mpsc::channel(1).1,
        store: Arc::new(MemoryStore::default()),
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
    let ended = line.run(stop, options).await;
    assert!(matches!(ended, Err(Error::Publish(_))), "{ended:?}");
}
