//! The account of what is under way: numbers what is read, takes in receipts, knows the position.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::checkpoint::{Committable, Tracker};
use crate::error::{Error, RecordError};
use crate::event::{Batch, Receipt};
use crate::telemetry::StreamStatistics;
use crate::transform::Transformed;

use super::Budget;

/// Tracker and budget of one stream, kept in step: what is begun in the one is in use of the other
/// until its receipt.
#[derive(Debug)]
pub struct Ledger {
    tracker: Mutex<Tracker>,
    budget: Budget,
    statistics: Arc<StreamStatistics>,
    /// Changes with more than one message, and how many of them have no receipt yet.
    copies: Mutex<HashMap<u64, u32>>,
}

impl Ledger {
    /// An account that begins with the tracker's opening position.
    #[must_use]
    pub fn new(tracker: Tracker, budget: Budget, statistics: Arc<StreamStatistics>) -> Self {
        Self { tracker: Mutex::new(tracker), budget, statistics, copies: Mutex::default() }
    }

    /// Waits until the budget has room for the batch, then numbers its events; returns the number
    /// of the first.
    ///
    /// # Errors
    /// An event without a resume token.
    pub async fn begin(&self, batch: &Batch) -> Result<u64, RecordError> {
        let bytes = batch.bytes();
        self.budget.acquire(bytes, batch.len()).await;
        self.statistics.read.fetch_add(batch.len() as u64, Relaxed);
        self.statistics.bytes.fetch_add(bytes as u64, Relaxed);
        let mut tracker = self.tracker();
        let first = tracker.begin(batch)?;
        self.note_position(&tracker);
        Ok(first)
    }

    /// Notes what was made of a batch, before any of it is published: a change with several
    /// messages counts once all are safe, one that makes none counts now.
    pub fn expect(&self, transformed: &Transformed) {
        if !transformed.copies.is_empty() {
            self.copies().extend(transformed.copies.iter().copied());
        }
        self.statistics.invalid.fetch_add(transformed.invalid, Relaxed);
        if !transformed.skipped.is_empty() {
            self.statistics.skipped.fetch_add(transformed.skipped.len() as u64, Relaxed);
            self.finish(&transformed.skipped);
        }
    }

    /// True where another batch like this one would have to wait for receipts: then nothing may be
    /// held back for fuller requests.
    #[must_use]
    pub fn is_full(&self, batch: &Batch) -> bool {
        self.budget.would_wait(batch.bytes(), batch.len())
    }

    /// Takes in receipts for ever; returns when the sink has given up, with its error.
    pub async fn receive(&self, receipts: &mut mpsc::Receiver<Receipt>) -> Error {
        loop {
            match receipts.recv().await {
                Some(Receipt::Published(sequences)) => self.complete(sequences),
                Some(Receipt::Failed(error)) => return error.into(),
                // A sink that is gone answers `publish` and `flush` with its own error.
                None => std::future::pending().await,
            }
        }
    }

    /// Takes in the receipts that are already there.
    pub fn settle(&self, receipts: &mut mpsc::Receiver<Receipt>) {
        while let Ok(receipt) = receipts.try_recv() {
            if let Receipt::Published(sequences) = receipt {
                self.complete(sequences);
            }
        }
    }

    /// The newest position that has nothing unfinished before it.
    #[must_use]
    pub fn committable(&self) -> Option<Committable> {
        self.tracker().committable()
    }

    fn complete(&self, mut sequences: Vec<u64>) {
        let mut copies = self.copies();
        if !copies.is_empty() {
            sequences.retain(|sequence| is_last(&mut copies, *sequence));
        }
        drop(copies);
        self.finish(&sequences);
    }

    /// Takes in that these changes are done with.
    pub fn finish(&self, sequences: &[u64]) {
        let freed = {
            let mut tracker = self.tracker();
            let freed = tracker.complete(sequences);
            self.note_position(&tracker);
            freed
        };
        self.budget.release(freed.bytes, freed.events);
        self.statistics.processed(sequences.len() as u64);
        self.statistics.passed.fetch_add(freed.events as u64, Relaxed);
    }

    fn note_position(&self, tracker: &Tracker) {
        if let Some(time) = tracker.passed_time() {
            self.statistics.passed_time(time);
        }
    }

    fn tracker(&self) -> MutexGuard<'_, Tracker> {
        self.tracker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn copies(&self) -> MutexGuard<'_, HashMap<u64, u32>> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this receipt of the change `sequence` is its last.
fn is_last(copies: &mut HashMap<u64, u32>, sequence: u64) -> bool {
    match copies.get_mut(&sequence) {
        None => true,
        Some(1) => copies.remove(&sequence).is_some(),
        Some(left) => {
            *left -= 1;
            false
        }
    }
}
