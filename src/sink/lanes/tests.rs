use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::error::PublishErrorKind;
use crate::event::Destination;
use crate::sink::codes::Fate;

mod letters;
mod properties;
mod refusal;

fn message(sequence: u64, lane: Order) -> Message {
    Message {
        sequence,
        to: Destination::DeadLetter,
        lane,
        body: Bytes::from_static(&[0; 8]),
        claim: None,
    }
}

/// Bytes that [`message`] takes in a request.
const FIELD: usize = 10;

fn rules(slots: usize, messages: usize) -> Rules {
    let limits = Limits { messages, bytes: 100_000, overhead: 20 };
    let backoff = BackoffPolicy::new(2.0, Duration::from_secs(1));
    Rules { limits, slots, backoff, held_bytes: usize::MAX, dead_letters: false }
}

fn keyed(key: u64, sequences: impl IntoIterator<Item = u64>) -> Vec<Message> {
    sequences.into_iter().map(|sequence| message(sequence, Order::Key(key))).collect()
}

fn failure(fate: Fate) -> Result<(), Failure> {
    Err(Failure { fate, reason: "TEST".into() })
}

fn sequences(batch: &Batch) -> Vec<u64> {
    batch.messages.iter().map(|message| message.sequence).collect()
}

/// The message that ended the lanes, and the bytes of its request.
fn blamed(halt: &Halt) -> Option<(u64, usize)> {
    halt.culprit.as_ref().map(|culprit| (culprit.sequence, culprit.bytes))
}

/// All requests that may be sent at `now`, as lane and sequence numbers.
fn sent(lanes: &mut Lanes, now: Instant) -> Vec<(LaneId, Vec<u64>)> {
    std::iter::from_fn(|| lanes.next_request(now).unwrap())
        .map(|request| (request.lane, sequences(&request.batch)))
        .collect()
}

