//! What becomes of a message that is refused for good where there are dead letters: it leaves its
//! lane, which goes on in order with what is behind it, and no other lane is held up. A barrier, and
//! a flush, wait until the dead letter is safe.

use tokio::time::Instant;

use super::{LaneId, Lanes, Settled};
use crate::error::PublishErrorKind;
use crate::event::Message;
use crate::sink::culprit::Culprit;

/// A message that is refused for good.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The message.
    pub message: Message,
    /// What kind of trouble.
    pub kind: PublishErrorKind,
    /// Why, without a value.
    pub reason: String,
}

impl Lanes {
    /// The next message that has become a dead letter: the caller's to keep, and to say so by
    /// [`Lanes::letter_is_safe`].
    pub fn next_letter(&mut self) -> Option<Refused> {
        self.letters.pop_front()
    }

    /// Takes note that one of the dead letters is safe.
    pub fn letter_is_safe(&mut self) {
        self.unsafe_letters -= 1;
        self.drained();
    }

    /// The first message of lane `id`, the one of `culprit`, can never be sent.
    pub(super) fn too_large(&mut self, id: LaneId, culprit: Culprit, now: Instant) {
        let (kind, reason) = (PublishErrorKind::TooLarge, "over Pub/Sub's limit".to_owned());
        let lane = self.lanes.get_mut(&id).filter(|_| self.rules.dead_letters);
        match lane.and_then(|lane| lane.queue.take_first()) {
            Some(message) => {
                let bytes = crate::sink::batcher::field_bytes(message.body.len());
                self.queued = self.queued.saturating_sub(bytes);
                self.bury(id, message, kind, reason, now);
            }
            None => self.refuse(kind, reason, culprit, now),
        }
    }

    /// Makes a dead letter of `message`, which lane `id` has just given up.
    pub(super) fn bury(
        &mut self,
        id: LaneId,
        message: Message,
        kind: PublishErrorKind,
        reason: String,
        now: Instant,
    ) -> Settled {
        self.unsafe_letters += 1;
        self.letters.push_back(Refused { message, kind, reason });
        Settled::Refused { recovered: self.done_with(id, 1, now) }
    }
}
