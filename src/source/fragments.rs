//! Events that the server has split into fragments, joined.
//!
//! `$changeStreamSplitLargeEvent` cuts an event that is larger than 16 MiB between its top-level
//! fields. Each fragment is a document of its own with a token of its own and
//! `splitEvent: {fragment, of}`. Here they become one event again, with the last one's token: a
//! position lies before the event or after it, never in it.

use bytes::Bytes;

use crate::error::{SourceError, SourceErrorKind};
use crate::event::Batch;
use crate::event::bson_type::INT32;
use crate::event::elements::Elements;

/// What a fragment is counted with at the most: the server returns documents of up to 16 MiB and
/// some more for its own fields.
const FRAGMENT_BYTES: usize = 17 << 20;
const TOKEN: &[u8] = b"_id";
const MARK: &[u8] = b"splitEvent";

/// The fragments so far of an event that is not complete.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    held: Option<Held>,
}

struct Held {
    /// The elements of the event, without its token.
    elements: Vec<u8>,
    /// The last fragment.
    fragment: i32,
    of: i32,
}

/// What is held is a part of a document, so it never shows.
impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { fragment, of, .. } = self;
        f.debug_struct("Held").field("fragment", fragment).field("of", of).finish_non_exhaustive()
    }
}

impl Fragments {
    /// Forgets what is held: the stream is read again from before the event.
    pub fn clear(&mut self) {
        self.held = None;
    }

    /// `batch` with fragments joined. What ends in the middle of an event has no position of its
    /// own; its last fragments come with a later batch.
    ///
    /// # Errors
    /// `Query` where a fragment is missing or the event is larger than BSON can be.
    pub fn join(&mut self, batch: Batch) -> Result<Batch, SourceError> {
        if self.held.is_none() && !batch.events().any(|event| part(event).is_some()) {
            return Ok(batch);
        }
        let (mut joined, mut ranges) = (Vec::with_capacity(batch.bytes()), Vec::new());
        for event in batch.events() {
            let start = joined.len();
            match part(event) {
                None if self.held.is_some() => return Err(broken("an event is not complete")),
                None => joined.extend_from_slice(event),
                Some((fragment, of)) => self.take(event, fragment, of, &mut joined)?,
            }
            if joined.len() > start {
                ranges.push(start..joined.len());
            }
        }
        let post_batch = if self.held.is_none() { batch.post_batch } else { None };
        Ok(Batch::new(Bytes::from(joined), ranges, post_batch, batch.catching_up))
    }

    /// Takes in a fragment; the last one puts the event at the end of `joined`.
    fn take(
        &mut self,
        event: &[u8],
        fragment: i32,
        of: i32,
        joined: &mut Vec<u8>,
    ) -> Result<(), SourceError> {
        let mut held = match self.held.take() {
            None if fragment == 1 => Held { elements: Vec::new(), fragment: 0, of },
            Some(held) if held.fragment + 1 == fragment && held.of == of => held,
            _ => return Err(broken("a fragment is missing")),
        };
        held.fragment = fragment;
        let mut token = None;
        for element in Elements::of(event).into_iter().flatten() {
            let element = element.ok_or_else(|| broken("a fragment is not BSON"))?;
            match element.name {
                TOKEN => token = Some(element.whole),
                MARK => {}
                _ => held.elements.extend_from_slice(element.whole),
            }
        }
        let bound = FRAGMENT_BYTES.saturating_mul(usize::try_from(fragment).unwrap_or(0));
        if held.elements.len() > bound {
            return Err(broken("its fragments are larger than they can be"));
        }
        if fragment < of {
            self.held = Some(held);
            return Ok(());
        }
        let token = token.ok_or_else(|| broken("a fragment has no resume token"))?;
        let length = size_of::<i32>() + token.len() + held.elements.len() + 1;
        let length = i32::try_from(length).map_err(|_| broken("it is larger than 2 GiB"))?;
        joined.extend(length.to_le_bytes());
        joined.extend_from_slice(token);
        joined.extend_from_slice(&held.elements);
        joined.push(0);
        Ok(())
    }
}

/// Which fragment of how many an event is; `None` for a whole one.
fn part(event: &[u8]) -> Option<(i32, i32)> {
    let mark = Elements::of(event)?.find(MARK)?.document()?;
    let number = |name: &[u8]| {
        let element = Elements::of(mark)?.find(name)?;
        (element.kind == INT32).then(|| element.value.first_chunk().copied())?
    };
    Some((i32::from_le_bytes(number(b"fragment")?), i32::from_le_bytes(number(b"of")?)))
}

fn broken(what: &str) -> SourceError {
    SourceError {
        kind: SourceErrorKind::Query,
        message: format!("the fragments of a large event cannot be joined: {what}"),
        code: None,
    }
}

#[cfg(test)]
mod tests;
