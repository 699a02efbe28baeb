//! What becomes of a lane when its request failed.

use std::cmp::Reverse;

use tokio::time::Instant;

use super::{Halt, LaneId, Lanes, Phase, Settled};
use crate::error::PublishErrorKind;
use crate::sink::codes::{Failure, Fate};
use crate::sink::culprit::Culprit;

impl Lanes {
    pub(super) fn failed(&mut self, id: LaneId, failure: Failure, now: Instant) -> Settled {
        let lane = self.lanes.get_mut(&id).expect("a lane in flight exists");
        debug_assert_eq!(lane.phase, Phase::InFlight);
        match failure.fate {
            Fate::Retry => self.back_off(id, failure.reason, now),
            Fate::Renew if !lane.renewed => {
                lane.renewed = true;
                self.again(id, failure.reason)
            }
            Fate::Renew => halted(PublishErrorKind::Auth, failure.reason),
            Fate::Isolate | Fate::Shrink => self.split(id, failure, now),
            Fate::Stop(kind) => halted(kind, failure.reason),
        }
    }

    fn back_off(&mut self, id: LaneId, reason: String, now: Instant) -> Settled {
        let lane = self.lanes.get_mut(&id).expect("a lane in flight exists");
        if lane.backoff.is_none() {
            self.troubled += 1;
        }
        let backoff = lane.backoff.get_or_insert_with(|| self.rules.backoff.start());
        let wake = now + backoff.next_delay();
        lane.phase = Phase::BackingOff;
        lane.wake = Some(wake);
        self.timers.push(Reverse((wake, id)));
        let attempts = backoff.attempts();
        Settled::Again { attempts, first: attempts == 1 && self.troubled == 1, reason }
    }

    fn again(&mut self, id: LaneId, reason: String) -> Settled {
        self.lanes.get_mut(&id).expect("a lane in flight exists").phase = Phase::Due;
        self.due.push_back(id);
        Settled::Again { attempts: 0, first: false, reason }
    }

    /// Sends a refused batch in smaller requests, in order.
    fn split(&mut self, id: LaneId, failure: Failure, now: Instant) -> Settled {
        let lane = self.lanes.get_mut(&id).expect("a lane in flight exists");
        let batch = lane.batch.take().expect("a request in flight has a batch");
        let overhead = self.rules.limits.overhead;
        if let [message] = batch.messages.as_slice() {
            let kind = match failure.fate {
                Fate::Shrink => PublishErrorKind::TooLarge,
                _ => PublishErrorKind::Rejected,
            };
            if self.rules.dead_letters {
                return self.bury(id, message.clone(), kind, failure.reason, now);
            }
            let culprit = Culprit::new(message, overhead + batch.bytes);
            self.refuse(kind, failure.reason, culprit, now);
            return Settled::Dropped;
        }
        if failure.fate == Fate::Shrink {
            // The receiver takes no more from the other lanes either.
            let half = overhead + batch.bytes / 2;
            self.rules.limits.bytes = self.rules.limits.bytes.min(half);
        } else {
            lane.suspects = batch.messages.len();
        }
        self.queued += batch.bytes;
        lane.queue.put_back(&batch, now);
        self.again(id, failure.reason)
    }
}

fn halted(kind: PublishErrorKind, reason: String) -> Settled {
    Settled::Halted(Halt { kind, reason, culprit: None })
}
