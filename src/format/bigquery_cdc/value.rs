//! Values as BigQuery's JSON takes them. A subscription reads a row as protobuf's JSON mapping
//! does: 64-bit integers and numbers may be texts, bytes are base64, times RFC 3339.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mongodb::bson::Decimal128;
use mongodb::bson::oid::ObjectId;

use super::super::envelope::Refusal;
use super::super::json::MAX_DEPTH;
use super::{format, not_bson};
use crate::event::elements::{ARRAY, DATE, DOCUMENT, Element, Elements, NULL, STRING, TIMESTAMP};

const DOUBLE: u8 = 0x01;
const INT64: u8 = 0x12;

/// Integers up to this size are the same as doubles, which some readers of JSON take them for.
const EXACT: u64 = 1 << 53;

/// BigQuery's `TIMESTAMP` goes from the year 1 to the year 9999, in milliseconds since 1970.
const YEARS: std::ops::Range<i64> = -62_135_596_800_000..253_402_300_800_000;

/// Writes the value of a column: documents and arrays as JSON in a text, for columns of type
/// `JSON` and `STRING`.
pub(super) fn write_column(element: &Element<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    match element.kind {
        DOCUMENT | ARRAY => {
            let mut nested = Vec::with_capacity(2 * element.value.len());
            write(element, MAX_DEPTH, &mut nested)?;
            text(&nested, out)
        }
        INT64 if i64::from_le_bytes(fixed(element)?).unsigned_abs() > EXACT => {
            let start = out.len();
            write(element, MAX_DEPTH, out)?;
            as_text(start, out);
            Ok(())
        }
        DATE if !YEARS.contains(&i64::from_le_bytes(fixed(element)?)) => Err(format(
            "a date lies outside of the years 1 to 9999, which BigQuery's TIMESTAMP cannot hold",
        )),
        _ => write(element, MAX_DEPTH, out),
    }
}

/// Makes a text of the number or boolean that was written from `start` on.
pub(super) fn as_text(start: usize, out: &mut Vec<u8>) {
    if out[start] != b'"' && out[start..] != *b"null" {
        out.insert(start, b'"');
        out.push(b'"');
    }
}

/// Any value, with at most `depth` levels of documents and arrays in it.
fn write(element: &Element<'_>, depth: usize, out: &mut Vec<u8>) -> Result<(), Refusal> {
    match element.kind {
        DOUBLE => double(f64::from_le_bytes(fixed(element)?), out),
        STRING => return text(element.string().ok_or_else(not_bson)?, out),
        DOCUMENT | ARRAY => return nested(element, depth, out),
        0x05 => return binary(element.value, out),
        0x06 | NULL => out.extend_from_slice(b"null"),
        0x07 => quoted(&ObjectId::from_bytes(fixed(element)?).to_hex(), out),
        0x08 => match element.value {
            [0] => out.extend_from_slice(b"false"),
            [1] => out.extend_from_slice(b"true"),
            _ => return Err(not_bson()),
        },
        DATE => date(i64::from_le_bytes(fixed(element)?), out),
        0x10 => put(i32::from_le_bytes(fixed(element)?), out),
        TIMESTAMP => {
            let value = u64::from_le_bytes(fixed(element)?);
            quoted(&std::format!("{}.{}", value >> 32, value & 0xffff_ffff), out);
        }
        INT64 => put(i64::from_le_bytes(fixed(element)?), out),
        0x13 => quoted(&Decimal128::from_bytes(fixed(element)?).to_string(), out),
        _ => return rare(element, out),
    }
    Ok(())
}

/// Types that MongoDB itself advises against: their texts.
fn rare(element: &Element<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let string_at = |start: usize| -> Option<&[u8]> {
        let (length, rest) = element.value.get(start..)?.split_first_chunk()?;
        let length = usize::try_from(i32::from_le_bytes(*length)).ok()?;
        rest.get(..length.checked_sub(1)?)
    };
    match element.kind {
        0x0b => {
            let mut parts = element.value.split(|&byte| byte == 0);
            let mut part = || parts.next().ok_or_else(not_bson);
            return text(&[b"/", part()?, b"/", part()?].concat(), out);
        }
        0x0c => {
            let id = element.value.last_chunk().ok_or_else(not_bson)?;
            quoted(&ObjectId::from_bytes(*id).to_hex(), out);
        }
        0x0d | 0x0e => return text(string_at(0).ok_or_else(not_bson)?, out),
        0x0f => return text(string_at(4).ok_or_else(not_bson)?, out),
        0x7f => quoted("MaxKey", out),
        0xff => quoted("MinKey", out),
        _ => return Err(not_bson()),
    }
    Ok(())
}

fn nested(element: &Element<'_>, depth: usize, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let depth = depth.checked_sub(1).ok_or_else(|| format("a document is nested too deep"))?;
    let is_array = element.kind == ARRAY;
    out.push(if is_array { b'[' } else { b'{' });
    let mut first = true;
    for inner in Elements::of(element.value).ok_or_else(not_bson)? {
        let inner = inner.ok_or_else(not_bson)?;
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        if !is_array {
            text(inner.name, out)?;
            out.push(b':');
        }
        write(&inner, depth, out)?;
    }
    out.push(if is_array { b']' } else { b'}' });
    Ok(())
}

fn fixed<const N: usize>(element: &Element<'_>) -> Result<[u8; N], Refusal> {
    element.value.try_into().map_err(|_| not_bson())
}

fn put(value: impl std::fmt::Display, out: &mut Vec<u8>) {
    // Writing to a vector never fails.
    write!(out, "{value}").ok();
}

fn quoted(plain: &str, out: &mut Vec<u8>) {
    put(std::format_args!("\"{plain}\""), out);
}

fn text(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    let text = str::from_utf8(bytes).map_err(|_| not_bson())?;
    serde_json::to_writer(out, text).map_err(|_| not_bson())
}

fn double(value: f64, out: &mut Vec<u8>) {
    match value {
        f64::INFINITY => quoted("Infinity", out),
        f64::NEG_INFINITY => quoted("-Infinity", out),
        _ if value.is_nan() => quoted("NaN", out),
        _ => out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes()),
    }
}

/// RFC 3339 in UTC; the number of milliseconds outside of its years.
fn date(ms: i64, out: &mut Vec<u8>) {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(time) if YEARS.contains(&ms) && ms % 1000 == 0 => quoted(&time.to_string(), out),
        Ok(time) if YEARS.contains(&ms) => quoted(&std::format!("{time:.3}"), out),
        _ => put(ms, out),
    }
}

fn binary(value: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    const UUID: u8 = 4;
    const OLD: u8 = 2;
    let (subtype, data) = value.get(4..).and_then(<[u8]>::split_first).ok_or_else(not_bson)?;
    // Old binary repeats its length inside.
    let data = if *subtype == OLD { data.get(4..).ok_or_else(not_bson)? } else { data };
    match <[u8; 16]>::try_from(data) {
        Ok(id) if *subtype == UUID => quoted(&mongodb::bson::Uuid::from_bytes(id).to_string(), out),
        _ => quoted(&STANDARD.encode(data), out),
    }
    Ok(())
}
