//! A dead letter: one JSON object that tells what could not be delivered, why, and where to read it
//! again.
//!
//! It holds no resume token, which would hold the document's `_id` in plain hex: the event is found
//! again by its operation time and its `event_id`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use mongodb::bson::Timestamp;
use prost::Message as _;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::{MessageWriter, json as extended_json};
use crate::config::JsonMode;
use crate::error::{RecordError, RecordErrorKind};
use crate::event::{ChangeEvent, Destination, Lane, Message};
use crate::limits::MAX_ATTRIBUTE_VALUE;

/// Most bytes of an event or a message that a dead letter holds: as JSON, and in base64, it stays
/// below what Pub/Sub takes. What is larger is named by its size.
const MOST_BYTES: usize = 7_000_000;

/// How far an event had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its document breaks the schema.
    Validate,
    /// It could not be turned into a message.
    Transform,
    /// Its message could not be published.
    Publish,
}

impl Stage {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Transform => "transform",
            Self::Publish => "publish",
        }
    }
}

/// What could not be delivered.
#[derive(Clone, Copy)]
pub(crate) enum Payload<'a> {
    /// The event in BSON, protected.
    Event(&'a [u8]),
    /// An event of so many bytes that may not be shown.
    Omitted(usize),
    /// The message for a topic: a `PubsubMessage` in protobuf.
    Message {
        /// `projects/…/topics/…`.
        topic: &'a str,
        /// The message.
        body: &'a [u8],
    },
}

/// A dead letter.
#[derive(Clone, Copy)]
pub(crate) struct DeadLetter<'a> {
    /// `<connection id>.<source name>`.
    pub stream: &'a str,
    /// How far the event had come.
    pub stage: Stage,
    /// The kind of the reason, one word.
    pub reason_kind: &'a str,
    /// The reason, without any value.
    pub reason: &'a str,
    /// The path in the document that it is about.
    pub path: Option<&'a str>,
    /// The event's id.
    pub event_id: Option<&'a str>,
    /// `database.collection`.
    pub namespace: Option<&'a str>,
    /// The operation type.
    pub operation: Option<&'a str>,
    /// The event's cluster time; as an operation time, which is inclusive, the position before it.
    pub cluster_time: Option<Timestamp>,
    /// What could not be delivered.
    pub payload: Payload<'a>,
}

impl<'a> DeadLetter<'a> {
    /// That of an event which became no message. `event` is the event as it was read, of which
    /// only names and times are used; `sendable` is the event as it may be sent, protected: `None`
    /// where it could not be protected.
    pub fn of_event(
        stream: &'a str,
        stage: Stage,
        refused: &'a RecordError,
        event: &ChangeEvent<'a>,
        sendable: Option<&'a [u8]>,
    ) -> Self {
        Self {
            stream,
            stage,
            reason_kind: refused.kind.name(),
            reason: &refused.message,
            // `path: rule; path: rule`: the first one that is broken.
            path: (refused.kind == RecordErrorKind::Schema)
                .then(|| refused.message.split_once(": "))
                .flatten()
                .map(|(path, _)| path),
            event_id: refused.event_id.as_deref(),
            namespace: refused.namespace.as_deref(),
            operation: event.operation,
            cluster_time: event.time(),
            payload: sendable.map_or(Payload::Omitted(event.bson.len()), Payload::Event),
        }
    }

    /// The message of the dead letter, for the change `sequence`.
    pub fn message(&self, sequence: u64) -> Message {
        let mut writer = MessageWriter::with_capacity(0);
        self.write(&mut writer);
        let body = Bytes::copy_from_slice(writer.message());
        Message { sequence, to: Destination::DeadLetter, lane: Lane::Unordered, body, claim: None }
    }

    /// Writes the message of the dead letter.
    pub fn write(&self, out: &mut MessageWriter) {
        out.begin();
        let written: Result<(), std::convert::Infallible> = out.data(|data| {
            self.write_json(data);
            Ok(())
        });
        let Ok(()) = written;
        let attributes = [
            ("event_id", self.event_id),
            ("stream", Some(self.stream)),
            ("reason_kind", Some(self.reason_kind)),
            ("operation", self.operation),
            ("namespace", self.namespace),
        ];
        for (name, value) in attributes {
            // One that is too long would keep the dead letter itself from being published.
            if let Some(value) = value.filter(|value| value.len() <= MAX_ATTRIBUTE_VALUE) {
                out.attribute(name, &[value.as_bytes()]);
            }
        }
    }

