//! Changes handed to the caller, batch after batch, who says when each is done with.
//!
//! The line is the one of [`pipeline`](crate::pipeline); only its stage differs. The position moves
//! over what was committed, and what was not is handed over again. A caller that keeps the position
//! itself, as Beam's runners do, reads [`Slices`] instead.

mod desk;
mod slices;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use crate::error::Error;
use crate::event::Batch;
use crate::flow::Ledger;
use crate::pipeline::Stage;

pub use desk::{Consumer, Desk};
pub use slices::{Opened, Slice, Slices};

/// A batch in the caller's hands.
#[derive(Debug)]
pub struct Delivery {
    /// Its events.
    pub batch: Batch,
    /// Number of the first event of the server's reply.
    first: u64,
    /// How many events of that reply lie before these.
    offset: usize,
    /// How many of that reply, from its first on, are committed.
    committed: Arc<AtomicUsize>,
    /// Gone when the line has ended: then all that is not committed comes again.
    ledger: Weak<Ledger>,
}

impl Delivery {
    /// A batch whose position nobody here keeps: there is nothing to commit.
    #[must_use]
    pub fn detached(batch: Batch) -> Self {
        Self { batch, first: 0, offset: 0, committed: Arc::default(), ledger: Weak::new() }
    }

    fn new(first: u64, batch: Batch, ledger: &Arc<Ledger>) -> Self {
        Self { batch, first, offset: 0, committed: Arc::default(), ledger: Arc::downgrade(ledger) }
    }

    /// Says that the first `count` events are done with; the position moves over them as soon as
    /// all before them are. What was said before stays said.
    ///
    /// False where the line has ended meanwhile, by a failure or a stop: its uncommitted events
    /// come again.
    pub fn commit(&self, count: usize) -> bool {
        let Some(ledger) = self.ledger.upgrade() else { return false };
        let upto = self.offset + count.min(self.batch.len());
        let before = self.committed.fetch_max(upto, Relaxed);
        if before < upto {
            let done = self.first + before as u64..self.first + upto as u64;
            ledger.finish(&done.collect::<Vec<_>>());
        }
        true
    }

    /// What is not committed, where some of it is.
    fn rest(&self) -> Option<Self> {
        let committed = self.committed.load(Relaxed);
        (committed > self.offset).then(|| Self {
            batch: self.batch.from(committed - self.offset),
            first: self.first,
            offset: committed,
            committed: Arc::clone(&self.committed),
            ledger: Weak::clone(&self.ledger),
        })
    }

    fn is_committed(&self) -> bool {
        self.committed.load(Relaxed) >= self.offset + self.batch.len()
    }
}

/// Puts the changes where the caller takes them.
#[derive(Debug)]
pub struct Deliver {
    desk: Arc<Desk>,
}

impl Deliver {
    /// The stage of a new line.
    #[must_use]
    pub fn new(desk: Arc<Desk>) -> Self {
        Self { desk }
    }
}

impl Drop for Deliver {
    /// Nothing of a line that has ended is handed over: it comes again.
    fn drop(&mut self) {
        self.desk.clear();
    }
}

impl Stage for Deliver {
    async fn take(&mut self, first: u64, batch: &Batch, ledger: &Arc<Ledger>) -> Result<(), Error> {
        if !batch.is_empty() {
            self.desk.put(Delivery::new(first, batch.clone(), ledger)).await;
        }
        Ok(())
    }

    /// At once: what the caller has not committed by now comes again after the next start.
    async fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
