//! From a raw change event to messages: pure, synchronous, no clock, no I/O.

mod edit;
mod enrich;
mod lane;
mod literal;
mod memory;
mod outlet;
mod oversize;
mod protect;
mod route;
mod validate;
mod write;

pub use lane::HASH_NAME;

use bytes::Bytes;

use crate::config::{Config, StreamConfig};
use crate::error::{ConfigError, RecordError};
use crate::event::{Batch, Message};

use edit::Edits;
use lane::LaneChoice;
use memory::LaneMemory;
use oversize::Oversize;
use route::Route;
pub(crate) use validate::Validator;
use write::{Draft, Sheet};

/// What turns the events of one stream into messages: compiled once, applied to each event.
#[derive(Debug)]
pub struct Transform {
    /// The stream's name.
    stream: String,
    validator: Option<Validator>,
    /// The attribute `schema_version`.
    schema_version: Option<String>,
    lanes: LaneChoice,
    edits: Option<Edits>,
    route: Route,
    oversize: Oversize,
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
    /// Number of events whose document breaks a rule of `schemas`.
    pub invalid: u64,
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
        let edits = Edits::compile(config, stream)?;
        let seed = edits.as_ref().map(|edits| edits.lane_seed(&pubsub.ordering)).transpose()?;
        let oversize = Oversize::compile(stream)?;
        let dead_letters = config.has_dead_letters();
        if oversize.needs_dead_letter() && !dead_letters {
            return Err(ConfigError {
                path: "dead_letter".into(),
                message: format!(
                    "missing: stream {} needs it for what is too large; set `dead_letter.file` or \
                     `dead_letter.topic`",
                    stream.id
                ),
            });
        }
        Ok(Self {
            stream: stream.id.to_string(),
            validator: Validator::compile(config, stream)?,
            schema_version: stream.source.validation.schema_version.clone(),
            lanes: LaneChoice::compile(&stream.id, &pubsub.ordering, pubsub.lanes, seed.flatten())?,
            route: Route::compile(config, stream, edits.as_ref())?,
            edits,
            oversize,
            dead_letters,
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
            let mut keep = |Draft { to, lane, message, claim }: Draft<'_>| Message {
                sequence,
                to,
                lane,
                body: memory.keep(lane, message),
                claim,
            };
            let written = self.write(event, context, &mut sheet, &mut done.messages, &mut keep);
            if let Err(refused) = written {
                done.refused = Some(refused);
                break;
            }
            match done.messages.len() - before {
                0 => done.skipped.push(sequence),
                1 => {}
                several => done.copies.push((sequence, u32::try_from(several).unwrap_or(u32::MAX))),
            }
        }
        done.invalid = sheet.invalid;
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
        let mut keep = |Draft { to, lane, message, claim }: Draft<'_>| Message {
            sequence,
            to,
            lane,
            body: Bytes::copy_from_slice(message),
            claim,
        };
        let mut sheet = Sheet::new(event.len());
        self.write(event, context, &mut sheet, &mut messages, &mut keep)?;
        Ok(messages)
    }
}

#[cfg(test)]
mod tests;
