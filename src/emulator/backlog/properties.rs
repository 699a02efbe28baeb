//! What holds for an ordered backlog, whatever its consumers do and in whatever order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use proptest::prelude::*;

use tokio::time::Instant;

use super::super::store::Store;
use super::{AckId, Backlog, Consumer, Demand, Sequence};

const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
enum Step {
    Push {
        key: u8,
    },
    /// By one of three streams, or by a Pull.
    Deliver {
        stream: Option<Consumer>,
        messages: usize,
    },
    Acknowledge {
        delivery: prop::sample::Index,
    },
    Refuse {
        delivery: prop::sample::Index,
    },
    Pass {
        seconds: u64,
    },
    End {
        stream: Consumer,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let delivery = any::<prop::sample::Index>();
    prop_oneof![
        4 => (0..3_u8).prop_map(|key| Step::Push { key }),
        4 => (prop::option::of(1..=3_u64), 1..4_usize)
            .prop_map(|(stream, messages)| Step::Deliver { stream, messages }),
        4 => delivery.clone().prop_map(|delivery| Step::Acknowledge { delivery }),
        1 => delivery.prop_map(|delivery| Step::Refuse { delivery }),
        1 => (1..12_u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => (1..=3_u64).prop_map(|stream| Step::End { stream }),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waiting,
    Out(Consumer),
    Acknowledged,
}

/// A backlog beside what is known of each of its messages: key, fate, and whether it ever came.
struct Model {
    backlog: Backlog,
    store: Arc<Store>,
    now: Instant,
    messages: BTreeMap<Sequence, (u8, Fate, bool)>,
    delivered: Vec<AckId>,
    last_pull: Consumer,
}

impl Model {
    fn new() -> Self {
        let (backlog, store) = (Backlog::new(true), Store::new(usize::MAX));
        let (messages, delivered) = (BTreeMap::new(), Vec::new());
        Self { backlog, store, now: Instant::now(), messages, delivered, last_pull: 100 }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Push { key } => self.push(*key),
            Step::Deliver { stream, messages } => self.deliver(*stream, *messages),
            Step::Acknowledge { delivery } if !self.delivered.is_empty() => {
                self.acknowledge(*delivery.get(&self.delivered));
            }
            Step::Refuse { delivery } if !self.delivered.is_empty() => {
                let id = *delivery.get(&self.delivered);
                if self.backlog.valid(id).is_some_and(|entry| entry.lease.is_some()) {
                    self.rewind(id.sequence);
                }
                self.backlog.modify(id, Duration::ZERO, self.now);
            }
            Step::Pass { seconds } => self.pass(Duration::from_secs(*seconds)),
            Step::End { stream } => self.backlog.release(*stream),
            Step::Acknowledge { .. } | Step::Refuse { .. } => {}
        }
    }

    fn push(&mut self, key: u8) {
        self.messages.insert(self.backlog.next, (key, Fate::Waiting, false));
        let ordering_key = key.to_string();
        let message = PubsubMessage { ordering_key, ..PubsubMessage::default() };
        self.backlog.push(self.store.keep(message));
    }

    fn deliver(&mut self, stream: Option<Consumer>, messages: usize) {
        self.last_pull += 1;
        let consumer = stream.unwrap_or(self.last_pull);
        let demand = Demand {
            consumer,
            messages,
            max_outstanding_messages: 5,
            max_outstanding_bytes: usize::MAX,
            ack_deadline: DEADLINE,
        };
        let delivered = self.backlog.lease(&demand, self.now);
        if stream.is_none() {
            self.backlog.release_after(&delivered);
        }
        for delivery in delivered {
            self.came(delivery.ack_id.sequence, consumer);
            self.delivered.push(delivery.ack_id);
        }
    }

    /// Earlier messages of the key are acknowledged, or the same consumer has them already.
    fn came(&mut self, sequence: Sequence, consumer: Consumer) {
        let (key, fate, _) = self.messages[&sequence];
        assert_eq!(fate, Fate::Waiting, "{sequence} was not due");
        for (earlier, (of, fate, came)) in self.messages.range(..sequence) {
            let settled = *fate == Fate::Acknowledged || *fate == Fate::Out(consumer);
            assert!(*of != key || (settled && *came), "{sequence} before {earlier}: {fate:?}");
        }
        self.messages.insert(sequence, (key, Fate::Out(consumer), true));
    }

    fn acknowledge(&mut self, id: AckId) {
        if self.backlog.acknowledge(id)
            && let Some((_, fate, _)) = self.messages.get_mut(&id.sequence)
        {
            *fate = Fate::Acknowledged;
        }
    }

    /// This message and those of its key after it wait again.
    fn rewind(&mut self, sequence: Sequence) {
        let key = self.messages[&sequence].0;
        for (_, (of, fate, _)) in self.messages.range_mut(sequence..) {
            if *of == key {
                *fate = Fate::Waiting;
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        let expired = self.backlog.expiries.iter().take_while(|(expiry, _)| *expiry <= self.now);
        let expired: Vec<Sequence> = expired.map(|(_, sequence)| *sequence).collect();
        for sequence in expired {
            self.rewind(sequence);
        }
        self.backlog.expire(self.now);
    }

    /// In the end everything comes, and nothing stays behind.
    fn drain(mut self) {
        self.pass(DEADLINE);
        loop {
            let before = self.delivered.len();
            self.deliver(None, 10);
            if self.delivered.len() == before {
                break;
            }
            for id in self.delivered.split_off(before) {
                self.acknowledge(id);
            }
        }
        assert!(
            self.messages.values().all(|(_, fate, came)| { *came && *fate == Fate::Acknowledged })
        );
        assert!(self.backlog.messages.is_empty() && self.backlog.outstanding.is_empty());
        assert_eq!((self.backlog.next_expiry(), self.store.kept_bytes()), (None, 0));
    }
}

proptest! {
    #[test]
    fn keys_keep_their_order_and_nothing_is_lost(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let mut model = Model::new();
        for step in &steps {
            model.take(step);
        }
        model.drain();
    }
}
