//! The envelope that Debezium's MongoDB connector writes, with schemas switched off.
//!
//! Documents stand in it as text: their JSON, in JSON. The key of Debezium's message, from which
//! alone a reader learns which document was deleted, goes into the attribute `key`.

mod document;
mod scalar;
mod text;

use mongodb::bson::Timestamp;

use self::document::{DocumentWriter, Style, malformed};
use self::text::{escape_again, write_quoted};
use super::envelope::{Form, Refusal, Written};
use super::{MessageWriter, Record};
use crate::error::RecordErrorKind;
use crate::event::elements::{Element, Elements};
use crate::event::{ChangeEvent, Image};
use crate::limits::MAX_ATTRIBUTE_VALUE;

/// Writes the events of the streams of one connection.
#[derive(Debug)]
pub(crate) struct Debezium {
    /// `source` as far as it is the same in all events: an object that is still open.
    source: String,
}

impl Form for Debezium {
    /// Writes the data and the attribute `key`; nothing for an event without a document.
    fn write(&self, record: &Record<'_>, out: &mut MessageWriter) -> Result<Written, Refusal> {
        let change = &record.change;
        let Some(operation) = change.operation else {
            return Err(missing("operationType"));
        };
        let code = match operation {
            "insert" => "c",
            "update" | "replace" => "u",
            "delete" => "d",
            _ => return Ok(Written::Nothing),
        };
        let key = key_of(change)?;
        out.data(|data| {
            write_documents(change, data)?;
            self.write_source(change, data)?;
            for part in [r#","op":""#, code, r#"","ts_ms":"#] {
                data.extend_from_slice(part.as_bytes());
            }
            write_number(record.now_ms, data);
            data.extend_from_slice(br#","transaction":null}"#);
            Ok(())
        })?;
        out.attribute("key", &[&key]);
        Ok(Written::Message)
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["key"]
    }
}

impl Debezium {
    /// The envelope for streams of the connection `connection_id`, which takes the place of
    /// Debezium's topic prefix.
    pub fn compile(connection_id: &str) -> Self {
        let mut name = Vec::new();
        write_quoted(connection_id, &mut name);
        let (name, version) = (String::from_utf8_lossy(&name), env!("CARGO_PKG_VERSION"));
        Self { source: format!(r#"{{"version":"{version}","connector":"mongodb","name":{name},"#) }
    }

    fn write_source(&self, change: &ChangeEvent<'_>, data: &mut Vec<u8>) -> Result<(), Refusal> {
        let Some(Timestamp { time, increment }) = change.cluster_time else {
            return Err(missing("clusterTime"));
        };
        data.extend_from_slice(br#","source":"#);
        data.extend_from_slice(self.source.as_bytes());
        let ms = i64::from(time) * 1000;
        write_field(r#""ts_ms":"#, ms, data);
        data.extend_from_slice(br#","snapshot":"false","db":"#);
        write_quoted(change.database.unwrap_or_default(), data);
        write_field(r#","sequence":null,"ts_us":"#, ms * 1000, data);
        write_field(r#","ts_ns":"#, ms * 1_000_000, data);
        data.extend_from_slice(br#","collection":"#);
        write_quoted(change.collection.unwrap_or_default(), data);
        // Debezium keeps it in 32 bits with a sign; the server counts from 1 in each second.
        write_field(r#","ord":"#, i64::from(increment), data);
        write_transaction(change.bson, data)?;
        data.extend_from_slice(br#","wallTime":"#);
        match change.wall_time_ms {
            Some(ms) => write_number(ms, data),
            None => data.extend_from_slice(b"null"),
        }
        data.push(b'}');
        Ok(())
    }
}

/// The key of Debezium's message: `{"id":"<JSON of _id>"}`.
fn key_of(change: &ChangeEvent<'_>) -> Result<Vec<u8>, Refusal> {
    let elements = change.document_key.and_then(Elements::of);
    let Some(id) = elements.and_then(|elements| elements.find(b"_id")) else {
        return Err(missing("documentKey._id"));
    };
    let mut key = br#"{"id":""#.to_vec();
    let start = key.len();
    DocumentWriter::new(Style::Key, &mut key).value(&id)?;
    escape_again(&mut key, start);
    key.extend_from_slice(br#""}"#);
    if key.len() > MAX_ATTRIBUTE_VALUE {
        let text = format!("the attribute key would be longer than {MAX_ATTRIBUTE_VALUE} bytes");
        return Err((RecordErrorKind::Format, text));
    }
    Ok(key)
}

/// What the object begins with: the images, and what an update did.
fn write_documents(change: &ChangeEvent<'_>, data: &mut Vec<u8>) -> Result<(), Refusal> {
    data.extend_from_slice(br#"{"before":"#);
    write_image(change.before_change, data)?;
    data.extend_from_slice(br#","after":"#);
    write_image(change.full_document, data)?;
    data.extend_from_slice(br#","updateDescription":"#);
    if let Some(description) = change.update_description {
        write_update(description, data)
    } else {
        data.extend_from_slice(b"null");
        Ok(())
    }
}

fn write_image(image: Image<'_>, data: &mut Vec<u8>) -> Result<(), Refusal> {
    match image {
        Image::Document(document) => write_text(document, Style::Image, data),
        Image::Absent | Image::Null => {
            data.extend_from_slice(b"null");
            Ok(())
        }
    }
}

/// A document's JSON as a JSON string.
fn write_text(document: &[u8], style: Style, data: &mut Vec<u8>) -> Result<(), Refusal> {
    data.push(b'"');
    let start = data.len();
    DocumentWriter::new(style, data).document(document)?;
    escape_again(data, start);
    data.push(b'"');
    Ok(())
}

fn write_update(description: &[u8], data: &mut Vec<u8>) -> Result<(), Refusal> {
    let find = |name: &[u8]| Elements::of(description)?.find(name);
    data.extend_from_slice(br#"{"removedFields":"#);
    write_list(find(b"removedFields"), data, write_removed)?;
    data.extend_from_slice(br#","updatedFields":"#);
    match find(b"updatedFields").and_then(|fields| fields.document()) {
        Some(fields) => write_text(fields, Style::Changes, data)?,
        None => data.extend_from_slice(b"null"),
    }
    data.extend_from_slice(br#","truncatedArrays":"#);
    write_list(find(b"truncatedArrays"), data, write_truncated)?;
    data.push(b'}');
    Ok(())
}

/// An array; null instead of an empty one.
fn write_list(
    list: Option<Element<'_>>,
    data: &mut Vec<u8>,
    write: impl Fn(&Element<'_>, &mut Vec<u8>) -> Option<()>,
) -> Result<(), Refusal> {
    let mut open = b'[';
    for item in list.and_then(|list| Elements::of(list.value)).into_iter().flatten() {
        data.push(open);
        open = b',';
        item.and_then(|item| write(&item, data)).ok_or_else(malformed)?;
    }
    data.extend_from_slice(if open == b'[' { b"null" } else { b"]" });
    Ok(())
}

fn write_removed(path: &Element<'_>, data: &mut Vec<u8>) -> Option<()> {
    write_quoted(path.text()?, data);
    Some(())
}

fn write_truncated(array: &Element<'_>, data: &mut Vec<u8>) -> Option<()> {
    let field = |name: &[u8]| Elements::of(array.document()?)?.find(name);
    data.extend_from_slice(br#"{"field":"#);
    write_quoted(field(b"field")?.text()?, data);
    let size = i32::from_le_bytes(*field(b"newSize")?.value.first_chunk()?);
    write_field(r#","size":"#, i64::from(size), data);
    data.push(b'}');
    Some(())
}

/// The session and the number of the transaction that the event is part of.
fn write_transaction(event: &[u8], data: &mut Vec<u8>) -> Result<(), Refusal> {
    let find = |name: &[u8]| Elements::of(event)?.find(name);
    data.extend_from_slice(br#","lsid":"#);
    match find(b"lsid").and_then(|lsid| lsid.document()) {
        Some(lsid) => write_text(lsid, Style::Image, data)?,
        None => data.extend_from_slice(b"null"),
    }
    data.extend_from_slice(br#","txnNumber":"#);
    match find(b"txnNumber").and_then(|number| number.value.first_chunk().copied()) {
        Some(number) => write_number(i64::from_le_bytes(number), data),
        None => data.extend_from_slice(b"null"),
    }
    Ok(())
}

fn write_field(before: &str, number: i64, data: &mut Vec<u8>) {
    data.extend_from_slice(before.as_bytes());
    write_number(number, data);
}

fn write_number(number: i64, data: &mut Vec<u8>) {
    data.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The envelope cannot do without this field of the event.
fn missing(field: &str) -> Refusal {
    let text = format!("the debezium envelope needs {field}, which the event does not have");
    (RecordErrorKind::Format, text)
}

#[cfg(test)]
mod tests;
