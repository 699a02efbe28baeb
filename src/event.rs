//! What travels along the line: batches of changes on the way in, messages on the way out.

pub(crate) mod bson_type;
mod change;
mod claim;
pub(crate) mod elements;
mod field;
mod plain;
mod portable;
pub(crate) mod token;

pub(crate) use change::DOCUMENTS_OMITTED;
pub use change::{ChangeEvent, EventId, Image};
pub use claim::Claim;
pub use field::FieldPath;
pub(crate) use field::Scalar;
pub use portable::{NotPortable, messages_from_bytes, messages_to_bytes};

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use mongodb::bson::{RawDocument, RawDocumentBuf, Timestamp};

use crate::error::RecordError;
use token::{no_token, resume_token};

/// The name of a stream: `"{connection_id}.{source_name}"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamId {
    /// Key of the connection below `mongodb.connections`.
    pub connection_id: Arc<str>,
    /// Key of the source below `mongodb.connections.<id>.sources`.
    pub source_name: Arc<str>,
}

impl StreamId {
    /// Builds the id of `mongodb.connections.<connection_id>.sources.<source_name>`.
    #[must_use]
    pub fn new(connection_id: &str, source_name: &str) -> Self {
        Self { connection_id: connection_id.into(), source_name: source_name.into() }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.connection_id, self.source_name)
    }
}

/// Where a stream is: everything before it has been seen, nothing after it.
///
/// A *checkpoint* is a stored position ([`crate::checkpoint::Checkpoint`]).
#[derive(Clone, PartialEq)]
pub enum Position {
    /// Directly after the event (or post-batch token) with this resume token, the whole `_id`
    /// document of the event. Opened with `startAfter`.
    Token(RawDocumentBuf),
    /// At this operation time, inclusive. Opened with `startAtOperationTime`.
    OperationTime(Timestamp),
}

impl Position {
    /// The cluster time that the position stands for; `None` for a token whose layout is unknown.
    #[must_use]
    pub fn cluster_time(&self) -> Option<Timestamp> {
        match self {
            Self::Token(token) => token_time(token),
            Self::OperationTime(time) => Some(*time),
        }
    }

    /// Which of the events of its cluster time it stands directly after, from 0 on; `None` where
    /// that is none of them, or the token's layout is unknown.
    #[must_use]
    pub fn index_in_cluster_time(&self) -> Option<u32> {
        let Self::Token(token) = self else { return None };
        token::index_in_cluster_time(token.get_str("_data").ok()?.as_bytes())
    }
}

/// A token holds the document's `_id` in plain hex, so it never shows in a log: only its time does.
impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Token(_) => "Token",
            Self::OperationTime(_) => "OperationTime",
        };
        f.debug_struct(kind).field("cluster_time", &self.cluster_time()).finish_non_exhaustive()
    }
}

/// The cluster time in a resume token: `_data` is a KeyString whose byte 0 is 0x82, followed by
/// big-endian u32 seconds and u32 ordinal. `None` where the layout is another.
#[must_use]
pub fn token_time(token: &RawDocument) -> Option<Timestamp> {
    let data = token.get_str("_data").ok()?;
    let head = data.get(..18)?;
    if !head.starts_with("82") {
        return None;
    }
    let time = u32::from_str_radix(head.get(2..10)?, 16).ok()?;
    let increment = u32::from_str_radix(head.get(10..18)?, 16).ok()?;
    Some(Timestamp { time, increment })
}

/// One server reply: its change events, still raw, and the position after all of them.
#[derive(Clone, Default)]
pub struct Batch {
    reply: Bytes,
    events: Vec<Range<usize>>,
    /// The reply's `postBatchResumeToken`: at or after the last event. Also there when the reply
    /// holds no event, so that an idle stream moves its checkpoint.
    pub post_batch: Option<Position>,
    /// The reply was as full as it can be: the server has more, and latency does not matter yet.
    pub catching_up: bool,
}

