//! Where messages go.
//!
//! [`Topics`] is the sink of a stream: it hands each message to the [`PubSubSink`] of its topic. That
//! is a handle; [`Connection`] is what several of them share. Behind the handle one
//! task moves messages through `lanes` (which may send what, and when), `batcher` (how a lane's
//! queue becomes requests), `transport` and `codec` (one attempt of a request) and `codes` (what
//! its outcome means). What cannot be delivered goes through `dead_letter`.
//!
//! Beside the line, [`Publisher`] publishes messages of a caller's own, who waits for their ids.

mod batcher;
mod claim_check;
mod codec;
mod codes;
mod culprit;
pub(crate) mod dead_letter;
mod lane;
mod lanes;
mod publisher;
mod pubsub;
mod topics;
mod transport;

pub use claim_check::ClaimStore;
pub(crate) use codes::name as code_name;
pub use dead_letter::{Asked, DeadLetterFile, DeadLetterPlaces};
pub use publisher::{Outgoing, Publisher, PublisherRules, Receipts};
pub use pubsub::PubSubSink;
pub use topics::{Publishing, Topics};
pub use transport::Connection;

use std::future::Future;

use crate::error::PublishError;
use crate::event::Message;

/// A destination for messages. What becomes of them comes back as [`crate::event::Receipt`]s on the
/// channel that the sink was built with.
pub trait Sink: Send {
    /// Takes over messages in order; waits while the sink is full. `urgent` messages are sent
    /// within the batching delay, others may wait longer for fuller requests.
    fn publish(
        &mut self,
        messages: Vec<Message>,
        urgent: bool,
    ) -> impl Future<Output = Result<(), PublishError>> + Send;

    /// Sends what is held back and waits until nothing is in flight any more.
    fn flush(&mut self) -> impl Future<Output = Result<(), PublishError>> + Send;
}
