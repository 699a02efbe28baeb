//! What goes wrong, and what becomes of the messages then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;

use mongo_gcp_stream::config::Millis;
use mongo_gcp_stream::error::{PublishError, PublishErrorKind};
use mongo_gcp_stream::event::{Lane, Receipt};
use mongo_gcp_stream::sink::Sink;
use tokio::net::TcpListener;
use tonic::{Code, Status};

use crate::scripted::{Arrival, Rig, Scripted, Setup, TOPIC, keyed, message};

/// Deterministic noise: xorshift64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[tokio::test]
async fn unavailable_is_waited_out_and_the_same_batch_sent_again() {
    let mut server = Scripted::start().await;
    let mut rig = Rig::new(server.port, &Setup::default());
    rig.sink.publish(keyed(1, [1, 2]), true).await.unwrap();
    for attempt in 0..20 {
        let arrival = server.next().await;
        assert_eq!(arrival.sequences(), [1, 2], "attempt {attempt}");
        arrival.refuse(Status::unavailable("no"));
        rig.sink.publish(keyed(1, [3 + attempt]), true).await.unwrap();
    }
    let arrival = server.next().await;
    assert_eq!(arrival.sequences(), [1, 2]);
    arrival.accept();
    assert_eq!(rig.published().await, [1, 2]);
    let rest = server.next().await;
    assert_eq!(rest.sequences(), (3..23).collect::<Vec<_>>());
    rest.accept();
    rig.sink.flush().await.unwrap();
    assert_eq!(rig.statistics.retries.load(Relaxed), 20);
}

#[tokio::test]
async fn a_pubsub_that_is_not_there_yet_is_waited_for() {
    // A port that refuses connections until the server takes it.
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let mut rig = Rig::new(address.port(), &Setup::default());
    rig.sink.publish(keyed(1, [1]), true).await.unwrap();
    while rig.statistics.retries.load(Relaxed) < 3 {
        tokio::task::yield_now().await;
    }
    let mut server = Scripted::serve(TcpListener::bind(address).await.unwrap());
    server.next().await.accept();
    assert_eq!(rig.published().await, [1]);
}

#[tokio::test]
async fn one_lane_refused_for_ever_does_not_hold_the_others() {
    let mut server = Scripted::start().await;
    let mut rig = Rig::new(server.port, &Setup { slots: 2, ..Setup::default() });
    rig.sink.publish(keyed(0, [0]), true).await.unwrap();
    for sequence in 1..=200 {
        rig.sink.publish(keyed(sequence % 4 + 1, [sequence]), true).await.unwrap();
    }
    let mut arrived = BTreeSet::new();
    let mut refused = 0;
    while arrived.len() < 200 || refused < 5 {
        let arrival = server.next().await;
        if arrival.key().ends_with("/0") {
            refused += 1;
            arrival.refuse(Status::unavailable("no"));
        } else {
            arrived.extend(arrival.sequences());
            arrival.accept();
        }
    }
    assert_eq!(arrived, (1..=200).collect());
}

#[tokio::test]
async fn keys_keep_their_order_under_random_failures() {
    let server = Scripted::start().await;
    let setup = Setup {
        slots: 4,
        max_messages: 7,
        request_timeout: Millis::from_millis(100),
        ..Setup::default()
    };
    let Rig { mut sink, mut receipts, statistics, .. } = Rig::new(server.port, &setup);
    let publishing = tokio::spawn(async move {
        for first in (0..600).step_by(6) {
            let messages = (first..first + 6).flat_map(|n| keyed(n % 5, [n])).collect();
            sink.publish(messages, first % 4 == 0).await.unwrap();
        }
        sink.flush().await.unwrap();
    });
    let answering = tokio::spawn(answer_at_random(server));
    let mut receipted = Vec::new();
    while let Some(Receipt::Published(sequences)) = receipts.recv().await {
        receipted.extend(sequences);
    }
    publishing.await.unwrap();
    receipted.sort_unstable();
    assert_eq!(receipted, (0..600).collect::<Vec<_>>(), "one receipt for each message");
    assert!(statistics.retries.load(Relaxed) > 50);
    for (key, sequences) in answering.await.unwrap() {
        let mut seen = BTreeSet::new();
        let firsts: Vec<u64> = sequences.into_iter().filter(|n| seen.insert(*n)).collect();
        assert_eq!(firsts.len(), 120, "{key}");
        assert!(firsts.is_sorted(), "{key}: {firsts:?}");
    }
}

