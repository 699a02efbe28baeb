//! One event, from its raw bytes to its messages or its dead letter.

use std::sync::Arc;

use super::outlet::Outlet;
use super::oversize::Shrunk;
use super::{Context, Transform};
use crate::config::OnInvalid;
use crate::error::{RecordError, RecordErrorKind};
use crate::event::{ChangeEvent, Claim, Destination, EventId, Lane, Message};
use crate::format::{self, DeadLetter, MessageWriter, Record, Stage, Written};

/// What is written while an event is transformed; used again for the next.
pub(super) struct Sheet {
    message: MessageWriter,
    /// The event as it may go out.
    edited: Vec<u8>,
    /// Number of events whose document broke a rule.
    pub invalid: u64,
}

/// A message as it has been written, to be kept.
pub(super) struct Draft<'a> {
    pub to: Destination,
    pub lane: Lane,
    /// The message in protobuf.
    pub message: &'a [u8],
    /// What is to be stored before the message is sent.
    pub claim: Option<Arc<Claim>>,
}

/// Why an event makes no message, and how far it had come.
struct Refusal {
    error: RecordError,
    stage: Stage,
    /// It is to end its stream even where there is a place for dead letters.
    ends_stream: bool,
}

impl Sheet {
    /// For events of `bytes`.
    pub fn new(bytes: usize) -> Self {
        Self { message: MessageWriter::with_capacity(bytes), edited: Vec::new(), invalid: 0 }
    }
}

impl Transform {
    /// Appends the messages for `event`, each made by `keep`: those for its topics, or its dead
    /// letter. On an error none is appended.
    pub(super) fn write(
        &self,
        event: &[u8],
        context: &Context,
        sheet: &mut Sheet,
        messages: &mut Vec<Message>,
        keep: &mut impl FnMut(Draft<'_>) -> Message,
    ) -> Result<(), RecordError> {
        let read = ChangeEvent::decode(event)?;
        let before = messages.len();
        let Err(refusal) = self.publish(&read, context, sheet, messages, keep) else {
            return Ok(());
        };
        messages.truncate(before);
        // One that is redriven is a dead letter already, and stays one.
        let lacks_key = self.edits.as_ref().is_some_and(|edits| edits.lacks_key(&read));
        if !self.dead_letters || context.redriven || refusal.ends_stream || lacks_key {
            return Err(refusal.error);
        }
        let Refusal { error, stage, .. } = &refusal;
        let Sheet { message, edited, .. } = sheet;
        // Of what is too large there is a reference only. What cannot be protected does not go out
        // as a dead letter either.
        let whole = error.kind != RecordErrorKind::Oversize || read.documents_omitted;
        let sendable = whole.then(|| self.edit(&read, context, edited).ok()).flatten();
        let sendable = sendable.map(|change| change.bson);
        DeadLetter::of_event(&self.stream, *stage, error, &read, sendable).write(message);
        let (to, lane) = (Destination::DeadLetter, Lane::Unordered);
        messages.push(keep(Draft { to, lane, message: message.message(), claim: None }));
        Ok(())
    }

    /// Appends the messages for the topics of an event.
    fn publish(
        &self,
        read: &ChangeEvent<'_>,
        context: &Context,
        sheet: &mut Sheet,
        messages: &mut Vec<Message>,
        keep: &mut impl FnMut(Draft<'_>) -> Message,
    ) -> Result<(), Refusal> {
        let refuse = |(kind, text)| self.refuse(read, kind, text);
        let Sheet { message, edited, invalid } = sheet;
        if read.documents_omitted {
            let text = "the event is larger than the 16 MiB that MongoDB can return";
            return Err(refuse((RecordErrorKind::Oversize, text.into())));
        }
        let broken = self.validator.as_ref().and_then(|rules| rules.check(read).err());
        *invalid += u64::from(broken.is_some());
        match (&self.validator, &broken) {
            (Some(rules), Some(_)) if rules.on_invalid == OnInvalid::Drop => return Ok(()),
            (Some(rules), Some(text)) if rules.on_invalid != OnInvalid::Pass => {
                let ends_stream = rules.on_invalid == OnInvalid::Fail;
                let refusal = refuse((RecordErrorKind::Schema, text.clone()));
                return Err(Refusal { stage: Stage::Validate, ends_stream, ..refusal });
            }
            _ => {}
        }
        let event_id = self.event_id(read);
        let change = self.edit(read, context, edited)?;
        let lane = self.lanes.of(read).map_err(|text| refuse((RecordErrorKind::Format, text)))?;
        let record = Record { change, event_id: &event_id, read, now_ms: context.now_ms };
        let way = Way { transform: self, context, lane, broken: broken.as_deref() };
        for outlet in self.route.of(read) {
            if way.fill(outlet, &record, message).map_err(refuse)? == Written::Nothing {
                continue;
            }
            let claim = way.shrink(outlet, &record, message).map_err(refuse)?;
            let to = outlet.destination(read);
            let to = to.map_err(|text| refuse((RecordErrorKind::Route, text)))?;
            messages.push(keep(Draft { to, lane, message: message.message(), claim }));
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
        change.map_err(|error| Refusal { error, stage: Stage::Transform, ends_stream: false })
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
        Refusal { error, stage: Stage::Transform, ends_stream: false }
    }
}

/// How the messages of one event are written, whichever outlet they take.
struct Way<'a> {
    transform: &'a Transform,
    context: &'a Context,
    lane: Lane,
    /// The rules that the document breaks, where it is sent nevertheless.
    broken: Option<&'a str>,
}

impl Way<'_> {
    /// Writes the message of `record` for `outlet`.
    fn fill(
        &self,
        outlet: &Outlet,
        record: &Record<'_>,
        message: &mut MessageWriter,
    ) -> Result<Written, format::Refusal> {
        message.begin();
        if outlet.envelope.write(record, message)? == Written::Nothing {
            return Ok(Written::Nothing);
        }
        let attributes = outlet.attributes.write(record, message);
        attributes.map_err(|text| (RecordErrorKind::Format, text))?;
        if let Some(version) = &self.transform.schema_version {
            message.attribute("schema_version", &[version.as_bytes()]);
        }
        if let Some(broken) = self.broken {
            message.attribute("validation_errors", &[broken.as_bytes()]);
        }
        if self.context.redriven {
            message.attribute("redriven", &[b"true"]);
        }
        self.transform.lanes.with_ordering_key(self.lane, |key| message.ordering_key(key));
        Ok(Written::Message)
    }

    /// Makes a message fit that is too large.
    fn shrink(
        &self,
        outlet: &Outlet,
        record: &Record<'_>,
        message: &mut MessageWriter,
    ) -> Result<Option<Arc<Claim>>, format::Refusal> {
        let (oversize, bytes) = (&self.transform.oversize, message.message().len());
        if bytes <= oversize.limit() {
            return Ok(None);
        }
        let fill =
            |record: &Record<'_>, message: &mut MessageWriter| self.fill(outlet, record, message);
        match oversize.shrink(record, message, fill)? {
            Shrunk::Fits => Ok(None),
            Shrunk::Claim(claim) => Ok(Some(claim)),
            Shrunk::DeadLetter => {
                let text = format!("a message of {bytes} bytes is over `oversize.limit`");
                Err((RecordErrorKind::Oversize, text))
            }
        }
    }
}
