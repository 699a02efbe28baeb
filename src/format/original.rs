//! The envelope `original`: what the Python project of the same purpose sent, the document in plain
//! JSON with what was done to it.

use super::envelope::{Form, Refusal, Written, unreadable, write_json};
use super::json::{Notation as _, Simplified, write_string};
use super::{MessageWriter, Record};
use crate::config::JsonMode;

/// Writes `{"data": …, "attributes": {"operation": …, "timestamp": …}}`; nothing for an event that
/// is about no document.
#[derive(Debug)]
pub(super) struct Original;

impl Form for Original {
    fn write(&self, record: &Record<'_>, out: &mut MessageWriter) -> Result<Written, Refusal> {
        let change = &record.change;
        // A delete, and an update whose document is gone, have the key alone.
        let document = change.full_document.document().or(change.document_key);
        let (Some(document), Some(operation)) = (document, change.operation) else {
            return Ok(Written::Nothing);
        };
        out.data(|data| {
            data.extend_from_slice(br#"{"data":"#);
            write_json(document, JsonMode::Simplified, data)?;
            data.extend_from_slice(br#","attributes":{"operation":"#);
            write_string(operation.as_bytes(), data).map_err(|error| unreadable(&error))?;
            data.extend_from_slice(br#","timestamp":"#);
            Simplified::date(record.now_ms, data);
            data.pop();
            data.extend_from_slice(b"}}");
            Ok::<(), Refusal>(())
        })?;
        out.attribute("source", &[b"mongodb_change_stream"]);
        out.attribute("version", &[b"1.0"]);
        Ok(Written::Message)
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["source", "version"]
    }
}
