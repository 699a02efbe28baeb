//! One message is refused for good: what precedes it goes on, what follows it is over.

use super::*;

/// Settles the request of lane `key`.
fn settle(lanes: &mut Lanes, key: u64, outcome: Result<(), Failure>, now: Instant) -> Settled {
    lanes.settle(LaneId::Key(key), outcome, now)
}

/// The sequence number of the message that ended the lanes.
fn ended_by(lanes: &mut Lanes, now: Instant) -> Option<u64> {
    lanes.next_request(now).unwrap_err().culprit.map(|culprit| culprit.sequence)
}

#[test]
fn what_precedes_is_published_by_the_usual_rules_and_then_the_lanes_end() {
    let now = Instant::now();
    let mut lanes = Lanes::new(rules(2, 1));
    lanes.accept(keyed(1, [1, 3, 6]), now);
    lanes.accept(keyed(2, [4, 7]), now);
    lanes.accept(keyed(3, [2, 5, 8]), now);
    assert_eq!(sent(&mut lanes, now), [key(1, [1]), key(2, [4])]);
    let settled = settle(&mut lanes, 2, failure(Fate::Isolate), now);
    assert!(matches!(settled, Settled::Dropped), "{settled:?}");
    assert!(!lanes.has_room(), "what follows would be dropped");
    assert_eq!(sent(&mut lanes, now), [key(3, [2])]);
    let settled = settle(&mut lanes, 1, failure(Fate::Retry), now);
    assert!(matches!(settled, Settled::Again { attempts: 1, .. }), "{settled:?}");
    settle(&mut lanes, 3, Ok(()), now);
    assert_eq!(sent(&mut lanes, now), [], "5 comes after 4, and 1 is backing off");
    assert_eq!(sent(&mut lanes, now + SECOND), [key(1, [1])]);
    settle(&mut lanes, 1, Ok(()), now + SECOND);
    assert_eq!(sent(&mut lanes, now + SECOND), [key(1, [3])]);
    settle(&mut lanes, 1, Ok(()), now + SECOND);
    assert_eq!(ended_by(&mut lanes, now + SECOND), Some(4));
}

#[test]
fn nothing_that_precedes_waits_for_company_any_more() {
    let now = Instant::now();
    let mut lanes = Lanes::new(rules(8, 100));
    lanes.accept(keyed(1, [1]), now + 100 * SECOND);
    lanes.accept(keyed(2, [2]), now);
    lanes.accept(keyed(1, [3]), now + 100 * SECOND);
    assert_eq!(sent(&mut lanes, now), [key(2, [2])]);
    settle(&mut lanes, 2, failure(Fate::Isolate), now);
    assert_eq!(sent(&mut lanes, now), [key(1, [1])]);
    settle(&mut lanes, 1, Ok(()), now);
    assert_eq!(ended_by(&mut lanes, now), Some(2));
}

#[test]
fn what_follows_still_counts_if_it_is_in_flight_and_is_not_sent_again() {
    let now = Instant::now();
    for (outcome, counts) in [(Ok(()), true), (failure(Fate::Retry), false)] {
        let mut lanes = Lanes::new(rules(8, 2));
        lanes.accept(keyed(1, [1]), now);
        lanes.accept(keyed(2, [2, 3]), now);
        assert_eq!(sent(&mut lanes, now).len(), 2);
        settle(&mut lanes, 1, failure(Fate::Isolate), now);
        assert_eq!(sent(&mut lanes, now), [], "2 and 3 are awaited");
        match settle(&mut lanes, 2, outcome, now) {
            Settled::Published { batch, .. } => assert!(counts && sequences(&batch) == [2, 3]),
            Settled::Dropped => assert!(!counts),
            other => panic!("{other:?}"),
        }
        assert_eq!(ended_by(&mut lanes, now), Some(1));
    }
}

#[test]
fn a_request_that_is_sent_again_holds_only_what_precedes() {
    let now = Instant::now();
    let mut lanes = Lanes::new(rules(8, 4));
    lanes.accept(keyed(1, [1, 2, 4, 5]), now);
    lanes.accept(keyed(2, [3]), now);
    lanes.accept(keyed(3, [0, 6]), now);
    assert_eq!(sent(&mut lanes, now).len(), 3);
    // One in flight and one backing off when 3 is refused.
    settle(&mut lanes, 3, failure(Fate::Retry), now);
    settle(&mut lanes, 2, failure(Fate::Isolate), now);
    settle(&mut lanes, 1, failure(Fate::Renew), now);
    assert_eq!(sent(&mut lanes, now), [key(1, [1, 2])]);
    assert_eq!(sent(&mut lanes, now + SECOND), [key(3, [0])]);
    settle(&mut lanes, 1, Ok(()), now + SECOND);
    let settled = settle(&mut lanes, 3, Ok(()), now + SECOND);
    assert!(matches!(settled, Settled::Published { recovered: true, .. }), "{settled:?}");
    assert_eq!(ended_by(&mut lanes, now + SECOND), Some(3));
}

