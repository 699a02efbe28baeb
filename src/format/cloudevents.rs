//! The envelopes of CloudEvents 1.0 in [its binding to Pub/Sub](https://github.com/googleapis/google-cloudevents/blob/main/docs/spec/pubsub.md):
//! `cloudevents`, the binary mode, with its context in attributes, and `cloudevents_structured`,
//! one JSON object.

use std::fmt::Write as _;

use super::envelope::{Form, Refusal, Written, too_long, unreadable, write_json};
use super::json::{Simplified, scalar, write_string, write_value};
use super::{MessageWriter, Record};
use crate::config::{Capture, JsonMode, StreamConfig};
use crate::error::RecordErrorKind;
use crate::event::ChangeEvent;
use crate::event::elements::Elements;
use crate::limits::MAX_ATTRIBUTE_VALUE;

/// How the attributes are called in binary mode, before their name.
const PREFIX: &str = "ce-";

/// Attributes of a CloudEvent, and of one that is the data of its message.
const CONTEXT: [&str; 8] = [
    "ce-specversion",
    "ce-id",
    "ce-source",
    "ce-type",
    "ce-time",
    "ce-subject",
    "ce-datacontenttype",
    "content-type",
];

/// The binding's example, and what its receivers look for in front.
const STRUCTURED: &[u8] = b"application/cloudevents+json; charset=utf-8";

/// Writes the events of one stream.
#[derive(Debug)]
pub(crate) struct CloudEvents {
    mode: JsonMode,
    structured: bool,
    /// The part of `source` that all events share.
    origin: String,
    /// What the stream captures: for events that do not name it, such as an invalidate.
    database: Option<String>,
    collection: Option<String>,
}

impl Form for CloudEvents {
    fn write(&self, record: &Record<'_>, out: &mut MessageWriter) -> Result<Written, Refusal> {
        let bson = record.change.bson;
        if self.structured {
            out.data(|data| {
                let mut open = b'{';
                self.each_attribute(record, |name, value| {
                    data.push(std::mem::replace(&mut open, b','));
                    write_text(name, data)?;
                    data.push(b':');
                    write_text(value, data)
                })?;
                data.extend_from_slice(br#","data":"#);
                write_json(bson, self.mode, data)?;
                data.push(b'}');
                Ok::<(), Refusal>(())
            })?;
            out.attribute("content-type", &[STRUCTURED]);
        } else {
            out.data(|data| write_json(bson, self.mode, data))?;
            let mut key = PREFIX.to_owned();
            self.each_attribute(record, |name, value| {
                key.truncate(PREFIX.len());
                key.push_str(name);
                if value.len() > MAX_ATTRIBUTE_VALUE {
                    return Err(too_long(&key));
                }
                out.attribute(&key, &[value.as_bytes()]);
                Ok(())
            })?;
        }
        Ok(Written::Message)
    }

    fn attributes(&self) -> &'static [&'static str] {
        &CONTEXT
    }

    fn is_read_as_it_stands(&self) -> bool {
        self.structured
    }
}

impl CloudEvents {
    pub fn compile(mode: JsonMode, structured: bool, stream: &StreamConfig) -> Self {
        let (database, collection) = match &stream.capture {
            Capture::Deployment => (None, None),
            Capture::Database(database) => (Some(database.clone()), None),
            Capture::Collection(database, collection) => {
                (Some(database.clone()), Some(collection.clone()))
            }
        };
        let origin = format!("/mongodb/{}", stream.id.connection_id);
        Self { mode, structured, origin, database, collection }
    }

    /// Hands the attributes of the context to `put`.
    fn each_attribute(
        &self,
        record: &Record<'_>,
        mut put: impl FnMut(&str, &str) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let change = &record.change;
        let Some(operation) = change.operation else {
            let text = "CloudEvents need operationType, which the event does not have";
            return Err((RecordErrorKind::Format, text.into()));
        };
        put("specversion", "1.0")?;
        put("id", &record.event_id.to_string())?;
        put("source", &self.source(change))?;
        put("type", &format!("mongo_gcp_stream.change.{operation}"))?;
        if let Some(time) = time(change) {
            put("time", &time)?;
        }
        if let Some(subject) = subject(change)? {
            put("subject", &subject)?;
        }
        put("datacontenttype", "application/json")
    }

    /// `/mongodb/<connection>/<database>/<collection>`, as far as they are known.
    fn source(&self, change: &ChangeEvent<'_>) -> String {
        let mut source = self.origin.clone();
        let (database, collection) = match change.database {
            Some(database) => (Some(database), change.collection),
            None => (self.database.as_deref(), self.collection.as_deref()),
        };
        for name in database.into_iter().chain(collection) {
            source.push('/');
            percent_encode(name, &mut source);
        }
        source
    }
}

/// When the change happened, RFC 3339: `wallTime`, which tells milliseconds, else the cluster time.
/// `None` outside the years 1 to 9999.
fn time(change: &ChangeEvent<'_>) -> Option<String> {
    let cluster_time = || change.cluster_time.map(|time| i64::from(time.time) * 1000);
    let mut text = Vec::new();
    let ms = change.wall_time_ms.or_else(cluster_time)?;
    scalar::write_plain_date(b"", ms, b"", &mut text).then(|| String::from_utf8(text).ok())?
}

/// The `_id` as text: which document it is. `None` where it fits no attribute, and where
/// CloudEvents forbid it: empty, or with control characters.
fn subject(change: &ChangeEvent<'_>) -> Result<Option<String>, Refusal> {
    let key = change.document_key.and_then(Elements::of);
    let Some(id) = key.and_then(|key| key.find(b"_id")) else { return Ok(None) };
    let mut json = Vec::new();
    write_value::<Simplified>(id.kind, id.value, &mut json).map_err(|error| unreadable(&error))?;
    json.pop();
    let text = serde_json::from_slice(&json)
        .unwrap_or_else(|_| String::from_utf8_lossy(&json).into_owned());
    let fits = (1..=MAX_ATTRIBUTE_VALUE).contains(&text.len());
    Ok((fits && !text.contains(char::is_control)).then_some(text))
}

fn write_text(text: &str, data: &mut Vec<u8>) -> Result<(), Refusal> {
    write_string(text.as_bytes(), data).map_err(|error| unreadable(&error))
}

/// All but the characters that RFC 3986 calls unreserved.
fn percent_encode(name: &str, out: &mut String) {
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a text does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}
