//! Where batches lie until the caller takes them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Delivery;

/// Batches that wait for the caller; what is read further waits in the source.
const WAITING: usize = 1;

/// The batches of one stream: put here by its line, taken by one consumer.
#[derive(Debug, Default)]
pub struct Desk {
    state: Mutex<State>,
    /// A batch was put here, or none will be any more.
    filled: Notify,
    /// A batch was taken.
    taken: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Arc<Delivery>>,
    /// Taken and not committed, in order.
    out: VecDeque<Arc<Delivery>>,
    has_consumer: bool,
    ended: bool,
}

impl Desk {
    /// The right to take from it; `None` while somebody else has it.
    #[must_use]
    pub fn consumer(self: &Arc<Self>) -> Option<Consumer> {
        let mut state = self.state();
        let free = !std::mem::replace(&mut state.has_consumer, true);
        free.then(|| Consumer { desk: Arc::clone(self), released: AtomicBool::default() })
    }

    /// Says that no batch comes any more.
    pub fn end(&self) {
        self.state().ended = true;
        self.filled.notify_waiters();
    }

    /// Puts a batch down as soon as there is room.
    pub(super) async fn put(&self, delivery: Delivery) {
        let delivery = Arc::new(delivery);
        loop {
            // Before the look: a batch that is taken in between is not missed.
            let taken = self.taken.notified();
            {
                let mut state = self.state();
                if state.waiting.len() < WAITING {
                    state.waiting.push_back(delivery);
                    drop(state);
                    self.filled.notify_waiters();
                    return;
                }
            }
            taken.await;
        }
    }

    /// Takes everything away: it belongs to a line that has ended.
    pub(super) fn clear(&self) {
        let mut state = self.state();
        state.waiting.clear();
        state.out.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one who takes the batches of a stream. Dropping it puts back what it has not committed.
#[derive(Debug)]
pub struct Consumer {
    desk: Arc<Desk>,
    released: AtomicBool,
}

impl Consumer {
    /// Waits until a batch can be taken (true), or none comes any more (false). Takes nothing, so
    /// that a dropped call loses nothing.
    pub async fn ready(&self) -> bool {
        loop {
            let filled = self.desk.filled.notified();
            {
                let state = self.desk.state();
                let released = self.released.load(Relaxed);
                if !state.waiting.is_empty() || state.ended || released {
                    return !state.waiting.is_empty() && !released;
                }
            }
            filled.await;
        }
    }

    /// The next batch, if there is one.
    #[must_use]
    pub fn take(&self) -> Option<Arc<Delivery>> {
        let mut state = self.desk.state();
        if self.released.load(Relaxed) {
            return None;
        }
        state.out.retain(|delivery| !delivery.is_committed());
        let delivery = state.waiting.pop_front()?;
        state.out.push_back(Arc::clone(&delivery));
        drop(state);
        self.desk.taken.notify_one();
        Some(delivery)
    }
}

impl Consumer {
    /// Gives the right back, and puts back what is not committed. From then on there is nothing to
    /// take.
    pub fn release(&self) {
        if self.released.swap(true, Relaxed) {
            return;
        }
        let mut state = self.desk.state();
        state.has_consumer = false;
        let out = std::mem::take(&mut state.out);
        for delivery in out.iter().rev().filter_map(|delivery| delivery.rest()) {
            state.waiting.push_front(Arc::new(delivery));
        }
        drop(state);
        self.desk.filled.notify_waiters();
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.release();
    }
}
