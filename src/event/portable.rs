//! Positions, batches and messages as bytes, for runners that keep them or move them between
//! processes: one BSON document each, batches and messages with a version.

use std::sync::Arc;

use bytes::Bytes;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{
    Binary, RawDocument, Timestamp, deserialize_from_slice, rawdoc, serialize_to_vec,
};
use serde::{Deserialize, Serialize};

use super::{Batch, Claim, Destination, Lane, Message, Position};

/// The only version so far.
const VERSION: i32 = 1;

/// What cannot be read back: written by another version, or not by this package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotPortable(&'static str);

const OTHER_VERSION: NotPortable =
    NotPortable("it was written by a version of mongo_gcp_stream that this one cannot read");
const DAMAGED: NotPortable = NotPortable("it is damaged, or not of mongo_gcp_stream");

impl Position {
    /// The position as one BSON document.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Token(token) => rawdoc! { "token": token.clone() },
            Self::OperationTime(time) => rawdoc! { "operation_time": *time },
        }
        .into_bytes()
    }

    /// The position that [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotPortable> {
        let document = RawDocument::from_bytes(bytes).map_err(|_| DAMAGED)?;
        let token = document.get_document("token").map(|token| Self::Token(token.to_owned()));
        let time = || document.get_timestamp("operation_time").map(Self::OperationTime);
        token.or_else(|_| time()).map_err(|_| DAMAGED)
    }

    /// The position before everything that has this cluster time or a later one.
    #[must_use]
    pub fn at_second(seconds: u32) -> Self {
        Self::OperationTime(Timestamp { time: seconds, increment: 1 })
    }
}

/// The events lie one after the other: each begins with its length.
#[derive(Deserialize, Serialize)]
struct PortableBatch {
    v: i32,
    stream: String,
    events: Binary,
}

impl Batch {
    /// The events as one BSON document, with the stream that they belong to. What comes after them
    /// is not in it.
    ///
    /// # Errors
    /// Together they are larger than a document can be, 2 GiB.
    pub fn to_bytes(&self, stream: &str) -> Result<Vec<u8>, NotPortable> {
        let mut events = Vec::with_capacity(self.bytes());
        self.events().for_each(|event| events.extend_from_slice(event));
        let events = PortableBatch { v: VERSION, stream: stream.into(), events: binary(events) };
        serialize_to_vec(&events).map_err(|_| NotPortable("it is larger than 2 GiB"))
    }

    /// The stream and the events that [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// The bytes are none, or of another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<(String, Self), NotPortable> {
        check_version(bytes)?;
        let read: PortableBatch = deserialize_from_slice(bytes).map_err(|_| DAMAGED)?;
        let reply = Bytes::from(read.events.bytes);
        let (mut events, mut start) = (Vec::new(), 0);
        while start < reply.len() {
            let length = reply[start..].first_chunk().map(|length| u32::from_le_bytes(*length));
            let end = start + length.ok_or(DAMAGED)? as usize;
            RawDocument::from_bytes(reply.get(start..end).ok_or(DAMAGED)?).map_err(|_| DAMAGED)?;
            events.push(start..end);
            start = end;
        }
        Ok((read.stream, Self::new(reply, events, None, false)))
    }

    /// A batch of one event.
    ///
    /// # Errors
    /// `event` is not a BSON document.
    pub fn of_event(event: &[u8]) -> Result<Self, NotPortable> {
        RawDocument::from_bytes(event).map_err(|_| DAMAGED)?;
        let (reply, length) = (Bytes::copy_from_slice(event), event.len());
        Ok(Self::new(reply, std::iter::once(0..length).collect(), None, false))
    }
}

#[derive(Deserialize, Serialize)]
struct PortableMessages {
    v: i32,
    stream: String,
    messages: Vec<PortableMessage>,
}

/// A message; one without a topic is a dead letter.
#[derive(Deserialize, Serialize)]
struct PortableMessage {
    sequence: i64,
    topic: Option<String>,
    /// The lane's key, its bits as they are.
    key: Option<i64>,
    barrier: bool,
    body: Binary,
    claim: Option<PortableClaim>,
}

#[derive(Deserialize, Serialize)]
struct PortableClaim {
    name: String,
    payload: Binary,
}

/// Messages as one BSON document, with the stream that they belong to.
///
/// # Errors
/// Together they are larger than a document can be, 2 GiB.
pub fn messages_to_bytes(stream: &str, messages: &[Message]) -> Result<Vec<u8>, NotPortable> {
    let messages = messages.iter().map(PortableMessage::from).collect();
    let messages = PortableMessages { v: VERSION, stream: stream.into(), messages };
    serialize_to_vec(&messages).map_err(|_| NotPortable("it is larger than 2 GiB"))
}

/// The stream and the messages that [`messages_to_bytes`] wrote.
///
/// # Errors
/// The bytes are none, or of another version.
pub fn messages_from_bytes(bytes: &[u8]) -> Result<(String, Vec<Message>), NotPortable> {
    check_version(bytes)?;
    let read: PortableMessages = deserialize_from_slice(bytes).map_err(|_| DAMAGED)?;
    let mut topics: Vec<Arc<str>> = Vec::new();
    let messages = read.messages.into_iter().map(|message| message.read(&mut topics));
    Ok((read.stream, messages.collect()))
}

