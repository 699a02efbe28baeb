//! One subscription's messages: what waits for delivery, what is out on a lease.

#[cfg(test)]
mod properties;
mod queue;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::queue::Queue;
use super::store::Stored;

/// A message of this subscription, by the order in which it came.
pub(super) type Sequence = u64;
/// Who gets messages: one Pull, or one `StreamingPull` for as long as it lasts.
pub(super) type Consumer = u64;

/// Bytes of messages in one response: clients refuse responses above gRPC's default of 4 MiB
/// unless they were told otherwise. A larger message goes alone.
const MAX_RESPONSE_BYTES: usize = 4_000_000;

/// What a consumer wants.
#[derive(Debug, Clone)]
pub(super) struct Demand {
    pub(super) consumer: Consumer,
    /// Most messages at one time.
    pub(super) messages: usize,
    /// Nothing more is delivered while the consumer has this many messages out …
    pub(super) max_outstanding_messages: usize,
    /// … or this many bytes.
    pub(super) max_outstanding_bytes: usize,
    /// The messages are to be acknowledged within this time.
    pub(super) ack_deadline: Duration,
}

/// One message, delivered once more or for the first time.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) ack_id: AckId,
    /// 1 the first time; counts failed deliveries of this message, not those that were repeated
    /// because of an earlier one.
    pub(super) attempt: u32,
    pub(super) stored: Arc<Stored>,
}

/// A message that failed as often as its subscription allows.
#[derive(Debug)]
pub(super) struct DeadLetter {
    pub(super) stored: Arc<Stored>,
    pub(super) attempts: u32,
}

/// One delivery of one message. It is void once the message was delivered again, was nacked, or
/// is to be delivered again because of an earlier one of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AckId {
    sequence: Sequence,
    delivery: u64,
}

impl fmt::Display for AckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.sequence, self.delivery)
    }
}

impl FromStr for AckId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (sequence, delivery) = text.split_once('-').ok_or(())?;
        let number = |text: &str| text.parse().map_err(drop);
        Ok(Self { sequence: number(sequence)?, delivery: number(delivery)? })
    }
}

/// Messages that wait, messages that were delivered and are not acknowledged yet, and acknowledged
/// ones of which an earlier one of the same ordering key is not: if that one is delivered again,
/// they are as well, as the service does it.
#[derive(Debug)]
pub(super) struct Backlog {
    ordered: bool,
    /// Failed deliveries after which a message is a dead letter.
    max_attempts: Option<u32>,
    next: Sequence,
    messages: HashMap<Sequence, Entry>,
    queue: Queue,
    expiries: BTreeSet<(Instant, Sequence)>,
    outstanding: HashMap<Consumer, Outstanding>,
    dead: Vec<DeadLetter>,
}

#[derive(Debug)]
struct Entry {
    stored: Arc<Stored>,
    lease: Option<Lease>,
    /// Of the [`AckId`] that is valid now.
    delivery: u64,
    failures: u32,
}

#[derive(Debug)]
struct Lease {
    consumer: Consumer,
    expiry: Instant,
}

#[derive(Debug, Default, Clone, Copy)]
struct Outstanding {
    messages: usize,
    bytes: usize,
}

impl Backlog {
    pub(super) fn new(ordered: bool) -> Self {
        Self {
            ordered,
            max_attempts: None,
            next: 0,
            messages: HashMap::new(),
            queue: Queue::default(),
            expiries: BTreeSet::new(),
            outstanding: HashMap::new(),
            dead: Vec::new(),
        }
    }

    pub(super) fn set_max_attempts(&mut self, max_attempts: Option<u32>) {
        self.max_attempts = max_attempts;
    }

    pub(super) fn push(&mut self, stored: Arc<Stored>) {
        self.queue.push(order_of(self.ordered, &stored), self.next);
        let entry = Entry { stored, lease: None, delivery: 0, failures: 0 };
        self.messages.insert(self.next, entry);
        self.next += 1;
    }

    /// Delivers what the consumer may get now, in order.
    pub(super) fn lease(&mut self, demand: &Demand, now: Instant) -> Vec<Delivery> {
        let mut delivered = Vec::new();
        let mut bytes = 0;
        while delivered.len() < demand.messages && self.has_room(demand) {
            let Some(sequence) = self.queue.first(demand.consumer) else { break };
            let size = self.messages.get(&sequence).map_or(0, |entry| entry.stored.size());
            if !delivered.is_empty() && bytes + size > MAX_RESPONSE_BYTES {
                break;
            }
            bytes += size;
            delivered.extend(self.deliver(sequence, demand, now));
        }
        delivered
    }

