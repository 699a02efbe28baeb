//! Which part of the stream is safe at its destination.

use std::collections::VecDeque;
use std::fmt;

use mongodb::bson::{RawDocument, Timestamp};

use crate::error::RecordError;
use crate::event::token::{no_token, resume_token};
use crate::event::{Batch, Position};

#[cfg(test)]
mod tests;

/// Turns receipts, in whatever order they come, into a position that never passes an unfinished
/// event.
///
/// Every event gets a sequence number when its batch is read, from 1 on. Receipts come back in any
/// order; the position moves over the contiguous prefix of them. No I/O, no clock and no lock: the
/// reading loop and the task that takes in receipts share it behind a mutex.
///
/// A pending event costs its resume token and eight bytes. A batch of which every event is finished
/// gives up its tokens at once, even while an older event is stuck: only the position at its end can
/// still be reached.
#[derive(Debug)]
pub struct Tracker {
    /// Sequence number of the next event to be read.
    next: u64,
    /// Sequence number of the last event of the contiguous prefix, 0 before the first.
    finished: u64,
    /// The position before the first event of the oldest segment.
    base: Position,
    /// Whether the position is another than the opening one.
    moved: bool,
    /// Batches with an event past the prefix, in stream order.
    segments: VecDeque<Segment>,
}

/// A position that has nothing unfinished before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Committable {
    /// Sequence number of the last event before the position, 0 before the first. Where it stands
    /// still while the position moves, only empty replies have moved it.
    pub sequence: u64,
    /// The position.
    pub position: Position,
}

/// What receipts have freed, to be given back to the [`Budget`](crate::flow::Budget).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// Bytes of BSON of the events that the receipts are for.
    pub bytes: usize,
    /// Events that the position has moved over.
    pub events: usize,
}

/// The events of one batch.
struct Segment {
    /// Sequence number of the first event.
    first: u64,
    /// Sequence number of the last event.
    last: u64,
    /// Number of events without a receipt.
    unfinished: usize,
    /// One an event; empty once all are finished.
    events: Box<[Pending]>,
    /// Resume tokens of all events but the last, whose position is `end`; empty once all events are
    /// finished.
    tokens: Box<[u8]>,
    /// The position after the last event: the post-batch token where the server sent one.
    end: Position,
}

/// An event that the position has not passed.
struct Pending {
    /// Bytes of BSON; 0 once there is a receipt (an event has at least the five bytes of an empty
    /// document).
    size: u32,
    /// Where its token ends in the segment's `tokens`; it begins where the one before ends.
    token_end: u32,
}

impl Tracker {
    /// Tracks a stream that was opened at `opening`.
    #[must_use]
    pub fn new(opening: Position) -> Self {
        Self { next: 1, finished: 0, base: opening, moved: false, segments: VecDeque::new() }
    }

    /// Takes in a batch that was read and returns the sequence number of its first event; those of
    /// the others follow without a gap. An empty batch only moves the position.
    ///
    /// # Errors
    /// `Decode` where an event has no `_id` document; nothing of the batch is taken in then.
    pub fn begin(&mut self, batch: &Batch) -> Result<u64, RecordError> {
        let first = self.next;
        match (Segment::read(first, batch)?, &batch.post_batch) {
            (Some(segment), _) => {
                self.next = segment.last + 1;
                self.segments.push_back(segment);
            }
            (None, Some(position)) => self.move_end(position),
            (None, None) => {}
        }
        Ok(first)
    }

    /// Takes in receipts. A sequence number that was never given, or that has its receipt already,
    /// frees nothing: a receipt that comes twice does no harm.
    pub fn complete(&mut self, sequences: &[u64]) -> Freed {
        let mut bytes = 0;
        let mut hint = 0;
        for &sequence in sequences {
            // Receipts of one request mostly lie in one batch or in the next.
            if !self.segments.get(hint).is_some_and(|segment| segment.contains(sequence)) {
                hint = self.segments.partition_point(|segment| segment.last < sequence);
            }
            bytes += self.segments.get_mut(hint).map_or(0, |segment| segment.complete(sequence));
        }
        Freed { bytes, events: self.advance() }
    }

    /// The newest position that has nothing unfinished before it; `None` while that is still the
    /// opening position.
    #[must_use]
    pub fn committable(&self) -> Option<Committable> {
        self.moved.then(|| {
            let token = self.segments.front().and_then(|segment| segment.token(self.finished));
            let position =
                token.map_or_else(|| self.base.clone(), |token| Position::Token(token.to_owned()));
            Committable { sequence: self.finished, position }
        })
    }

