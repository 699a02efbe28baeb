//! Publishes messages of a caller's own to one topic; the caller waits for their ids.
//!
//! What the line does not need and a caller does: ids, a deadline for each call, and a failure that
//! concerns its message alone. So nothing waits here for fuller requests or for a person. A lane, one
//! ordering key, is a queue and a task that exists while the queue does: it sends what has gathered
//! since its last request was answered (`lane`). Messages without a key are spread over as many
//! lanes as there are slots. What a call has been told is in `receipts`.

mod lane;
mod receipts;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use prost::Message as _;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::batcher::{Limits, field_bytes};
use super::transport::{Connection, Topic};
use crate::error::{PublishError, PublishErrorKind};
use crate::event::{Destination, Lane, Message};
use crate::flow::BackoffPolicy;
use crate::limits::{
    MAX_ATTRIBUTE_KEY, MAX_ATTRIBUTE_VALUE, MAX_ATTRIBUTES, MAX_ORDERING_KEY, MAX_REQUEST_BYTES,
};

use lane::Waiting;
use receipts::{Call, OpenCalls};

pub use receipts::Receipts;

/// Longest time that a call may take; more would overflow the clock.
const MAX_TIMEOUT: Duration = Duration::from_hours(365 * 24);

/// How a publisher behaves.
#[derive(Clone, Debug)]
pub struct PublisherRules {
    /// Most messages in a request, 1 to 1,000.
    pub max_messages: usize,
    /// Most bytes in a request; a message that is larger alone is sent alone.
    pub max_bytes: usize,
    /// Most requests in flight.
    pub slots: u32,
    /// Deadline of one attempt of a request.
    pub attempt_timeout: Duration,
    /// How failures are waited out.
    pub backoff: BackoffPolicy,
}

impl Default for PublisherRules {
    fn default() -> Self {
        Self {
            max_messages: 1000,
            max_bytes: 9_500_000,
            slots: 8,
            attempt_timeout: Duration::from_secs(30),
            backoff: BackoffPolicy::new(1.5, Duration::from_mins(1)),
        }
    }
}

/// A message to publish, encoded once.
#[derive(Clone)]
pub struct Outgoing {
    body: Bytes,
    ordering_key: Box<str>,
    /// Why Pub/Sub would refuse it.
    broken: Option<String>,
}

impl Outgoing {
    /// Encodes a message. An empty ordering key is none.
    #[must_use]
    pub fn new(data: Bytes, attributes: HashMap<String, String>, ordering_key: &str) -> Self {
        let message = PubsubMessage {
            data,
            attributes,
            ordering_key: ordering_key.to_owned(),
            ..PubsubMessage::default()
        };
        let broken = broken_limit(&message);
        Self { body: message.encode_to_vec().into(), ordering_key: ordering_key.into(), broken }
    }
}

/// Publishes to one topic. Cheap to clone; its lanes end with the messages that are in them.
#[derive(Clone)]
pub struct Publisher {
    room: Arc<Room>,
    runtime: Handle,
}

/// What the lanes of a publisher share.
struct Room {
    connection: Connection,
    topic: Topic,
    limits: Limits,
    attempt_timeout: Duration,
    backoff: BackoffPolicy,
    slots: Semaphore,
    /// Number of lanes for messages without an ordering key: as many as slots.
    unordered_lanes: u32,
    lanes: Mutex<Lanes>,
    open: Arc<OpenCalls>,
}

/// A queue for each lane that has a task.
#[derive(Default)]
struct Lanes {
    queues: HashMap<LaneKey, VecDeque<Waiting>>,
    /// The lane that the last messages without a key went to.
    unordered: u32,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum LaneKey {
    Ordered(Box<str>),
    Unordered(u32),
}

impl Publisher {
    /// Prepares the publisher of `topic` (`projects/…/topics/…`) on the Tokio runtime of the caller.
    #[must_use]
    pub fn new(connection: &Connection, topic: String, rules: &PublisherRules) -> Self {
        let topic = Topic::new(topic);
        let overhead = topic.field.len();
        let limits = Limits {
            messages: rules.max_messages.max(1),
            bytes: rules.max_bytes.min(MAX_REQUEST_BYTES),
            overhead,
        };
        let room = Room {
            connection: connection.clone(),
            topic,
            limits,
            attempt_timeout: rules.attempt_timeout,
            backoff: rules.backoff.clone(),
            slots: Semaphore::new(rules.slots.max(1) as usize),
            unordered_lanes: rules.slots.max(1),
            lanes: Mutex::default(),
            open: Arc::default(),
        };
        Self { room: Arc::new(room), runtime: Handle::current() }
    }

