//! Random messages, outcomes and moments: the promises hold in all of them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 7;
const SLOTS: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Event {
    /// The next message, for one of four keys, no key, or as a barrier; and its urgency.
    Message(Order, bool),
    /// The outcome of one of the requests in flight.
    Outcome(usize, Option<Fate>),
    Pass(u64),
    /// A dead letter is safe.
    Safe,
    Flush,
}

fn event(keyed: bool) -> impl Strategy<Value = Event> {
    let order = if keyed {
        prop_oneof![20 => (0..4u64).prop_map(Order::Key), 1 => Just(Order::Barrier)].boxed()
    } else {
        prop_oneof![20 => Just(Order::Unordered), 1 => Just(Order::Barrier)].boxed()
    };
    let fate = prop_oneof![
        4 => Just(None),
        2 => Just(Some(Fate::Retry)),
        1 => Just(Some(Fate::Renew)),
        1 => Just(Some(Fate::Shrink)),
        1 => Just(Some(Fate::Isolate)),
    ];
    prop_oneof![
        10 => (order, any::<bool>()).prop_map(|(order, urgent)| Event::Message(order, urgent)),
        5 => (0..SLOTS, fate).prop_map(|(index, fate)| Event::Outcome(index, fate)),
        3 => (1..200u64).prop_map(Event::Pass),
        2 => Just(Event::Safe),
        1 => Just(Event::Flush),
    ]
}

/// Lanes with all that has been seen of them.
struct World {
    lanes: Lanes,
    now: Instant,
    taken: Vec<(u64, Order)>,
    in_flight: Vec<Request>,
    /// Every message of every request, in the order of their sending.
    arrivals: Vec<(u64, Order)>,
    published: BTreeSet<u64>,
    /// Whether lone messages may be refused, and the first that was.
    refusals: bool,
    refused: Option<u64>,
    halted: Option<Halt>,
    /// Dead letters, and how many of them are not safe yet.
    letters: BTreeSet<u64>,
    unsafe_letters: usize,
}

impl World {
    fn new(refusals: bool, dead_letters: bool) -> Self {
        Self {
            lanes: Lanes::new(Rules { dead_letters, ..rules(SLOTS, LIMIT) }),
            now: Instant::now(),
            taken: Vec::new(),
            in_flight: Vec::new(),
            arrivals: Vec::new(),
            published: BTreeSet::new(),
            refusals,
            refused: None,
            halted: None,
            letters: BTreeSet::new(),
            unsafe_letters: 0,
        }
    }

    fn play(&mut self, event: Event) {
        match event {
            Event::Message(order, urgent) if self.lanes.has_room() => {
                let sequence = self.taken.len() as u64;
                self.taken.push((sequence, order));
                let deadline = self.now + Duration::from_millis(if urgent { 5 } else { 100 });
                self.lanes.accept(vec![message(sequence, order)], deadline);
            }
            Event::Outcome(index, fate) if index < self.in_flight.len() => {
                self.answer(index, fate);
            }
            Event::Safe if self.unsafe_letters > 0 => self.letter_is_safe(),
            // Held up by a barrier, or an outcome of nothing.
            Event::Message(..) | Event::Outcome(..) | Event::Safe => {}
            Event::Pass(millis) => self.now += Duration::from_millis(millis),
            Event::Flush => self.lanes.flush(),
        }
        self.send();
    }

    fn answer(&mut self, index: usize, fate: Option<Fate>) {
        let request = self.in_flight.swap_remove(index);
        let alone = request.batch.messages.len() == 1;
        let refused = alone && matches!(fate, Some(Fate::Shrink | Fate::Isolate));
        // What halts at once is not the matter here: a token is not refused twice.
        let halts = fate == Some(Fate::Renew) && self.lanes.lanes[&request.lane].renewed;
        let fate = fate.filter(|_| !halts && (self.refusals || !refused));
        let outcome = fate.map_or(Ok(()), failure);
        if refused && self.refusals && !self.lanes.rules.dead_letters {
            let sequence = request.batch.messages[0].sequence;
            self.refused = Some(self.refused.map_or(sequence, |first| first.min(sequence)));
        }
        match self.lanes.settle(request.lane, outcome, self.now) {
            Settled::Published { batch, .. } => self.published.extend(sequences(&batch)),
            Settled::Again { .. } => assert!(fate.is_some()),
            Settled::Dropped => assert!(self.refused.is_some()),
            Settled::Refused { .. } => {
                assert!(refused && self.lanes.rules.dead_letters);
                let letter = self.lanes.next_letter().unwrap().message.sequence;
                assert!(self.letters.insert(letter), "a dead letter once");
                self.unsafe_letters += 1;
            }
            Settled::Halted(halt) => panic!("{halt:?}"),
        }
    }

