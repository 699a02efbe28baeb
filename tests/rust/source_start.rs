//! Where a stream begins, and what it captures.

use futures_util::FutureExt;
use mongo_gcp_stream::config::{Capture, Startup};
use mongo_gcp_stream::event::Position;
use mongo_gcp_stream::source::{Source, StartAt};
use mongodb::bson::{Bson, doc};
use serde_json::json;

use crate::{Bench, after, events, operations, read, read_ids};

#[tokio::test]
async fn connect_names_the_replica_set_and_its_time() {
    let bench = Bench::new().await;
    let mut stream = bench.stream(json!({}));
    let before = stream.connect().await.unwrap();
    bench.insert(0..1).await;
    let after = stream.connect().await.unwrap();
    assert_eq!(before.replica_set, "rs0");
    assert!(after.operation_time > before.operation_time);
}

#[tokio::test]
async fn latest_delivers_what_is_committed_after_open() {
    let bench = Bench::new().await;
    bench.insert(0..2).await;
    let mut stream = bench.latest(json!({})).await;
    bench.insert(2..5).await;
    assert_eq!(read_ids(&mut stream, 3).await, [2, 3, 4]);
}

/// A crash between opening and the first event loses nothing: the position is concrete.
#[tokio::test]
async fn the_opening_position_is_enough_to_start_again() {
    let bench = Bench::new().await;
    let mut crashed = bench.stream(json!({}));
    let position = crashed.open(StartAt::Latest).await.unwrap();
    assert!(position.cluster_time().is_some());
    drop(crashed);
    bench.insert(0..100).await;
    let mut stream = bench.stream(json!({}));
    let start = StartAt::Position(position.clone());
    assert_eq!(stream.open(start).await, Ok(position));
    assert_eq!(read_ids(&mut stream, 100).await, (0..100).collect::<Vec<_>>());
}