    /// Cluster time of a position that has nothing unfinished before it, at most one batch behind
    /// the newest such position: cheap enough for every receipt.
    #[must_use]
    pub fn passed_time(&self) -> Option<Timestamp> {
        self.base.cluster_time()
    }

    /// Number of events that the position has not passed.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.next - 1 - self.finished
    }

    /// Moves the position after all that was read, and with it the stream's, if nothing is pending.
    fn move_end(&mut self, position: &Position) {
        if let Some(segment) = self.segments.back_mut() {
            segment.end.clone_from(position);
        } else if self.base != *position {
            self.base.clone_from(position);
            self.moved = true;
        }
    }

    /// Moves the position over the contiguous prefix; returns the number of events passed.
    fn advance(&mut self) -> usize {
        let mut passed = 0;
        while let Some(segment) = self.segments.front() {
            let run = segment.finished_after(self.finished);
            self.finished += run as u64;
            passed += run;
            if segment.unfinished > 0 {
                break;
            }
            if let Some(segment) = self.segments.pop_front() {
                self.base = segment.end;
            }
        }
        self.moved |= passed > 0;
        passed
    }
}

/// Tokens hold the documents' `_id`, so they never show in a log.
impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Segment");
        debug.field("first", &self.first).field("last", &self.last);
        debug.field("unfinished", &self.unfinished).finish_non_exhaustive()
    }
}

impl Segment {
    /// The events of `batch`, numbered from `first`; `None` where it has none.
    fn read(first: u64, batch: &Batch) -> Result<Option<Self>, RecordError> {
        let read = |(index, event)| read_event(event).ok_or_else(|| no_token(index));
        let read: Vec<(u32, &RawDocument)> =
            batch.events().enumerate().map(read).collect::<Result<_, _>>()?;
        let Some(((_, last_token), but_last)) = read.split_last() else { return Ok(None) };

        let size = but_last.iter().map(|(_, token)| token.as_bytes().len()).sum();
        let mut tokens = Vec::with_capacity(size);
        let mut events = Vec::with_capacity(read.len());
        for &(size, token) in &read {
            if events.len() < but_last.len() {
                tokens.extend_from_slice(token.as_bytes());
            }
            // Fits: a reply has less than 48 MiB.
            let token_end = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
            events.push(Pending { size, token_end });
        }
        let end = batch.post_batch.clone();
        Ok(Some(Self {
            first,
            last: first + read.len() as u64 - 1,
            unfinished: read.len(),
            events: events.into_boxed_slice(),
            tokens: tokens.into_boxed_slice(),
            end: end.unwrap_or_else(|| Position::Token((*last_token).to_owned())),
        }))
    }

    fn contains(&self, sequence: u64) -> bool {
        (self.first..=self.last).contains(&sequence)
    }

    /// Index of an event of this segment.
    fn index(&self, sequence: u64) -> Option<usize> {
        usize::try_from(sequence.checked_sub(self.first)?).ok()
    }

    /// Notes the receipt of an event and returns its bytes, 0 where there is nothing to note.
    fn complete(&mut self, sequence: u64) -> usize {
        let event = self.index(sequence).and_then(|index| self.events.get_mut(index));
        let size = event.map_or(0, |event| std::mem::take(&mut event.size));
        if size > 0 {
            self.unfinished -= 1;
            if self.unfinished == 0 {
                self.events = Box::default();
                self.tokens = Box::default();
            }
        }
        size as usize
    }

    /// Number of finished events directly after `finished`, the last event of the prefix.
    fn finished_after(&self, finished: u64) -> usize {
        if self.unfinished == 0 {
            return usize::try_from(self.last - finished).unwrap_or(usize::MAX);
        }
        let rest = self.index(finished + 1).and_then(|index| self.events.get(index..));
        rest.map_or(0, |rest| rest.iter().take_while(|event| event.size == 0).count())
    }

    /// Resume token of an event of this segment that is not its last.
    fn token(&self, sequence: u64) -> Option<&RawDocument> {
        let index = self.index(sequence)?;
        let start = match index.checked_sub(1) {
            None => 0,
            Some(before) => self.events.get(before)?.token_end,
        };
        let end = self.events.get(index)?.token_end;
        RawDocument::from_bytes(self.tokens.get(start as usize..end as usize)?).ok()
    }
}

/// Size in bytes and resume token of a change event.
fn read_event(event: &[u8]) -> Option<(u32, &RawDocument)> {
    Some((u32::try_from(event.len()).ok()?, resume_token(event)?))
}
