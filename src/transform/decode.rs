//! The few fields of a change event that the line itself needs, found in one pass over its top
//! level without decoding the documents in it.

use std::fmt::Write as _;

use mongodb::bson::Timestamp;

use super::elements::{Element, Elements, TIMESTAMP};
use crate::error::{RecordError, RecordErrorKind};

/// A change event, looked at. Its texts are UTF-8 and its documents are framed; what is in the
/// documents has not been looked at.
#[derive(Debug, Default)]
pub(super) struct ChangeEvent<'a> {
    /// The resume token: the event's `_id`, a document.
    token: &'a [u8],
    /// `operationType`; absent where a pipeline removed it.
    pub operation: Option<&'a str>,
    /// `ns.db`.
    pub database: Option<&'a str>,
    /// `ns.coll`; absent in events of a whole database.
    pub collection: Option<&'a str>,
    /// `documentKey`, a document; absent in drop, rename, invalidate and the like.
    pub document_key: Option<&'a [u8]>,
    /// `clusterTime`.
    pub cluster_time: Option<Timestamp>,
}

impl<'a> ChangeEvent<'a> {
    /// Finds the fields in `event`, one BSON document.
    pub fn decode(event: &'a [u8]) -> Result<Self, RecordError> {
        let mut change = Self::default();
        let mut token = None;
        for element in Elements::of(event).ok_or_else(|| malformed("the event is not BSON"))? {
            let element =
                element.ok_or_else(|| malformed("an element of the event is not BSON"))?;
            match element.name {
                b"_id" => token = element.document(),
                b"operationType" => change.operation = element.text(),
                b"ns" => change.namespace(&element),
                b"documentKey" => change.document_key = element.document(),
                b"clusterTime" => change.cluster_time = timestamp(&element),
                _ => {}
            }
        }
        change.token = token.ok_or_else(|| malformed("the event has no resume token in `_id`"))?;
        Ok(change)
    }

    fn namespace(&mut self, element: &Element<'a>) {
        let parts = element.document().and_then(Elements::of);
        for part in parts.into_iter().flatten().flatten() {
            match part.name {
                b"db" => self.database = part.text(),
                b"coll" => self.collection = part.text(),
                _ => {}
            }
        }
    }

    /// The event's id: the first 128 bits of the BLAKE3 digest of the resume token's `_data`, in
    /// lower-case hex. Equal in every replay, on every machine and in every scope.
    pub fn event_id(&self) -> [u8; 32] {
        let data = Elements::of(self.token).and_then(|token| token.find(b"_data")?.string());
        let digest = blake3::hash(data.unwrap_or(self.token));
        let mut id = [0; 32];
        for (pair, byte) in id.chunks_exact_mut(2).zip(digest.as_bytes()) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        id
    }

    /// An error about this event.
    pub fn refuse(&self, message: String) -> RecordError {
        let namespace = self.database.map(|database| {
            let mut namespace = database.to_owned();
            if let Some(collection) = self.collection {
                let _ = write!(namespace, ".{collection}");
            }
            namespace
        });
        RecordError {
            kind: RecordErrorKind::Format,
            message,
            namespace,
            event_id: Some(self.event_id().iter().map(|&byte| char::from(byte)).collect()),
        }
    }
}

fn timestamp(element: &Element<'_>) -> Option<Timestamp> {
    let [i1, i2, i3, i4, t1, t2, t3, t4] = *element.value.first_chunk()?;
    (element.kind == TIMESTAMP).then(|| Timestamp {
        time: u32::from_le_bytes([t1, t2, t3, t4]),
        increment: u32::from_le_bytes([i1, i2, i3, i4]),
    })
}

const HEX: [u8; 16] = *b"0123456789abcdef";

fn malformed(message: &str) -> RecordError {
    RecordError {
        kind: RecordErrorKind::Decode,
        message: message.into(),
        namespace: None,
        event_id: None,
    }
}
