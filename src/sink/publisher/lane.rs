//! One lane: at most one request in flight, its messages in order.

use std::sync::{Arc, PoisonError};

use tokio::sync::SemaphorePermit;
use tokio::time::sleep;

use super::receipts::Call;
use super::{LaneKey, Outgoing, Room};
use crate::error::{PublishError, PublishErrorKind};
use crate::event::Message;
use crate::flow::Backoff;
use crate::sink::batcher::{Batch, field_bytes};
use crate::sink::codes::{Failure, Fate};

/// A message in a lane.
pub(super) struct Waiting {
    message: Message,
    index: usize,
    call: Arc<Call>,
}

impl Waiting {
    pub fn new(message: Outgoing, index: usize, call: &Arc<Call>) -> Self {
        Self { message: message.into_message(), index, call: Arc::clone(call) }
    }

    fn bytes(&self) -> usize {
        field_bytes(self.message.body.len())
    }

    fn fail(&self, kind: PublishErrorKind, message: String) {
        self.call.settle(self.index, Err(PublishError { kind, message, sequence: None }));
    }
}

/// Sends what is in a lane, until nothing is.
pub(super) async fn serve(room: Arc<Room>, key: LaneKey) {
    // What comes while the lane waits for a slot shares its request.
    while let Ok(slot) = room.slots.acquire().await {
        let Some(part) = room.cut(&key) else { return };
        let delivery = Delivery { room: &room, parts: vec![part], backoff: None, renewed: false };
        delivery.run(slot).await;
    }
}

impl Room {
    /// The next request's messages of a lane; where there are none, the lane ends.
    fn cut(&self, key: &LaneKey) -> Option<Vec<Waiting>> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = lanes.queues.get_mut(key)?;
        let mut bytes = self.limits.overhead;
        let fits = |waiting: &Waiting| {
            bytes += waiting.bytes();
            bytes <= self.limits.bytes
        };
        let count = queue.iter().take(self.limits.messages).map(fits).take_while(|fits| *fits);
        // One that is larger alone is sent alone.
        let count = count.count().max(1).min(queue.len());
        if count == 0 {
            lanes.queues.remove(key);
            return None;
        }
        Some(queue.drain(..count).collect())
    }
}

/// What was cut from a lane, until all of it is published or has failed.
struct Delivery<'a> {
    room: &'a Room,
    /// Requests to be, the last one first.
    parts: Vec<Vec<Waiting>>,
    /// Failures in a row.
    backoff: Option<Backoff>,
    /// The access token was renewed.
    renewed: bool,
}

impl<'a> Delivery<'a> {
    async fn run(mut self, slot: SemaphorePermit<'a>) {
        let mut slot = Some(slot);
        while let Some(part) = self.parts.pop() {
            let part = still_wanted(part);
            if part.is_empty() {
                continue;
            }
            let slot = match slot.take() {
                Some(slot) => slot,
                None => match self.room.slots.acquire().await {
                    Ok(slot) => slot,
                    Err(_closed) => return,
                },
            };
            let outcome = tokio::select! {
                outcome = self.attempt(&part) => outcome,
                () = given_up(&part) => continue,
            };
            drop(slot);
            match outcome {
                Ok(ids) => {
                    (self.backoff, self.renewed) = (None, false);
                    for (waiting, id) in part.iter().zip(ids) {
                        waiting.call.settle(waiting.index, Ok(id));
                    }
                }
                Err(failure) => self.failed(part, failure).await,
            }
        }
    }

    async fn attempt(&self, part: &[Waiting]) -> Result<Vec<String>, Failure> {
        let room = self.room;
        let batch = Batch {
            messages: part.iter().map(|waiting| waiting.message.clone()).collect(),
            bytes: part.iter().map(Waiting::bytes).sum(),
        };
        room.connection.publish(&room.topic, Arc::new(batch), room.attempt_timeout).await
    }

    async fn failed(&mut self, mut part: Vec<Waiting>, Failure { fate, reason }: Failure) {
        let topic = &self.room.topic.name;
        tracing::debug!(topic, reason, "a request failed");
        let (kind, what) = match fate {
            Fate::Retry => return self.back_off(part, &reason).await,
            Fate::Renew if !self.renewed => {
                self.renewed = true;
                return self.parts.push(part);
            }
            Fate::Isolate | Fate::Shrink if part.len() > 1 => {
                let rest = part.split_off(part.len() / 2);
                return self.parts.extend([rest, part]);
            }
            Fate::Renew => (PublishErrorKind::Auth, "does not take the credentials"),
            Fate::Isolate => (PublishErrorKind::Rejected, "refuses the message"),
            Fate::Shrink => (PublishErrorKind::TooLarge, "does not take a message so large"),
            Fate::Stop(kind @ PublishErrorKind::TopicMissing) => (kind, "does not exist"),
            Fate::Stop(kind @ PublishErrorKind::Auth) => (kind, "may not be published to"),
            Fate::Stop(kind) => (kind, "does not take messages"),
        };
        for waiting in &part {
            waiting.fail(kind, format!("{topic} {what}: {reason}"));
        }
    }

    /// Waits, and then sends the same request again, as far as somebody still waits for it.
    async fn back_off(&mut self, part: Vec<Waiting>, reason: &str) {
        for waiting in &part {
            waiting.call.trouble(reason);
        }
        let backoff = self.backoff.get_or_insert_with(|| self.room.backoff.start());
        let delay = backoff.next_delay();
        tokio::select! {
            () = sleep(delay) => {}
            () = given_up(&part) => {}
        }
        self.parts.push(part);
    }
}

/// The messages that somebody waits for and wants to be sent.
fn still_wanted(part: Vec<Waiting>) -> Vec<Waiting> {
    let wanted = |waiting: &Waiting| {
        if waiting.call.is_stopped() {
            let message = "not sent: another message of the batch failed".to_owned();
            waiting.fail(PublishErrorKind::Shutdown, message);
            return false;
        }
        !waiting.call.is_given_up()
    };
    part.into_iter().filter(wanted).collect()
}

/// Waits until nobody waits for any of these messages.
async fn given_up(part: &[Waiting]) {
    for waiting in part {
        waiting.call.given_up().await;
    }
}
