//! Which lane may send what, and when. No I/O and no clock: the caller passes the time in.
//!
//! A lane is always in one [`Phase`]: it *waits* for a full request or its deadline, is *due* and
//! queues for a slot, has its request *in flight*, or *backs off* before it sends the same request
//! again. It exists only while it holds a message. What happens when a message is refused for good
//! is told in `refusal` and, where there are dead letters, in `letters`.
//!
//! Nothing here limits how much waits: that is bounded upstream by [`crate::flow::Budget`], whose
//! bytes and events are given back at the receipt.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::vec;

use tokio::time::Instant;

use super::batcher::{Batch, Cut, Limits, field_bytes};
use super::codes::Failure;
use super::culprit::Culprit;
use super::lane::{Lane, LaneHasher, LaneId, Phase};
use crate::error::PublishErrorKind;
use crate::event::{Lane as Order, Message};
use crate::flow::BackoffPolicy;

mod failure;
mod letters;
mod refusal;

pub use letters::Refused;

/// A request that may be sent now.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whose it is; comes back with its outcome.
    pub lane: LaneId,
    /// Its messages.
    pub batch: Arc<Batch>,
    /// It is the same request again.
    pub retry: bool,
}

/// Why nothing more may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt {
    /// What kind of trouble.
    pub kind: PublishErrorKind,
    /// Why: see [`Failure::reason`].
    pub reason: String,
    /// The message that is to blame, if one is.
    pub culprit: Option<Culprit>,
}

/// What an outcome has led to.
#[derive(Debug)]
pub enum Settled {
    /// The batch is safe.
    Published {
        /// The batch.
        batch: Arc<Batch>,
        /// It had been refused before, and no other lane is in trouble any more.
        recovered: bool,
    },
    /// The batch, or a smaller one, is sent again.
    Again {
        /// Failures in a row, this one included; 0 where it is not a failure of the service.
        attempts: u32,
        /// No other lane was in trouble before.
        first: bool,
        /// Why: see [`Failure::reason`].
        reason: String,
    },
    /// Nothing of the batch is sent again: it is refused for good, or comes after what is.
    Dropped,
    /// The one message of the batch is refused for good and becomes a dead letter.
    Refused {
        /// It was the last lane in trouble.
        recovered: bool,
    },
    /// Nothing more may be sent.
    Halted(Halt),
}

/// How the lanes behave.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How large a request may become.
    pub limits: Limits,
    /// Most requests in flight.
    pub slots: usize,
    /// How failures are waited out.
    pub backoff: BackoffPolicy,
    /// Bytes that may wait for fuller requests; above it the lane with the earliest deadline is
    /// sent before its time.
    pub held_bytes: usize,
    /// A message that is refused for good becomes a dead letter; otherwise everything ends before it.
    pub dead_letters: bool,
}

/// All lanes of a sink.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "`lanes` is what they are called")]
pub struct Lanes {
    rules: Rules,
    lanes: HashMap<LaneId, Lane, BuildHasherDefault<LaneHasher>>,
    /// Lanes that may send, in the order in which they became due.
    due: VecDeque<LaneId>,
    timers: BinaryHeap<Reverse<(Instant, LaneId)>>,
    in_flight: usize,
    /// Bytes that wait in the lanes' queues; not kept after a refusal, when nothing waits any more.
    queued: usize,
    /// Lanes with failures in a row.
    troubled: usize,
    flushing: bool,
    /// A barrier, or what comes after one, with its deadline.
    held: Option<(vec::IntoIter<Message>, Instant)>,
    unordered: u32,
    /// The first message that is refused for good: everything ends before it.
    refused: Option<(u64, Halt)>,
    /// Messages that have become dead letters and are still to be taken over.
    letters: VecDeque<Refused>,
    /// Dead letters that are not safe yet.
    unsafe_letters: usize,
}

