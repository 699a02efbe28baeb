//! The envelope `change_event`: the event as the server sends it.

use super::envelope::{Form, Refusal, Written, write_json};
use super::{MessageWriter, Record};
use crate::config::JsonMode;

/// Writes the event as JSON.
#[derive(Debug)]
pub(super) struct WholeEvent(pub JsonMode);

impl Form for WholeEvent {
    fn write(&self, record: &Record<'_>, out: &mut MessageWriter) -> Result<Written, Refusal> {
        out.data(|data| write_json(record.change.bson, self.0, data))?;
        Ok(Written::Message)
    }
}
