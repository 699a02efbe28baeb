//! What becomes of the lanes when a message is refused for good.
//!
//! The events before it must not wait for a person: they are published as always, failures waited
//! out. What comes after it is not sent any more: its stream ends directly before the refused
//! message, and the next start reads it again. So nothing is left to wait for a fuller request.

use tokio::time::Instant;

use super::{Halt, LaneId, Lanes};
use crate::error::PublishErrorKind;
use crate::sink::culprit::Culprit;

impl Lanes {
    /// Ends everything before the message of `culprit`, unless it ends earlier already.
    pub(super) fn refuse(
        &mut self,
        kind: PublishErrorKind,
        reason: String,
        culprit: Culprit,
        now: Instant,
    ) {
        let sequence = culprit.sequence;
        if self.refused.as_ref().is_none_or(|(earlier, _)| sequence < *earlier) {
            self.refused = Some((sequence, Halt { kind, reason, culprit: Some(culprit) }));
        }
        // A lane is in order and a barrier holds what comes after everything in the lanes: both
        // the rest of the refused message's lane and what is held come after that message.
        self.held = None;
        let all: Vec<LaneId> = self.lanes.keys().copied().collect();
        for id in all {
            self.keep_wanted(id, now);
        }
        self.hurry();
    }

    /// Drops what lane `id` holds from the refused message on, save for a request in flight, which
    /// still counts if it succeeds. False when the lane is gone.
    pub(super) fn keep_wanted(&mut self, id: LaneId, now: Instant) -> bool {
        let Some((refused, _)) = self.refused else { return true };
        let Some(lane) = self.lanes.get_mut(&id) else { return false };
        lane.keep_before(refused, now);
        if !lane.is_empty() {
            return true;
        }
        if lane.backoff.is_some() {
            self.troubled -= 1;
        }
        self.lanes.remove(&id);
        false
    }

    /// Why nothing more may be sent, once nothing is left before the refused message.
    pub(super) fn end_of_refusal(&self) -> Option<Halt> {
        let (_, halt) = self.refused.as_ref()?;
        self.lanes.is_empty().then(|| halt.clone())
    }
}
