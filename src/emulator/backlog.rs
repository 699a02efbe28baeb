//! One subscription's messages: what waits for delivery, what is out on a lease.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use tokio::time::Instant;

/// A message of this subscription by the order in which it came; also its acknowledgement id.
pub(super) type Sequence = u64;

/// Messages that wait, and messages that were delivered and are not acknowledged yet.
///
/// In an ordered backlog a key of which messages are out is busy: its next messages wait until
/// those are acknowledged, or come back and are delivered again before them.
#[derive(Debug)]
pub(super) struct Backlog {
    ordered: bool,
    ack_deadline: Duration,
    next: Sequence,
    waiting: BTreeMap<Sequence, Arc<PubsubMessage>>,
    leased: HashMap<Sequence, Lease>,
    expiries: BTreeSet<(Instant, Sequence)>,
    /// Ordering keys with leased messages, and how many.
    busy: HashMap<String, usize>,
}

#[derive(Debug)]
struct Lease {
    message: Arc<PubsubMessage>,
    expiry: Instant,
}

impl Backlog {
    pub(super) fn new(ordered: bool, ack_deadline: Duration) -> Self {
        Self {
            ordered,
            ack_deadline,
            next: 0,
            waiting: BTreeMap::new(),
            leased: HashMap::new(),
            expiries: BTreeSet::new(),
            busy: HashMap::new(),
        }
    }

    pub(super) fn push(&mut self, message: Arc<PubsubMessage>) {
        self.waiting.insert(self.next, message);
        self.next += 1;
    }

    /// Delivers up to `max` messages, to be acknowledged within the deadline.
    pub(super) fn lease(
        &mut self,
        max: usize,
        now: Instant,
    ) -> Vec<(Sequence, Arc<PubsubMessage>)> {
        let expiry = now + self.ack_deadline;
        let delivered = self.take(max, now);
        for (sequence, message) in &delivered {
            if self.keeps_order_of(message) {
                *self.busy.entry(message.ordering_key.clone()).or_default() += 1;
            }
            self.expiries.insert((expiry, *sequence));
            self.leased.insert(*sequence, Lease { message: Arc::clone(message), expiry });
        }
        delivered
    }

    /// Delivers up to `max` messages for good.
    pub(super) fn take(&mut self, max: usize, now: Instant) -> Vec<(Sequence, Arc<PubsubMessage>)> {
        self.expire(now);
        let free = |message: &PubsubMessage| {
            !(self.keeps_order_of(message) && self.busy.contains_key(&message.ordering_key))
        };
        let chosen: Vec<Sequence> = self
            .waiting
            .iter()
            .filter(|(_, message)| free(message))
            .map(|(sequence, _)| *sequence)
            .take(max)
            .collect();
        chosen
            .into_iter()
            .filter_map(|sequence| Some((sequence, self.waiting.remove(&sequence)?)))
            .collect()
    }

    /// Forgets a delivered message. A late acknowledgement counts as well, and one of a message
    /// that is gone is ignored, as the service does.
    pub(super) fn acknowledge(&mut self, sequence: Sequence) {
        if self.end_lease(sequence).is_none() {
            self.waiting.remove(&sequence);
        }
    }

    /// When the next lease ends.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(expiry, _)| *expiry)
    }

    fn expire(&mut self, now: Instant) {
        while let Some(&(expiry, sequence)) = self.expiries.first()
            && expiry <= now
        {
            self.expiries.pop_first();
            if let Some(message) = self.end_lease(sequence) {
                self.waiting.insert(sequence, message);
            }
        }
    }

    fn end_lease(&mut self, sequence: Sequence) -> Option<Arc<PubsubMessage>> {
        let Lease { message, expiry } = self.leased.remove(&sequence)?;
        self.expiries.remove(&(expiry, sequence));
        if self.keeps_order_of(&message)
            && let Some(count) = self.busy.get_mut(&message.ordering_key)
        {
            *count -= 1;
            if *count == 0 {
                self.busy.remove(&message.ordering_key);
            }
        }
        Some(message)
    }

    fn keeps_order_of(&self, message: &PubsubMessage) -> bool {
        self.ordered && !message.ordering_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    fn backlog(ordered: bool, messages: &[(&str, &'static str)]) -> Backlog {
        let mut backlog = Backlog::new(ordered, DEADLINE);
        for (key, data) in messages {
            backlog.push(Arc::new(PubsubMessage {
                ordering_key: (*key).to_owned(),
                data: (*data).into(),
                ..PubsubMessage::default()
            }));
        }
        backlog
    }

    fn data(delivered: &[(Sequence, Arc<PubsubMessage>)]) -> Vec<&str> {
        delivered.iter().map(|(_, message)| std::str::from_utf8(&message.data).unwrap()).collect()
    }

    #[tokio::test]
    async fn a_key_waits_for_its_acknowledgements() {
        let mut backlog = backlog(true, &[("a", "a1"), ("a", "a2"), ("b", "b1"), ("", "free")]);
        let now = Instant::now();
        let first = backlog.lease(1, now);
        assert_eq!(data(&first), ["a1"]);
        assert_eq!(data(&backlog.lease(10, now)), ["b1", "free"]);
        backlog.acknowledge(first[0].0);
        assert_eq!(data(&backlog.lease(10, now)), ["a2"]);
    }

    #[tokio::test]
    async fn an_expired_lease_is_delivered_again_in_its_place() {
        let mut backlog = backlog(true, &[("a", "a1"), ("a", "a2"), ("a", "a3")]);
        let now = Instant::now();
        let first = backlog.lease(2, now);
        backlog.acknowledge(first[1].0);
        assert!(backlog.lease(10, now).is_empty());
        assert_eq!(backlog.next_expiry(), Some(now + DEADLINE));
        assert_eq!(data(&backlog.lease(10, now + DEADLINE)), ["a1", "a3"]);
    }

    #[tokio::test]
    async fn a_late_acknowledgement_counts() {
        let mut backlog = backlog(true, &[("a", "a1"), ("a", "a2")]);
        let now = Instant::now();
        let first = backlog.lease(1, now);
        backlog.expire(now + DEADLINE);
        backlog.acknowledge(first[0].0);
        assert_eq!(data(&backlog.lease(10, now + DEADLINE)), ["a2"]);
    }

    #[tokio::test]
    async fn an_unordered_backlog_holds_no_key_back() {
        let mut backlog = backlog(false, &[("a", "a1"), ("a", "a2")]);
        let now = Instant::now();
        assert_eq!(data(&backlog.lease(1, now)), ["a1"]);
        assert_eq!(data(&backlog.lease(1, now)), ["a2"]);
    }

    #[tokio::test]
    async fn taken_messages_leave_nothing_behind() {
        let mut backlog = backlog(true, &[("a", "a1"), ("a", "a2")]);
        let now = Instant::now();
        assert_eq!(data(&backlog.take(1, now)), ["a1"]);
        assert_eq!(data(&backlog.take(10, now)), ["a2"]);
        assert_eq!(backlog.next_expiry(), None);
        assert!(backlog.take(10, now + DEADLINE).is_empty());
    }
}
