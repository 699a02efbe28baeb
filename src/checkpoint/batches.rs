//! Batches for the tests of this module.

use mongodb::bson::{RawArrayBuf, RawDocumentBuf, rawdoc};

use crate::event::{Batch, Position};

/// Resume token number `ordinal` of a stream, as a server writes it.
pub fn token(ordinal: u32) -> RawDocumentBuf {
    rawdoc! { "_data": format!("8266F0C0DE{ordinal:08X}2B042C0100296E5A1004") }
}

/// The position after the event or reply with token number `ordinal`.
pub fn position(ordinal: u32) -> Position {
    Position::Token(token(ordinal))
}

/// The change event with token number `ordinal` and a field of `padding` bytes.
pub fn event(ordinal: u32, padding: usize) -> RawDocumentBuf {
    rawdoc! { "_id": token(ordinal), "operationType": "insert", "padding": "x".repeat(padding) }
}

/// A server reply with these events.
pub fn batch(events: Vec<RawDocumentBuf>, post_batch: Option<Position>) -> Batch {
    let mut array = RawArrayBuf::new();
    for event in events {
        array.push(event);
    }
    let reply = rawdoc! { "nextBatch": array };
    let start = reply.as_bytes().as_ptr().addr();
    let array = reply.get_array("nextBatch").unwrap();
    let ranges = array.into_iter().map(|event| {
        let event = event.unwrap().as_document().unwrap().as_bytes();
        let offset = event.as_ptr().addr() - start;
        offset..offset + event.len()
    });
    let ranges = ranges.collect();
    Batch::new(reply.into_bytes().into(), ranges, post_batch, false)
}
