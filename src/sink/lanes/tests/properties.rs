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
}

impl World {
    fn new() -> Self {
        Self {
            lanes: Lanes::new(rules(SLOTS, LIMIT)),
            now: Instant::now(),
            taken: Vec::new(),
            in_flight: Vec::new(),
            arrivals: Vec::new(),
            published: BTreeSet::new(),
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
            // Held up by a barrier, or an outcome of nothing.
            Event::Message(..) | Event::Outcome(..) => {}
            Event::Pass(millis) => self.now += Duration::from_millis(millis),
            Event::Flush => self.lanes.flush(),
        }
        self.send();
    }

    fn answer(&mut self, index: usize, fate: Option<Fate>) {
        let request = self.in_flight.swap_remove(index);
        // What halts is not the matter here: a lone message is not refused, a token not twice.
        let halts = match fate {
            Some(Fate::Shrink | Fate::Isolate) => request.batch.messages.len() == 1,
            Some(Fate::Renew) => self.lanes.lanes[&request.lane].renewed,
            _ => false,
        };
        let fate = fate.filter(|_| !halts);
        let outcome = fate.map_or(Ok(()), failure);
        match self.lanes.settle(request.lane, outcome, self.now) {
            Settled::Published { batch, .. } => self.published.extend(sequences(&batch)),
            Settled::Again { .. } => assert!(fate.is_some()),
            Settled::Halted(halt) => panic!("{halt:?}"),
        }
    }

    fn send(&mut self) {
        while let Some(request) = self.lanes.next_request(self.now).unwrap() {
            self.check(&request);
            self.in_flight.push(request);
        }
    }

    fn check(&mut self, request: &Request) {
        let messages = &request.batch.messages;
        assert!(self.in_flight.len() < SLOTS);
        assert!(self.in_flight.iter().all(|other| other.lane != request.lane));
        assert!((1..=LIMIT).contains(&messages.len()));
        assert!(messages.iter().all(|message| message.lane == messages[0].lane));
        if request.lane == LaneId::Barrier {
            assert!(self.in_flight.is_empty() && messages.len() == 1);
            let before = 0..messages[0].sequence;
            assert!(before.into_iter().all(|sequence| self.published.contains(&sequence)));
        }
        self.arrivals.extend(messages.iter().map(|message| (message.sequence, message.lane)));
    }

    /// Lets everything succeed until nothing is left.
    fn finish(&mut self) {
        self.lanes.flush();
        for _ in 0..10_000 {
            self.send();
            if self.lanes.is_idle() {
                return;
            }
            if self.in_flight.is_empty() {
                self.now = self.lanes.wake_at().expect("whoever is not idle waits for something");
            } else {
                self.answer(0, None);
            }
        }
        panic!("the lanes never come to rest");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn every_message_arrives_and_keys_keep_their_order(
        events in any::<bool>().prop_flat_map(|keyed| prop::collection::vec(event(keyed), 1..300)),
    ) {
        let mut world = World::new();
        for event in events {
            world.play(event);
        }
        world.finish();
        prop_assert_eq!(world.published.len(), world.taken.len());
        let mut firsts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for (sequence, order) in &world.arrivals {
            if seen.insert(*sequence) && *order != Order::Unordered {
                firsts.entry(format!("{order:?}")).or_default().push(*sequence);
            }
        }
        for (order, sequences) in firsts {
            prop_assert!(sequences.is_sorted(), "{} out of order: {:?}", order, sequences);
        }
    }
}
