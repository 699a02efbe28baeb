//! Positions: unusable ones, invalidated ones, idle ones, and when a stream has caught up.

use mongo_gcp_stream::config::{Secret, Startup};
use mongo_gcp_stream::error::{SourceError, SourceErrorKind};
use mongo_gcp_stream::event::Position;
use mongo_gcp_stream::source::{CaughtUp, ChangeStream, Source, StartAt};
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use crate::{Bench, after, events, ids, kill_cursors, operations, read, read_ids};

fn data(token: &Document) -> String {
    token.get_document("_id").unwrap().get_str("_data").unwrap().to_owned()
}

/// The token of an event of `bench`.
async fn token_of_an_event(bench: &Bench) -> String {
    let mut stream = bench.latest(json!({})).await;
    bench.orders.insert_one(doc! { "secret": "hunter2" }).await.unwrap();
    data(&read(&mut stream, 1).await[0])
}

async fn open_at(bench: &Bench, token: &str, config: Value) -> Result<Position, SourceError> {
    let start = StartAt::from_config(&Startup::Token(Secret::new(token))).unwrap();
    let opened = bench.stream(config).open(start).await;
    if let (Err(error), Some(head)) = (&opened, token.get(..10)) {
        assert!(!format!("{error} {error:?}").contains(head));
    }
    opened
}

async fn refusal(bench: &Bench, token: &str) -> SourceError {
    open_at(bench, token, json!({})).await.unwrap_err()
}

#[tokio::test]
async fn damaged_tokens_are_invalid_positions() {
    let bench = Bench::new().await;
    let token = token_of_an_event(&bench).await;
    for damaged in ["certainly not a token", &token[..token.len() / 2], &token[..10], ""] {
        assert_eq!(refusal(&bench, damaged).await.kind, SourceErrorKind::InvalidPosition);
    }
}

/// The same token from years ago: the oplog begins after it.
fn aged(token: &str) -> String {
    format!("82{:08x}{}", 1_000_000_000, &token[10..])
}

#[tokio::test]
async fn an_aged_token_is_history_lost() {
    let bench = Bench::new().await;
    let token = aged(&token_of_an_event(&bench).await);
    let error = refusal(&bench, &token).await;
    assert_eq!(error.kind, SourceErrorKind::HistoryLost, "{error}");
    let stages = json!({ "pipeline": [{ "$match": { "operationType": "insert" } }] });
    let error = open_at(&bench, &token, stages).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::HistoryLost, "{error}");
}

/// The server does not notice: that is what the identity in a checkpoint is for.
#[tokio::test]
async fn a_foreign_token_opens() {
    let (bench, other) = (Bench::new().await, Bench::new().await);
    let token = token_of_an_event(&other).await;
    assert!(open_at(&bench, &token, json!({})).await.is_ok());
}

#[tokio::test]
async fn a_wrong_stage_is_named_also_with_a_token() {
    let bench = Bench::new().await;
    let token = token_of_an_event(&bench).await;
    let wrong = || json!({ "pipeline": [{ "$match": { "$mtach": 1 } }] });
    let with_token = open_at(&bench, &token, wrong()).await.unwrap_err();
    let without = bench.stream(wrong()).open(StartAt::Latest).await.unwrap_err();
    for error in [with_token, without] {
        assert_eq!(error.kind, SourceErrorKind::Query);
        assert!(error.message.contains("$mtach"), "{error}");
    }
}

