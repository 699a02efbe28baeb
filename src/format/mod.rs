//! How a change event becomes the bytes of a message.

mod attributes;
mod bigquery_cdc;
mod change_event;
mod cloudevents;
pub(crate) mod dead_letter;
mod debezium;
mod document;
mod envelope;
pub mod json;
mod message;
mod original;
mod template;

pub(crate) use attributes::AttributeWriter;
pub(crate) use bigquery_cdc::column_name;
pub(crate) use dead_letter::{DeadLetter, Stage};
pub(crate) use envelope::{Envelope, Refusal, Written};
pub(crate) use message::MessageWriter;
pub(crate) use template::TemplateWriter;

use crate::event::{ChangeEvent, EventId};

/// A change event on its way out: what is in `change` may be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    /// The event, protected and enriched.
    pub change: ChangeEvent<'a>,
    /// Its id, told from the event as it was read.
    pub event_id: &'a EventId,
    /// The event as it was read. Nothing of it is sent; what is derived from its token may be.
    pub read: &'a ChangeEvent<'a>,
    /// When the server's reply came, in milliseconds since the epoch.
    pub now_ms: i64,
}
