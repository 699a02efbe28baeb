//! A server reply turned into a batch.

use crate::event::bson_type::DOCUMENT;
use std::ops::Range;

use bytes::Bytes;
use mongodb::bson::{RawArray, RawBsonRef, RawDocument, Timestamp};
use mongodb::raw_batch_cursor::RawBatch;

use crate::error::{SourceError, SourceErrorKind};
use crate::event::{Batch, Position};

/// A reply of this many bytes counts as full: the server stops at 16 MiB, before the event that
/// would not fit any more.
const FULL_REPLY_BYTES: usize = 8 << 20;

/// The bytes of a reply, where the driver left them.
pub(super) fn bytes(reply: RawBatch) -> Bytes {
    struct Owner(RawBatch);

    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            self.0.as_raw_document().as_bytes()
        }
    }

    Bytes::from_owner(Owner(reply))
}

/// A reply to `aggregate` or `getMore`.
pub(super) struct Reply {
    /// The cursor on the server; 0 when it has closed it, as after an invalidate event.
    pub cursor_id: i64,
    /// The server's operation time when it replied.
    pub operation_time: Option<Timestamp>,
    /// What the reply holds.
    pub batch: Batch,
}

impl Reply {
    /// Finds the events and the post-batch token of `reply`, which was asked for with
    /// `batch_size`. The events stay bytes: only their bounds are checked.
    pub fn read(reply: Bytes, batch_size: u32) -> Result<Self, SourceError> {
        let parts = Parts::find(&reply).ok_or_else(unreadable)?;
        let (Some(cursor_id), Some(events)) = (parts.cursor_id, parts.events) else {
            return Err(unreadable());
        };
        let catching_up = events.len() >= batch_size as usize || reply.len() >= FULL_REPLY_BYTES;
        let batch = Batch::new(reply, events, parts.post_batch, catching_up);
        Ok(Self { cursor_id, operation_time: parts.operation_time, batch })
    }

    /// The position after this reply; `None` when it is empty and has no post-batch token.
    pub fn position(&self) -> Option<Position> {
        self.batch.post_batch.clone().or_else(|| last_token(&self.batch))
    }
}

#[derive(Default)]
struct Parts {
    cursor_id: Option<i64>,
    events: Option<Vec<Range<usize>>>,
    post_batch: Option<Position>,
    operation_time: Option<Timestamp>,
}

impl Parts {
    /// `None` for malformed BSON.
    fn find(reply: &[u8]) -> Option<Self> {
        let document = RawDocument::from_bytes(reply).ok()?;
        let operation_time = document.get_timestamp("operationTime").ok();
        let mut parts = Self { operation_time, ..Self::default() };
        for element in document.get_document("cursor").ok()? {
            let (key, value) = element.ok()?;
            match (key.as_str(), value) {
                ("id", RawBsonRef::Int64(id)) => parts.cursor_id = Some(id),
                ("firstBatch" | "nextBatch", RawBsonRef::Array(batch)) => {
                    parts.events = Some(ranges(reply, batch)?);
                }
                ("postBatchResumeToken", RawBsonRef::Document(token)) => {
                    parts.post_batch = Some(Position::Token(token.to_owned()));
                }
                _ => {}
            }
        }
        Some(parts)
    }
}

/// Where in `reply` the documents of `batch`, a part of it, lie. The walk steps from length to
/// length: only the frame of each document is checked, for a tenth of what the driver's iterator
/// takes.
fn ranges(reply: &[u8], batch: &RawArray) -> Option<Vec<Range<usize>>> {
    let batch = batch.as_bytes();
    let offset = batch.as_ptr().addr() - reply.as_ptr().addr();
    let mut ranges = Vec::new();
    // An element is a type, a key that ends with 0, and a value; the length of the array goes
    // before the first element, and a 0 follows the last.
    let mut element = size_of::<i32>();
    while *batch.get(element)? != 0 {
        let key = batch.get(element + 1..)?;
        let start = element + 1 + key.iter().position(|byte| *byte == 0)? + 1;
        let (length, _) = batch.get(start..)?.split_first_chunk()?;
        let end = start.checked_add(usize::try_from(i32::from_le_bytes(*length)).ok()?)?;
        let framed = end > start + size_of::<i32>() && batch.get(end - 1) == Some(&0);
        if batch[element] != DOCUMENT || !framed {
            return None;
        }
        ranges.push(offset + start..offset + end);
        element = end;
    }
    Some(ranges)
}

