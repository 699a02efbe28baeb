//! Messages that are kept, and how many bytes they may take together.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use prost::Message as _;
use tonic::Status;

/// What a kept message takes beside its encoded size: the struct, the allocations of its strings
/// and attributes, its places in queues. An estimate, on the high side.
const OVERHEAD_BYTES: usize = 512;

/// Counts the bytes of all messages that exist, wherever they are referred to.
#[derive(Debug)]
pub(super) struct Store {
    max_bytes: usize,
    kept_bytes: AtomicUsize,
}

impl Store {
    pub(super) fn new(max_bytes: usize) -> Arc<Self> {
        Arc::new(Self { max_bytes, kept_bytes: AtomicUsize::new(0) })
    }

    pub(super) fn kept_bytes(&self) -> usize {
        self.kept_bytes.load(Ordering::Relaxed)
    }

    /// `RESOURCE_EXHAUSTED` when there is no room for these messages.
    pub(super) fn admit(&self, messages: &[PubsubMessage]) -> Result<(), Status> {
        let wanted: usize = messages.iter().map(size).sum();
        if self.kept_bytes() + wanted <= self.max_bytes {
            return Ok(());
        }
        Err(Status::resource_exhausted(format!(
            "the embedded Pub/Sub keeps {} bytes of {} at most: acknowledge messages, delete \
             subscriptions that nobody reads, or raise max_bytes",
            self.kept_bytes(),
            self.max_bytes
        )))
    }

    /// Keeps a message.
    pub(super) fn keep(self: &Arc<Self>, message: PubsubMessage) -> Arc<Stored> {
        let bytes = size(&message);
        self.kept_bytes.fetch_add(bytes, Ordering::Relaxed);
        // What was decoded refers to its whole request, which would be kept with it.
        let data = Bytes::copy_from_slice(&message.data);
        let share = Share { store: Arc::clone(self), bytes };
        Arc::new(Stored { message: PubsubMessage { data, ..message }, share })
    }
}

fn size(message: &PubsubMessage) -> usize {
    message.encoded_len() + OVERHEAD_BYTES
}

/// A message that is kept.
#[derive(Debug)]
pub(super) struct Stored {
    message: PubsubMessage,
    share: Share,
}

impl Stored {
    pub(super) fn message(&self) -> &PubsubMessage {
        &self.message
    }

    /// Bytes that it takes.
    pub(super) fn size(&self) -> usize {
        self.share.bytes
    }

    /// A copy for a dead letter topic. Attributes: "forwarding to dead-letter topics",
    /// <https://cloud.google.com/pubsub/docs/handling-failures>.
    pub(super) fn as_dead_letter(&self, subscription: &str, attempts: u32) -> PubsubMessage {
        let mut parts = subscription.split('/').skip(1).step_by(2);
        let mut part = || parts.next().unwrap_or_default().to_owned();
        let source = HashMap::from([
            ("CloudPubSubDeadLetterSourceSubscriptionProject".to_owned(), part()),
            ("CloudPubSubDeadLetterSourceSubscription".to_owned(), part()),
            ("CloudPubSubDeadLetterSourceDeliveryCount".to_owned(), attempts.to_string()),
        ]);
        let mut message = self.message.clone();
        message.attributes.extend(source);
        message
    }
}

/// The bytes of one message, given back when nothing refers to it any more.
#[derive(Debug)]
struct Share {
    store: Arc<Store>,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.store.kept_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