impl Lanes {
    /// No lane yet.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            lanes: HashMap::default(),
            due: VecDeque::new(),
            timers: BinaryHeap::new(),
            in_flight: 0,
            queued: 0,
            troubled: 0,
            flushing: false,
            held: None,
            unordered: 0,
            refused: None,
            letters: VecDeque::new(),
            unsafe_letters: 0,
        }
    }

    /// False while a barrier holds up what comes after it, and once a message is refused for good:
    /// no further [`Lanes::accept`] then.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.held.is_none() && self.refused.is_none()
    }

    /// True when nothing waits and nothing is in flight, dead letters included.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.is_empty() && self.held.is_none()
    }

    /// True when all that came before is safe.
    fn is_empty(&self) -> bool {
        self.lanes.is_empty() && self.unsafe_letters == 0
    }

    /// Takes messages over, in order, that want to be sent by `deadline`.
    pub fn accept(&mut self, messages: Vec<Message>, deadline: Instant) {
        debug_assert!(self.has_room(), "a barrier waits, or a message is refused");
        self.feed(messages.into_iter(), deadline);
    }

    /// Makes everything due, until nothing is left.
    pub fn flush(&mut self) {
        self.flushing = !self.is_idle();
        self.hurry();
    }

    /// Makes due what waits now.
    fn hurry(&mut self) {
        for (id, lane) in &mut self.lanes {
            if lane.phase == Phase::Waiting {
                lane.phase = Phase::Due;
                self.due.push_back(*id);
            }
        }
    }

    /// The next request for which there is a slot.
    ///
    /// # Errors
    /// A message is refused for good, and all that precede it have been published.
    pub fn next_request(&mut self, now: Instant) -> Result<Option<Request>, Halt> {
        if self.in_flight >= self.rules.slots {
            return Ok(None);
        }
        self.expire(now);
        while let Some(id) = self.next_due() {
            // It is gone if all it held was dropped.
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            let retry = lane.batch.is_some();
            let batch = match &lane.batch {
                Some(batch) => Arc::clone(batch),
                None => match lane.queue.cut(&self.rules.limits, lane.most()) {
                    Cut::Batch(batch) => {
                        self.queued = self.queued.saturating_sub(batch.bytes);
                        Arc::clone(lane.batch.insert(Arc::new(batch)))
                    }
                    Cut::TooLarge(culprit) => {
                        self.too_large(id, culprit, now);
                        continue;
                    }
                },
            };
            lane.phase = Phase::InFlight;
            self.in_flight += 1;
            return Ok(Some(Request { lane: id, batch, retry }));
        }
        self.end_of_refusal().map_or(Ok(None), Err)
    }

    /// When to call [`Lanes::next_request`] again, if nothing happens before.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        // Without a free slot only an outcome changes anything.
        if self.in_flight >= self.rules.slots {
            return None;
        }
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the outcome of the request that is in flight for `id`.
    ///
    /// # Panics
    /// When none is.
    pub fn settle(&mut self, id: LaneId, outcome: Result<(), Failure>, now: Instant) -> Settled {
        self.in_flight -= 1;
        match outcome {
            Ok(()) => self.published(id, now),
            Err(failure) => match self.failed(id, failure, now) {
                Settled::Again { .. } if !self.keep_wanted(id, now) => Settled::Dropped,
                settled => settled,
            },
        }
    }

    fn feed(&mut self, mut messages: vec::IntoIter<Message>, deadline: Instant) {
        let unordered = self.pick_unordered();
        while let Some(message) = messages.as_slice().first() {
            let id = match message.lane {
                Order::Key(key) => LaneId::Key(key),
                Order::Unordered => unordered,
                Order::Barrier => LaneId::Barrier,
            };
            let barrier = id == LaneId::Barrier;
            if !barrier || self.is_empty() {
                // `first()` has seen it.
                self.push(id, messages.next().expect("a message is left"), deadline);
            }
            if barrier {
                self.hurry();
                self.held = Some((messages, deadline));
                return;
            }
        }
    }

    fn push(&mut self, id: LaneId, message: Message, deadline: Instant) {
        let lane = self.lanes.entry(id).or_insert_with(Lane::new);
        self.queued += field_bytes(message.body.len());
        lane.queue.push(message, deadline);
        if lane.phase != Phase::Waiting {
            return;
        }
        if self.flushing || lane.queue.is_full(&self.rules.limits) {
            lane.phase = Phase::Due;
            self.due.push_back(id);
        } else if lane.wake.is_none_or(|wake| deadline < wake) {
            lane.wake = Some(deadline);
            self.timers.push(Reverse((deadline, id)));
        }
    }

    /// The lane for the messages of one call that have no ordering key: the one that is being
    /// filled, or else the next whose slot is free.
    fn pick_unordered(&mut self) -> LaneId {
        let slots = u32::try_from(self.rules.slots).unwrap_or(u32::MAX).max(1);
        let fills = |index: u32| match self.lanes.get(&LaneId::Unordered(index)) {
            None => true,
            Some(lane) => {
                matches!(lane.phase, Phase::Waiting | Phase::Due)
                    && lane.batch.is_none()
                    && !lane.queue.is_full(&self.rules.limits)
            }
        };
        let candidates = (0..slots).map(|step| (self.unordered + step) % slots);
        let next = (self.unordered + 1) % slots;
        self.unordered = candidates.into_iter().find(|index| fills(*index)).unwrap_or(next);
        LaneId::Unordered(self.unordered)
    }

    /// Makes due whatever waited until now.
    fn expire(&mut self, now: Instant) {
        while let Some(Reverse((at, _))) = self.timers.peek()
            && *at <= now
        {
            self.wake();
        }
    }

    /// The lane that may send next; where too much waits, one whose time has not come.
    fn next_due(&mut self) -> Option<LaneId> {
        while self.due.is_empty() && self.queued > self.rules.held_bytes {
            // A failed lane's time is never cut short.
            let Reverse((_, first)) = self.timers.peek()?;
            if self.lanes.get(first).is_some_and(|lane| lane.phase == Phase::BackingOff) {
                break;
            }
            self.wake();
        }
        self.due.pop_front()
    }

    /// Takes the earliest timer off and, unless it is out of date, makes its lane due.
    fn wake(&mut self) {
        let Some(Reverse((at, id))) = self.timers.pop() else { return };
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let asleep = matches!(lane.phase, Phase::Waiting | Phase::BackingOff);
        if asleep && lane.wake == Some(at) {
            lane.phase = Phase::Due;
            self.due.push_back(id);
        }
    }

    fn published(&mut self, id: LaneId, now: Instant) -> Settled {
        let lane = self.lanes.get_mut(&id).expect("a lane in flight exists");
        let batch = lane.batch.take().expect("a request in flight has a batch");
        let recovered = self.done_with(id, batch.messages.len(), now);
        Settled::Published { batch, recovered }
    }

    /// Goes on in a lane behind `count` messages of a request; true where it was the last in
    /// trouble.
    fn done_with(&mut self, id: LaneId, count: usize, now: Instant) -> bool {
        let lane = self.lanes.get_mut(&id).expect("a lane in flight exists");
        lane.suspects = lane.suspects.saturating_sub(count);
        lane.renewed = false;
        let recovered = lane.backoff.take().is_some();
        if recovered {
            self.troubled -= 1;
        }
        self.proceed(id, now);
        recovered && self.troubled == 0
    }

    /// What a lane does after its request: ends, sends what is due, or waits for more.
    fn proceed(&mut self, id: LaneId, now: Instant) {
        let lane = self.lanes.get_mut(&id).expect("a lane in flight exists");
        let Some(deadline) = lane.queue.deadline() else {
            self.lanes.remove(&id);
            self.drained();
            return;
        };
        let full = lane.queue.is_full(&self.rules.limits);
        if self.flushing || self.held.is_some() || full || lane.suspects > 0 || deadline <= now {
            lane.phase = Phase::Due;
            self.due.push_back(id);
        } else {
            lane.phase = Phase::Waiting;
            lane.wake = Some(deadline);
            self.timers.push(Reverse((deadline, id)));
        }
    }

    /// Goes on behind a barrier once all that came before it is safe.
    fn drained(&mut self) {
        if !self.is_empty() {
            return;
        }
        self.timers.clear();
        if let Some((messages, deadline)) = self.held.take() {
            self.feed(messages, deadline);
        }
        self.flushing &= !self.is_idle();
    }
}

#[cfg(test)]
mod tests;
