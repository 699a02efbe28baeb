//! The sink against a Pub/Sub whose every answer the test gives.

#[path = "sink/dead_letters.rs"]
mod dead_letters;
#[path = "sink/scripted.rs"]
mod scripted;
#[path = "sink/trouble.rs"]
mod trouble;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

use mongo_gcp_stream::config::Millis;
use mongo_gcp_stream::error::PublishErrorKind;
use mongo_gcp_stream::event::{Lane, Message};
use mongo_gcp_stream::sink::Sink;
use prost::Message as _;

use scripted::{Rig, Scripted, Setup, TOPIC, keyed, message};

/// A delay that no test waits for: only a full request or a flush sends.
const NEVER: Millis = Millis::from_millis(3_600_000);

#[tokio::test]
async fn a_request_holds_one_key_and_a_key_has_one_request_in_flight() {
    let mut server = Scripted::start().await;
    let mut rig = Rig::new(server.port, &Setup::default());
    rig.sink.publish(keyed(1, [1, 2]), true).await.unwrap();
    rig.sink.publish(keyed(2, [3]), true).await.unwrap();
    let first = server.next_all(2).await;
    let seen: BTreeSet<_> = first.iter().map(|a| (a.key().to_owned(), a.sequences())).collect();
    assert_eq!(
        seen,
        [("main.orders/1".to_owned(), vec![1, 2]), ("main.orders/2".to_owned(), vec![3])].into()
    );
    assert!(first.iter().all(|arrival| arrival.request.topic == TOPIC));
    // While key 1 waits for its answer, key 2 goes on; what comes for key 1 stays behind.
    rig.sink.publish(keyed(1, [4]), true).await.unwrap();
    let mut first = first.into_iter();
    let (one, two) = match (first.next().unwrap(), first.next().unwrap()) {
        (a, b) if a.key().ends_with("/1") => (a, b),
        (a, b) => (b, a),
    };
    two.accept();
    assert_eq!(rig.published().await, [3]);
    rig.sink.publish(keyed(2, [5]), true).await.unwrap();
    let again = server.next().await;
    assert_eq!(again.sequences(), [5]);
    again.accept();
    assert_eq!(rig.published().await, [5]);
    assert!(server.is_quiet());
    one.accept();
    assert_eq!(rig.published().await, [1, 2]);
    let last = server.next().await;
    assert_eq!(last.sequences(), [4]);
    last.accept();
    rig.sink.flush().await.unwrap();
    assert_eq!(rig.statistics.requests.load(Relaxed), 4);
    assert_eq!(rig.statistics.retries.load(Relaxed), 0);
}

#[tokio::test]
async fn requests_grow_while_they_wait_for_a_slot() {
    let mut server = Scripted::start().await;
    let mut rig = Rig::new(server.port, &Setup { slots: 1, ..Setup::default() });
    rig.sink.publish(keyed(0, [0]), true).await.unwrap();
    let first = server.next().await;
    // A hundred small calls over ten lanes, while the only slot is taken.
    for sequence in 1..=100 {
        rig.sink.publish(keyed(sequence % 10 + 1, [sequence]), true).await.unwrap();
    }
    first.accept();
    let mut arrived = 0;
    for _ in 0..10 {
        let arrival = server.next().await;
        assert!(server.is_quiet());
        arrived += arrival.request.messages.len();
        arrival.accept();
    }
    assert_eq!(arrived, 100);
    rig.sink.flush().await.unwrap();
    assert_eq!(rig.statistics.requests.load(Relaxed), 11);
}

#[tokio::test]
async fn a_flush_sends_what_is_held_back_and_ends_after_its_receipts() {
    let mut server = Scripted::start().await;
    let mut rig = Rig::new(server.port, &Setup { max_delay: NEVER, ..Setup::default() });
    rig.sink.publish(keyed(1, [1, 2]), true).await.unwrap();
    let flushed = tokio::spawn(async move {
        rig.sink.flush().await.unwrap();
        rig
    });
    let arrival = server.next().await;
    assert!(!flushed.is_finished());
    arrival.accept();
    let mut rig = flushed.await.unwrap();
    assert_eq!(rig.receipts.len(), 1);
    assert_eq!(rig.published().await, [1, 2]);
    // With nothing held back it ends at once.
    rig.sink.flush().await.unwrap();
}

#[tokio::test]
async fn a_stream_that_catches_up_waits_for_fuller_requests() {
    let mut server = Scripted::start().await;
    let mut rig =
        Rig::new(server.port, &Setup { max_delay: NEVER, max_messages: 3, ..Setup::default() });
    rig.sink.publish(keyed(1, [1, 2]), true).await.unwrap();
    rig.sink.publish(keyed(1, [3, 4]), true).await.unwrap();
    let full = server.next().await;
    assert_eq!(full.sequences(), [1, 2, 3]);
    full.accept();
    assert_eq!(rig.published().await, [1, 2, 3]);
    // Not urgent: the shorter of the two delays here, which sends the rest.
    rig.sink.publish(keyed(1, [5]), false).await.unwrap();
    let rest = server.next().await;
    assert_eq!(rest.sequences(), [4, 5]);
    rest.accept();
}