fn key(key: u64, sequences: impl IntoIterator<Item = u64>) -> (LaneId, Vec<u64>) {
    (LaneId::Key(key), sequences.into_iter().collect())
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_lane_is_due_with_a_full_request_or_at_its_deadline() {
    let now = Instant::now();
    let mut lanes = Lanes::new(rules(8, 3));
    lanes.accept(keyed(1, 1..=2), now + SECOND);
    lanes.accept(keyed(2, 3..=5), now + SECOND);
    assert_eq!(sent(&mut lanes, now), [key(2, 3..=5)]);
    assert_eq!(lanes.wake_at(), Some(now + SECOND));
    assert_eq!(sent(&mut lanes, now + SECOND), [key(1, 1..=2)]);
    assert_eq!(lanes.wake_at(), None);
}

#[test]
fn an_urgent_message_brings_its_lane_forward() {
    let now = Instant::now();
    let mut lanes = Lanes::new(rules(8, 100));
    lanes.accept(keyed(1, [1]), now + 100 * SECOND);
    lanes.accept(keyed(1, [2]), now + SECOND);
    lanes.accept(keyed(1, [3]), now + 100 * SECOND);
    assert_eq!(lanes.wake_at(), Some(now + SECOND));
    assert_eq!(sent(&mut lanes, now + SECOND), [key(1, 1..=3)]);
}

#[test]
fn where_too_much_waits_the_earliest_lanes_are_sent_before_their_time() {
    let now = Instant::now();
    let mut lanes = Lanes::new(Rules { held_bytes: 4 * FIELD, ..rules(8, 100) });
    lanes.accept(keyed(2, 1..=3), now + 2 * SECOND);
    lanes.accept(keyed(1, [4]), now + SECOND);
    assert_eq!(sent(&mut lanes, now), []);
    lanes.accept(keyed(3, 5..=8), now + 3 * SECOND);
    assert_eq!(sent(&mut lanes, now), [key(1, [4]), key(2, 1..=3)]);
    assert_eq!(sent(&mut lanes, now + 2 * SECOND), []);
    assert_eq!(sent(&mut lanes, now + 3 * SECOND), [key(3, 5..=8)]);
}

#[test]
fn the_time_of_a_lane_that_backs_off_is_never_cut_short() {
    let now = Instant::now();
    let mut lanes = Lanes::new(Rules { held_bytes: FIELD, ..rules(8, 100) });
    lanes.accept(keyed(1, [1]), now);
    assert_eq!(sent(&mut lanes, now), [key(1, [1])]);
    lanes.settle(LaneId::Key(1), failure(Fate::Retry), now);
    lanes.accept(keyed(1, 2..=9), now + SECOND);
    assert_eq!(sent(&mut lanes, now), []);
    assert_eq!(sent(&mut lanes, now + SECOND), [key(1, [1])]);
}

#[test]
fn one_request_of_a_lane_is_in_flight_and_what_comes_meanwhile_shares_the_next() {
    let now = Instant::now();
    let mut lanes = Lanes::new(rules(8, 100));
    lanes.accept(keyed(1, [1]), now);
    assert_eq!(sent(&mut lanes, now), [key(1, [1])]);
    for sequence in 2..=9 {
        lanes.accept(keyed(1, [sequence]), now);
    }
    assert_eq!(sent(&mut lanes, now), []);
    lanes.settle(LaneId::Key(1), Ok(()), now);
    assert_eq!(sent(&mut lanes, now), [key(1, 2..=9)]);
    lanes.settle(LaneId::Key(1), Ok(()), now);
    assert!(lanes.is_idle() && lanes.lanes.is_empty());
}

#[test]
fn lanes_share_slots_in_the_order_in_which_they_became_due_and_grow_while_they_wait() {
    let now = Instant::now();
    let mut lanes = Lanes::new(rules(1, 100));
    lanes.accept(keyed(3, [1]), now);
    assert_eq!(sent(&mut lanes, now), [key(3, [1])]);
    assert_eq!(lanes.wake_at(), None, "only an outcome frees the slot");
    lanes.accept(keyed(2, [2]), now + SECOND);
    lanes.accept(keyed(1, [3]), now + 2 * SECOND);
    lanes.accept(keyed(2, [4]), now + 3 * SECOND);
    lanes.settle(LaneId::Key(3), Ok(()), now + 4 * SECOND);
    assert_eq!(sent(&mut lanes, now + 4 * SECOND), [key(2, [2, 4])]);
    lanes.settle(LaneId::Key(2), Ok(()), now + 4 * SECOND);
    assert_eq!(sent(&mut lanes, now + 4 * SECOND), [key(1, [3])]);
}

#[test]
fn a_lane_that_backs_off_gives_its_slot_up_and_sends_the_same_request_again() {
    let now = Instant::now();
    let mut lanes = Lanes::new(rules(1, 100));
    lanes.accept(keyed(1, [1]), now);
    let first = lanes.next_request(now).unwrap().unwrap();
    lanes.accept(keyed(1, [2]), now);
    lanes.accept(keyed(2, [3]), now);
    let settled = lanes.settle(LaneId::Key(1), failure(Fate::Retry), now);
    assert!(matches!(settled, Settled::Again { attempts: 1, first: true, .. }), "{settled:?}");
    assert_eq!(sent(&mut lanes, now), [key(2, [3])]);
    lanes.settle(LaneId::Key(2), Ok(()), now);
    assert_eq!(sent(&mut lanes, now), []);
    let again = lanes.next_request(now + SECOND).unwrap().unwrap();
    assert!(again.retry && Arc::ptr_eq(&first.batch, &again.batch));
    let settled = lanes.settle(LaneId::Key(1), Ok(()), now + SECOND);
    assert!(matches!(settled, Settled::Published { recovered: true, .. }), "{settled:?}");
    assert_eq!(sent(&mut lanes, now + SECOND), [key(1, [2])]);
}

#[test]
fn a_flush_makes_everything_due_also_what_is_behind_a_request() {
    let now = Instant::now();
    let mut lanes = Lanes::new(rules(8, 1));
    lanes.accept(keyed(1, 1..=3), now + SECOND);
    lanes.accept(keyed(2, [4]), now + SECOND);
    lanes.rules.limits.messages = 2;
    lanes.flush();
    assert_eq!(sent(&mut lanes, now), [key(1, 1..=2), key(2, [4])]);
    lanes.settle(LaneId::Key(1), Ok(()), now);
    assert_eq!(sent(&mut lanes, now), [key(1, [3])]);
    lanes.settle(LaneId::Key(1), Ok(()), now);
    lanes.settle(LaneId::Key(2), Ok(()), now);
    assert!(lanes.is_idle());
    lanes.accept(keyed(1, [5]), now + SECOND);
    assert_eq!(sent(&mut lanes, now), [], "a flush ends when nothing is left");
}

#[test]
fn a_barrier_is_alone() {
    let now = Instant::now();
    let mut lanes = Lanes::new(rules(8, 100));
    let mut messages = keyed(1, [1]);
    messages.extend(keyed(2, [2]));
    messages.push(message(3, Order::Barrier));
    messages.push(message(4, Order::Barrier));
    messages.extend(keyed(1, [5]));
    lanes.accept(messages, now + SECOND);
    assert!(!lanes.has_room());
    let mut before = sent(&mut lanes, now);
    before.sort();
    assert_eq!(before, [key(1, [1]), key(2, [2])]);
    lanes.settle(LaneId::Key(1), Ok(()), now);
    assert_eq!(sent(&mut lanes, now), []);
    lanes.settle(LaneId::Key(2), Ok(()), now);
    for barrier in [3, 4] {
        assert_eq!(sent(&mut lanes, now), [(LaneId::Barrier, vec![barrier])]);
        assert!(!lanes.has_room());
        lanes.settle(LaneId::Barrier, Ok(()), now);
    }
    assert!(lanes.has_room() && !lanes.is_idle());
    assert_eq!(sent(&mut lanes, now), [], "what follows is not in a hurry");
    assert_eq!(sent(&mut lanes, now + SECOND), [key(1, [5])]);
}

#[test]
fn messages_without_order_fill_one_request_and_move_on_while_it_is_in_flight() {
    let now = Instant::now();
    let mut lanes = Lanes::new(rules(3, 2));
    let mut flown = Vec::new();
    for sequence in 1..=8 {
        lanes.accept(vec![message(sequence, Order::Unordered)], now + SECOND);
        flown.extend(sent(&mut lanes, now));
    }
    assert_eq!(
        flown.iter().map(|(_, sequences)| sequences.as_slice()).collect::<Vec<_>>(),
        [&[1, 2][..], &[3, 4], &[5, 6]],
    );
    for (lane, _) in &flown {
        lanes.settle(*lane, Ok(()), now);
    }
    lanes.flush();
    let rest: Vec<u64> = sent(&mut lanes, now).into_iter().flat_map(|(_, all)| all).collect();
    assert_eq!(rest.len(), 2);
}

/// Answers every request of lane 1 by `refuse` until nothing is left or the lanes halt.
fn drive(
    lanes: &mut Lanes,
    now: Instant,
    refuse: impl Fn(&Batch) -> Option<Fate>,
) -> (Vec<u64>, Option<Halt>) {
    let mut published = Vec::new();
    loop {
        let request = match lanes.next_request(now) {
            Ok(Some(request)) => request,
            Ok(None) => return (published, None),
            Err(halt) => return (published, Some(halt)),
        };
        let outcome = refuse(&request.batch).map_or(Ok(()), failure);
        match lanes.settle(request.lane, outcome, now) {
            Settled::Published { batch, .. } => published.extend(sequences(&batch)),
            Settled::Again { .. } | Settled::Dropped | Settled::Refused { .. } => {}
            Settled::Halted(halt) => return (published, Some(halt)),
        }
    }
}

#[test]
fn a_refused_message_is_isolated_behind_all_that_precede_it() {
    let now = Instant::now();
    for bad in 1..=9 {
        let mut lanes = Lanes::new(rules(1, 9));
        lanes.accept(keyed(1, 1..=9), now);
        let (published, halt) = drive(&mut lanes, now, |batch| {
            sequences(batch).contains(&bad).then_some(Fate::Isolate)
        });
        assert_eq!(published, (1..bad).collect::<Vec<_>>());
        let halt = halt.unwrap();
        assert_eq!(halt.kind, PublishErrorKind::Rejected);
        assert_eq!(blamed(&halt), Some((bad, 20 + FIELD)));
    }
}

#[test]
fn a_receiver_that_takes_less_gets_less_for_good() {
    let now = Instant::now();
    let mut lanes = Lanes::new(rules(1, 1000));
    let shrink = |batch: &Batch| (batch.bytes > 30 * FIELD).then_some(Fate::Shrink);
    lanes.accept(keyed(1, 1..=100), now);
    assert_eq!(drive(&mut lanes, now, shrink), ((1..=100).collect(), None));
    assert!(lanes.rules.limits.bytes <= 20 + 30 * FIELD);
    assert!(lanes.rules.limits.bytes > 20 + 10 * FIELD);
    lanes.accept(keyed(1, [101]), now);
    let (published, halt) = drive(&mut lanes, now, |_| Some(Fate::Shrink));
    assert_eq!(published, [0; 0]);
    let halt = halt.unwrap();
    assert_eq!((halt.kind, blamed(&halt)), (PublishErrorKind::TooLarge, Some((101, 20 + FIELD))));
}

#[test]
fn what_precedes_a_message_that_is_too_large_is_published_first() {
    let now = Instant::now();
    let mut lanes = Lanes::new(rules(8, 1000));
    let mut messages = keyed(1, 1..=3);
    messages[1].body = Bytes::from(vec![0; 11_000_000]);
    lanes.accept(messages, now + SECOND);
    let (published, halt) = drive(&mut lanes, now, |_| None);
    assert_eq!(published, [1]);
    let halt = halt.unwrap();
    assert_eq!(halt.kind, PublishErrorKind::TooLarge);
    assert_eq!(halt.culprit.map(|culprit| culprit.sequence), Some(2));
}

#[test]
fn a_refused_token_is_renewed_once_for_each_batch() {
    let now = Instant::now();
    let mut lanes = Lanes::new(rules(1, 1));
    lanes.accept(keyed(1, 1..=2), now);
    let refused = std::cell::Cell::new(0);
    let (published, halt) = drive(&mut lanes, now, |_| {
        refused.set(refused.get() + 1);
        (refused.get() % 2 == 1 || refused.get() > 3).then_some(Fate::Renew)
    });
    assert_eq!(published, [1]);
    assert_eq!(halt.unwrap().kind, PublishErrorKind::Auth);
}

#[test]
fn what_a_person_must_change_halts_at_once() {
    let now = Instant::now();
    let mut lanes = Lanes::new(rules(1, 1));
    lanes.accept(keyed(1, 1..=2), now);
    let (published, halt) =
        drive(&mut lanes, now, |_| Some(Fate::Stop(PublishErrorKind::TopicMissing)));
    assert_eq!(published, [0; 0]);
    assert_eq!(halt.unwrap().kind, PublishErrorKind::TopicMissing);
}
