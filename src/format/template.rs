//! Templates, filled in from an event.

use std::fmt::Write as _;

use crate::config::{Capture, Field, Part, StreamConfig, Template};
use crate::event::{ChangeEvent, FieldPath, Scalar};

/// A template of one stream.
#[derive(Debug)]
pub(crate) struct TemplateWriter {
    parts: Vec<Piece>,
}

/// A part of a template, with what is known of the stream.
#[derive(Debug)]
enum Piece {
    Text(String),
    Value { field: Value, otherwise: Option<String> },
}

/// What differs from event to event.
#[derive(Debug)]
enum Value {
    Database,
    Collection,
    Operation,
    Document(FieldPath),
}

/// The field that an event does not have, as the template names it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Missing(String);

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{{}}}", self.0)
    }
}

impl TemplateWriter {
    pub fn compile(template: &Template, stream: &StreamConfig) -> Self {
        Self { parts: template.parts.iter().map(|part| Piece::of(part, stream)).collect() }
    }

    /// Appends the text for `change`.
    pub fn write(&self, change: &ChangeEvent<'_>, out: &mut String) -> Result<(), Missing> {
        for part in &self.parts {
            match part {
                Piece::Text(text) => out.push_str(text),
                Piece::Value { field, otherwise } => {
                    if field.write(change, out).is_none() {
                        out.push_str(otherwise.as_deref().ok_or_else(|| field.missing())?);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Piece {
    fn of(part: &Part, stream: &StreamConfig) -> Self {
        let (field, otherwise) = match part {
            Part::Text(text) => return Self::Text(text.clone()),
            Part::Field { field, otherwise } => (field, otherwise.clone()),
        };
        // An invalidate tells no namespace.
        let (database, collection) = match &stream.capture {
            Capture::Deployment => (None, None),
            Capture::Database(database) => (Some(database), None),
            Capture::Collection(database, collection) => (Some(database), Some(collection)),
        };
        let (field, known) = match field {
            Field::ConnectionId => return Self::Text(stream.id.connection_id.to_string()),
            Field::SourceName => return Self::Text(stream.id.source_name.to_string()),
            Field::Database => (Value::Database, database),
            Field::Collection => (Value::Collection, collection),
            Field::Operation => (Value::Operation, None),
            Field::Document(path) => (Value::Document(path.clone()), None),
        };
        Self::Value { field, otherwise: known.cloned().or(otherwise) }
    }
}

impl Value {
    /// Appends the value; `None` where the event does not have it.
    fn write(&self, change: &ChangeEvent<'_>, out: &mut String) -> Option<()> {
        match self {
            Self::Database => out.push_str(change.database?),
            Self::Collection => out.push_str(change.collection?),
            Self::Operation => out.push_str(change.operation?),
            Self::Document(path) => {
                let element = path.find(change.known_document()?)?;
                write_scalar(Scalar::of(&element)?, out)?;
            }
        }
        Some(())
    }

    fn missing(&self) -> Missing {
        Missing(match self {
            Self::Database => "database".into(),
            Self::Collection => "collection".into(),
            Self::Operation => "operation".into(),
            Self::Document(path) => format!("field:{path}"),
        })
    }
}

/// Appends a value as people write it; null counts as missing.
fn write_scalar(value: Scalar<'_>, out: &mut String) -> Option<()> {
    // Writing to a text does not fail.
    let _ = match value {
        Scalar::Null => return None,
        Scalar::Text(text) => out.write_str(text),
        Scalar::Boolean(value) => write!(out, "{value}"),
        Scalar::Integer(value) => write!(out, "{value}"),
        Scalar::Double(value) if value.is_infinite() => {
            out.write_str(if value > 0.0 { "Infinity" } else { "-Infinity" })
        }
        Scalar::Double(value) => write!(out, "{value}"),
        Scalar::Decimal(value) => write!(out, "{value}"),
        Scalar::Date(ms) => write_date(ms, out),
        Scalar::ObjectId(id) => id.iter().try_for_each(|byte| write!(out, "{byte:02x}")),
    };
    Some(())
}

/// RFC 3339 in UTC, milliseconds only where there are any; the number outside the years 0–9999.
fn write_date(ms: i64, out: &mut String) -> std::fmt::Result {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(time) if time.to_string().starts_with('-') => write!(out, "{ms}"),
        Ok(time) if ms % 1000 == 0 => write!(out, "{time}"),
        Ok(time) => write!(out, "{time:.3}"),
        Err(_) => write!(out, "{ms}"),
    }
}

#[cfg(test)]
mod tests;