#[tokio::test]
async fn a_barrier_waits_for_all_and_all_wait_for_it() {
    let mut server = Scripted::start().await;
    let mut rig = Rig::new(server.port, &Setup { max_delay: NEVER, ..Setup::default() });
    let mut messages = keyed(1, [1]);
    messages.extend(keyed(2, [2]));
    messages.push(message(3, Lane::Barrier, 8));
    messages.extend(keyed(1, [4]));
    rig.sink.publish(messages, true).await.unwrap();
    let mut before = server.next_all(2).await;
    before.pop().unwrap().accept();
    rig.published().await;
    assert!(server.is_quiet());
    before.pop().unwrap().accept();
    let barrier = server.next().await;
    assert_eq!(barrier.sequences(), [3]);
    rig.sink.publish(keyed(1, [5]), true).await.unwrap();
    assert!(server.is_quiet());
    barrier.accept();
    let flushed = tokio::spawn(async move { rig.sink.flush().await.map(|()| rig) });
    let after = server.next().await;
    assert_eq!(after.sequences(), [4, 5]);
    after.accept();
    assert!(flushed.await.unwrap().is_ok());
}

#[tokio::test]
async fn the_channel_pushes_back_behind_a_barrier() {
    let mut server = Scripted::start().await;
    let mut rig = Rig::new(server.port, &Setup::default());
    rig.sink.publish(vec![message(0, Lane::Barrier, 8)], true).await.unwrap();
    let barrier = server.next().await;
    let publisher = tokio::spawn(async move {
        for sequence in 1..=10 {
            rig.sink.publish(keyed(1, [sequence]), true).await.unwrap();
        }
        rig.sink.flush().await.unwrap();
        rig
    });
    // Nothing but the barrier is acknowledged, so the ten calls cannot all have been taken.
    assert!(!publisher.is_finished() && server.is_quiet());
    barrier.accept();
    let mut sequences = Vec::new();
    while sequences.len() < 10 {
        let arrival = server.next().await;
        sequences.extend(arrival.sequences());
        arrival.accept();
    }
    assert_eq!(sequences, (1..=10).collect::<Vec<_>>());
    publisher.await.unwrap();
}

#[tokio::test]
async fn without_ordering_several_requests_are_in_flight_and_no_key_is_set() {
    let mut server = Scripted::start().await;
    let setup = Setup { slots: 4, max_messages: 10, ..Setup::default() };
    let mut rig = Rig::new(server.port, &setup);
    for call in 0..4 {
        let messages = (0..10).map(|n| message(call * 10 + n, Lane::Unordered, 8)).collect();
        rig.sink.publish(messages, false).await.unwrap();
    }
    let arrivals = server.next_all(4).await;
    assert!(arrivals.iter().all(|a| a.key().is_empty() && a.request.messages.len() == 10));
    for arrival in arrivals {
        arrival.accept();
    }
    rig.sink.flush().await.unwrap();
}

#[tokio::test]
async fn requests_stay_within_pubsubs_limits() {
    let mut server = Scripted::start().await;
    let mut rig = Rig::new(server.port, &Setup::default());
    let sizes = [1_000, 900_000, 40, 9_000_000, 600_000, 9_999_000, 70_000, 5];
    let messages: Vec<Message> = (0..4_000)
        .map(|n| {
            let size = if n < 40 { sizes[n % sizes.len()] } else { 8 };
            message(n as u64, Lane::Key(1), size)
        })
        .collect();
    rig.sink.publish(messages, false).await.unwrap();
    let mut sequences = Vec::new();
    while sequences.len() < 4_000 {
        let arrival = server.next().await;
        let (count, bytes) = (arrival.request.messages.len(), arrival.request.encoded_len());
        assert!(count <= 1_000, "{count} messages");
        assert!(bytes <= 9_500_000 || count == 1, "{bytes} bytes in {count} messages");
        assert!(bytes <= 10_000_000, "{bytes} bytes");
        sequences.extend(arrival.sequences());
        arrival.accept();
    }
    assert_eq!(sequences, (0..4_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_dropped_sink_stops_its_task() {
    let mut server = Scripted::start().await;
    let mut rig = Rig::new(server.port, &Setup::default());
    rig.sink.publish(keyed(1, [1]), true).await.unwrap();
    let arrival = server.next().await;
    drop(rig.sink);
    assert!(rig.receipts.recv().await.is_none());
    arrival.accept();
}

#[tokio::test]
async fn who_does_not_read_receipts_stops_the_sink() {
    let mut server = Scripted::start().await;
    let mut rig = Rig::new(server.port, &Setup::default());
    drop(rig.receipts);
    rig.sink.publish(keyed(1, [1]), true).await.unwrap();
    server.next().await.accept();
    let error = rig.sink.flush().await.unwrap_err();
    assert_eq!(error.kind, PublishErrorKind::Shutdown);
}
