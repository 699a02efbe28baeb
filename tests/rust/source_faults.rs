//! What is waited out and what is not, with the faults of a real mongod.

use std::sync::LazyLock;
use std::time::Duration;

use futures_util::FutureExt;
use mongo_gcp_stream::error::{SourceError, SourceErrorKind};
use mongo_gcp_stream::event::Position;
use mongo_gcp_stream::source::{ChangeStream, Prefetch, Source, StartAt};
use mongodb::bson::{Document, doc};
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};

use crate::support::mongod::Mongod;
use crate::{Bench, events, ids, kill_cursors, read_ids};

/// The server has one `failCommand`, so that tests with it take turns.
static FAIL_COMMAND: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);

/// A bench whose commands fail on demand, and only its own.
struct Faults {
    bench: Bench,
    _turn: MutexGuard<'static, ()>,
}

impl Faults {
    async fn new() -> Self {
        let turn = FAIL_COMMAND.lock().await;
        let server = crate::support::mongod::shared().await;
        // The server is marked unknown for a state change that is made up; it is looked at again
        // soon. A real change would show by itself.
        let client = server.client_with("appName=faults&heartbeatFrequencyMS=500").await;
        Self { bench: Bench::on(client), _turn: turn }
    }

    /// Lets the next `times` of these commands fail.
    async fn fail(&self, commands: &[&str], times: i32, how: Document) {
        let mut data = doc! { "failCommands": commands, "appName": "faults" };
        data.extend(how);
        let command = doc! { "configureFailPoint": "failCommand", "mode": { "times": times },
        "data": data };
        self.bench.client.database("admin").run_command(command).await.unwrap();
    }

    /// A stream that has delivered an event, and the position before a second one.
    async fn running(&self) -> ChangeStream {
        let mut stream = self.bench.latest(json!({})).await;
        self.bench.insert(0..1).await;
        assert_eq!(read_ids(&mut stream, 1).await, [0]);
        self.bench.orders.delete_many(doc! {}).await.unwrap();
        assert_eq!(read_ids(&mut stream, 1).await, [0]);
        stream
    }

    /// The error that a running stream ends with after this fault of `getMore`.
    async fn error_of_get_more(&self, code: i32) -> SourceError {
        let mut stream = self.running().await;
        self.fail(&["getMore"], 1, doc! { "errorCode": code }).await;
        loop {
            if let Err(error) = stream.next_batch().await {
                return error;
            }
        }
    }

    /// The error that opening at a good token ends with when `aggregate` fails once.
    async fn error_of_opening(&self, code: i32) -> SourceError {
        let position = self.bench.stream(json!({})).open(StartAt::Latest).await.unwrap();
        assert!(matches!(position, Position::Token(_)));
        self.error_of_opening_at(position, code).await
    }

    async fn error_of_opening_at(&self, position: Position, code: i32) -> SourceError {
        self.fail(&["aggregate"], 1, doc! { "errorCode": code }).await;
        self.bench.stream(json!({})).open(StartAt::Position(position)).await.unwrap_err()
    }

    /// Nothing is lost or doubled by a fault of a running stream.
    async fn is_waited_out(&self, commands: &[&str], times: i32, how: Document) {
        let mut stream = self.running().await;
        self.fail(commands, times, how).await;
        self.bench.insert(1..20).await;
        assert_eq!(read_ids(&mut stream, 19).await, (1..20).collect::<Vec<_>>());
    }
}

fn resumable(code: i32) -> Document {
    doc! { "errorCode": code, "errorLabels": ["ResumableChangeStreamError"] }
}

#[tokio::test]
async fn history_lost_is_final() {
    let faults = Faults::new().await;
    let error = faults.error_of_get_more(286).await;
    assert_eq!((error.kind, error.code), (SourceErrorKind::HistoryLost, Some(286)));
    let error = faults.error_of_opening(286).await;
    assert_eq!((error.kind, error.code), (SourceErrorKind::HistoryLost, Some(286)));
    let time = faults.bench.stream(json!({})).connect().await.unwrap().operation_time;
    let error = faults.error_of_opening_at(Position::OperationTime(time), 286).await;
    assert_eq!((error.kind, error.code), (SourceErrorKind::HistoryLost, Some(286)));
    assert_eq!(faults.bench.retries(), 0);
}

#[tokio::test]
async fn a_fatal_error_is_history_lost_at_opening_and_a_wrong_pipeline_later() {
    let faults = Faults::new().await;
    let error = faults.error_of_get_more(280).await;
    assert_eq!((error.kind, error.code), (SourceErrorKind::Query, Some(280)));
    assert!(error.message.contains("_id"), "{error}");
    let error = faults.error_of_opening(280).await;
    assert_eq!((error.kind, error.code), (SourceErrorKind::HistoryLost, Some(280)));
}

#[tokio::test]
async fn an_oversized_event_is_final_and_stands_after_the_position() {
    let faults = Faults::new().await;
    let error = faults.error_of_get_more(10334).await;
    assert_eq!((error.kind, error.code), (SourceErrorKind::Oversize, Some(10334)));
    let error = faults.error_of_opening(10334).await;
    assert_eq!((error.kind, error.code), (SourceErrorKind::Oversize, Some(10334)));
}

#[tokio::test]
async fn elections_are_waited_out() {
    let faults = Faults::new().await;
    for code in [91, 189] {
        let before = faults.bench.retries();
        faults.is_waited_out(&["getMore"], 1, resumable(code)).await;
        assert_eq!(faults.bench.retries(), before + 1);
        faults.bench.orders.delete_many(doc! {}).await.unwrap();
    }
}

