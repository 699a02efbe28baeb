//! Values as BigQuery's JSON takes them. A subscription reads a row as protobuf's JSON mapping
//! does: 64-bit integers and numbers may be texts, bytes are base64, times RFC 3339. That is
//! simplified JSON, but for what a column cannot hold.

use super::super::envelope::Refusal;
use super::super::json::{self, DecodeError, Notation, Simplified, SimplifiedText};
use super::{format, not_bson};
use crate::error::RecordErrorKind;
use crate::event::bson_type::{ARRAY, DATE, DOCUMENT, INT64};
use crate::event::elements::Element;

/// Integers up to this size are the same as doubles, which some readers of JSON take them for.
const EXACT: u64 = 1 << 53;

/// BigQuery's `TIMESTAMP` goes from the year 1 to the year 9999, in milliseconds since 1970.
const YEARS: std::ops::Range<i64> = -62_135_596_800_000..253_402_300_800_000;

/// Writes the value of a column: documents and arrays as JSON in a text, for columns of type
/// `JSON` and `STRING`.
pub(super) fn write_column(element: &Element<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    match element.kind {
        DOCUMENT | ARRAY => {
            out.push(b'"');
            write::<SimplifiedText>(element, out)?;
            out.push(b'"');
            Ok(())
        }
        INT64 if integer(element)?.unsigned_abs() > EXACT => {
            let start = out.len();
            write::<Simplified>(element, out)?;
            as_text(start, out);
            Ok(())
        }
        DATE if !YEARS.contains(&integer(element)?) => Err(format(
            "a date lies outside of the years 1 to 9999, which BigQuery's TIMESTAMP cannot hold",
        )),
        _ => write::<Simplified>(element, out),
    }
}

/// Makes a text of the number or boolean that was written from `start` on.
pub(super) fn as_text(start: usize, out: &mut Vec<u8>) {
    if out[start] != b'"' && out[start..] != *b"null" {
        out.insert(start, b'"');
        out.push(b'"');
    }
}

fn write<N: Notation>(element: &Element<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    json::write_value::<N>(element.kind, element.value, out).map_err(|error| refuse(&error))?;
    // The comma after it.
    out.pop();
    Ok(())
}

fn integer(element: &Element<'_>) -> Result<i64, Refusal> {
    element.value.try_into().map(i64::from_le_bytes).map_err(|_| not_bson())
}

fn refuse(error: &DecodeError) -> Refusal {
    (RecordErrorKind::Decode, error.to_string())
}
