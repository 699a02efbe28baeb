use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;

use super::super::store::Store;
use super::*;

const DEADLINE: Duration = Duration::from_secs(10);
const ONE: Consumer = 1;
const OTHER: Consumer = 2;

fn backlog(ordered: bool, messages: &[(&str, &'static str)]) -> Backlog {
    let store = Store::new(1_000_000);
    let mut backlog = Backlog::new(ordered);
    for (key, data) in messages {
        backlog.push(store.keep(PubsubMessage {
            ordering_key: (*key).to_owned(),
            data: (*data).into(),
            ..PubsubMessage::default()
        }));
    }
    backlog
}

fn demand(consumer: Consumer, messages: usize) -> Demand {
    Demand {
        consumer,
        messages,
        max_outstanding_messages: usize::MAX,
        max_outstanding_bytes: usize::MAX,
        ack_deadline: DEADLINE,
    }
}

fn data(delivered: &[Delivery]) -> Vec<&str> {
    delivered.iter().map(|d| std::str::from_utf8(&d.stored.message().data).unwrap()).collect()
}

/// One Pull of up to `messages`.
fn pull(backlog: &mut Backlog, messages: usize, now: Instant) -> Vec<Delivery> {
    let delivered = backlog.lease(&demand(99, messages), now);
    backlog.release_after(&delivered);
    delivered
}

#[tokio::test]
async fn a_key_waits_for_the_acknowledgements_of_another_consumer() {
    let mut backlog = backlog(true, &[("a", "a1"), ("a", "a2"), ("b", "b1"), ("", "free")]);
    let now = Instant::now();
    let first = backlog.lease(&demand(ONE, 1), now);
    assert_eq!(data(&first), ["a1"]);
    assert_eq!(data(&backlog.lease(&demand(OTHER, 10), now)), ["b1", "free"]);
    assert!(backlog.acknowledge(first[0].ack_id));
    assert_eq!(data(&backlog.lease(&demand(OTHER, 10), now)), ["a2"]);
}

#[tokio::test]
async fn a_stream_gets_the_rest_of_the_keys_that_it_has() {
    let mut backlog = backlog(true, &[("a", "a1"), ("b", "b1"), ("a", "a2"), ("a", "a3")]);
    let now = Instant::now();
    assert_eq!(data(&backlog.lease(&demand(ONE, 1), now)), ["a1"]);
    assert_eq!(data(&backlog.lease(&demand(OTHER, 1), now)), ["b1"]);
    assert_eq!(data(&backlog.lease(&demand(ONE, 10), now)), ["a2", "a3"]);
}

#[tokio::test]
async fn a_pull_leaves_its_keys_to_nobody() {
    let mut backlog = backlog(true, &[("a", "a1"), ("a", "a2"), ("a", "a3")]);
    let now = Instant::now();
    let first = pull(&mut backlog, 2, now);
    assert_eq!(data(&first), ["a1", "a2"]);
    assert!(pull(&mut backlog, 10, now).is_empty());
    backlog.acknowledge(first[0].ack_id);
    assert!(pull(&mut backlog, 10, now).is_empty());
    backlog.acknowledge(first[1].ack_id);
    assert_eq!(data(&pull(&mut backlog, 10, now)), ["a3"]);
}

#[tokio::test]
async fn the_keys_of_a_stream_that_ended_wait_for_its_deadlines() {
    let mut backlog = backlog(true, &[("a", "a1"), ("a", "a2")]);
    let now = Instant::now();
    backlog.lease(&demand(ONE, 1), now);
    backlog.release(ONE);
    assert!(backlog.lease(&demand(ONE, 10), now).is_empty());
    assert!(backlog.lease(&demand(OTHER, 10), now).is_empty());
    backlog.expire(now + DEADLINE);
    assert_eq!(data(&backlog.lease(&demand(OTHER, 10), now + DEADLINE)), ["a1", "a2"]);
}

#[tokio::test]
async fn what_follows_an_expired_message_of_a_key_comes_again_acknowledged_or_not() {
    let mut backlog = backlog(true, &[("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1")]);
    let now = Instant::now();
    let first = backlog.lease(&demand(ONE, 10), now);
    assert!(backlog.acknowledge(first[1].ack_id));
    assert!(backlog.acknowledge(first[3].ack_id));
    assert_eq!(backlog.next_expiry(), Some(now + DEADLINE));
    backlog.expire(now + DEADLINE);
    assert!(!backlog.acknowledge(first[2].ack_id), "void: it comes again because of the first");
    let again = backlog.lease(&demand(ONE, 10), now + DEADLINE);
    assert_eq!(data(&again), ["a1", "a2", "a3"]);
    let attempts: Vec<u32> = again.iter().map(|delivery| delivery.attempt).collect();
    assert_eq!(attempts, [2, 1, 1], "only the first one's own delivery failed");
}

#[tokio::test]
async fn acknowledged_messages_are_forgotten_with_those_before_them() {
    let mut backlog = backlog(true, &[("a", "a1"), ("a", "a2"), ("a", "a3")]);
    let now = Instant::now();
    let first = backlog.lease(&demand(ONE, 10), now);
    for delivery in first.iter().rev() {
        assert!(backlog.acknowledge(delivery.ack_id));
        assert!(!backlog.acknowledge(delivery.ack_id), "once is enough");
    }
    assert!(backlog.messages.is_empty());
    assert!(backlog.outstanding.is_empty());
    assert_eq!(backlog.next_expiry(), None);
    backlog.expire(now + DEADLINE);
    assert!(backlog.lease(&demand(ONE, 10), now + DEADLINE).is_empty());
}

#[tokio::test]
async fn a_late_acknowledgement_counts_until_the_message_comes_again() {
    let mut backlog = backlog(true, &[("a", "a1"), ("a", "a2")]);
    let now = Instant::now();
    let first = backlog.lease(&demand(ONE, 1), now);
    backlog.expire(now + DEADLINE);
    assert!(backlog.acknowledge(first[0].ack_id));
    let second = backlog.lease(&demand(ONE, 10), now + DEADLINE);
    assert_eq!(data(&second), ["a2"]);
    backlog.expire(now + DEADLINE * 2);
    assert_eq!(data(&backlog.lease(&demand(ONE, 10), now + DEADLINE * 2)), ["a2"]);
    assert!(!backlog.acknowledge(second[0].ack_id));
}

#[tokio::test]
async fn a_refused_message_comes_again_at_once_and_counts() {
    let mut backlog = backlog(false, &[("a", "a1"), ("a", "a2")]);
    let now = Instant::now();
    let first = backlog.lease(&demand(ONE, 10), now);
    backlog.modify(first[0].ack_id, Duration::ZERO, now);
    let again = backlog.lease(&demand(OTHER, 10), now);
    assert_eq!((data(&again), again[0].attempt), (vec!["a1"], 2));
    assert!(!backlog.acknowledge(first[0].ack_id));
    assert!(backlog.acknowledge(again[0].ack_id));
}

#[tokio::test]
async fn a_deadline_can_be_moved() {
    let mut backlog = backlog(false, &[("", "1")]);
    let now = Instant::now();
    let first = backlog.lease(&demand(ONE, 10), now);
    backlog.modify(first[0].ack_id, DEADLINE * 3, now);
    backlog.expire(now + DEADLINE * 2);
    assert!(backlog.lease(&demand(ONE, 10), now + DEADLINE * 2).is_empty());
    assert_eq!(backlog.next_expiry(), Some(now + DEADLINE * 3));
    backlog.expire(now + DEADLINE * 3);
    assert_eq!(data(&backlog.lease(&demand(ONE, 10), now + DEADLINE * 3)), ["1"]);
}

#[tokio::test]
async fn an_unordered_backlog_holds_no_key_back() {
    let mut backlog = backlog(false, &[("a", "a1"), ("a", "a2")]);
    let now = Instant::now();
    assert_eq!(data(&backlog.lease(&demand(ONE, 1), now)), ["a1"]);
    assert_eq!(data(&backlog.lease(&demand(OTHER, 1), now)), ["a2"]);
}

#[tokio::test]
async fn a_consumer_has_no_more_out_than_it_allows() {
    let mut backlog = backlog(false, &[("", "1"), ("", "2"), ("", "3"), ("", "4")]);
    let now = Instant::now();
    let by_count = Demand { max_outstanding_messages: 2, ..demand(ONE, 10) };
    let first = backlog.lease(&by_count, now);
    assert_eq!(data(&first), ["1", "2"]);
    assert!(backlog.lease(&by_count, now).is_empty());
    backlog.acknowledge(first[1].ack_id);
    assert_eq!(data(&backlog.lease(&by_count, now)), ["3"]);
    // A limit of bytes is passed by one message: else a larger one would never come.
    let by_bytes = Demand { max_outstanding_bytes: 1, ..demand(OTHER, 10) };
    assert_eq!(data(&backlog.lease(&by_bytes, now)), ["4"]);
    backlog.modify(first[0].ack_id, Duration::ZERO, now);
    assert!(backlog.lease(&by_bytes, now).is_empty());
    assert_eq!(data(&backlog.lease(&by_count, now)), ["1"]);
}

#[tokio::test]
async fn a_response_stays_below_what_clients_accept() {
    let store = Store::new(100_000_000);
    let mut backlog = Backlog::new(false);
    for size in [1_500_000, 1_500_000, 1_500_000, 9_000_000] {
        let data = vec![0; size].into();
        backlog.push(store.keep(PubsubMessage { data, ..PubsubMessage::default() }));
    }
    let now = Instant::now();
    let counts: Vec<usize> = (0..4).map(|_| backlog.lease(&demand(ONE, 10), now).len()).collect();
    assert_eq!(counts, [2, 1, 1, 0]);
}

#[tokio::test]
async fn what_fails_too_often_is_a_dead_letter() {
    let mut backlog = backlog(true, &[("a", "a1"), ("a", "a2")]);
    backlog.set_max_attempts(Some(2));
    let now = Instant::now();
    let first = backlog.lease(&demand(ONE, 1), now);
    backlog.modify(first[0].ack_id, Duration::ZERO, now);
    assert!(backlog.take_dead().is_empty());
    assert_eq!(data(&backlog.lease(&demand(ONE, 1), now)), ["a1"]);
    backlog.expire(now + DEADLINE);
    let dead = backlog.take_dead();
    assert_eq!((dead.len(), dead[0].attempts), (1, 2));
    assert_eq!(&dead[0].stored.message().data[..], b"a1");
    assert_eq!(data(&backlog.lease(&demand(ONE, 10), now + DEADLINE)), ["a2"]);
}

#[test]
fn an_ack_id_is_read_as_it_was_written() {
    let id = AckId { sequence: 7, delivery: 3 };
    assert_eq!(id.to_string().parse(), Ok(id));
    for text in ["", "7", "7-", "-3", "7-3-1", "seven-three"] {
        assert_eq!(text.parse::<AckId>(), Err(()), "{text}");
    }
}
