//! The envelopes: what the data of a message is.
//!
//! An envelope is a file of its own beside this one, and an arm here.

use std::fmt;

use super::bigquery_cdc::BigQueryCdc;
use super::change_event::WholeEvent;
use super::cloudevents::CloudEvents;
use super::debezium::Debezium;
use super::document::Document;
use super::original::Original;
use super::{MessageWriter, Record, json};
use crate::config::{self, JsonMode, OnMissingDocument, OversizePolicy, StreamConfig, TopicConfig};
use crate::error::{ConfigError, RecordErrorKind};
use crate::event::elements::Elements;
use crate::event::{ChangeEvent, Image};
use crate::limits::MAX_ATTRIBUTE_VALUE;

/// Attributes that a message may get in every envelope.
const ANY_ENVELOPE: [&str; 6] = [
    "redriven",
    "schema_version",
    "validation_errors",
    "content_encoding",
    "truncated_fields",
    "claim_check",
];

/// What an envelope is.
pub(super) trait Form: fmt::Debug + Send + Sync {
    /// Writes the data of a message, then the envelope's own attributes.
    ///
    /// # Errors
    /// What the event has not, or has too much of, for this envelope.
    fn write(&self, record: &Record<'_>, out: &mut MessageWriter) -> Result<Written, Refusal>;

    /// The names of its own attributes.
    fn attributes(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether a message without data is told from another by its operation alone.
    fn needs_operation(&self) -> bool {
        false
    }

    /// Whether its readers take the data for what the envelope says, whatever else the attributes
    /// tell: then it cannot be compressed or kept elsewhere.
    fn is_read_as_it_stands(&self) -> bool {
        false
    }
}

/// One envelope, compiled.
#[derive(Debug)]
pub(crate) struct Envelope {
    form: Box<dyn Form>,
    on_missing_document: OnMissingDocument,
}

/// What an envelope made of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// The data of a message, and the attributes that belong to the envelope.
    Message,
    /// Nothing: the envelope has no form for this event.
    Nothing,
}

/// Why an envelope cannot be written: what kind of trouble, and what and where, without a value.
pub(crate) type Refusal = (RecordErrorKind, String);

impl Envelope {
    /// Compiles `envelope` for one outlet of `stream`: that to `topic`, its key and settings, which
    /// a topic named by a template does not have.
    ///
    /// # Errors
    /// Where the envelope needs what `stream` or `topic` does not give.
    pub fn compile(
        envelope: config::Envelope,
        json_mode: JsonMode,
        stream: &StreamConfig,
        topic: Option<(&str, &TopicConfig)>,
    ) -> Result<Self, ConfigError> {
        let form: Box<dyn Form> = match envelope {
            config::Envelope::ChangeEvent => Box::new(WholeEvent(json_mode)),
            config::Envelope::Document => Box::new(Document(json_mode)),
            config::Envelope::Cloudevents => {
                Box::new(CloudEvents::compile(json_mode, false, stream))
            }
            config::Envelope::CloudeventsStructured => {
                Box::new(CloudEvents::compile(json_mode, true, stream))
            }
            config::Envelope::Original => Box::new(Original),
            config::Envelope::Debezium => Box::new(Debezium::compile(&stream.id.connection_id)),
            config::Envelope::BigqueryCdc => Box::new(BigQueryCdc::compile(stream, topic)?),
        };
        if form.is_read_as_it_stands() {
            check_oversize(stream)?;
        }
        Ok(Self { form, on_missing_document: stream.source.on_missing_document })
    }

    /// The names of the attributes that the envelope, or what is done to large messages, may write.
    pub fn own_attributes(&self) -> impl Iterator<Item = &'static str> {
        self.form.attributes().iter().chain(&ANY_ENVELOPE).copied()
    }

    /// Whether a message without data is told from another by its operation alone.
    pub fn needs_operation(&self) -> bool {
        self.form.needs_operation()
    }

    /// Writes the data of a message, then the envelope's own attributes.
    ///
    /// # Errors
    /// What the event has not, or has too much of, for this envelope.
    pub fn write(&self, record: &Record<'_>, out: &mut MessageWriter) -> Result<Written, Refusal> {
        let image = record.read.full_document;
        if record.read.operation == Some("update") && image.document().is_none() {
            match self.on_missing_document {
                OnMissingDocument::KeyOnly => {
                    let event = without_delta(record.change.bson);
                    let change = ChangeEvent::look_at(&event);
                    let change = change.map_err(|error| (error.kind, error.message))?;
                    return self.form.write(&Record { change, ..*record }, out);
                }
                // Absent is what a pipeline took out of the event: the document may still be there.
                OnMissingDocument::Drop if image == Image::Null => return Ok(Written::Nothing),
                OnMissingDocument::KeepDelta | OnMissingDocument::Drop => {}
            }
        }
        self.form.write(record, out)
    }
}

fn check_oversize(stream: &StreamConfig) -> Result<(), ConfigError> {
    match stream.source.oversize.policy {
        OversizePolicy::Compress | OversizePolicy::ClaimCheck => {}
        OversizePolicy::Stop | OversizePolicy::DeadLetter | OversizePolicy::TruncateFields => {
            return Ok(());
        }
    }
    let id = &stream.id;
    Err(ConfigError {
        path: format!(
            "mongodb.connections.{}.sources.{}.oversize.policy",
            id.connection_id, id.source_name
        ),
        message: "the readers of this envelope take no data that is compressed or kept elsewhere: \
                  set `stop`, `dead_letter` or `truncate_fields`"
            .into(),
    })
}

/// The event `bson` without `updateDescription`.
fn without_delta(bson: &[u8]) -> Vec<u8> {
    let mut rest = vec![0; size_of::<i32>()];
    for element in Elements::of(bson).into_iter().flatten().flatten() {
        if element.name != b"updateDescription" {
            rest.extend_from_slice(element.whole);
        }
    }
    rest.push(0);
    let length = i32::try_from(rest.len()).unwrap_or_default();
    rest[..size_of::<i32>()].copy_from_slice(&length.to_le_bytes());
    rest
}

/// Appends `bson` as JSON.
pub(super) fn write_json(bson: &[u8], mode: JsonMode, out: &mut Vec<u8>) -> Result<(), Refusal> {
    json::write_document(bson, mode, out).map_err(|error| unreadable(&error))
}

/// What is not BSON.
pub(super) fn unreadable(error: &json::DecodeError) -> Refusal {
    (RecordErrorKind::Decode, error.to_string())
}

/// An attribute that Pub/Sub would refuse.
pub(super) fn too_long(name: &str) -> Refusal {
    let text = format!("the attribute {name} would be longer than {MAX_ATTRIBUTE_VALUE} bytes");
    (RecordErrorKind::Format, text)
}
