//! The resume token of an event, and the index of the event within its cluster time.
//!
//! All events of a transaction share their cluster time; only the token tells them apart. Its
//! `_data` is the hex of a KeyString: the timestamp (`82` and eight bytes), then the token's
//! version, its type, the index, and whether it stands for an invalidate (`6E` no, `6F` yes).

use mongodb::bson::RawDocument;

use crate::error::{RecordError, RecordErrorKind};

/// How a change event goes on after its length: with the document `_id`.
const TOKEN_FIRST: &[u8] = b"\x03_id\0";

/// The resume token of a raw change event: its whole `_id` document. Read by hand where `_id` is the
/// first field, as the server sends it: the general way is many times slower, and a pipeline may
/// have moved the field.
pub(crate) fn resume_token(event: &[u8]) -> Option<&RawDocument> {
    if let Some(rest) = event.get(4..)?.strip_prefix(TOKEN_FIRST) {
        let length = u32::from_le_bytes(*rest.first_chunk()?);
        RawDocument::from_bytes(rest.get(..length as usize)?).ok()
    } else {
        RawDocument::from_bytes(event).ok()?.get_document("_id").ok()
    }
}

/// The error for event `index` of a server reply, which has none.
pub(crate) fn no_token(index: usize) -> RecordError {
    RecordError {
        kind: RecordErrorKind::Decode,
        message: format!("event {index} of a server reply has no document `_id`"),
        namespace: None,
        event_id: None,
    }
}

/// Characters of the timestamp: its type, the seconds and the ordinal.
const TIME: usize = 2 + 8 + 8;

/// KeyString's number 1, version 1: what MongoDB writes up to 6.0, and what was recorded.
const VERSION_1: &[u8] = b"2B02";

/// KeyString's number 2, version 2: MongoDB 7.0 and later. It has the same fields up to the index
/// and others behind the collection's UUID.
const VERSION_2: &[u8] = b"2B04";

/// KeyString's number 128: the token of an event, and not one of a moment between events.
const OF_AN_EVENT: &[u8] = b"2C0100";

/// KeyString's type of the number 0; a positive number of n bytes has the type `ZERO + 1 + n`.
const ZERO: u8 = 0x29;

/// The index within its cluster time of the event with the token `_data`; `None` where the layout
/// is not one that is known here.
pub(crate) fn index_in_cluster_time(token_data: &[u8]) -> Option<u32> {
    let (time, rest) = token_data.split_at_checked(TIME)?;
    if !time.starts_with(b"82") || !time.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let rest = rest.strip_prefix(VERSION_1).or_else(|| rest.strip_prefix(VERSION_2))?;
    let (index, rest) = integer(rest.strip_prefix(OF_AN_EVENT)?)?;
    let ends = rest.starts_with(b"6E") || rest.starts_with(b"6F");
    ends.then_some(index)
}

/// An integer of a KeyString that is not negative, and what follows it: big-endian, shifted left by
/// one, as the lowest bit tells whether a fraction follows.
fn integer(hex: &[u8]) -> Option<(u32, &[u8])> {
    let (kind, rest) = hex.split_at_checked(2)?;
    let bytes = match byte(kind)?.checked_sub(ZERO)? {
        0 => return Some((0, rest)),
        // An index of 32 bits takes up to 33, in five bytes.
        kind @ 2..=6 => usize::from(kind - 1),
        _ => return None,
    };
    let (digits, rest) = rest.split_at_checked(2 * bytes)?;
    let value = digits
        .chunks_exact(2)
        .try_fold(0_u64, |value, pair| Some(value << 8 | u64::from(byte(pair)?)))?;
    let whole = value & 1 == 0;
    whole.then_some((u32::try_from(value >> 1).ok()?, rest))
}

fn byte(pair: &[u8]) -> Option<u8> {
    let digits = pair.iter().all(u8::is_ascii_hexdigit).then_some(pair)?;
    u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests;