#[tokio::test]
async fn a_failing_reopening_is_waited_out() {
    let faults = Faults::new().await;
    faults.is_waited_out(&["getMore", "aggregate"], 6, resumable(91)).await;
    assert!(faults.bench.retries() >= 3, "{}", faults.bench.retries());
}

#[tokio::test]
async fn a_closed_connection_is_waited_out() {
    let faults = Faults::new().await;
    faults.is_waited_out(&["getMore"], 2, doc! { "closeConnection": true }).await;
    assert!(faults.bench.retries() >= 1);
}

#[tokio::test]
async fn a_slow_server_is_waited_for() {
    let faults = Faults::new().await;
    let how = doc! { "blockConnection": true, "blockTimeMS": 300 };
    faults.is_waited_out(&["getMore"], 2, how).await;
    assert_eq!(faults.bench.retries(), 0);
}

#[tokio::test]
async fn an_election_during_the_first_opening_is_waited_out() {
    let faults = Faults::new().await;
    // The driver retries a read once by itself.
    faults.fail(&["aggregate"], 3, resumable(189)).await;
    let mut stream = faults.bench.latest(json!({})).await;
    assert!(faults.bench.retries() >= 1);
    faults.bench.insert(0..1).await;
    assert_eq!(read_ids(&mut stream, 1).await, [0]);
}

#[tokio::test]
async fn a_killed_cursor_is_opened_again() {
    let bench = Bench::new().await;
    let mut stream = bench.latest(json!({})).await;
    bench.insert(0..1).await;
    assert_eq!(read_ids(&mut stream, 1).await, [0]);
    assert_eq!(kill_cursors(&bench).await, 1);
    bench.insert(1..4).await;
    assert_eq!(read_ids(&mut stream, 3).await, [1, 2, 3]);
    assert_eq!(bench.retries(), 1);
}

/// Without a token so far, what stands in for one is the time that the stream was opened at.
#[tokio::test]
async fn a_cursor_killed_before_the_first_event_is_opened_again() {
    let bench = Bench::new().await;
    bench.insert(0..1).await;
    let mut stream = bench.stream(json!({ "batch_size": 1 }));
    let Position::OperationTime(_) = stream.open(StartAt::Earliest).await.unwrap() else {
        panic!("earliest opens at a time");
    };
    assert_eq!(kill_cursors(&bench).await, 1);
    bench.insert(1..3).await;
    assert_eq!(read_ids(&mut stream, 3).await, [0, 1, 2]);
}

#[tokio::test]
async fn a_killed_server_is_waited_for() {
    let mut server = Mongod::replica_set().await;
    let bench = Bench::on(server.client().await);
    let mut stream = Prefetch::new(bench.stream(json!({})));
    stream.open(StartAt::Latest).await.unwrap();
    bench.insert(0..3).await;
    assert_eq!(read_ids(&mut stream, 3).await, [0, 1, 2]);
    server.kill();
    server.start_again().await;
    bench.insert(3..6).await;
    assert_eq!(read_ids(&mut stream, 3).await, [3, 4, 5]);
    assert!(bench.retries() >= 1);
}

/// Connections that stay open and carry nothing: the driver gives them up when its monitor does.
#[tokio::test]
async fn a_frozen_server_is_noticed() {
    let mut server = Mongod::replica_set().await;
    let bench = Bench::on(
        server.client_with("connectTimeoutMS=500&heartbeatFrequencyMS=500&w=majority").await,
    );
    let mut stream = bench.latest(json!({})).await;
    bench.insert(0..1).await;
    assert_eq!(read_ids(&mut stream, 1).await, [0]);
    server.freeze();
    while bench.retries() == 0 {
        let waited = tokio::time::timeout(Duration::from_millis(100), stream.next_batch()).await;
        assert!(waited.is_err() || waited.unwrap().unwrap().is_empty());
    }
    server.thaw();
    bench.insert(1..3).await;
    assert_eq!(read_ids(&mut stream, 2).await, [1, 2]);
}

/// Calls that are dropped before they end, while cursors are killed: nothing lost or doubled.
#[tokio::test]
async fn dropped_calls_lose_nothing() {
    let all: Vec<i32> = (0..400).collect();
    let bench = Bench::new().await;
    let mut stream = bench.latest(json!({ "batch_size": 7 })).await;
    let (orders, ids_to_insert) = (bench.orders.clone(), all.clone());
    let writer = tokio::spawn(async move {
        for id in ids_to_insert {
            orders.insert_one(doc! { "_id": id }).await.unwrap();
        }
    });
    let (mut seen, mut dropped) = (Vec::new(), 0_u32);
    while seen.len() < all.len() {
        match stream.next_batch().now_or_never() {
            Some(batch) => seen.extend(ids(&events(&batch.unwrap()))),
            None => dropped += 1,
        }
        if dropped.is_multiple_of(1000) {
            kill_cursors(&bench).await;
        }
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
    assert_eq!(seen, all);
    assert!(dropped > 100 && bench.retries() > 0, "{dropped} dropped, {}", bench.retries());
}

/// The reader does not wait for the one who works on its batches.
#[tokio::test]
async fn read_ahead_delivers_the_same() {
    let bench = Bench::new().await;
    let mut stream = Prefetch::new(bench.stream(json!({ "batch_size": 10 })));
    stream.open(StartAt::Latest).await.unwrap();
    bench.insert(0..500).await;
    assert_eq!(read_ids(&mut stream, 500).await, (0..500).collect::<Vec<_>>());
}
