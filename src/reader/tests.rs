use bytes::Bytes;
use futures_util::FutureExt as _;
use mongodb::bson::{Timestamp, rawdoc};

use super::*;
use crate::checkpoint::Tracker;
use crate::event::Position;
use crate::flow::Budget;
use crate::telemetry::StreamStatistics;

const TIME: Timestamp = Timestamp { time: 1, increment: 1 };

/// A ledger, and the numbers and batch of three events that are begun in it.
fn begun(ledger: &Ledger) -> (u64, Batch) {
    let mut reply = Vec::new();
    let mut events = Vec::new();
    for data in ["8200000001000000020000", "8200000001000000030000", "8200000001000000040000"] {
        let start = reply.len();
        reply.extend_from_slice(rawdoc! { "_id": { "_data": data } }.as_bytes());
        events.push(start..reply.len());
    }
    let batch = Batch::new(Bytes::from(reply), events, None, false);
    (ledger.begin(&batch).now_or_never().unwrap().unwrap(), batch)
}

fn ledger() -> Arc<Ledger> {
    let tracker = Tracker::new(Position::OperationTime(TIME));
    Arc::new(Ledger::new(tracker, Budget::new(100_000, 100), Arc::<StreamStatistics>::default()))
}

/// How many events the position has passed.
fn passed(ledger: &Ledger) -> u64 {
    ledger.committable().map_or(0, |committable| committable.sequence)
}

fn deliver(stage: &mut Deliver, ledger: &Arc<Ledger>) -> bool {
    let (first, batch) = begun(ledger);
    stage.take(first, &batch, ledger).now_or_never().is_some()
}

#[test]
fn the_position_moves_over_what_is_committed_and_each_event_counts_once() {
    let (ledger, desk) = (ledger(), Arc::<Desk>::default());
    let mut stage = Deliver::new(Arc::clone(&desk));
    assert!(deliver(&mut stage, &ledger));
    let consumer = desk.consumer().unwrap();
    let first = consumer.take().unwrap();
    assert!(deliver(&mut stage, &ledger));
    let second = consumer.take().unwrap();

    assert!(second.commit(3));
    assert_eq!(passed(&ledger), 0, "the first batch is not committed");
    for count in [1, 1, 0] {
        assert!(first.commit(count));
        assert_eq!(passed(&ledger), 1);
    }
    assert!(first.commit(99));
    assert_eq!(passed(&ledger), 6);
}

#[test]
fn what_a_consumer_has_not_committed_comes_again_to_the_next() {
    let (ledger, desk) = (ledger(), Arc::<Desk>::default());
    let mut stage = Deliver::new(Arc::clone(&desk));
    assert!(deliver(&mut stage, &ledger));
    let consumer = desk.consumer().unwrap();
    assert!(desk.consumer().is_none(), "one at a time");
    let taken = consumer.take().unwrap();
    taken.commit(1);
    drop(consumer);

    let consumer = desk.consumer().unwrap();
    let rest = consumer.take().unwrap();
    let tokens: Vec<_> = rest.batch.events().collect();
    assert_eq!(tokens, taken.batch.events().skip(1).collect::<Vec<_>>());
    assert!(rest.commit(1) && taken.commit(2), "the same event");
    assert_eq!(passed(&ledger), 2);
    assert!(taken.commit(3));
    drop(consumer);
    assert!(desk.consumer().unwrap().take().is_none(), "all is committed");
}

#[tokio::test]
async fn what_is_committed_while_it_waits_makes_room() {
    let (ledger, desk) = (ledger(), Arc::<Desk>::default());
    let mut stage = Deliver::new(Arc::clone(&desk));
    assert!(deliver(&mut stage, &ledger));
    let consumer = desk.consumer().unwrap();
    let taken = consumer.take().unwrap();
    drop(consumer);
    let (first, batch) = begun(&ledger);
    let waiting = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        async move { stage.take(first, &batch, &ledger).await.map(|()| stage) }
    });
    tokio::task::yield_now().await;
    taken.commit(3);
    let consumer = desk.consumer().unwrap();
    assert!(consumer.ready().await);
    let _stage = waiting.await.unwrap().unwrap();
    assert!(consumer.take().unwrap().commit(3));
    assert_eq!(passed(&ledger), 6);
}

#[tokio::test]
async fn one_batch_waits_and_the_stage_with_the_next() {
    let (ledger, desk) = (ledger(), Arc::<Desk>::default());
    let mut stage = Deliver::new(Arc::clone(&desk));
    let consumer = desk.consumer().unwrap();
    assert_eq!(consumer.ready().now_or_never(), None);
    assert!(deliver(&mut stage, &ledger));
    assert!(consumer.ready().await && consumer.ready().await, "it takes nothing");
    let (first, batch) = begun(&ledger);
    let waiting = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        async move { stage.take(first, &batch, &ledger).await.map(|()| stage) }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    assert!(consumer.take().is_some());
    let _stage = waiting.await.unwrap().unwrap();
    assert!(consumer.take().is_some());
    desk.end();
    assert!(!consumer.ready().await);
}

#[test]
fn nothing_of_a_line_that_has_ended_is_committed_or_delivered() {
    let desk = Arc::<Desk>::default();
    let old = ledger();
    let mut stage = Deliver::new(Arc::clone(&desk));
    assert!(deliver(&mut stage, &old));
    let consumer = desk.consumer().unwrap();
    let taken = consumer.take().unwrap();
    assert!(deliver(&mut stage, &old));
    drop(old);
    assert!(!taken.commit(3));
    drop(stage);
    assert!(consumer.take().is_none());

    let new = ledger();
    let mut stage = Deliver::new(Arc::clone(&desk));
    assert!(deliver(&mut stage, &new));
    drop(consumer);
    let consumer = desk.consumer().unwrap();
    assert!(consumer.take().unwrap().commit(3));
    assert!(consumer.take().is_none());
    assert_eq!(passed(&new), 3);
}
