//! The change stream source against a real mongod.

mod source_access;
mod source_capture;
mod source_faults;
mod source_oversize;
mod source_positions;
mod source_schema;
mod source_start;
mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use mongo_gcp_stream::config::{Capture, SourceConfig};
use mongo_gcp_stream::event::{Batch, Position};
use mongo_gcp_stream::flow::BackoffPolicy;
use mongo_gcp_stream::source::{ChangeStream, Source, StartAt};
use mongo_gcp_stream::telemetry::StreamStatistics;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::{Client, Collection, Database};
use serde_json::{Value, json};

/// A database of its own on the shared server, and streams of it.
struct Bench {
    client: Client,
    database: Database,
    orders: Collection<Document>,
    statistics: Arc<StreamStatistics>,
}

static DATABASES: AtomicU32 = AtomicU32::new(0);

impl Bench {
    async fn new() -> Self {
        Self::on(support::mongod::shared().await.client().await)
    }

    fn on(client: Client) -> Self {
        let name = format!("shop{}", DATABASES.fetch_add(1, Relaxed));
        let database = client.database(&name);
        let orders = database.collection("orders");
        Self { client, database, orders, statistics: Arc::default() }
    }

    fn capture(&self) -> Capture {
        Capture::Collection(self.database.name().into(), "orders".into())
    }

    /// A stream of `orders` with these keys of a source.
    #[expect(clippy::needless_pass_by_value, reason = "reads better with json! at the call")]
    fn stream(&self, config: Value) -> ChangeStream {
        self.stream_of(self.capture(), &config)
    }

    fn stream_of(&self, capture: Capture, config: &Value) -> ChangeStream {
        self.stream_without(capture, config, None)
    }

    /// The same without a namespace of the program's own.
    fn stream_without(
        &self,
        capture: Capture,
        config: &Value,
        excluded: Option<(String, String)>,
    ) -> ChangeStream {
        let mut keys = json!({ "max_await_time_ms": 50 });
        keys.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        let source: SourceConfig = serde_json::from_value(keys).unwrap();
        let backoff = BackoffPolicy::new(2.0, Duration::from_millis(200));
        let statistics = Arc::clone(&self.statistics);
        ChangeStream::new(self.client.clone(), capture, &source, excluded, &backoff, statistics)
            .unwrap()
    }

    /// A stream of `orders` that is open from now on.
    async fn latest(&self, config: Value) -> ChangeStream {
        let mut stream = self.stream(config);
        stream.open(StartAt::Latest).await.unwrap();
        stream
    }

    async fn insert(&self, ids: std::ops::Range<i32>) {
        let documents = ids.map(|id| doc! { "_id": id, "n": i64::from(id) });
        self.orders.insert_many(documents).await.unwrap();
    }

    fn retries(&self) -> u64 {
        self.statistics.snapshot().retries
    }
}

/// The events of a batch, decoded.
fn events(batch: &Batch) -> Vec<Document> {
    batch.events().map(|event| mongodb::bson::deserialize_from_slice(event).unwrap()).collect()
}

/// Reads until `count` events have come.
async fn read(stream: &mut impl Source, count: usize) -> Vec<Document> {
    let mut all = Vec::new();
    let reading = async {
        while all.len() < count {
            all.extend(events(&stream.next_batch().await.unwrap()));
        }
    };
    // A guard against a hanging test, nothing that is measured.
    tokio::time::timeout(Duration::from_mins(1), reading).await.expect("the events come");
    all
}

/// Reads until `count` events have come: the `_id`s of their documents.
async fn read_ids(stream: &mut impl Source, count: usize) -> Vec<i32> {
    ids(&read(stream, count).await)
}

fn ids(events: &[Document]) -> Vec<i32> {
    let id = |event: &Document| event.get_document("documentKey").unwrap().get_i32("_id").unwrap();
    events.iter().map(id).collect()
}

fn operations(events: &[Document]) -> Vec<&str> {
    events.iter().map(|event| event.get_str("operationType").unwrap()).collect()
}

/// The position directly after an event.
fn after(event: &Document) -> StartAt {
    let token = RawDocumentBuf::try_from(event.get_document("_id").unwrap()).unwrap();
    StartAt::Position(Position::Token(token))
}

/// What the server tells of the cursors that lie idle on `database`.
async fn idle_operations(client: &Client, database: &Database) -> Vec<Document> {
    use futures_util::TryStreamExt;
    let namespace = format!("{}.orders", database.name());
    let pipeline = [
        doc! { "$currentOp": { "idleCursors": true } },
        doc! { "$match": { "ns": namespace, "type": "idleCursor" } },
    ];
    let operations = client.database("admin").aggregate(pipeline).await.unwrap();
    operations.try_collect().await.unwrap()
}

/// Ids of the cursors that lie idle on `database`.
async fn idle_cursors(client: &Client, database: &Database) -> HashSet<i64> {
    let operations = idle_operations(client, database).await;
    let id = |operation: &Document| operation.get_document("cursor")?.get_i64("cursorId");
    operations.iter().map(|operation| id(operation).unwrap()).collect()
}

/// Kills what [`idle_cursors`] finds, as an operator would.
async fn kill_cursors(bench: &Bench) -> usize {
    let cursors: Vec<i64> =
        idle_cursors(&bench.client, &bench.database).await.into_iter().collect();
    let count = cursors.len();
    if count > 0 {
        let command = doc! { "killCursors": "orders", "cursors": cursors };
        bench.database.run_command(command).await.unwrap();
    }
    count
}
