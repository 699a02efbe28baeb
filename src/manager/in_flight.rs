//! Messages that were handed over and are not safe yet: numbered, and bounded.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::SetOnce;

use crate::error::PublishError;
use crate::event::{Message, Receipt};
use crate::flow::Budget;

/// Bytes that are handed over at once: a batch larger than that goes out while the rest waits.
const PIECE: usize = 1 << 20;

/// The account of a writer: what is in flight is in use of its budget until the receipt.
pub(super) struct InFlight {
    budget: Budget,
    changes: Mutex<Changes>,
    failure: SetOnce<PublishError>,
}

/// The changes that messages are of, by number; those before `first` are safe.
#[derive(Default)]
struct Changes {
    first: u64,
    pending: VecDeque<Pending>,
}

/// Messages of one change.
#[derive(Default)]
struct Pending {
    bytes: usize,
    /// How many have no receipt.
    copies: usize,
}

impl InFlight {
    /// Nothing is in flight.
    pub fn new(budget: Budget) -> Self {
        Self { budget, changes: Mutex::default(), failure: SetOnce::new() }
    }

    /// Waits until there is room for messages and gives them numbers that grow, the copies of a
    /// change the same; true where as many more would have to wait.
    ///
    /// # Errors
    /// Why the sink has given up, where that is known: no receipt makes room any more.
    pub async fn begin(&self, messages: &mut [Message]) -> Result<bool, PublishError> {
        let bytes = messages.iter().map(weight).sum();
        let changes = messages.chunk_by(|one, next| one.sequence == next.sequence).count();
        tokio::select! {
            biased;
            () = self.budget.acquire(bytes, changes) => {}
            error = self.failure.wait() => return Err(error.clone()),
        }
        let mut known = self.changes();
        for copies in messages.chunk_by_mut(|one, next| one.sequence == next.sequence) {
            known.begin(copies);
        }
        Ok(self.budget.would_wait(bytes, changes))
    }

    /// Takes in what became of messages.
    pub fn take(&self, receipt: Receipt) {
        match receipt {
            Receipt::Published(sequences) => {
                let (bytes, changes) = self.changes().complete(&sequences);
                self.budget.release(bytes, changes);
            }
            // The first failure told is the cause.
            Receipt::Failed(error) => drop(self.failure.set(error)),
        }
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    fn begin(&mut self, copies: &mut [Message]) {
        let number = self.first + self.pending.len() as u64;
        let bytes = copies.iter().map(weight).sum();
        self.pending.push_back(Pending { bytes, copies: copies.len() });
        for message in copies {
            message.sequence = number;
        }
    }

    /// What these receipts free: bytes, and the changes that have nothing in flight before them.
    fn complete(&mut self, sequences: &[u64]) -> (usize, usize) {
        let mut bytes = 0;
        for sequence in sequences {
            let index = sequence.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
            let Some(change) = index.and_then(|index| self.pending.get_mut(index)) else {
                continue;
            };
            change.copies = change.copies.saturating_sub(1);
            if change.copies == 0 {
                bytes += std::mem::take(&mut change.bytes);
            }
        }
        let safe = self.pending.iter().take_while(|change| change.copies == 0).count();
        self.pending.drain(..safe);
        self.first += safe as u64;
        (bytes, safe)
    }
}

/// How many messages are handed over next: at least those of one change.
pub(super) fn first_piece(messages: &[Message]) -> usize {
    let mut bytes = 0;
    let mut count = 0;
    for copies in messages.chunk_by(|one, next| one.sequence == next.sequence) {
        bytes += copies.iter().map(weight).sum::<usize>();
        if count > 0 && bytes > PIECE {
            break;
        }
        count += copies.len();
    }
    count
}

/// Bytes that a message keeps in memory until it is safe.
fn weight(message: &Message) -> usize {
    message.body.len() + message.claim.as_ref().map_or(0, |claim| claim.payload.len())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use bytes::Bytes;
    use futures_util::FutureExt as _;

    use super::*;
    use crate::error::PublishErrorKind;

    /// Messages of the changes with these numbers, each of `bytes` bytes.
    fn messages(changes: &[u64], bytes: usize) -> Vec<Message> {
        let topic: Arc<str> = "projects/p/topics/t".into();
        let plain = |change: &u64| Message {
            body: vec![0; bytes].into(),
            ..Message::plain(*change, &topic, Bytes::new(), HashMap::new(), String::new())
        };
        changes.iter().map(plain).collect()
    }

    fn numbers(messages: &[Message]) -> Vec<u64> {
        messages.iter().map(|message| message.sequence).collect()
    }

    #[test]
    fn a_batch_goes_out_in_pieces_and_copies_stay_together() {
        let half = PIECE / 2;
        assert_eq!(first_piece(&messages(&[1, 2, 4, 5], half)), 2);
        assert_eq!(first_piece(&messages(&[1, 2, 2, 5], half)), 1);
        assert_eq!(first_piece(&messages(&[7, 7, 7, 8], PIECE)), 3);
    }

    #[tokio::test]
    async fn what_is_in_flight_is_bounded_until_its_receipts() {
        let in_flight = InFlight::new(Budget::new(100, 1000));
        let mut first = messages(&[5, 5, 9], 30);
        assert_eq!(in_flight.begin(&mut first).await, Ok(true), "as much again would wait");
        assert_eq!(numbers(&first), [0, 0, 1], "the copies of a change have one number");
        let mut more = messages(&[2], 20);
        assert_eq!(in_flight.begin(&mut more).now_or_never(), None);
        in_flight.take(Receipt::Published(vec![0]));
        assert_eq!(in_flight.begin(&mut more).now_or_never(), None, "a copy is in flight");
        in_flight.take(Receipt::Published(vec![0]));
        assert_eq!(in_flight.begin(&mut more).now_or_never(), Some(Ok(false)));
        assert_eq!(numbers(&more), [2]);
        in_flight.take(Receipt::Published(vec![2, 1]));
        assert_eq!(in_flight.begin(&mut messages(&[1], 5000)).now_or_never(), Some(Ok(true)));
    }

    #[tokio::test]
    async fn one_that_is_stuck_bounds_those_behind_it() {
        let in_flight = InFlight::new(Budget::new(1000, 2));
        in_flight.begin(&mut messages(&[1, 2], 1)).await.unwrap();
        in_flight.take(Receipt::Published(vec![1]));
        assert_eq!(in_flight.begin(&mut messages(&[1], 1)).now_or_never(), None);
        in_flight.take(Receipt::Published(vec![0]));
        assert_eq!(in_flight.begin(&mut messages(&[1], 1)).now_or_never(), Some(Ok(false)));
    }

    #[tokio::test]
    async fn whoever_waits_is_told_that_the_sink_has_given_up() {
        let in_flight = InFlight::new(Budget::new(10, 10));
        in_flight.begin(&mut messages(&[1], 10)).await.unwrap();
        let error = PublishError {
            kind: PublishErrorKind::Auth,
            message: "not allowed".to_owned(),
            sequence: None,
        };
        let mut more = messages(&[1], 10);
        let waiting = in_flight.begin(&mut more);
        let told = async { in_flight.take(Receipt::Failed(error.clone())) };
        assert_eq!(tokio::join!(waiting, told).0, Err(error));
    }
}