/// Commits, refuses, or loses the response after either. Returns what was committed for each key
/// once the client is gone.
async fn answer_at_random(mut server: Scripted) -> BTreeMap<String, Vec<u64>> {
    let mut dice = Dice(0x5eed);
    let mut committed: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut acknowledged = BTreeSet::new();
    while acknowledged.len() < 600 {
        let arrival = server.next().await;
        let commits = dice.roll(3) > 0;
        if commits {
            committed.entry(arrival.key().to_owned()).or_default().extend(arrival.sequences());
        }
        match dice.roll(4) {
            0 => arrival.refuse(Status::unavailable("whether or not it was committed")),
            // The attempt ends at its deadline.
            1 if dice.roll(10) == 0 => drop(arrival),
            _ if commits => {
                acknowledged.extend(arrival.sequences());
                arrival.accept();
            }
            _ => arrival.refuse(Status::new(Code::Aborted, "")),
        }
    }
    // An acknowledgement may have come too late for its attempt.
    tokio::spawn(async move {
        loop {
            server.next().await.accept();
        }
    });
    committed
}

#[tokio::test]
async fn a_response_lost_after_the_commit_gives_a_repetition_and_nothing_else() {
    let mut server = Scripted::start().await;
    let setup = Setup { request_timeout: Millis::from_millis(100), ..Setup::default() };
    let mut rig = Rig::new(server.port, &setup);
    rig.sink.publish(keyed(1, [1]), true).await.unwrap();
    drop(server.next().await);
    rig.sink.publish(keyed(1, [2]), true).await.unwrap();
    // Once on a quick machine; on a slow one further attempts may miss their deadline.
    loop {
        let arrival = server.next().await;
        let sequences = arrival.sequences();
        arrival.accept();
        if sequences == [2] {
            break;
        }
        assert_eq!(sequences, [1]);
    }
    assert_eq!(rig.published().await, [1]);
    assert!(rig.statistics.retries.load(Relaxed) >= 1);
}

/// Answers until the sink fails. Returns what was accepted and receipted, and the error, which
/// every later call returns as well.
async fn until_failed(
    mut server: Scripted,
    mut rig: Rig,
    verdict: impl Fn(&Arrival) -> Option<Status> + Send + 'static,
) -> (Vec<u64>, PublishError) {
    let answering = tokio::spawn(async move {
        loop {
            let arrival = server.next().await;
            match verdict(&arrival) {
                None => arrival.accept(),
                Some(status) => arrival.refuse(status),
            }
        }
    });
    let (published, error) = rig.failed().await;
    assert_eq!(rig.sink.publish(keyed(1, [99]), true).await, Err(error.clone()));
    assert_eq!(rig.sink.flush().await, Err(error.clone()));
    answering.abort();
    (published, error)
}

#[tokio::test]
async fn a_refused_message_is_isolated() {
    let server = Scripted::start().await;
    let mut rig = Rig::new(server.port, &Setup::default());
    rig.sink.publish(keyed(1, 1..=100), true).await.unwrap();
    let (published, error) = until_failed(server, rig, |arrival| {
        arrival.sequences().contains(&42).then(|| Status::invalid_argument("secret value"))
    })
    .await;
    assert_eq!(published, (1..42).collect::<Vec<_>>());
    assert_eq!((error.kind, error.sequence), (PublishErrorKind::Rejected, Some(42)));
    assert!(error.message.contains(TOPIC) && error.message.contains("INVALID_ARGUMENT"));
    assert!(!error.message.contains("secret"), "{error}");
}

#[tokio::test]
async fn all_that_precede_a_refused_message_are_published_before_the_sink_fails() {
    let mut server = Scripted::start().await;
    let mut rig = Rig::new(server.port, &Setup { max_messages: 1, ..Setup::default() });
    let mut messages = keyed(1, [1, 2]);
    messages.extend(keyed(2, [3, 4]));
    messages.extend(keyed(3, [5]));
    messages.extend(keyed(1, [6]));
    rig.sink.publish(messages, true).await.unwrap();
    let mut arrivals = server.next_all(3).await;
    arrivals.sort_by_key(Arrival::sequences);
    let [first, refused, later] = arrivals.try_into().ok().unwrap();
    assert_eq!(refused.sequences(), [3]);
    refused.refuse(Status::invalid_argument(""));
    let mut sink = rig.sink;
    let flushing = tokio::spawn(async move { (sink.flush().await, sink) });
    // An outage is waited out as always.
    first.refuse(Status::unavailable("no"));
    let again = server.next().await;
    assert_eq!(again.sequences(), [1]);
    again.refuse(Status::unavailable("no"));
    later.accept();
    assert!(matches!(rig.receipts.recv().await, Some(Receipt::Published(all)) if all == [5]));
    for sequence in [1, 2] {
        assert!(!flushing.is_finished() && rig.receipts.is_empty());
        let arrival = server.next().await;
        assert_eq!(arrival.sequences(), [sequence]);
        arrival.accept();
        let receipt = rig.receipts.recv().await;
        assert!(matches!(receipt, Some(Receipt::Published(all)) if all == [sequence]));
    }
    let Some(Receipt::Failed(error)) = rig.receipts.recv().await else { panic!("no failure") };
    assert_eq!((error.kind, error.sequence), (PublishErrorKind::Rejected, Some(3)));
    let (flushed, mut sink) = flushing.await.unwrap();
    assert_eq!(flushed, Err(error.clone()));
    assert_eq!(sink.publish(keyed(1, [7]), true).await, Err(error));
    assert!(rig.receipts.recv().await.is_none() && server.is_quiet(), "4 and 6 are not sent");
}

