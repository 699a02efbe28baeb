use mongodb::bson::{RawDocumentBuf, rawdoc};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::checkpoint::batches::{batch, event, position};
use crate::error::RecordErrorKind;

#[expect(clippy::unnecessary_wraps, reason = "compared with what `committable` returns")]
fn at(sequence: u64, ordinal: u32) -> Option<Committable> {
    Some(Committable { sequence, position: position(ordinal) })
}

/// Events `ordinals` in one reply.
fn events(ordinals: std::ops::Range<u32>) -> Vec<RawDocumentBuf> {
    ordinals.map(|ordinal| event(ordinal, 0)).collect()
}

#[test]
fn position_moves_over_the_contiguous_prefix_only() {
    let mut tracker = Tracker::new(position(0));
    assert_eq!(tracker.begin(&batch(events(1..4), None)), Ok(1));
    assert_eq!(tracker.begin(&batch(events(4..6), Some(position(9)))), Ok(4));

    assert_eq!(tracker.complete(&[2, 3, 5]).events, 0);
    assert_eq!(tracker.committable(), None);
    assert_eq!(tracker.complete(&[1]).events, 3);
    assert_eq!(tracker.committable(), at(3, 3));
    assert_eq!(tracker.pending(), 2);
    // The reply's own token takes the place of that of its last event.
    assert_eq!(tracker.complete(&[4]).events, 2);
    assert_eq!(tracker.committable(), at(5, 9));
    assert_eq!(tracker.pending(), 0);
}

#[test]
fn empty_batches_move_the_position_behind_what_is_pending() {
    let mut tracker = Tracker::new(position(0));
    tracker.begin(&batch(vec![], Some(position(1)))).unwrap();
    assert_eq!(tracker.committable(), at(0, 1));

    tracker.begin(&batch(events(2..4), Some(position(4)))).unwrap();
    for ordinal in 5..1_000 {
        tracker.begin(&batch(vec![], Some(position(ordinal)))).unwrap();
    }
    tracker.complete(&[1]);
    assert_eq!(tracker.committable(), at(1, 2));
    assert_eq!(tracker.segments.len(), 1, "idle replies pile up behind a stuck event");
    tracker.complete(&[2]);
    assert_eq!(tracker.committable(), at(2, 999));
}

#[test]
fn a_receipt_that_comes_twice_or_from_nowhere_frees_nothing() {
    let mut tracker = Tracker::new(position(0));
    let read = batch(events(1..4), None);
    tracker.begin(&read).unwrap();
    assert_eq!(tracker.complete(&[0, 4, u64::MAX]), Freed::default());
    assert_eq!(tracker.complete(&[2, 2]), Freed { bytes: read.bytes() / 3, events: 0 });
    assert_eq!(tracker.complete(&[1, 3]), Freed { bytes: read.bytes() / 3 * 2, events: 3 });
    assert_eq!(tracker.complete(&[1, 2, 3]), Freed::default());
    assert_eq!(tracker.pending(), 0);
}

#[test]
fn an_event_without_a_token_is_refused_and_leaves_no_trace() {
    let mut tracker = Tracker::new(position(0));
    for broken in [rawdoc! { "operationType": "insert" }, rawdoc! { "_id": "secret" }] {
        let error = tracker.begin(&batch(vec![event(1, 0), broken], None)).unwrap_err();
        assert_eq!(error.kind, RecordErrorKind::Decode);
        assert!(error.message.contains("event 1") && !error.message.contains("secret"));
    }
    assert_eq!(tracker.pending(), 0);
    assert_eq!(tracker.begin(&batch(events(1..2), None)), Ok(1));
}

#[test]
fn a_token_behind_other_fields_is_found() {
    let mut tracker = Tracker::new(position(0));
    let event = rawdoc! { "operationType": "insert", "_id": rawdoc! { "_data": "82AA" } };
    tracker.begin(&batch(vec![event], None)).unwrap();
    tracker.complete(&[1]);
    let position = Position::Token(rawdoc! { "_data": "82AA" });
    assert_eq!(tracker.committable(), Some(Committable { sequence: 1, position }));
}

#[test]
fn pending_events_cost_little_and_finished_batches_next_to_nothing() {
    let mut tracker = Tracker::new(position(0));
    for reply in 0..50 {
        let first = reply * 1_000;
        tracker.begin(&batch(events(first..first + 1_000), Some(position(first + 1_000)))).unwrap();
    }
    let held = |tracker: &Tracker| -> usize {
        let heap = |segment: &Segment| size_of_val(&*segment.events) + segment.tokens.len();
        size_of::<Segment>() * tracker.segments.capacity()
            + tracker.segments.iter().map(heap).sum::<usize>()
    };
    let token = event(1, 0).get_document("_id").unwrap().as_bytes().len();
    assert!(held(&tracker) <= 50_000 * (token + 16), "{} B", held(&tracker));

    // One event is stuck, all behind it flow: their tokens are of no use any more.
    tracker.complete(&(2..=50_000).collect::<Vec<_>>());
    assert_eq!(tracker.pending(), 50_000);
    assert!(held(&tracker) <= 1_000 * (token + 16) + 20_000, "{} B", held(&tracker));
}