    fn letter_is_safe(&mut self) {
        self.unsafe_letters -= 1;
        self.lanes.letter_is_safe();
    }

    fn send(&mut self) {
        loop {
            match self.lanes.next_request(self.now) {
                Ok(Some(request)) => {
                    self.check(&request);
                    self.in_flight.push(request);
                }
                Ok(None) => return,
                Err(halt) => {
                    self.halted = Some(halt);
                    return;
                }
            }
        }
    }

    fn check(&mut self, request: &Request) {
        let messages = &request.batch.messages;
        assert!(self.in_flight.len() < SLOTS);
        assert!(self.in_flight.iter().all(|other| other.lane != request.lane));
        assert!((1..=LIMIT).contains(&messages.len()));
        assert!(messages.iter().all(|message| self.refused.is_none_or(|r| message.sequence < r)));
        assert!(messages.iter().all(|message| message.lane == messages[0].lane));
        if request.lane == LaneId::Barrier {
            assert!(self.in_flight.is_empty() && messages.len() == 1);
            let before = 0..messages[0].sequence;
            assert!(before.into_iter().all(|sequence| self.is_safe(sequence)));
            assert_eq!(self.unsafe_letters, 0);
        }
        self.arrivals.extend(messages.iter().map(|message| (message.sequence, message.lane)));
    }

    /// Published, or a dead letter.
    fn is_safe(&self, sequence: u64) -> bool {
        self.published.contains(&sequence) || self.letters.contains(&sequence)
    }

    /// Lets everything succeed until nothing is left.
    fn finish(&mut self) {
        self.lanes.flush();
        for _ in 0..10_000 {
            self.send();
            if self.lanes.is_idle() {
                return;
            }
            if self.unsafe_letters > 0 {
                self.letter_is_safe();
            } else if self.in_flight.is_empty() {
                self.now = self.lanes.wake_at().expect("whoever is not idle waits for something");
            } else {
                self.answer(0, None);
            }
        }
        panic!("the lanes never come to rest");
    }
}

/// Every key's messages, and the barriers, arrive for the first time in their order.
fn assert_order(arrivals: &[(u64, Order)]) {
    let mut firsts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (sequence, order) in arrivals {
        if seen.insert(*sequence) && *order != Order::Unordered {
            firsts.entry(format!("{order:?}")).or_default().push(*sequence);
        }
    }
    for (order, sequences) in firsts {
        assert!(sequences.is_sorted(), "{order} out of order: {sequences:?}");
    }
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    any::<bool>().prop_flat_map(|keyed| prop::collection::vec(event(keyed), 1..300))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn every_message_arrives_and_keys_keep_their_order(events in events()) {
        let mut world = World::new(false, false);
        for event in events {
            world.play(event);
        }
        world.finish();
        prop_assert_eq!(world.published.len(), world.taken.len());
        assert_order(&world.arrivals);
    }

    #[test]
    fn all_that_precede_the_first_refused_message_arrive_and_then_it_is_over(events in events()) {
        let mut world = World::new(true, false);
        for event in events {
            world.play(event);
        }
        world.finish();
        let end = world.refused.unwrap_or(world.taken.len() as u64);
        prop_assert!((0..end).all(|sequence| world.published.contains(&sequence)));
        prop_assert!(world.refused.is_none_or(|refused| !world.published.contains(&refused)));
        let culprit = world.halted.and_then(|halt| halt.culprit).map(|culprit| culprit.sequence);
        prop_assert_eq!(culprit, world.refused);
        assert_order(&world.arrivals);
    }

    #[test]
    fn with_dead_letters_every_message_is_published_or_a_dead_letter(events in events()) {
        let mut world = World::new(true, true);
        for event in events {
            world.play(event);
        }
        world.finish();
        let all = world.taken.len() as u64;
        prop_assert!((0..all).all(|sequence| world.is_safe(sequence)));
        prop_assert!(world.published.is_disjoint(&world.letters));
        prop_assert_eq!(world.published.len() + world.letters.len(), world.taken.len());
        prop_assert!(world.halted.is_none() && world.lanes.lanes.is_empty());
        prop_assert_eq!(world.lanes.queued, 0);
        let published = &world.published;
        world.arrivals.retain(|(sequence, _)| published.contains(sequence));
        assert_order(&world.arrivals);
    }
}