    /// The object: what is always short first, what was to be delivered last.
    fn write_json(&self, out: &mut Vec<u8>) {
        let mut head = Map::new();
        head.insert("stream".into(), self.stream.into());
        head.insert("stage".into(), self.stage.name().into());
        head.insert("reason".into(), format!("{}: {}", self.reason_kind, self.reason).into());
        let optional = [
            ("path", self.path),
            ("event_id", self.event_id),
            ("namespace", self.namespace),
            ("operation", self.operation),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                head.insert(name.into(), value.into());
            }
        }
        if let Some(Timestamp { time, increment }) = self.cluster_time {
            let position = json!({ "operation_time": { "t": time, "i": increment } });
            head.insert("position".into(), position);
        }
        // The first attempt to deliver it; `dead-letter redrive` counts on.
        head.insert("attempt".into(), 1.into());
        let head = Value::Object(head).to_string();
        // Open, for what follows.
        out.extend_from_slice(&head.as_bytes()[..head.len() - 1]);
        match self.payload {
            Payload::Event(bson) => write_event(bson, out),
            Payload::Omitted(size) => omit_event(size, out),
            Payload::Message { topic, body } => {
                out.extend_from_slice(b",\"message\":");
                out.extend_from_slice(message(topic, body).to_string().as_bytes());
            }
        }
        out.push(b'}');
    }
}

/// The event in relaxed form; its size where it is too large, or is not BSON.
fn write_event(bson: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(b",\"event\":");
    let written = bson.len() <= MOST_BYTES
        && extended_json::write_document(bson, JsonMode::Relaxed, out).is_ok()
        && out.len() - start <= MOST_BYTES + MOST_BYTES / 4;
    if !written {
        out.truncate(start);
        omit_event(bson.len(), out);
    }
}

fn omit_event(size: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(format!(",\"event_omitted\":{size}").as_bytes());
}

/// A message as JSON; of one that is too large, or cannot be read, its size.
fn message(topic: &str, body: &[u8]) -> Value {
    let mut fields = json!({ "topic": topic, "size": body.len() });
    let Ok(message) = PubsubMessage::decode(body) else { return fields };
    fields["ordering_key"] = message.ordering_key.into();
    let attributes: std::collections::BTreeMap<_, _> = message.attributes.into_iter().collect();
    fields["attributes"] = json!(attributes);
    if body.len() <= MOST_BYTES {
        // A JSON object goes in as text: as it was, and for people to read.
        match data_text(&message.data) {
            Some(text) => fields["data"] = text.into(),
            None => fields["data_base64"] = STANDARD.encode(&message.data).into(),
        }
    }
    fields
}

/// Data that is JSON, as text, unless it would grow too much by its escapes.
fn data_text(data: &[u8]) -> Option<&str> {
    let text = str::from_utf8(data).ok()?;
    let escaped = text.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).count();
    let fits = text.len() + escaped <= MOST_BYTES + MOST_BYTES / 4;
    (fits && serde_json::from_str::<IgnoredAny>(text).is_ok()).then_some(text)
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Timestamp, rawdoc};

    use super::*;
    use crate::error::RecordErrorKind;

    fn written(event: &[u8], sendable: Option<&[u8]>) -> Value {
        let read = ChangeEvent::decode(event).unwrap();
        let refused = read.refuse(RecordErrorKind::Format, "too many attributes".into());
        let letter = DeadLetter::of_event("a.b", Stage::Transform, &refused, &read, sendable);
        let message = letter.message(7);
        assert_eq!((message.sequence, message.lane), (7, Lane::Unordered));
        let message = PubsubMessage::decode(message.body).unwrap();
        assert_eq!(message.attributes["reason_kind"], "format");
        assert_eq!(message.attributes["operation"], "insert");
        serde_json::from_slice(&message.data).unwrap()
    }

    #[test]
    fn an_event_is_kept_as_it_may_be_sent() {
        let token = rawdoc! { "_data": "8200000007000000032B04" };
        let event = rawdoc! { "_id": token, "operationType": "insert", "ns": {"db": "d", "coll": "c"},
        "fullDocument": {"a": "secret"} };
        let sendable = rawdoc! { "fullDocument": {"a": "***"} };
        let json = written(event.as_bytes(), Some(sendable.as_bytes()));
        let id = ChangeEvent::decode(event.as_bytes()).unwrap().event_id().to_string();
        let expected = json!({
            "stream": "a.b", "stage": "transform", "reason": "format: too many attributes",
            "event_id": id, "namespace": "d.c", "operation": "insert",
            "position": {"operation_time": {"t": 7, "i": 3}}, "attempt": 1,
            "event": {"fullDocument": {"a": "***"}},
        });
        assert_eq!(json, expected);
        let json = written(event.as_bytes(), None);
        assert_eq!(json["event_omitted"], event.as_bytes().len());
        assert!(!json.to_string().contains("secret"));
    }

    #[test]
    fn a_large_event_is_named_by_its_size() {
        let token = rawdoc! { "_data": "8200000007000000032B04" };
        let time = Timestamp { time: 9, increment: 1 };
        let event = rawdoc! { "_id": token, "operationType": "insert", "clusterTime": time,
        "fullDocument": {"a": "x".repeat(MOST_BYTES)} };
        let json = written(event.as_bytes(), Some(event.as_bytes()));
        assert_eq!(json["event_omitted"], event.as_bytes().len());
        assert_eq!(json["position"], json!({"operation_time": {"t": 9, "i": 1}}));
    }
}