#[test]
fn no_token_shows() {
    let mut tracker = Tracker::new(position(0));
    tracker.begin(&batch(events(1..3), None)).unwrap();
    let shown = format!("{tracker:?}");
    assert!(shown.contains("unfinished: 2"), "{shown}");
    for secret in ["66F0C0DE", "95, 100, 97, 116, 97"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

/// What happens to a tracker.
#[derive(Clone, Debug)]
enum Step {
    /// A reply comes, with events of these sizes, with a post-batch token or without.
    Begin(Vec<usize>, bool),
    /// Receipts come, for any events: unfinished, finished or not yet read.
    Complete(Vec<Index>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let begin = (vec(0..300_usize, 0..6), any::<bool>()).prop_map(|(s, p)| Step::Begin(s, p));
    let complete = vec(any::<Index>(), 0..8).prop_map(Step::Complete);
    vec(prop_oneof![begin, complete], 0..60)
}

/// The tracker as simply as it can be said.
struct Model {
    opening: u32,
    /// Size, finished, ordinal of the position after it.
    events: Vec<(usize, bool, u32)>,
    ordinal: u32,
}

impl Model {
    fn begin(&mut self, sizes: &[usize], post_batch: bool) -> Batch {
        let mut documents = Vec::new();
        for &size in sizes {
            self.ordinal += 1;
            documents.push(event(self.ordinal, size));
            let size = documents.last().map_or(0, |event| event.as_bytes().len());
            self.events.push((size, false, self.ordinal));
        }
        if post_batch {
            self.ordinal += 1;
            *self.events.last_mut().map_or(&mut self.opening, |last| &mut last.2) = self.ordinal;
        }
        batch(documents, post_batch.then(|| position(self.ordinal)))
    }

    fn complete(&mut self, sequences: &[u64]) -> Freed {
        let before = self.prefix();
        let mut bytes = 0;
        for &sequence in sequences {
            let index = usize::try_from(sequence).unwrap().wrapping_sub(1);
            if let Some((size, finished @ false, _)) = self.events.get_mut(index) {
                *finished = true;
                bytes += *size;
            }
        }
        Freed { bytes, events: self.prefix() - before }
    }

    fn prefix(&self) -> usize {
        self.events.iter().take_while(|(_, finished, _)| *finished).count()
    }

    fn position(&self) -> (u64, u32) {
        let prefix = self.prefix();
        let last = prefix.checked_sub(1).map(|index| self.events[index].2);
        (prefix as u64, last.unwrap_or(self.opening))
    }
}

proptest! {
    #[test]
    fn any_order_of_replies_and_receipts(steps in steps()) {
        let mut tracker = Tracker::new(position(0));
        let mut model = Model { opening: 0, events: vec![], ordinal: 0 };
        let (mut newest, mut freed) = ((0, 0), Freed::default());
        // At the end everything is finished, the newest first.
        for step in steps.iter().map(Some).chain([None]) {
            let events = model.events.len() as u64;
            let receipts: Vec<u64> = match step {
                Some(Step::Begin(sizes, post_batch)) => {
                    prop_assert_eq!(tracker.begin(&model.begin(sizes, *post_batch)), Ok(events + 1));
                    vec![]
                }
                // Numbers 0 and `events + 1` belong to no event.
                Some(Step::Complete(picks)) => {
                    picks.iter().map(|pick| pick.index(model.events.len() + 2) as u64).collect()
                }
                None => (1..=events).rev().collect(),
            };
            let part = tracker.complete(&receipts);
            prop_assert_eq!(part, model.complete(&receipts));
            freed = Freed { bytes: freed.bytes + part.bytes, events: freed.events + part.events };
            // The model never passes an unfinished event, by its very words.
            let (sequence, ordinal) = model.position();
            let moved = (sequence, ordinal) != (0, 0);
            prop_assert_eq!(tracker.committable(), at(sequence, ordinal).filter(|_| moved));
            prop_assert!(newest <= (sequence, ordinal), "the position went backwards");
            prop_assert_eq!(tracker.pending(), model.events.len() as u64 - sequence);
            newest = (sequence, ordinal);
        }
        prop_assert_eq!(newest, (model.events.len() as u64, model.ordinal));
        let bytes = model.events.iter().map(|(size, ..)| size).sum();
        prop_assert_eq!(freed, Freed { bytes, events: model.events.len() });
        prop_assert!(tracker.segments.is_empty());
    }
}