/// While others write, the opening position replays at least what the stream delivered.
#[tokio::test]
async fn latest_amid_writes_opens_before_its_first_event() {
    let bench = Bench::new().await;
    let orders = bench.orders.clone();
    let writer = tokio::spawn(async move {
        for id in 0..300 {
            orders.insert_one(doc! { "_id": id }).await.unwrap();
        }
    });
    for _ in 0..5 {
        let mut stream = bench.stream(json!({}));
        let position = stream.open(StartAt::Latest).await.unwrap();
        let delivered = read_ids(&mut stream, 5).await;
        let mut again = bench.stream(json!({}));
        again.open(StartAt::Position(position)).await.unwrap();
        let replayed = read_ids(&mut again, 5).await;
        assert!(replayed.windows(2).all(|pair| pair[0] + 1 == pair[1]));
        assert!(replayed[0] <= delivered[0]);
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn earliest_delivers_what_the_oplog_holds() {
    let bench = Bench::new().await;
    bench.insert(0..50).await;
    let mut stream = bench.stream(json!({}));
    let position = stream.open(StartAt::Earliest).await.unwrap();
    assert!(matches!(position, Position::OperationTime(_)));
    assert_eq!(read_ids(&mut stream, 50).await, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_operation_time_is_inclusive() {
    let bench = Bench::new().await;
    let mut stream = bench.latest(json!({})).await;
    for id in 0..3 {
        bench.orders.insert_one(doc! { "_id": id }).await.unwrap();
    }
    let second = &read(&mut stream, 3).await[1];
    let time = second.get_timestamp("clusterTime").unwrap();
    let mut stream = bench.stream(json!({}));
    stream.open(StartAt::Position(Position::OperationTime(time))).await.unwrap();
    assert_eq!(read_ids(&mut stream, 2).await, [1, 2]);
}

#[tokio::test]
async fn a_timestamp_of_the_configuration_starts_in_its_second() {
    let bench = Bench::new().await;
    let cluster = bench.stream(json!({})).connect().await.unwrap();
    let second = jiff::Timestamp::from_second(cluster.operation_time.time.into()).unwrap();
    bench.insert(0..3).await;
    let mut stream = bench.stream(json!({}));
    let start = StartAt::from_config(&Startup::Timestamp(second.to_string())).unwrap();
    stream.open(start).await.unwrap();
    assert_eq!(read_ids(&mut stream, 3).await, [0, 1, 2]);
}

#[tokio::test]
async fn a_token_starts_after_its_event() {
    let bench = Bench::new().await;
    let mut stream = bench.latest(json!({})).await;
    bench.insert(0..3).await;
    let first = &read(&mut stream, 3).await[0];
    let mut stream = bench.stream(json!({}));
    stream.open(after(first)).await.unwrap();
    assert_eq!(read_ids(&mut stream, 2).await, [1, 2]);
}

#[tokio::test]
async fn wider_scopes_see_their_collections() {
    let (bench, other) = (Bench::new().await, Bench::new().await);
    let mut database = bench.stream_of(Capture::Database(bench.database.name().into()), &json!({}));
    let names = [bench.database.name(), other.database.name()];
    let only_ours = json!({ "pipeline": [{ "$match": { "ns.db": { "$in": names } } }] });
    let mut deployment = bench.stream_of(Capture::Deployment, &only_ours);
    database.open(StartAt::Latest).await.unwrap();
    deployment.open(StartAt::Latest).await.unwrap();
    bench.insert(0..1).await;
    other.insert(1..2).await;
    bench.database.collection("returns").insert_one(doc! { "_id": 2 }).await.unwrap();
    assert_eq!(read_ids(&mut database, 2).await, [0, 2]);
    assert_eq!(read_ids(&mut deployment, 3).await, [0, 1, 2]);
}

#[tokio::test]
async fn stages_are_extended_json() {
    let bench = Bench::new().await;
    let typed = json!({ "$match": { "fullDocument.n": { "$type": "long" } } });
    let three = json!({ "$match": { "fullDocument.n": { "$gte": { "$numberLong": "3" } } } });
    let mut stream = bench.latest(json!({ "pipeline": [typed, three] })).await;
    bench.insert(0..5).await;
    assert_eq!(read_ids(&mut stream, 2).await, [3, 4]);
}

#[tokio::test]
async fn full_document_is_what_was_asked_for() {
    let bench = Bench::new().await;
    bench.insert(0..1).await;
    let mut lookup = bench.latest(json!({})).await;
    let mut without = bench.latest(json!({ "full_document": "default" })).await;
    let mut stored = bench.latest(json!({ "full_document": "when_available" })).await;
    bench.orders.update_one(doc! { "_id": 0 }, doc! { "$set": { "n": 9 } }).await.unwrap();
    let document = |event: &mongodb::bson::Document| event.get("fullDocument").cloned();
    let full = document(&read(&mut lookup, 1).await[0]);
    assert_eq!(full, Some(Bson::Document(doc! { "_id": 0, "n": 9 })));
    assert_eq!(document(&read(&mut without, 1).await[0]), None);
    assert_eq!(document(&read(&mut stored, 1).await[0]), Some(Bson::Null));
}

#[tokio::test]
async fn replies_are_as_large_as_asked_for() {
    let bench = Bench::new().await;
    let mut stream = bench.stream(json!({ "batch_size": 10 }));
    let position = stream.open(StartAt::Latest).await.unwrap();
    bench.insert(0..25).await;
    let mut stream = bench.stream(json!({ "batch_size": 10 }));
    stream.open(StartAt::Position(position)).await.unwrap();
    // The first reply came with the opening and waits.
    let first = stream.next_batch().now_or_never().unwrap().unwrap();
    assert_eq!((first.len(), first.catching_up), (10, true));
    let second = stream.next_batch().await.unwrap();
    assert_eq!((second.len(), second.catching_up), (10, true));
    let third = stream.next_batch().await.unwrap();
    assert_eq!((third.len(), third.catching_up), (5, false));
    assert_eq!(operations(&events(&third)), ["insert"; 5]);
}
