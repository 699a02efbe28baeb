//! The envelopes: what the data of a message is.
//!
//! An envelope is a file of its own beside this one, and an arm here.

use super::bigquery_cdc::BigQueryCdc;
use super::debezium::Debezium;
use super::{MessageWriter, Record, document, json};
use crate::config::{self, JsonMode, StreamConfig, TopicConfig};
use crate::error::{ConfigError, RecordErrorKind};

/// One envelope, compiled.
#[derive(Debug)]
pub(crate) enum Envelope {
    /// The change event as the server sends it.
    ChangeEvent(JsonMode),
    /// The document after the change.
    Document(JsonMode),
    /// As Debezium's MongoDB connector writes it.
    Debezium(Debezium),
    /// A row for BigQuery.
    BigQueryCdc(BigQueryCdc),
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
        Ok(match envelope {
            config::Envelope::ChangeEvent => Self::ChangeEvent(json_mode),
            config::Envelope::Document => Self::Document(json_mode),
            config::Envelope::Debezium => {
                Self::Debezium(Debezium::compile(&stream.id.connection_id))
            }
            config::Envelope::BigqueryCdc => {
                Self::BigQueryCdc(BigQueryCdc::compile(stream, topic)?)
            }
        })
    }

    /// Writes the data of a message, then the envelope's own attributes.
    pub fn write(&self, record: &Record<'_>, out: &mut MessageWriter) -> Result<Written, Refusal> {
        match self {
            Self::ChangeEvent(mode) => {
                out.data(|data| write_json(record.change.bson, *mode, data))?;
            }
            Self::Document(mode) => return document::write(record, *mode, out),
            Self::Debezium(debezium) => return debezium.write(record, out),
            Self::BigQueryCdc(rows) => return rows.write(record, out),
        }
        Ok(Written::Message)
    }
}

/// Appends `bson` as JSON.
pub(super) fn write_json(bson: &[u8], mode: JsonMode, out: &mut Vec<u8>) -> Result<(), Refusal> {
    json::write_document(bson, mode, out)
        .map_err(|error| (RecordErrorKind::Decode, error.to_string()))
}
