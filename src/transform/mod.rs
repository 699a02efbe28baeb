//! From a raw change event to a message: pure, synchronous, no clock, no I/O.

mod attributes;
mod decode;
mod elements;
mod lane;
mod memory;
mod wire;

pub use lane::HASH_NAME;

use bytes::Bytes;

use crate::config::{JsonMode, PubSubConfig};
use crate::error::{ConfigError, RecordError, RecordErrorKind};
use crate::event::{Batch, Lane, Message, StreamId};
use crate::format::json;

use attributes::AttributeWriter;
use decode::ChangeEvent;
use lane::LaneChoice;
use memory::LaneMemory;
use wire::MessageWriter;

/// What turns the events of one stream into messages: compiled once, applied to each event.
#[derive(Debug)]
pub struct Transform {
    json_mode: JsonMode,
    attributes: AttributeWriter,
    lanes: LaneChoice,
}

impl Transform {
    /// Compiles the transform of `stream`.
    ///
    /// # Errors
    /// An attribute or ordering key that would break Pub/Sub's limits on every message.
    pub fn compile(stream: &StreamId, pubsub: &PubSubConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            json_mode: pubsub.json_mode,
            attributes: AttributeWriter::compile(stream, &pubsub.attributes)?,
            lanes: LaneChoice::compile(stream, pubsub.ordering, pubsub.lanes)?,
        })
    }

    /// The messages for the events of `batch`, numbered from `first`; stops before the first event
    /// that cannot be turned into a message and returns why.
    #[must_use]
    pub fn apply_batch(&self, first: u64, batch: &Batch) -> (Vec<Message>, Option<RecordError>) {
        let mut messages = Vec::with_capacity(batch.len());
        let mut writer = MessageWriter::with_capacity(batch.bytes() / batch.len().max(1));
        let mut memory = LaneMemory::new(batch.bytes());
        for (sequence, event) in (first..).zip(batch.events()) {
            match self.write(event, &mut writer) {
                Ok(lane) => {
                    let body = memory.keep(lane, writer.message());
                    messages.push(Message { sequence, lane, body });
                }
                Err(refused) => return (messages, Some(refused)),
            }
        }
        (messages, None)
    }

    /// The message for one change event: `event` is its raw BSON, `sequence` the number that its
    /// receipt will carry. The same event gives the same bytes, on every machine.
    ///
    /// # Errors
    /// A [`RecordError`] that names the rule and the event's id, never a value.
    pub fn apply(&self, sequence: u64, event: &[u8]) -> Result<Message, RecordError> {
        let mut writer = MessageWriter::with_capacity(event.len());
        let lane = self.write(event, &mut writer)?;
        Ok(Message { sequence, lane, body: Bytes::copy_from_slice(writer.message()) })
    }

    /// Writes the message for `event` and tells its lane.
    fn write(&self, event: &[u8], message: &mut MessageWriter) -> Result<Lane, RecordError> {
        let change = ChangeEvent::decode(event)?;
        let lane = self.lanes.of(&change).map_err(|message| change.refuse(message))?;
        message.begin();
        message.data(|out| json::write_document(event, self.json_mode, out)).map_err(|error| {
            RecordError { kind: RecordErrorKind::Decode, ..change.refuse(error.to_string()) }
        })?;
        self.attributes.write(&change, message).map_err(|message| change.refuse(message))?;
        self.lanes.with_ordering_key(lane, |key| message.ordering_key(key));
        Ok(lane)
    }
}

#[cfg(test)]
mod tests;
