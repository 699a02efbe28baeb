//! The few fields of a change event that the line itself needs, found in one pass over its top
//! level without decoding the documents in it.

use std::fmt::Write as _;

use mongodb::bson::{RawBsonRef, RawDocument, Timestamp};

use crate::error::{RecordError, RecordErrorKind};

/// A change event, looked at.
#[derive(Debug)]
pub(super) struct ChangeEvent<'a> {
    /// The resume token: the event's `_id`.
    pub token: &'a RawDocument,
    /// `operationType`; absent where a pipeline removed it.
    pub operation: Option<&'a str>,
    /// `ns.db`.
    pub database: Option<&'a str>,
    /// `ns.coll`; absent in events of a whole database.
    pub collection: Option<&'a str>,
    /// `documentKey`; absent in drop, rename, invalidate and the like.
    pub document_key: Option<&'a RawDocument>,
    /// `clusterTime`.
    pub cluster_time: Option<Timestamp>,
}

impl<'a> ChangeEvent<'a> {
    /// Finds the fields in `event`, one BSON document.
    pub fn decode(event: &'a [u8]) -> Result<Self, RecordError> {
        let document =
            RawDocument::from_bytes(event).map_err(|_| malformed("the event is not BSON"))?;
        let (mut token, mut operation, mut namespace) = (None, None, None);
        let (mut document_key, mut cluster_time) = (None, None);
        for element in document.iter_elements() {
            let element = element.map_err(|_| malformed("an element of the event is not BSON"))?;
            let field = match element.key().as_str() {
                "_id" => &mut token,
                "operationType" => &mut operation,
                "ns" => &mut namespace,
                "documentKey" => &mut document_key,
                "clusterTime" => &mut cluster_time,
                _ => continue,
            };
            *field =
                Some(element.value().map_err(|_| malformed("a field of the event is not BSON"))?);
        }
        let namespace = namespace.and_then(RawBsonRef::as_document);
        Ok(Self {
            token: token
                .and_then(RawBsonRef::as_document)
                .ok_or_else(|| malformed("the event has no resume token in `_id`"))?,
            operation: operation.and_then(RawBsonRef::as_str),
            database: namespace.and_then(|namespace| namespace.get_str("db").ok()),
            collection: namespace.and_then(|namespace| namespace.get_str("coll").ok()),
            document_key: document_key.and_then(RawBsonRef::as_document),
            cluster_time: cluster_time.and_then(RawBsonRef::as_timestamp),
        })
    }

    /// The event's id: the first 128 bits of the BLAKE3 digest of the resume token's `_data`, in
    /// lower-case hex. Equal in every replay, on every machine and in every scope.
    pub fn event_id(&self) -> [u8; 32] {
        let digest = match self.token.get_str("_data") {
            Ok(data) => blake3::hash(data.as_bytes()),
            Err(_) => blake3::hash(self.token.as_bytes()),
        };
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

const HEX: [u8; 16] = *b"0123456789abcdef";

fn malformed(message: &str) -> RecordError {
    RecordError {
        kind: RecordErrorKind::Decode,
        message: message.into(),
        namespace: None,
        event_id: None,
    }
}
