//! The envelope `document`: the document after the change, and nothing around it.
//!
//! Without a document there is no data: the message is a tombstone, and the attribute
//! `document_key` tells of what. Pub/Sub takes no message that has neither data nor an attribute;
//! with this one there always is an attribute.

use super::envelope::{Form, Refusal, Written, too_long, write_json};
use super::{MessageWriter, Record};
use crate::config::JsonMode;
use crate::limits::MAX_ATTRIBUTE_VALUE;

/// The document key of an event that is about no document.
const NO_DOCUMENT: &[u8] = b"null";

/// Writes the document, or the tombstone.
#[derive(Debug)]
pub(super) struct Document(pub JsonMode);

impl Form for Document {
    fn write(&self, record: &Record<'_>, out: &mut MessageWriter) -> Result<Written, Refusal> {
        let change = &record.change;
        if let Some(document) = change.full_document.document() {
            out.data(|data| write_json(document, self.0, data))?;
            return Ok(Written::Message);
        }
        let mut key = Vec::new();
        match change.document_key {
            Some(document_key) => write_json(document_key, self.0, &mut key)?,
            None => key.extend_from_slice(NO_DOCUMENT),
        }
        if key.len() > MAX_ATTRIBUTE_VALUE {
            return Err(too_long("document_key"));
        }
        out.data(|_| Ok::<(), Refusal>(()))?;
        out.attribute("document_key", &[&key]);
        Ok(Written::Message)
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["document_key"]
    }

    fn needs_operation(&self) -> bool {
        true
    }
}
