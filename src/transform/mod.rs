//! From a raw change event to messages: pure, synchronous, no clock, no I/O.

mod edit;
mod enrich;
mod lane;
mod memory;
mod outlet;
mod protect;
mod route;

pub use lane::HASH_NAME;

use bytes::Bytes;

use crate::config::{Config, StreamConfig};
use crate::error::{ConfigError, RecordError, RecordErrorKind};
use crate::event::{Batch, ChangeEvent, Destination, EventId, Lane, Message};
use crate::format::{DeadLetter, MessageWriter, Record, Stage, Written};

use edit::Edits;
use lane::LaneChoice;
use memory::LaneMemory;
use route::Route;

/// What turns the events of one stream into messages: compiled once, applied to each event.
#[derive(Debug)]
pub struct Transform {
    /// The stream's name.
    stream: String,
    lanes: LaneChoice,
    edits: Option<Edits>,
    route: Route,
    /// There is a place for dead letters.
    dead_letters: bool,
}

/// What is the same for all events of a server reply: made once for each, so that the same event
/// and context give the same bytes.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Milliseconds since the epoch.
    pub now_ms: i64,
    /// The events come from dead letters: their messages carry `redriven=true`.
    pub redriven: bool,
}

impl Context {
    /// That of a reply which has just come.
    #[must_use]
    pub fn now() -> Self {
        Self { now_ms: jiff::Timestamp::now().as_millisecond(), redriven: false }
    }
}

/// What became of the events of a batch.
#[derive(Debug, Default)]
pub struct Transformed {
    /// The messages, in stream order, dead letters among them.
    pub messages: Vec<Message>,
    /// Events that make more than one message, by their number, and how many.
    pub copies: Vec<(u64, u32)>,
    /// Events that make no message, on purpose.
    pub skipped: Vec<u64>,
    /// Why the event after all of these cannot be turned into a message.
    pub refused: Option<RecordError>,
}

/// Why an event makes no message, and whether it becomes a dead letter where there is a place.
struct Refusal {
    error: RecordError,
    stage: Stage,
}

/// What is written while an event is transformed; used again for the next.
struct Sheet {
    message: MessageWriter,
    /// The event as it may go out.
    edited: Vec<u8>,
}

impl Sheet {
    /// For events of `bytes`.
    fn new(bytes: usize) -> Self {
        Self { message: MessageWriter::with_capacity(bytes), edited: Vec::new() }
    }
}

impl Transform {
    /// Compiles the transform of `stream`.
    ///
    /// # Errors
    /// What cannot work for any event, such as an attribute or ordering key that breaks Pub/Sub's
    /// limits, and what `run` needs and is missing.
    pub fn compile(config: &Config, stream: &StreamConfig) -> Result<Self, ConfigError> {
        let pubsub = config.require_run()?.pubsub;
        let edits = Edits::compile(config, stream)?;
        let seed = edits.as_ref().and_then(Edits::lane_seed);
        Ok(Self {
            stream: stream.id.to_string(),
            lanes: LaneChoice::compile(&stream.id, &pubsub.ordering, pubsub.lanes, seed)?,
            edits,
            route: Route::compile(config, stream)?,
            dead_letters: config.dead_letter.is_some(),
        })
    }