#[tokio::test]
async fn a_pipeline_that_fails_on_an_event_is_a_query_error_without_the_value() {
    let bench = Bench::new().await;
    let mut stream = bench.stream(json!({}));
    let StartAt::Position(position) =
        StartAt::Position(stream.open(StartAt::Latest).await.unwrap())
    else {
        unreachable!()
    };
    bench.orders.insert_one(doc! { "secret": "hunter2" }).await.unwrap();
    let convert = json!({ "$addFields": { "number": { "$toInt": "$fullDocument.secret" } } });
    let drop_id = json!({ "$set": { "_id": { "$cond": [true, "$$REMOVE", "$_id"] } } });
    for stage in [convert, drop_id] {
        let mut stream = bench.stream(json!({ "pipeline": [stage] }));
        let error = stream.open(StartAt::Position(position.clone())).await.unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Query, "{error}");
        assert!(error.code.is_some() && !error.message.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_pipeline_that_drops_the_token_is_a_query_error_at_the_first_event() {
    let bench = Bench::new().await;
    // Not to be told before the server evaluates it.
    let drop_id = json!({ "$set": { "_id": { "$cond": [true, "$$REMOVE", "$_id"] } } });
    let mut stream = bench.latest(json!({ "pipeline": [drop_id] })).await;
    bench.insert(0..1).await;
    let error = loop {
        match stream.next_batch().await {
            Ok(batch) => assert!(batch.is_empty()),
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind, error.code), (SourceErrorKind::Query, Some(280)));
    assert!(error.message.contains("_id"), "{error}");
}

/// An update that is sent twice, as change and as document, is over 16 MiB. The position stays
/// before it, so that a pipeline that drops the document gets through.
#[tokio::test]
async fn an_oversized_event_can_be_passed_with_another_pipeline() {
    let bench = Bench::new().await;
    let mut stream = bench.stream(json!({}));
    let mut position = stream.open(StartAt::Latest).await.unwrap();
    bench.insert(0..1).await;
    let large = "x".repeat(9_000_000);
    bench.orders.update_one(doc! {}, doc! { "$set": { "large": large } }).await.unwrap();
    bench.insert(1..2).await;
    let (error, seen) = loop {
        match stream.next_batch().await {
            Ok(batch) => position = batch.post_batch.unwrap(),
            Err(error) => break (error, position),
        }
    };
    assert_eq!((error.kind, error.code), (SourceErrorKind::Oversize, Some(10334)));
    let config = json!({ "pipeline": [{ "$project": { "fullDocument": 0 } }] });
    let mut stream = bench.stream(config);
    stream.open(StartAt::Position(seen)).await.unwrap();
    let rest = read(&mut stream, 2).await;
    assert_eq!(operations(&rest[rest.len() - 2..]), ["update", "insert"]);
}

#[tokio::test]
async fn a_missing_required_image_is_a_query_error() {
    let bench = Bench::new().await;
    bench.insert(0..1).await;
    let position = bench.stream(json!({})).open(StartAt::Latest).await.unwrap();
    bench.orders.update_one(doc! {}, doc! { "$set": { "n": 1 } }).await.unwrap();
    let mut stream = bench.stream(json!({ "full_document": "required" }));
    let error = stream.open(StartAt::Position(position)).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Query, "{error}");
}

/// Drop, insert into the new collection, and only then read on.
async fn drop_and_refill(bench: &Bench) {
    bench.insert(0..2).await;
    bench.orders.drop().await.unwrap();
    bench.insert(2..4).await;
}

#[tokio::test]
async fn a_visible_invalidate_is_passed_on_and_survived() {
    let bench = Bench::new().await;
    let mut stream = bench.latest(json!({})).await;
    drop_and_refill(&bench).await;
    let events = read(&mut stream, 6).await;
    let expected = ["insert", "insert", "drop", "invalidate", "insert", "insert"];
    assert_eq!(operations(&events), expected);
    assert_eq!(bench.retries(), 0);
}

#[tokio::test]
async fn a_hidden_invalidate_leaves_no_gap() {
    let bench = Bench::new().await;
    let inserts = json!({ "pipeline": [{ "$match": { "operationType": "insert" } }] });
    let mut stream = bench.latest(inserts).await;
    drop_and_refill(&bench).await;
    assert_eq!(read_ids(&mut stream, 4).await, [0, 1, 2, 3]);
}

/// A crash between the hidden invalidate and the reopening: the stored position goes on from there.
#[tokio::test]
async fn the_position_after_a_hidden_invalidate_can_be_stored() {
    let bench = Bench::new().await;
    let inserts = || json!({ "pipeline": [{ "$match": { "operationType": "insert" } }] });
    let mut crashed = bench.latest(inserts()).await;
    drop_and_refill(&bench).await;
    let (mut seen, mut position) = (Vec::new(), None);
    while seen.len() < 2 {
        let batch = crashed.next_batch().await.unwrap();
        seen.extend(ids(&events(&batch)));
        position = batch.post_batch;
    }
    drop(crashed);
    assert_eq!(seen, [0, 1]);
    let mut stream = bench.stream(inserts());
    stream.open(StartAt::Position(position.unwrap())).await.unwrap();
    assert_eq!(read_ids(&mut stream, 2).await, [2, 3]);
}

#[tokio::test]
async fn a_renamed_and_recreated_collection_goes_on() {
    let bench = Bench::new().await;
    let mut stream = bench.latest(json!({})).await;
    bench.insert(0..1).await;
    let name = |collection: &str| format!("{}.{collection}", bench.database.name());
    let rename = doc! { "renameCollection": name("orders"), "to": name("archive") };
    bench.client.database("admin").run_command(rename).await.unwrap();
    bench.insert(1..2).await;
    let events = read(&mut stream, 4).await;
    assert_eq!(operations(&events), ["insert", "rename", "invalidate", "insert"]);
}

#[tokio::test]
async fn idle_replies_move_the_position() {
    let bench = Bench::new().await;
    let mut stream = bench.stream(json!({}));
    let opened_at = stream.open(StartAt::Latest).await.unwrap().cluster_time();
    // The server's no-op writer moves it each second.
    let moved = loop {
        let batch = stream.next_batch().await.unwrap();
        assert!(batch.is_empty());
        if batch.post_batch.as_ref().unwrap().cluster_time() > opened_at {
            break batch.post_batch.unwrap();
        }
    };
    bench.insert(0..1).await;
    let mut stream = bench.stream(json!({}));
    stream.open(StartAt::Position(moved)).await.unwrap();
    assert_eq!(read_ids(&mut stream, 1).await, [0]);
}

/// Reads until the stream has caught up: the events until then.
async fn catch_up(stream: &mut ChangeStream) -> Vec<Document> {
    let caught_up = CaughtUp::new(stream.connect().await.unwrap().operation_time);
    let mut all = Vec::new();
    loop {
        let batch = stream.next_batch().await.unwrap();
        all.extend(events(&batch));
        if caught_up.observe(&batch) {
            return all;
        }
    }
}

#[tokio::test]
async fn idle_and_filtered_streams_catch_up() {
    let bench = Bench::new().await;
    let nothing = json!({ "pipeline": [{ "$match": { "operationType": "nothing" } }] });
    let mut idle = bench.latest(json!({})).await;
    let mut filtered = bench.latest(nothing).await;
    assert!(catch_up(&mut idle).await.is_empty());
    bench.insert(0..10).await;
    assert!(catch_up(&mut filtered).await.is_empty());
    assert_eq!(catch_up(&mut idle).await.len(), 10);
}

/// 250 events with one cluster time, in replies of 100.
async fn transaction(bench: &Bench) {
    bench.database.create_collection("orders").await.unwrap();
    let mut session = bench.client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    let documents = (0..250).map(|id| doc! { "_id": id });
    bench.orders.insert_many(documents).session(&mut session).await.unwrap();
    session.commit_transaction().await.unwrap();
}

#[tokio::test]
async fn a_transaction_is_caught_up_with_at_its_end_only() {
    let bench = Bench::new().await;
    let mut stream = bench.latest(json!({ "batch_size": 100 })).await;
    transaction(&bench).await;
    assert_eq!(catch_up(&mut stream).await.len(), 250);
}

#[tokio::test]
async fn a_transaction_is_resumed_in_its_midst() {
    let bench = Bench::new().await;
    let mut stream = bench.latest(json!({ "batch_size": 100 })).await;
    transaction(&bench).await;
    let mut seen = Vec::new();
    while seen.len() < 250 {
        let batch = stream.next_batch().await.unwrap();
        seen.extend(ids(&events(&batch)));
        if !batch.is_empty() {
            kill_cursors(&bench).await;
        }
    }
    assert_eq!(seen, (0..250).collect::<Vec<_>>());
    assert!(bench.retries() >= 2);
}

#[tokio::test]
async fn every_event_of_a_transaction_is_a_position() {
    let bench = Bench::new().await;
    let mut stream = bench.latest(json!({})).await;
    transaction(&bench).await;
    let events = read(&mut stream, 250).await;
    let mut stream = bench.stream(json!({}));
    stream.open(after(&events[120])).await.unwrap();
    assert_eq!(read_ids(&mut stream, 129).await, (121..250).collect::<Vec<_>>());
}