impl Batch {
    /// Takes over a server reply whose events lie at the byte ranges `events` of `reply`.
    #[must_use]
    pub fn new(
        reply: Bytes,
        events: Vec<Range<usize>>,
        post_batch: Option<Position>,
        catching_up: bool,
    ) -> Self {
        Self { reply, events, post_batch, catching_up }
    }

    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// True for the reply of an idle stream.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Size of all events in bytes of BSON.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.events.iter().map(ExactSizeIterator::len).sum()
    }

    /// The events from number `start` (counted from 0) on.
    #[must_use]
    pub fn from(&self, start: usize) -> Self {
        self.part(start.min(self.len())..self.len(), self.post_batch.clone())
    }

    /// The first `count` events. What comes after the last event of the reply belongs to the rest,
    /// where there is one.
    #[must_use]
    pub fn upto(&self, count: usize) -> Self {
        let post_batch = self.post_batch.clone().filter(|_| count >= self.len());
        self.part(0..count.min(self.len()), post_batch)
    }

    fn part(&self, events: Range<usize>, post_batch: Option<Position>) -> Self {
        let (reply, events) = (self.reply.clone(), self.events[events].to_vec());
        Self { reply, events, post_batch, catching_up: self.catching_up }
    }

    /// The position after the last event; `None` for an empty reply without one.
    ///
    /// # Errors
    /// `Decode` where the last event has no document `_id`.
    pub fn end(&self) -> Result<Option<Position>, RecordError> {
        match (&self.post_batch, self.events().last()) {
            (Some(position), _) => Ok(Some(position.clone())),
            (None, None) => Ok(None),
            (None, Some(event)) => {
                let token = resume_token(event).ok_or_else(|| no_token(self.len() - 1))?;
                Ok(Some(Position::Token(token.to_owned())))
            }
        }
    }

    /// The raw BSON of the event at `index`.
    #[must_use]
    pub fn event(&self, index: usize) -> Option<&[u8]> {
        Some(&self.reply[self.events.get(index)?.clone()])
    }

    /// The raw BSON of each change event, in stream order.
    #[must_use]
    pub fn events(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.events.iter().map(|range| &self.reply[range.clone()])
    }
}

/// The events hold documents, so they never show in a log: only their number and size do.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("events", &self.len())
            .field("bytes", &self.bytes())
            .field("post_batch", &self.post_batch)
            .field("catching_up", &self.catching_up)
            .finish_non_exhaustive()
    }
}

/// In which order a message may travel relative to the other messages of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// In order with all messages of the same key, at most one request of the key in flight.
    Key(u64),
    /// No order promised: no ordering key, requests of any number in flight.
    Unordered,
    /// An event without a document (drop, rename, invalidate): everything before it is
    /// acknowledged before it is sent, and it is acknowledged before anything after it is sent.
    Barrier,
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A topic, `projects/…/topics/…`. The messages of one topic share the text.
    Topic(Arc<str>),
    /// Where dead letters go, as `dead_letter` says.
    DeadLetter,
}

/// A message on its way to Pub/Sub, encoded once.
#[derive(Clone)]
pub struct Message {
    /// The number that the change got when it was read; its receipt carries it back.
    pub sequence: u64,
    /// Where it goes.
    pub to: Destination,
    /// How it is ordered.
    pub lane: Lane,
    /// The `google.pubsub.v1.PubsubMessage` in protobuf: data, attributes and ordering key.
    pub body: Bytes,
    /// What is stored elsewhere before the message is published.
    pub claim: Option<Arc<Claim>>,
}

/// The body holds the document, so it never shows in a log: only its size does.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("sequence", &self.sequence)
            .field("to", &self.to)
            .field("lane", &self.lane)
            .field("bytes", &self.body.len())
            .field("claim", &self.claim.is_some())
            .finish_non_exhaustive()
    }
}

/// What became of the messages handed to a sink.
#[derive(Debug)]
pub enum Receipt {
    /// These changes are safe at their destination (sequence numbers, in no particular order).
    Published(Vec<u64>),
    /// The sink has given up; it sends nothing more.
    Failed(crate::error::PublishError),
}

#[cfg(test)]
mod tests {
    use mongodb::bson::rawdoc;

    use super::*;

    #[test]
    fn a_token_tells_its_time_if_its_layout_is_the_known_one() {
        let time = |data: &str| token_time(&rawdoc! { "_data": data });
        assert_eq!(time("820000000700000003"), Some(Timestamp { time: 7, increment: 3 }));
        for data in ["", "82", "810000000700000003", "82zz00000700000003", "820000000é00000000"] {
            assert_eq!(time(data), None, "{data}");
        }
    }
}