    /// The messages for the events of `batch`, numbered from `first`; stops before the first event
    /// that cannot be turned into a message and tells why.
    #[must_use]
    pub fn apply_batch(&self, first: u64, batch: &Batch, context: &Context) -> Transformed {
        let mut done = Transformed {
            messages: Vec::with_capacity(batch.len() * self.route.usual()),
            ..Transformed::default()
        };
        let mut sheet = Sheet::new(batch.bytes() / batch.len().max(1));
        let mut memory = LaneMemory::new(batch.bytes());
        for (sequence, event) in (first..).zip(batch.events()) {
            let before = done.messages.len();
            let mut keep = |to, lane, message: &[u8]| Message {
                sequence,
                to,
                lane,
                body: memory.keep(lane, message),
            };
            if let Err(refused) =
                self.write(event, context, &mut sheet, &mut done.messages, &mut keep)
            {
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
        let mut keep = |to, lane, message: &[u8]| Message {
            sequence,
            to,
            lane,
            body: Bytes::copy_from_slice(message),
        };
        self.write(event, context, &mut Sheet::new(event.len()), &mut messages, &mut keep)?;
        Ok(messages)
    }

    /// Appends the messages for `event`, each made by `keep`: those for its topics, or its dead
    /// letter. On an error none is appended.
    fn write(
        &self,
        event: &[u8],
        context: &Context,
        sheet: &mut Sheet,
        messages: &mut Vec<Message>,
        keep: &mut impl FnMut(Destination, Lane, &[u8]) -> Message,
    ) -> Result<(), RecordError> {
        let read = ChangeEvent::decode(event)?;
        let before = messages.len();
        let Err(refusal) = self.publish(&read, context, sheet, messages, keep) else {
            return Ok(());
        };
        messages.truncate(before);
        // One that is redriven is a dead letter already, and stays one.
        if !self.dead_letters || context.redriven {
            return Err(refusal.error);
        }
        let Refusal { error, stage } = &refusal;
        let Sheet { message, edited } = sheet;
        // What cannot be protected does not go out as a dead letter either.
        let sendable = self.edit(&read, context, edited).ok().map(|change| change.bson);
        DeadLetter::of_event(&self.stream, *stage, error, &read, sendable).write(message);
        messages.push(keep(Destination::DeadLetter, Lane::Unordered, sheet.message.message()));
        Ok(())
    }

    /// Appends the messages for the topics of an event.
    fn publish(
        &self,
        read: &ChangeEvent<'_>,
        context: &Context,
        sheet: &mut Sheet,
        messages: &mut Vec<Message>,
        keep: &mut impl FnMut(Destination, Lane, &[u8]) -> Message,
    ) -> Result<(), Refusal> {
        let refuse = |kind, text| self.refuse(read, kind, text);
        let format = |text| refuse(RecordErrorKind::Format, text);
        let Sheet { message, edited } = sheet;
        let event_id = self.event_id(read);
        let change = self.edit(read, context, edited)?;
        let lane = self.lanes.of(read).map_err(format)?;
        let record = Record { change, event_id: &event_id, read, now_ms: context.now_ms };
        for outlet in self.route.of(read) {
            message.begin();
            let written = outlet.envelope.write(&record, message);
            if written.map_err(|(kind, text)| refuse(kind, text))? == Written::Nothing {
                continue;
            }
            outlet.attributes.write(&record, message).map_err(format)?;
            if context.redriven {
                message.attribute("redriven", &[b"true"]);
            }
            self.lanes.with_ordering_key(lane, |key| message.ordering_key(key));
            let to = outlet.destination(read);
            let to = to.map_err(|text| refuse(RecordErrorKind::Route, text))?;
            messages.push(keep(to, lane, message.message()));
        }
        Ok(())
    }

    /// The event as it may go out, written into `edited`.
    fn edit<'a>(
        &self,
        read: &ChangeEvent<'a>,
        context: &Context,
        edited: &'a mut Vec<u8>,
    ) -> Result<ChangeEvent<'a>, Refusal> {
        let Some(edits) = &self.edits else { return Ok(*read) };
        let changed = edits.apply(read, context, edited);
        let change = changed.and_then(|()| ChangeEvent::look_at(edited));
        change.map_err(|error| Refusal { error, stage: Stage::Transform })
    }

    /// The id that the messages of an event carry: made with a key where its document key is
    /// protected.
    pub(crate) fn event_id(&self, read: &ChangeEvent<'_>) -> EventId {
        self.edits.as_ref().map_or_else(|| read.event_id(), |edits| edits.event_id(read))
    }

    fn refuse(&self, read: &ChangeEvent<'_>, kind: RecordErrorKind, message: String) -> Refusal {
        let error = match &self.edits {
            Some(edits) => edits.refuse(read, kind, message),
            None => read.refuse(kind, message),
        };
        Refusal { error, stage: Stage::Transform }
    }
}

#[cfg(test)]
mod tests;
