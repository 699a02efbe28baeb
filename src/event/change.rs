//! The fields of a change event, found in one pass over its top level without decoding the
//! documents in it.

use std::fmt::{self, Write as _};

use mongodb::bson::{RawDocument, Timestamp};

use super::bson_type::{BOOLEAN, DATE, NULL, TIMESTAMP};
use super::elements::{Element, Elements};
use crate::error::{RecordError, RecordErrorKind};

/// The field that marks an event which was read without its documents. The query adds it, so that
/// the mark stays with the event wherever that is carried.
pub(crate) const DOCUMENTS_OMITTED: &str = "documentsOmitted";

/// A change event, looked at. Its texts are UTF-8 and its documents are framed; what is in the
/// documents has not been looked at.
#[derive(Clone, Copy, Default)]
pub struct ChangeEvent<'a> {
    /// The whole event, one BSON document.
    pub bson: &'a [u8],
    /// The resume token: the event's `_id`, a document. Empty where it was taken out.
    pub token: &'a [u8],
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
    /// `wallTime` in milliseconds since the epoch; from MongoDB 6.0 on.
    pub wall_time_ms: Option<i64>,
    /// `fullDocument`: the document after the change, as the server had it or looked it up.
    pub full_document: Image<'a>,
    /// `fullDocumentBeforeChange`.
    pub before_change: Image<'a>,
    /// `updateDescription`, a document; absent in all but updates.
    pub update_description: Option<&'a [u8]>,
    /// It was read without its documents: the server cannot return it whole.
    pub documents_omitted: bool,
}

/// A document that an event may carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Image<'a> {
    /// The event does not have the field.
    #[default]
    Absent,
    /// Null: the server had no image, or did not find the document any more.
    Null,
    /// The document.
    Document(&'a [u8]),
}

impl<'a> Image<'a> {
    /// The document, if there is one.
    #[must_use]
    pub fn document(self) -> Option<&'a [u8]> {
        match self {
            Self::Document(document) => Some(document),
            Self::Absent | Self::Null => None,
        }
    }

    fn of(element: &Element<'a>) -> Self {
        match element.document() {
            Some(document) => Self::Document(document),
            None if element.kind == NULL => Self::Null,
            None => Self::Absent,
        }
    }
}

/// The id of an event: 128 bits in lower-case hex. Equal in every replay, on every machine and in
/// every scope.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EventId([u8; 32]);

impl EventId {
    /// The first 128 bits of a digest.
    #[must_use]
    pub fn new(digest: &blake3::Hash) -> Self {
        let mut id = [0; 32];
        for (pair, byte) in id.chunks_exact_mut(2).zip(digest.as_bytes()) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        Self(id)
    }

    /// The text, all of it ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({self})")
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| f.write_char(char::from(byte)))
    }
}

impl<'a> ChangeEvent<'a> {
    /// Finds the fields in `event`, one BSON document.
    ///
    /// # Errors
    /// `Decode` for what is not BSON, and for an event without a resume token.
    pub fn decode(event: &'a [u8]) -> Result<Self, RecordError> {
        let change = Self::look_at(event)?;
        if change.token.is_empty() {
            return Err(malformed("the event has no resume token in `_id`"));
        }
        Ok(change)
    }

    /// The same for an event that may have lost its token on the way.
    ///
    /// # Errors
    /// `Decode` for what is not BSON.
    pub fn look_at(event: &'a [u8]) -> Result<Self, RecordError> {
        let mut change = Self { bson: event, ..Self::default() };
        for element in Elements::of(event).ok_or_else(|| malformed("the event is not BSON"))? {
            let element =
                element.ok_or_else(|| malformed("an element of the event is not BSON"))?;
            match element.name {
                b"_id" => change.token = element.document().unwrap_or_default(),
                b"operationType" => change.operation = element.text(),
                b"ns" => change.namespace(&element),
                b"documentKey" => change.document_key = element.document(),
                b"clusterTime" => change.cluster_time = timestamp(&element),
                b"wallTime" => change.wall_time_ms = date(&element),
                b"fullDocument" => change.full_document = Image::of(&element),
                b"fullDocumentBeforeChange" => change.before_change = Image::of(&element),
                b"updateDescription" => change.update_description = element.document(),
                name if name == DOCUMENTS_OMITTED.as_bytes() => {
                    change.documents_omitted = element.kind == BOOLEAN && element.value == [1];
                }
                _ => {}
            }
        }
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

    /// The event's cluster time; the token's where the event has lost the field.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        let token = || super::token_time(RawDocument::from_bytes(self.token).ok()?);
        self.cluster_time.or_else(token)
    }

    /// The document as far as the event shows it: the full document, else the before-image, else
    /// the document key.
    #[must_use]
    pub fn known_document(&self) -> Option<&'a [u8]> {
        let images = [self.full_document, self.before_change];
        images.into_iter().find_map(Image::document).or(self.document_key)
    }

    /// The event's id: a digest of the resume token's `_data`.
    #[must_use]
    pub fn event_id(&self) -> EventId {
        EventId::new(&blake3::hash(self.token_data()))
    }

    /// The resume token's `_data`; the whole token where that is no text.
    #[must_use]
    pub fn token_data(&self) -> &'a [u8] {
        let data = Elements::of(self.token).and_then(|token| token.find(b"_data")?.string());
        data.unwrap_or(self.token)
    }

    /// An error about this event.
    #[must_use]
    pub fn refuse(&self, kind: RecordErrorKind, message: String) -> RecordError {
        let namespace = self.database.map(|database| {
            let mut namespace = database.to_owned();
            if let Some(collection) = self.collection {
                let _ = write!(namespace, ".{collection}");
            }
            namespace
        });
        RecordError { kind, message, namespace, event_id: Some(self.event_id().to_string()) }
    }
}

/// Only its size shows: it holds a document.
impl fmt::Debug for ChangeEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeEvent").field("bytes", &self.bson.len()).finish_non_exhaustive()
    }
}

fn timestamp(element: &Element<'_>) -> Option<Timestamp> {
    let [i1, i2, i3, i4, t1, t2, t3, t4] = *element.value.first_chunk()?;
    (element.kind == TIMESTAMP).then(|| Timestamp {
        time: u32::from_le_bytes([t1, t2, t3, t4]),
        increment: u32::from_le_bytes([i1, i2, i3, i4]),
    })
}

fn date(element: &Element<'_>) -> Option<i64> {
    let ms = *element.value.first_chunk()?;
    (element.kind == DATE).then(|| i64::from_le_bytes(ms))
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
