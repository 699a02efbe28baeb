//! A message is refused for good and becomes a dead letter: everything else goes on.

use super::*;

fn with_letters(messages: usize) -> Lanes {
    Lanes::new(Rules { dead_letters: true, ..rules(8, messages) })
}

fn refuse(lanes: &mut Lanes, id: LaneId, now: Instant) {
    let settled = lanes.settle(id, failure(Fate::Isolate), now);
    assert!(matches!(settled, Settled::Refused { .. }), "{settled:?}");
}

#[test]
fn the_lane_goes_on_behind_it_and_no_other_is_held_up() {
    let now = Instant::now();
    let mut lanes = with_letters(1);
    lanes.accept(keyed(1, [1, 3]), now);
    lanes.accept(keyed(2, [2, 4]), now);
    assert_eq!(sent(&mut lanes, now), [key(1, [1]), key(2, [2])]);
    refuse(&mut lanes, LaneId::Key(1), now);
    assert!(lanes.has_room());
    assert_eq!(sent(&mut lanes, now), [key(1, [3])]);
    let letter = lanes.next_letter().unwrap();
    assert_eq!((letter.message.sequence, letter.kind), (1, PublishErrorKind::Rejected));
    assert!(lanes.next_letter().is_none());
    lanes.settle(LaneId::Key(1), Ok(()), now);
    lanes.settle(LaneId::Key(2), Ok(()), now);
    assert_eq!(sent(&mut lanes, now), [key(2, [4])]);
    lanes.settle(LaneId::Key(2), Ok(()), now);
    assert!(!lanes.is_idle(), "the dead letter is not safe yet");
    lanes.letter_is_safe();
    assert!(lanes.is_idle());
}

#[test]
fn a_barrier_waits_until_it_is_safe_and_what_follows_waits_for_a_refused_barrier() {
    let now = Instant::now();
    let mut lanes = with_letters(1);
    let mut messages = keyed(1, [1]);
    messages.push(message(2, Order::Barrier));
    messages.extend(keyed(1, [3]));
    lanes.accept(messages, now);
    assert_eq!(sent(&mut lanes, now), [key(1, [1])]);
    refuse(&mut lanes, LaneId::Key(1), now);
    assert_eq!(sent(&mut lanes, now), []);
    lanes.letter_is_safe();
    assert_eq!(sent(&mut lanes, now), [(LaneId::Barrier, vec![2])]);
    refuse(&mut lanes, LaneId::Barrier, now);
    assert_eq!(sent(&mut lanes, now), []);
    lanes.letter_is_safe();
    assert_eq!(sent(&mut lanes, now), [key(1, [3])]);
}

#[test]
fn one_that_is_too_large_is_never_sent() {
    let now = Instant::now();
    let mut lanes = with_letters(9);
    let mut messages = keyed(1, 1..=3);
    messages[1].body = Bytes::from(vec![0; 11_000_000]);
    lanes.accept(messages, now);
    assert_eq!(sent(&mut lanes, now), [key(1, [1])]);
    lanes.settle(LaneId::Key(1), Ok(()), now);
    assert_eq!(sent(&mut lanes, now), [key(1, [3])]);
    let letter = lanes.next_letter().unwrap();
    assert_eq!((letter.message.sequence, letter.kind), (2, PublishErrorKind::TooLarge));
    lanes.settle(LaneId::Key(1), Ok(()), now);
    lanes.letter_is_safe();
    assert!(lanes.is_idle() && lanes.queued == 0);
}

#[test]
fn a_lane_that_was_in_trouble_is_not_any_more() {
    let now = Instant::now();
    let mut lanes = with_letters(1);
    lanes.accept(keyed(1, [1]), now);
    assert_eq!(sent(&mut lanes, now).len(), 1);
    lanes.settle(LaneId::Key(1), failure(Fate::Retry), now);
    assert_eq!(sent(&mut lanes, now + SECOND), [key(1, [1])]);
    let settled = lanes.settle(LaneId::Key(1), failure(Fate::Isolate), now + SECOND);
    assert!(matches!(settled, Settled::Refused { recovered: true }), "{settled:?}");
    assert_eq!(lanes.troubled, 0);
}
