//! The attributes of a message.

use crate::config::{Attribute, FullDocument, PubSubConfig, StreamConfig, Template};
use crate::error::ConfigError;
use crate::event::{ChangeEvent, Image};
use crate::limits::MAX_ATTRIBUTE_VALUE;

use super::{MessageWriter, Record, TemplateWriter};

/// Writes the configured attributes of one stream.
#[derive(Debug)]
pub(crate) struct AttributeWriter {
    attributes: Vec<Attribute>,
    /// Further attributes by their name.
    extra: Vec<(String, TemplateWriter)>,
    connection_id: String,
    source_name: String,
    /// Updates come with the document as it was when they were read.
    looked_up: bool,
}

impl AttributeWriter {
    pub fn compile(stream: &StreamConfig, pubsub: &PubSubConfig) -> Result<Self, ConfigError> {
        let id = &stream.id;
        for name in [&id.connection_id, &id.source_name] {
            if name.len() > MAX_ATTRIBUTE_VALUE {
                return Err(ConfigError {
                    path: "mongodb.connections".into(),
                    message: format!(
                        "a name of {} bytes does not fit into an attribute of at most {MAX_ATTRIBUTE_VALUE} bytes",
                        name.len()
                    ),
                });
            }
        }
        let extra = pubsub.extra_attributes.iter().map(|(name, template)| {
            let parsed = Template::parse(template).map_err(|message| ConfigError {
                path: format!("pubsub.extra_attributes.{name}"),
                message,
            })?;
            Ok((name.clone(), TemplateWriter::compile(&parsed, stream)))
        });
        Ok(Self {
            attributes: pubsub.attributes.clone(),
            extra: extra.collect::<Result<_, ConfigError>>()?,
            connection_id: id.connection_id.as_ref().to_owned(),
            source_name: id.source_name.as_ref().to_owned(),
            looked_up: stream.source.full_document == FullDocument::UpdateLookup,
        })
    }

    /// Writes the attributes of one event; what the event does not have is left out.
    pub fn write(&self, record: &Record<'_>, out: &mut MessageWriter) -> Result<(), String> {
        let change = &record.change;
        for attribute in &self.attributes {
            match attribute {
                Attribute::EventId => {
                    out.attribute("event_id", &[record.event_id.as_bytes()]);
                }
                Attribute::Operation => {
                    if let Some(operation) = change.operation {
                        out.attribute("operation", &[checked("operation", operation)?]);
                    }
                }
                Attribute::Namespace => write_namespace(change, out)?,
                Attribute::ClusterTime => write_cluster_time(change, out),
                Attribute::ConnectionId => {
                    out.attribute("connection_id", &[self.connection_id.as_bytes()]);
                }
                Attribute::SourceName => {
                    out.attribute("source_name", &[self.source_name.as_bytes()]);
                }
                Attribute::FullDocument => {
                    if let Some(origin) = self.full_document(change) {
                        out.attribute("full_document", &[origin.as_bytes()]);
                    }
                }
                Attribute::ContentType => out.attribute("content_type", &[b"application/json"]),
            }
        }
        self.write_extra(change, out)
    }

    /// Where the document in the event comes from; `None` for an event that is about no document.
    fn full_document(&self, change: &ChangeEvent<'_>) -> Option<&'static str> {
        Some(match (change.operation?, change.full_document) {
            ("delete", _) => "deleted",
            ("insert" | "update" | "replace", Image::Absent | Image::Null) => "missing",
            ("update", Image::Document(_)) if self.looked_up => "lookup",
            ("insert" | "update" | "replace", Image::Document(_)) => "image",
            _ => return None,
        })
    }

    fn write_extra(&self, change: &ChangeEvent<'_>, out: &mut MessageWriter) -> Result<(), String> {
        let mut text = String::new();
        for (name, template) in &self.extra {
            text.clear();
            if template.write(change, &mut text).is_ok() {
                out.attribute(name, &[checked(name, &text)?]);
            }
        }
        Ok(())
    }
}

fn write_namespace(change: &ChangeEvent<'_>, out: &mut MessageWriter) -> Result<(), String> {
    match (change.database, change.collection) {
        (Some(database), Some(collection)) => {
            if database.len() + 1 + collection.len() > MAX_ATTRIBUTE_VALUE {
                return Err(too_long("namespace"));
            }
            out.attribute("namespace", &[database.as_bytes(), b".", collection.as_bytes()]);
        }
        (Some(database), None) => out.attribute("namespace", &[checked("namespace", database)?]),
        (None, _) => {}
    }
    Ok(())
}

/// `<seconds>.<ordinal>`; equal for all events of a transaction.
fn write_cluster_time(change: &ChangeEvent<'_>, out: &mut MessageWriter) {
    if let Some(time) = change.cluster_time {
        let (mut seconds, mut ordinal) = (itoa::Buffer::new(), itoa::Buffer::new());
        let parts =
            [seconds.format(time.time).as_bytes(), b".", ordinal.format(time.increment).as_bytes()];
        out.attribute("cluster_time", &parts);
    }
}

fn checked<'a>(name: &str, value: &'a str) -> Result<&'a [u8], String> {
    if value.len() > MAX_ATTRIBUTE_VALUE { Err(too_long(name)) } else { Ok(value.as_bytes()) }
}

fn too_long(name: &str) -> String {
    format!("the attribute {name} would be longer than {MAX_ATTRIBUTE_VALUE} bytes")
}

#[cfg(test)]
mod tests;
