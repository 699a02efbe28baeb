//! BSON to JSON, mostly to [MongoDB Extended JSON v2](https://github.com/mongodb/specifications/blob/master/source/extended-json/extended-json.md),
//! from bytes to bytes with no tree in between.
//!
//! The output is compact, keeps the order of the fields and their repetitions, and passes
//! `$`-prefixed names through as they are.

mod decimal128;
mod error;
mod notation;
pub(crate) mod scalar;
mod text;
mod walk;

pub use error::{DecodeError, DecodeErrorKind};

use crate::config::JsonMode;
pub(crate) use notation::{Canonical, Notation, Relaxed, Simplified, SimplifiedText};
use walk::Walk;

/// Levels of documents and arrays, the document itself being the first.
///
/// The server stores up to 180 levels and passes on up to 200 (its `BSONDepth`), so no change event
/// is deeper.
pub const MAX_DEPTH: usize = 200;

/// Appends the BSON document `bson` to `out` as Extended JSON.
///
/// `bson` is one whole document: bytes after it are refused. A change event grows by about a fifth
/// in relaxed form and less than twofold in canonical form; room for it is the caller's to reserve.
///
/// # Errors
/// If `bson` breaks a rule of BSON 1.1, holds text that is not UTF-8, or is nested more than
/// [`MAX_DEPTH`] levels deep. `out` is then as it was.
pub fn write_document(bson: &[u8], mode: JsonMode, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let start = out.len();
    let result = match mode {
        JsonMode::Relaxed => Walk::<Relaxed>::new(bson, out).document(),
        JsonMode::Canonical => Walk::<Canonical>::new(bson, out).document(),
        JsonMode::Simplified => Walk::<Simplified>::new(bson, out).document(),
    };
    result.map_err(|error| {
        out.truncate(start);
        *error
    })
}

/// Appends one value in the notation `N`, with a comma after it: `kind` is its type in BSON,
/// `value` its bytes. On an error `out` is as it was.
///
/// # Errors
/// Those of [`write_document`].
pub(crate) fn write_value<N: Notation>(
    kind: u8,
    value: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let start = out.len();
    Walk::<N>::new(value, out).single(kind).map_err(|error| {
        out.truncate(start);
        *error
    })
}

/// Appends `text` as a JSON string.
///
/// # Errors
/// Text that is not UTF-8.
pub(crate) fn write_string(text: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let start = out.len();
    out.push(b'"');
    text::write_escaped(text, out).map_err(|error| {
        out.truncate(start);
        *error
    })?;
    out.push(b'"');
    Ok(())
}
