//! One lane: who it is, what waits in it and what it does.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use tokio::time::Instant;

use super::batcher::{Batch, Queue};
use crate::flow::Backoff;

/// What identifies a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LaneId {
    /// The lane of an ordering key.
    Key(u64),
    /// One of the lanes, as many as slots, that messages without an ordering key are spread over.
    Unordered(u32),
    /// The lane of the message before and after which all lanes are drained.
    Barrier,
}

// By hand, since the derived hash feeds the discriminant separately. The few lanes of the other
// kinds may fall together with a key's.
impl Hash for LaneId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(match self {
            Self::Key(key) => *key,
            Self::Unordered(index) => u64::from(*index),
            Self::Barrier => 0,
        });
    }
}

/// Spreads the bits of a key, which is either a hash already or a small number, by Fibonacci
/// hashing: <https://en.wikipedia.org/wiki/Hash_function#Fibonacci_hashing>.
#[derive(Debug, Default)]
pub struct LaneHasher(u64);

impl Hasher for LaneHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What a lane does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// For a full request, or its deadline.
    Waiting,
    /// It may send and queues for a slot.
    Due,
    /// Its request is on its way.
    InFlight,
    /// It waits before it sends the same request again.
    BackingOff,
}

/// One lane; it exists only while it holds a message.
#[derive(Debug)]
pub struct Lane {
    /// What has not been sent yet.
    pub queue: Queue,
    /// What it does.
    pub phase: Phase,
    /// When the timer that counts fires, while `Waiting` or `BackingOff`. Older entries of the
    /// timer heap with another time are void.
    pub wake: Option<Instant>,
    /// The request that has been sent and is not acknowledged. It is sent again as it is, or what
    /// [`Lane::keep_before`] has left of it.
    pub batch: Option<Arc<Batch>>,
    /// Failures in a row.
    pub backoff: Option<Backoff>,
    /// The access token was renewed for this batch.
    pub renewed: bool,
    /// The next so many messages hold one that is refused: the next request takes half of them.
    pub suspects: usize,
}

impl Lane {
    /// An empty lane.
    #[must_use]
    pub fn new() -> Self {
        Self {
            queue: Queue::default(),
            phase: Phase::Waiting,
            wake: None,
            batch: None,
            backoff: None,
            renewed: false,
            suspects: 0,
        }
    }

    /// True when it holds nothing any more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.is_none() && self.queue.deadline().is_none()
    }

    /// Drops the message `sequence` and all behind it, save for a request in flight.
    pub fn keep_before(&mut self, sequence: u64, now: Instant) {
        self.queue.keep_before(sequence, now);
        if self.phase != Phase::InFlight {
            self.batch = self.batch.take().and_then(|batch| batch.before(sequence));
        }
    }

    /// Most messages of the next request.
    #[must_use]
    pub fn most(&self) -> usize {
        if self.suspects == 0 { usize::MAX } else { (self.suspects / 2).max(1) }
    }
}