fn last_token(batch: &Batch) -> Option<Position> {
    let event = RawDocument::from_bytes(batch.events().last()?).ok()?;
    Some(Position::Token(event.get_document("_id").ok()?.to_owned()))
}

fn unreadable() -> SourceError {
    SourceError {
        kind: SourceErrorKind::Query,
        message: "the server's reply is not the reply of a change stream".into(),
        code: None,
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Document, RawDocumentBuf, doc};

    use super::*;

    fn read(cursor: Document, batch_size: u32) -> Result<Reply, SourceError> {
        Reply::read(doc! { "cursor": cursor, "ok": 1.0 }.to_vec().unwrap().into(), batch_size)
    }

    fn event(n: i32) -> Document {
        doc! { "_id": { "_data": format!("82{n:08x}000000012B04") }, "n": n }
    }

    #[test]
    fn events_are_found_where_they_lie() {
        let token = doc! { "_data": "8200000009000000012B04" };
        let cursor = doc! { "firstBatch": [event(1), event(2)], "postBatchResumeToken": &token,
        "id": 7_i64, "ns": "a.b" };
        let reply = read(cursor, 1000).unwrap();
        assert_eq!(reply.cursor_id, 7);
        let events: Vec<&[u8]> = reply.batch.events().collect();
        assert_eq!(events, [event(1).to_vec().unwrap(), event(2).to_vec().unwrap()]);
        let token = RawDocumentBuf::try_from(&token).unwrap();
        assert_eq!(reply.position(), Some(Position::Token(token)));
        assert!(!reply.batch.catching_up);
    }

    #[test]
    fn a_reply_of_batch_size_events_is_full() {
        let cursor = doc! { "nextBatch": [event(1), event(2)], "id": 7_i64 };
        assert!(read(cursor.clone(), 2).unwrap().batch.catching_up);
        assert!(!read(cursor, 3).unwrap().batch.catching_up);
    }

    #[test]
    fn without_a_post_batch_token_the_last_event_is_the_position() {
        let token = RawDocumentBuf::try_from(&event(2).get_document("_id").unwrap().clone());
        let reply = read(doc! { "nextBatch": [event(1), event(2)], "id": 0_i64 }, 10).unwrap();
        assert_eq!(reply.position(), Some(Position::Token(token.unwrap())));
        let empty = read(doc! { "nextBatch": [], "id": 0_i64 }, 10).unwrap();
        assert_eq!(empty.position(), None);
    }

    #[test]
    fn another_reply_is_an_error() {
        for cursor in [doc! {}, doc! { "id": 7_i64 }, doc! { "nextBatch": [1], "id": 7_i64 }] {
            assert_eq!(read(cursor, 10).err().unwrap().kind, SourceErrorKind::Query);
        }
    }

    proptest::proptest! {
        /// Whatever comes in, events lie within the reply, and nothing panics.
        #[test]
        fn damaged_replies_are_refused_or_read(at in 4_usize..200, byte: u8) {
            let cursor = doc! { "nextBatch": [event(1), event(2), event(3)], "id": 7_i64,
                "postBatchResumeToken": { "_data": "8200000009000000012B04" } };
            let mut bytes = doc! { "cursor": cursor, "ok": 1.0 }.to_vec().unwrap();
            let at = at.min(bytes.len() - 2);
            bytes[at] = byte;
            if let Ok(reply) = Reply::read(bytes.into(), 10) {
                assert!(reply.batch.events().all(|event| event.len() >= 5));
            }
        }
    }
}
