//! `bigquery_cdc`: a flat row that a BigQuery subscription with `use_table_schema` applies.
//!
//! The document after the change, each field at its top level a column, with BigQuery's two columns
//! for change data capture. Of the rows of one key BigQuery keeps that with the highest
//! `_CHANGE_SEQUENCE_NUMBER`, in whatever order and however often they come.

mod column;
mod key;
mod sequence;
mod value;

pub(crate) use column::column_name;

use super::envelope::{Form, Refusal, Written};
use super::{MessageWriter, Record};
use crate::config::{BigQueryConfig, FullDocument, Operation, StreamConfig, TopicConfig};
use crate::error::{ConfigError, RecordErrorKind};
use crate::event::Image;
use crate::event::elements::{Element, Elements};
use column::{Case, Columns, Row};

/// What makes the rows of a table.
#[derive(Debug)]
pub(crate) struct BigQueryCdc {
    primary_key: Vec<Box<str>>,
    columns: Columns,
}

impl Form for BigQueryCdc {
    /// Writes the row for `record`; nothing for an event that is not about a document.
    fn write(&self, record: &Record<'_>, out: &mut MessageWriter) -> Result<Written, Refusal> {
        let change = &record.change;
        match change.operation {
            Some("insert" | "update" | "replace") => match change.full_document {
                Image::Document(document) => {
                    out.data(|data| self.upsert(record, document, data))?;
                }
                // Looked up after the document was deleted: the delete follows, and says it all.
                Image::Null => return Ok(Written::Nothing),
                Image::Absent => return Err(format("the event has no `fullDocument`")),
            },
            Some("delete") => out.data(|data| self.delete(record, data))?,
            Some(_) => return Ok(Written::Nothing),
            None => return Err(format("the event has no `operationType`")),
        }
        Ok(Written::Message)
    }

    fn is_read_as_it_stands(&self) -> bool {
        true
    }
}

impl BigQueryCdc {
    /// Compiles what makes the rows of `stream` for the table of `topic`, its key and settings.
    ///
    /// # Errors
    /// Without a table, and for a stream whose rows would be wrong.
    pub fn compile(
        stream: &StreamConfig,
        topic: Option<(&str, &TopicConfig)>,
    ) -> Result<Self, ConfigError> {
        let source = &stream.source;
        let refuse =
            |path: String, message: &str| Err(ConfigError { path, message: message.into() });
        let of_source = |key: &str| {
            let id = &stream.id;
            format!("mongodb.connections.{}.sources.{}.{key}", id.connection_id, id.source_name)
        };
        let Some((key, topic)) = topic else {
            let message = "a topic named by a template has no table, which `envelope: \
                           bigquery_cdc` needs: name the key of a topic";
            return refuse(of_source("topic"), message);
        };
        let Some(table) = &topic.bigquery else {
            let message = "missing: `envelope: bigquery_cdc` needs `dataset` and `table`";
            return refuse(format!("pubsub.topics.{key}.bigquery"), message);
        };
        if !matches!(source.full_document, FullDocument::UpdateLookup | FullDocument::Required) {
            let message = "`envelope: bigquery_cdc` needs the document after every update: set \
                           `update_lookup` or `required`";
            return refuse(of_source("full_document"), message);
        }
        let row_events =
            [Operation::Insert, Operation::Update, Operation::Replace, Operation::Delete];
        if row_events.iter().any(|operation| source.skip_operations.contains(operation)) {
            let message = "`envelope: bigquery_cdc` needs `insert`, `update`, `replace` and \
                           `delete`: without one of them the table would differ from the collection";
            return refuse(of_source("skip_operations"), message);
        }
        key::check(source, &table.primary_key).map_err(|(key, message)| ConfigError {
            path: of_source(&key),
            message: format!(
                "{message}, which is in the key of its table (`bigquery.primary_key`)"
            ),
        })?;
        Ok(Self::new(table))
    }

    fn new(table: &BigQueryConfig) -> Self {
        Self {
            primary_key: table.primary_key.iter().map(|field| field.as_str().into()).collect(),
            columns: Columns::compile(table),
        }
    }

    fn upsert(
        &self,
        record: &Record<'_>,
        document: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        begin(record, "UPSERT", out)?;
        let start = out.len();
        if self.columns(document, &Row::default(), out)? == Case::Upper {
            let row = Row::of(document).ok_or_else(not_bson)?;
            if row.is_ambiguous() {
                out.truncate(start);
                self.columns(document, &row, out)?;
            }
        }
        out.push(b'}');
        Ok(())
    }

    /// Writes the columns of `document`, and tells whether a name has a letter in upper case:
    /// without one, no two names differ in case only.
    fn columns(&self, document: &[u8], row: &Row<'_>, out: &mut Vec<u8>) -> Result<Case, Refusal> {
        let (mut keys, mut case) = (0, Case::Lower);
        for element in Elements::of(document).ok_or_else(not_bson)? {
            let element = element.ok_or_else(not_bson)?;
            keys += usize::from(self.is_key(element.name));
            case = case.max(self.columns.write(&element, row, out)?);
        }
        if keys < self.primary_key.len() {
            return Err(format("the document lacks a field of `bigquery.primary_key`"));
        }
        Ok(case)
    }

    fn is_key(&self, name: &[u8]) -> bool {
        self.primary_key.iter().any(|field| field.as_bytes() == name)
    }

    /// The key's columns alone: from the document's key, else from the image before the change.
    fn delete(&self, record: &Record<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        begin(record, "DELETE", out)?;
        let change = &record.change;
        for field in &self.primary_key {
            let element = find(change.document_key, field)
                .or_else(|| find(change.before_change.document(), field))
                .ok_or_else(|| {
                    format(
                        "the delete does not tell a field of `bigquery.primary_key`: set \
                         `full_document_before_change: required`",
                    )
                })?;
            self.columns.write(&element, &Row::default(), out)?;
        }
        out.push(b'}');
        Ok(())
    }
}

/// The two columns of BigQuery's own. What follows begins with a comma.
fn begin(record: &Record<'_>, change_type: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    out.extend_from_slice(br#"{"_CHANGE_TYPE":""#);
    out.extend_from_slice(change_type.as_bytes());
    out.extend_from_slice(br#"","_CHANGE_SEQUENCE_NUMBER":""#);
    if !sequence::write(record.read.token_data(), out) {
        return Err(format(
            "the resume token has a layout that this version does not know, so `bigquery_cdc` \
             cannot number the event",
        ));
    }
    out.push(b'"');
    Ok(())
}

fn find<'a>(document: Option<&'a [u8]>, field: &str) -> Option<Element<'a>> {
    Elements::of(document?)?.find(field.as_bytes())
}

fn format(message: &str) -> Refusal {
    (RecordErrorKind::Format, message.into())
}

fn not_bson() -> Refusal {
    (RecordErrorKind::Decode, "the document is not BSON".into())
}

#[cfg(test)]
mod tests;
