//! The two limits that make up all back-pressure.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::config::FlowConfig;

/// Bytes in flight (freed at the receipt) and events past the committed prefix (freed when the
/// prefix moves). The second bounds what one stuck lane can pile up while the others flow.
///
/// One task acquires; any task releases.
#[derive(Debug)]
pub struct Budget {
    max: Use,
    used: Mutex<Use>,
    freed: Notify,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Use {
    bytes: usize,
    events: usize,
}

impl Budget {
    /// The budget of one of `streams`.
    #[must_use]
    pub fn of_one(config: &FlowConfig, streams: usize) -> Self {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let share = size(config.total_bytes_in_flight.bytes()) / streams.max(1);
        let bytes = size(config.bytes_in_flight.bytes()).min(share);
        Self::new(bytes, config.events_in_flight as usize)
    }

    /// A budget of `bytes` in flight and `events` past the committed prefix.
    #[must_use]
    pub fn new(bytes: usize, events: usize) -> Self {
        Self { max: Use { bytes, events }, used: Mutex::new(Use::default()), freed: Notify::new() }
    }

    /// Waits until `bytes` and `events` fit. What is larger than a whole limit fits as soon as
    /// nothing else is in use of it: a document larger than the budget still gets through.
    pub async fn acquire(&self, bytes: usize, events: usize) {
        loop {
            let freed = self.freed.notified();
            if self.try_acquire(bytes, events) {
                return;
            }
            freed.await;
        }
    }

    /// Gives back `bytes` and `events`.
    pub fn release(&self, bytes: usize, events: usize) {
        {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            used.bytes -= bytes;
            used.events -= events;
        }
        self.freed.notify_one();
    }

    /// True where `bytes` and `events` would have to wait now.
    #[must_use]
    pub fn would_wait(&self, bytes: usize, events: usize) -> bool {
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        !self.fits(used, Use { bytes, events })
    }

    fn fits(&self, used: Use, more: Use) -> bool {
        let fits = |used: usize, more: usize, max: usize| used == 0 || used + more <= max;
        fits(used.bytes, more.bytes, self.max.bytes)
            && fits(used.events, more.events, self.max.events)
    }

    fn try_acquire(&self, bytes: usize, events: usize) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.fits(*used, Use { bytes, events });
        if free {
            used.bytes += bytes;
            used.events += events;
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn many_streams_share_the_total() {
        let config = FlowConfig::default();
        assert_eq!(Budget::of_one(&config, 1).max.bytes, 12_000_000);
        assert_eq!(Budget::of_one(&config, 32).max.bytes, 12_000_000);
        assert_eq!(Budget::of_one(&config, 200).max.bytes, 2_560_000);
    }

    #[tokio::test]
    async fn waits_until_something_is_released() {
        let budget = Arc::new(Budget::new(100, 10));
        budget.acquire(80, 1).await;
        assert!(budget.would_wait(30, 1) && !budget.would_wait(20, 9));
        assert!(budget.acquire(30, 1).now_or_never().is_none());
        let waiting = tokio::spawn({
            let budget = Arc::clone(&budget);
            async move { budget.acquire(30, 1).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        budget.release(80, 1);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn one_document_larger_than_the_budget_gets_through_alone() {
        let budget = Budget::new(100, 10);
        budget.acquire(5_000, 1).await;
        assert!(budget.acquire(1, 1).now_or_never().is_none());
        budget.release(5_000, 1);
        assert!(budget.acquire(1, 1).now_or_never().is_some());
    }

    #[tokio::test]
    async fn events_past_the_prefix_are_a_limit_of_their_own() {
        let budget = Budget::new(100, 2);
        budget.acquire(1, 2).await;
        budget.release(1, 0);
        assert!(budget.acquire(1, 1).now_or_never().is_none());
        budget.release(0, 1);
        assert!(budget.acquire(1, 1).now_or_never().is_some());
    }
}
