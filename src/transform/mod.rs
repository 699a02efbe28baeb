//! From a raw change event to messages: pure, synchronous, no clock, no I/O.

mod lane;
mod memory;
mod outlet;
mod oversize;

pub use lane::HASH_NAME;

use std::sync::Arc;

use bytes::Bytes;

use crate::config::{Config, StreamConfig};
use crate::error::{ConfigError, RecordError, RecordErrorKind};
use crate::event::{Batch, ChangeEvent, Claim, Lane, Message};
use crate::format::{MessageWriter, Record, Refusal, Written};

use lane::LaneChoice;
use memory::LaneMemory;
use outlet::Outlet;
use oversize::{Oversize, Shrunk};

/// What turns the events of one stream into messages: compiled once, applied to each event.
#[derive(Debug)]
pub struct Transform {
    lanes: LaneChoice,
    outlets: Vec<Outlet>,
    oversize: Oversize,
}

/// What is the same for all events of a server reply: made once for each, so that the same event
/// and context give the same bytes.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Milliseconds since the epoch.
    pub now_ms: i64,
}

impl Context {
    /// That of a reply which has just come.
    #[must_use]
    pub fn now() -> Self {
        Self { now_ms: jiff::Timestamp::now().as_millisecond() }
    }
}

/// What became of the events of a batch.
#[derive(Debug, Default)]
pub struct Transformed {
    /// The messages, in stream order.
    pub messages: Vec<Message>,
    /// Events that make more than one message, by their number, and how many.
    pub copies: Vec<(u64, u32)>,
    /// Events that make no message, on purpose.
    pub skipped: Vec<u64>,
    /// Why the event after all of these cannot be turned into a message.
    pub refused: Option<RecordError>,
}

impl Transform {
    /// Compiles the transform of `stream`.
    ///
    /// # Errors
    /// What cannot work for any event, such as an attribute or ordering key that breaks Pub/Sub's
    /// limits, and what `run` needs and is missing.
    pub fn compile(config: &Config, stream: &StreamConfig) -> Result<Self, ConfigError> {
        let pubsub = config.require_run()?.pubsub;
        Ok(Self {
            lanes: LaneChoice::compile(&stream.id, pubsub.ordering, pubsub.lanes)?,
            outlets: vec![Outlet::compile(config, stream, &stream.source.topic)?],
            oversize: Oversize::compile(stream)?,
        })
    }

    /// Whether the stream cannot be run without a place for dead letters.
    #[must_use]
    pub fn needs_dead_letter(&self) -> bool {
        self.oversize.needs_dead_letter()
    }

    /// The messages for the events of `batch`, numbered from `first`; stops before the first event
    /// that cannot be turned into a message and tells why.
    #[must_use]
    pub fn apply_batch(&self, first: u64, batch: &Batch, context: &Context) -> Transformed {
        let mut done = Transformed {
            messages: Vec::with_capacity(batch.len() * self.outlets.len()),
            ..Transformed::default()
        };
        let mut writer = MessageWriter::with_capacity(batch.bytes() / batch.len().max(1));
        let mut memory = LaneMemory::new(batch.bytes());
        for (sequence, event) in (first..).zip(batch.events()) {
            if batch.gap {
                done.refused = Some(too_large_for_the_server(event));
                break;
            }
            let before = done.messages.len();
            let written =
                self.write(event, context, &mut writer, |lane, outlet, message, claim| {
                    let (to, body) = (outlet.to.clone(), memory.keep(lane, message));
                    done.messages.push(Message { sequence, to, lane, body, claim });
                });
            if let Err(refused) = written {
                done.messages.truncate(before);
                done.refused = Some(refused);
                break;
            }
            match done.messages.len() - before {
                0 => done.skipped.push(sequence),
                1 => {}
                several => done.copies.push((sequence, u32::try_from(several).unwrap_or(u32::MAX))),
            }
        }
        done
    }

    /// The messages for one change event: `event` is its raw BSON, `sequence` the number that the
    /// receipts will carry. The same event and context give the same bytes, on every machine.
    ///
    /// # Errors
    /// A [`RecordError`] that names the rule and the event's id, never a value.
    pub fn apply(
        &self,
        sequence: u64,
        event: &[u8],
        context: &Context,
    ) -> Result<Vec<Message>, RecordError> {
        let mut messages = Vec::new();
        let mut writer = MessageWriter::with_capacity(event.len());
        self.write(event, context, &mut writer, |lane, outlet, message, claim| {
            let (to, body) = (outlet.to.clone(), Bytes::copy_from_slice(message));
            messages.push(Message { sequence, to, lane, body, claim });
        })?;
        Ok(messages)
    }

    /// Writes the messages for `event` one after the other, and hands each to `keep`.
    fn write(
        &self,
        event: &[u8],
        _context: &Context,
        message: &mut MessageWriter,
        mut keep: impl FnMut(Lane, &Outlet, &[u8], Option<Arc<Claim>>),
    ) -> Result<(), RecordError> {
        let read = ChangeEvent::decode(event)?;
        let refuse = |message| read.refuse(RecordErrorKind::Format, message);
        let lane = self.lanes.of(&read).map_err(refuse)?;
        let record = Record { change: read, event_id: &read.event_id(), read: &read };
        for outlet in &self.outlets {
            let written = self.fill(&record, lane, outlet, message);
            if written.map_err(|(kind, text)| read.refuse(kind, text))? == Written::Nothing {
                continue;
            }
            let claim = if message.message().len() > self.oversize.limit() {
                self.shrink(&record, lane, outlet, message)?
            } else {
                None
            };
            keep(lane, outlet, message.message(), claim);
        }
        Ok(())
    }

    /// Writes the message for `record`.
    fn fill(
        &self,
        record: &Record<'_>,
        lane: Lane,
        outlet: &Outlet,
        message: &mut MessageWriter,
    ) -> Result<Written, Refusal> {
        message.begin();
        if outlet.envelope.write(record, message)? == Written::Nothing {
            return Ok(Written::Nothing);
        }
        let attributes = outlet.attributes.write(record, message);
        attributes.map_err(|text| (RecordErrorKind::Format, text))?;
        self.lanes.with_ordering_key(lane, |key| message.ordering_key(key));
        Ok(Written::Message)
    }

    /// Makes a message that is too large fit.
    fn shrink(
        &self,
        record: &Record<'_>,
        lane: Lane,
        outlet: &Outlet,
        message: &mut MessageWriter,
    ) -> Result<Option<Arc<Claim>>, RecordError> {
        let bytes = message.message().len();
        let fill = |record: &Record<'_>, message: &mut MessageWriter| {
            self.fill(record, lane, outlet, message)
        };
        let shrunk = self.oversize.shrink(record, message, fill);
        match shrunk.map_err(|(kind, text)| record.read.refuse(kind, text))? {
            Shrunk::Fits => Ok(None),
            Shrunk::Claim(claim) => Ok(Some(claim)),
            Shrunk::DeadLetter => {
                let text = format!("a message of {bytes} bytes is over `oversize.limit`");
                Err(record.read.refuse(RecordErrorKind::Oversize, text))
            }
        }
    }
}

/// The error of an event whose documents the server cannot return.
fn too_large_for_the_server(event: &[u8]) -> RecordError {
    let text = "the event is larger than the 16 MiB that MongoDB can return";
    match ChangeEvent::decode(event) {
        Ok(read) => read.refuse(RecordErrorKind::Oversize, text.into()),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests;