    /// Takes messages over; does not wait. Messages of one ordering key are published in the order of
    /// the calls and, within a call, of the messages.
    ///
    /// A message that is refused, too large, or not published within `timeout` is told to be so in
    /// the receipts, and what is behind it goes on. With `fail_fast` the messages that are not on
    /// their way yet when one fails are not sent.
    #[must_use]
    pub fn publish(&self, messages: Vec<Outgoing>, timeout: Duration, fail_fast: bool) -> Receipts {
        let timeout = timeout.min(MAX_TIMEOUT);
        let (call, receipts) = Call::begin(messages.len(), timeout, fail_fast, &self.room.open);
        let mut fresh = Vec::new();
        let mut lanes = self.room.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut filled = 0_usize;
        for (index, message) in messages.into_iter().enumerate() {
            if let Some(error) = self.room.never(&message) {
                call.settle(index, Err(error));
                continue;
            }
            let key = if message.ordering_key.is_empty() {
                if filled.is_multiple_of(self.room.limits.messages) {
                    lanes.unordered = (lanes.unordered + 1) % self.room.unordered_lanes;
                }
                filled += 1;
                LaneKey::Unordered(lanes.unordered)
            } else {
                LaneKey::Ordered(message.ordering_key.clone())
            };
            let queue = lanes.queues.entry(key.clone()).or_insert_with(|| {
                fresh.push(key);
                VecDeque::new()
            });
            queue.push_back(Waiting::new(message, index, &call));
        }
        drop(lanes);
        for key in fresh {
            self.runtime.spawn(lane::serve(Arc::clone(&self.room), key));
        }
        receipts
    }

    /// Waits until everything that was taken over before is published or given up.
    pub async fn flush(&self) {
        self.room.open.settled().await;
    }
}

impl Room {
    /// Why a message can never be published.
    fn never(&self, message: &Outgoing) -> Option<PublishError> {
        let bytes = self.limits.overhead + field_bytes(message.body.len());
        let topic = &self.topic.name;
        let (kind, message) = match &message.broken {
            Some(broken) => (PublishErrorKind::Rejected, broken.clone()),
            None if bytes > MAX_REQUEST_BYTES => {
                let message = format!("it needs a request of {bytes} bytes to {topic}");
                (PublishErrorKind::TooLarge, format!("{message}, over Pub/Sub's 10 MB"))
            }
            None => return None,
        };
        Some(PublishError { kind, message, sequence: None })
    }
}

impl Outgoing {
    fn into_message(self) -> Message {
        // Sequence and lane belong to the line: here the lane is the queue.
        Message {
            sequence: 0,
            to: Destination::DeadLetter,
            lane: Lane::Unordered,
            body: self.body,
            claim: None,
        }
    }
}

/// The first of Pub/Sub's limits that a message breaks, told without a value.
fn broken_limit(message: &PubsubMessage) -> Option<String> {
    let attributes = &message.attributes;
    if message.data.is_empty() && attributes.is_empty() {
        return Some("it has neither data nor attributes".into());
    }
    if message.ordering_key.len() > MAX_ORDERING_KEY {
        return Some(format!("its ordering key has more than {MAX_ORDERING_KEY} bytes"));
    }
    if attributes.len() > MAX_ATTRIBUTES {
        return Some(format!("it has more than {MAX_ATTRIBUTES} attributes"));
    }
    let sound =
        |key: &str| (1..=MAX_ATTRIBUTE_KEY).contains(&key.len()) && !key.starts_with("goog");
    if !attributes.keys().all(|key| sound(key)) {
        return Some(format!(
            "the key of an attribute is empty, begins with `goog` or has more than \
             {MAX_ATTRIBUTE_KEY} bytes"
        ));
    }
    let long = attributes.iter().find(|(_, value)| value.len() > MAX_ATTRIBUTE_VALUE);
    long.map(|(key, _)| format!("its attribute `{key}` has more than {MAX_ATTRIBUTE_VALUE} bytes"))
}

#[cfg(test)]
mod tests;