#[tokio::test]
async fn eleven_megabytes_stop_the_sink_behind_what_precedes_them() {
    let server = Scripted::start().await;
    let mut rig = Rig::new(server.port, &Setup::default());
    let mut messages = keyed(1, [1]);
    messages.push(message(2, Lane::Key(1), 11_000_000));
    messages.extend(keyed(1, [3]));
    rig.sink.publish(messages, true).await.unwrap();
    let (published, error) = until_failed(server, rig, |_| None).await;
    assert_eq!(published, [1]);
    assert_eq!((error.kind, error.sequence), (PublishErrorKind::TooLarge, Some(2)));
}

#[tokio::test]
async fn a_receiver_with_a_smaller_limit_gets_smaller_requests() {
    let server = Scripted::start().await;
    let mut rig = Rig::new(server.port, &Setup::default());
    let mut messages: Vec<_> = (1..=9).map(|n| message(n, Lane::Key(1), 1_000_000)).collect();
    messages.push(message(10, Lane::Key(1), 5_000_000));
    rig.sink.publish(messages, true).await.unwrap();
    let (published, error) = until_failed(server, rig, |arrival| {
        let bytes = prost::Message::encoded_len(&arrival.request);
        let text = format!("grpc: received message larger than max ({bytes} vs. 4194304)");
        (bytes > 4_194_304).then(|| Status::resource_exhausted(text))
    })
    .await;
    assert_eq!(published, (1..=9).collect::<Vec<_>>());
    assert_eq!((error.kind, error.sequence), (PublishErrorKind::TooLarge, Some(10)));
}

#[tokio::test]
async fn what_a_person_must_change_stops_the_sink() {
    for (status, kind, name) in [
        (Status::not_found(""), PublishErrorKind::TopicMissing, "NOT_FOUND"),
        (Status::permission_denied(""), PublishErrorKind::Auth, "PERMISSION_DENIED"),
        (Status::unauthenticated(""), PublishErrorKind::Auth, "UNAUTHENTICATED"),
        (Status::failed_precondition(""), PublishErrorKind::Rejected, "FAILED_PRECONDITION"),
    ] {
        let server = Scripted::start().await;
        let mut rig = Rig::new(server.port, &Setup::default());
        rig.sink.publish(keyed(1, [1]), true).await.unwrap();
        let (published, error) = until_failed(server, rig, move |_| Some(status.clone())).await;
        assert_eq!(published, [0; 0]);
        assert_eq!((error.kind, error.sequence), (kind, None), "{name}");
        assert!(error.message.contains(TOPIC) && error.message.contains(name), "{error}");
    }
}

#[tokio::test]
async fn what_is_in_flight_when_the_sink_fails_still_counts() {
    let mut server = Scripted::start().await;
    let mut rig = Rig::new(server.port, &Setup::default());
    rig.sink.publish(keyed(1, [1]), true).await.unwrap();
    let slow = server.next().await;
    rig.sink.publish(keyed(2, [2]), true).await.unwrap();
    server.next().await.refuse(Status::not_found(""));
    // The answers of a connection come in their order: with a later one the refusal is here.
    let mut witness = rig.beside();
    witness.sink.publish(keyed(3, [3]), true).await.unwrap();
    server.next().await.accept();
    assert_eq!(witness.published().await, [3]);
    slow.accept();
    let (published, error) = rig.failed().await;
    assert_eq!(published, [1]);
    assert_eq!(error.kind, PublishErrorKind::TopicMissing);
}