impl From<&Message> for PortableMessage {
    fn from(message: &Message) -> Self {
        let topic = match &message.to {
            Destination::Topic(topic) => Some(topic.to_string()),
            Destination::DeadLetter => None,
        };
        let claim = message.claim.as_ref().map(|claim| PortableClaim {
            name: claim.name.clone(),
            payload: binary(claim.payload.to_vec()),
        });
        let key = match message.lane {
            Lane::Key(key) => Some(key.cast_signed()),
            Lane::Unordered | Lane::Barrier => None,
        };
        Self {
            sequence: message.sequence.cast_signed(),
            topic,
            key,
            barrier: message.lane == Lane::Barrier,
            body: binary(message.body.to_vec()),
            claim,
        }
    }
}

impl PortableMessage {
    /// The message; those of one topic share its text.
    fn read(self, topics: &mut Vec<Arc<str>>) -> Message {
        let to = self.topic.map_or(Destination::DeadLetter, |topic| {
            let known = topics.iter().find(|known| ***known == *topic).cloned();
            Destination::Topic(known.unwrap_or_else(|| {
                topics.push(topic.as_str().into());
                topic.as_str().into()
            }))
        });
        let lane = match self.key {
            Some(key) => Lane::Key(key.cast_unsigned()),
            None if self.barrier => Lane::Barrier,
            None => Lane::Unordered,
        };
        let claim =
            |claim: PortableClaim| Arc::new(Claim::new(claim.name, claim.payload.bytes.into()));
        Message {
            sequence: self.sequence.cast_unsigned(),
            to,
            lane,
            body: self.body.bytes.into(),
            claim: self.claim.map(claim),
        }
    }
}

fn check_version(bytes: &[u8]) -> Result<(), NotPortable> {
    let document = RawDocument::from_bytes(bytes).map_err(|_| DAMAGED)?;
    match document.get_i32("v") {
        Ok(VERSION) => Ok(()),
        Ok(_) => Err(OTHER_VERSION),
        Err(_) => Err(DAMAGED),
    }
}

fn binary(bytes: Vec<u8>) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::RawDocumentBuf;

    use super::*;

    fn batch() -> Batch {
        let events = [rawdoc! { "_id": { "_data": "82" } }, rawdoc! { "_id": { "_data": "83" } }];
        let mut reply = Vec::new();
        let ranges = events.iter().map(|event| {
            let start = reply.len();
            reply.extend_from_slice(event.as_bytes());
            start..reply.len()
        });
        let ranges = ranges.collect();
        Batch::new(reply.into(), ranges, None, false)
    }

    #[test]
    fn a_position_is_read_back() {
        let token = rawdoc! { "_data": "8265", "_typeBits": Binary { subtype: BinarySubtype::Generic, bytes: vec![0x82, 0] } };
        for position in [Position::Token(token), Position::at_second(7)] {
            assert_eq!(Position::from_bytes(&position.to_bytes()), Ok(position));
        }
        for bytes in [&b""[..], b"token", RawDocumentBuf::new().as_bytes()] {
            assert_eq!(Position::from_bytes(bytes), Err(DAMAGED));
        }
    }

    #[test]
    fn a_batch_is_read_back() {
        let batch = batch();
        let (stream, read) = Batch::from_bytes(&batch.to_bytes("main.orders").unwrap()).unwrap();
        assert_eq!(stream, "main.orders");
        assert_eq!(read.events().collect::<Vec<_>>(), batch.events().collect::<Vec<_>>());
        let one = Batch::of_event(batch.event(1).unwrap()).unwrap();
        assert_eq!(one.events().collect::<Vec<_>>(), [batch.event(1).unwrap()]);
        assert_eq!(Batch::of_event(b"no BSON").unwrap_err(), DAMAGED);
    }

    #[test]
    fn messages_are_read_back() {
        let message = |sequence, to, lane, claim| Message {
            sequence,
            to,
            lane,
            body: Bytes::from_static(b"body"),
            claim,
        };
        let topic = Destination::Topic("projects/p/topics/t".into());
        let claim = Some(Arc::new(Claim::new("name".into(), Bytes::from_static(b"payload"))));
        let messages = [
            message(1, topic.clone(), Lane::Key(u64::MAX), None),
            message(1, topic.clone(), Lane::Barrier, None),
            message(2, topic, Lane::Unordered, claim),
            message(3, Destination::DeadLetter, Lane::Unordered, None),
        ];
        let bytes = messages_to_bytes("main.orders", &messages).unwrap();
        let (stream, read) = messages_from_bytes(&bytes).unwrap();
        assert_eq!(stream, "main.orders");
        let seen = |messages: &[Message]| -> Vec<_> {
            let seen = messages.iter().map(|message| {
                let claim = message.claim.as_ref();
                let claim = claim.map(|claim| (claim.name.clone(), claim.payload.clone()));
                (message.sequence, message.to.clone(), message.lane, message.body.clone(), claim)
            });
            seen.collect()
        };
        assert_eq!(seen(&read), seen(&messages));
    }

    #[test]
    fn what_was_written_otherwise_is_refused() {
        let other = rawdoc! { "v": 2 }.into_bytes();
        assert_eq!(Batch::from_bytes(&other).unwrap_err(), OTHER_VERSION);
        assert_eq!(messages_from_bytes(&other).unwrap_err(), OTHER_VERSION);
        let none = rawdoc! { "v": 1 }.into_bytes();
        assert_eq!(Batch::from_bytes(&none).unwrap_err(), DAMAGED);
        let cut = PortableBatch { v: 1, stream: String::new(), events: binary(vec![9, 0, 0]) };
        assert_eq!(Batch::from_bytes(&serialize_to_vec(&cut).unwrap()).unwrap_err(), DAMAGED);
    }
}