    /// Forgets a delivered message. A late acknowledgement counts as well, until the message is
    /// delivered again; one that is void is ignored, as the service does. Returns whether it
    /// counted.
    pub(super) fn acknowledge(&mut self, id: AckId) -> bool {
        let Some(entry) = self.valid(id) else { return false };
        entry.delivery += 1;
        let stored = Arc::clone(&entry.stored);
        let key = order_of(self.ordered, &stored);
        if self.end_lease(id.sequence) {
            for sequence in self.queue.acknowledge(key, id.sequence) {
                self.messages.remove(&sequence);
            }
        } else {
            self.queue.forget(key, id.sequence);
            self.messages.remove(&id.sequence);
        }
        true
    }

    /// Gives a delivered message another deadline; zero refuses it, so that it comes again.
    pub(super) fn modify(&mut self, id: AckId, ack_deadline: Duration, now: Instant) {
        let Some(entry) = self.valid(id) else { return };
        let Some(lease) = &mut entry.lease else { return };
        if ack_deadline.is_zero() {
            entry.delivery += 1;
            self.fail(id.sequence);
        } else {
            let expiry = now + ack_deadline;
            let before = std::mem::replace(&mut lease.expiry, expiry);
            self.expiries.remove(&(before, id.sequence));
            self.expiries.insert((expiry, id.sequence));
        }
    }

    /// Takes back what was not acknowledged in time.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(&(expiry, sequence)) = self.expiries.first()
            && expiry <= now
        {
            self.fail(sequence);
        }
    }

    /// When the next lease ends.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(expiry, _)| *expiry)
    }

    /// What became a dead letter since the last call.
    pub(super) fn take_dead(&mut self) -> Vec<DeadLetter> {
        std::mem::take(&mut self.dead)
    }

    /// This consumer gets no more messages; what it has stays out until its deadline.
    pub(super) fn release(&mut self, consumer: Consumer) {
        self.queue.release(consumer);
    }

    /// The same for a consumer that has got nothing but these.
    pub(super) fn release_after(&mut self, delivered: &[Delivery]) {
        for delivery in delivered {
            if let Some(key) = order_of(self.ordered, &delivery.stored) {
                self.queue.disown(key);
            }
        }
    }

    fn has_room(&self, demand: &Demand) -> bool {
        let outstanding = self.outstanding.get(&demand.consumer).copied().unwrap_or_default();
        outstanding.messages < demand.max_outstanding_messages
            && outstanding.bytes < demand.max_outstanding_bytes
    }

    fn deliver(&mut self, sequence: Sequence, demand: &Demand, now: Instant) -> Option<Delivery> {
        let entry = self.messages.get_mut(&sequence)?;
        let expiry = now + demand.ack_deadline;
        entry.delivery += 1;
        entry.lease = Some(Lease { consumer: demand.consumer, expiry });
        self.expiries.insert((expiry, sequence));
        self.queue.deliver(order_of(self.ordered, &entry.stored), sequence, demand.consumer);
        let outstanding = self.outstanding.entry(demand.consumer).or_default();
        outstanding.messages += 1;
        outstanding.bytes += entry.stored.size();
        Some(Delivery {
            ack_id: AckId { sequence, delivery: entry.delivery },
            attempt: entry.failures + 1,
            stored: Arc::clone(&entry.stored),
        })
    }

    /// A delivery was refused or not acknowledged in time.
    fn fail(&mut self, sequence: Sequence) {
        self.end_lease(sequence);
        let Some(entry) = self.messages.get_mut(&sequence) else { return };
        entry.failures += 1;
        let attempts = entry.failures;
        let stored = Arc::clone(&entry.stored);
        let key = order_of(self.ordered, &stored);
        if self.max_attempts.is_some_and(|max| attempts >= max) {
            for done in self.queue.acknowledge(key, sequence) {
                self.messages.remove(&done);
            }
            self.dead.push(DeadLetter { stored, attempts });
            return;
        }
        for later in self.queue.rewind(key, sequence) {
            self.end_lease(later);
            if let Some(entry) = self.messages.get_mut(&later) {
                entry.delivery += 1;
            }
        }
    }

    fn valid(&mut self, id: AckId) -> Option<&mut Entry> {
        self.messages.get_mut(&id.sequence).filter(|entry| entry.delivery == id.delivery)
    }

    /// Returns whether there was one.
    fn end_lease(&mut self, sequence: Sequence) -> bool {
        let Some(entry) = self.messages.get_mut(&sequence) else { return false };
        let Some(Lease { consumer, expiry }) = entry.lease.take() else { return false };
        self.expiries.remove(&(expiry, sequence));
        if let Some(outstanding) = self.outstanding.get_mut(&consumer) {
            outstanding.messages -= 1;
            outstanding.bytes -= entry.stored.size();
            if outstanding.messages == 0 {
                self.outstanding.remove(&consumer);
            }
        }
        true
    }
}

/// The ordering key that the message's delivery has to keep, if any.
fn order_of(ordered: bool, stored: &Stored) -> Option<&str> {
    let key = stored.message().ordering_key.as_str();
    (ordered && !key.is_empty()).then_some(key)
}
