//! The envelope `document`: the document after the change, and nothing around it.
//!
//! Without a document there is no data: the message is a tombstone, and the attribute
//! `document_key` tells of what. Pub/Sub takes no message that has neither data nor an attribute;
//! with this one there always is an attribute.

use super::envelope::{Refusal, Written, too_long, write_json};
use super::{MessageWriter, Record};
use crate::config::JsonMode;
use crate::limits::MAX_ATTRIBUTE_VALUE;

/// The document key of an event that is about no document.
const NO_DOCUMENT: &[u8] = b"null";

/// Writes the document, or the tombstone.
///
/// # Errors
/// A document key that is too long for an attribute, and what is not BSON.
pub(super) fn write(
    record: &Record<'_>,
    mode: JsonMode,
    out: &mut MessageWriter,
) -> Result<Written, Refusal> {
    let change = &record.change;
    if let Some(document) = change.full_document.document() {
        out.data(|data| write_json(document, mode, data))?;
        return Ok(Written::Message);
    }
    let mut key = Vec::new();
    match change.document_key {
        Some(document_key) => write_json(document_key, mode, &mut key)?,
        None => key.extend_from_slice(NO_DOCUMENT),
    }
    if key.len() > MAX_ATTRIBUTE_VALUE {
        return Err(too_long("document_key"));
    }
    out.data(|_| Ok::<(), Refusal>(()))?;
    out.attribute("document_key", &[&key]);
    Ok(Written::Message)
}