#[test]
fn a_batch_with_another_refused_message_behind_does_not_blame_what_precedes() {
    let now = Instant::now();
    let mut lanes = Lanes::new(rules(8, 2));
    lanes.accept(keyed(1, [1, 3]), now);
    lanes.accept(keyed(2, [2]), now);
    assert_eq!(sent(&mut lanes, now), [key(1, [1, 3]), key(2, [2])]);
    settle(&mut lanes, 2, failure(Fate::Isolate), now);
    settle(&mut lanes, 1, failure(Fate::Isolate), now);
    assert_eq!(sent(&mut lanes, now), [key(1, [1])]);
    settle(&mut lanes, 1, Ok(()), now);
    assert_eq!(ended_by(&mut lanes, now), Some(2));
}

#[test]
fn of_several_refused_messages_the_first_of_the_stream_counts() {
    let now = Instant::now();
    for order in [[1, 2], [2, 1]] {
        let mut lanes = Lanes::new(rules(8, 1));
        for sequence in 0..=2 {
            lanes.accept(keyed(sequence, [sequence]), now);
        }
        assert_eq!(sent(&mut lanes, now).len(), 3);
        for key in order {
            let settled = settle(&mut lanes, key, failure(Fate::Isolate), now);
            assert!(matches!(settled, Settled::Dropped), "{settled:?}");
        }
        assert_eq!(sent(&mut lanes, now), []);
        settle(&mut lanes, 0, Ok(()), now);
        assert_eq!(ended_by(&mut lanes, now), Some(1));
    }
}

#[test]
fn what_a_person_must_change_halts_at_once_also_then() {
    let now = Instant::now();
    let mut lanes = Lanes::new(rules(8, 1));
    lanes.accept(keyed(1, [1, 2]), now);
    lanes.accept(keyed(2, [3]), now);
    assert_eq!(sent(&mut lanes, now).len(), 2);
    settle(&mut lanes, 2, failure(Fate::Isolate), now);
    let settled = settle(&mut lanes, 1, failure(Fate::Stop(PublishErrorKind::Auth)), now);
    assert!(matches!(&settled, Settled::Halted(halt) if halt.culprit.is_none()), "{settled:?}");
}

#[test]
fn what_a_barrier_holds_is_dropped_and_so_is_the_barrier() {
    let now = Instant::now();
    let mut lanes = Lanes::new(rules(8, 1));
    let mut messages = keyed(1, [1]);
    messages.extend(keyed(2, [2]));
    messages.push(message(3, Order::Barrier));
    messages.extend(keyed(1, [4]));
    lanes.accept(messages, now);
    assert_eq!(sent(&mut lanes, now).len(), 2);
    settle(&mut lanes, 2, failure(Fate::Isolate), now);
    settle(&mut lanes, 1, Ok(()), now);
    assert_eq!(ended_by(&mut lanes, now), Some(2));
}

#[test]
fn a_refused_barrier_ends_the_lanes() {
    let now = Instant::now();
    let mut lanes = Lanes::new(rules(8, 1));
    let mut messages = vec![message(1, Order::Barrier)];
    messages.extend(keyed(1, [2]));
    lanes.accept(messages, now);
    assert_eq!(sent(&mut lanes, now), [(LaneId::Barrier, vec![1])]);
    lanes.settle(LaneId::Barrier, failure(Fate::Isolate), now);
    assert_eq!(ended_by(&mut lanes, now), Some(1));
}

#[test]
fn a_message_that_is_too_large_lets_others_precede_it_as_well() {
    let now = Instant::now();
    let mut lanes = Lanes::new(rules(8, 9));
    let mut large = message(2, Order::Key(1));
    large.body = Bytes::from(vec![0; 11_000_000]);
    lanes.accept(keyed(2, [1]), now + SECOND);
    lanes.accept(vec![large], now);
    lanes.accept(keyed(2, [3]), now + SECOND);
    assert_eq!(sent(&mut lanes, now), [key(2, [1])]);
    settle(&mut lanes, 2, Ok(()), now);
    let halt = lanes.next_request(now).unwrap_err();
    assert_eq!(halt.kind, PublishErrorKind::TooLarge);
    assert_eq!(blamed(&halt), Some((2, 20 + 11_000_005)));
}
