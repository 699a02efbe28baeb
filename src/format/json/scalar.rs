//! Values without text of their own: numbers, dates, object ids, binary data.
//!
//! Each function writes the value and the comma that follows it, so that a type wrapper's closing
//! and the comma are one copy.

use std::ops::Range;

use super::decimal128;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The first millisecond of the year 10000.
const YEAR_10000: i64 = 253_402_300_800_000;

/// The dates of the years 1 to 9999, in milliseconds since 1970: what most readers know.
pub(crate) const PLAIN_DATES: Range<i64> = -62_135_596_800_000..YEAR_10000;

const MS_PER_DAY: i64 = 86_400_000;

/// Days from 1 March of the year 0 to 1 January 1970.
const FROM_YEAR_0: i64 = 719_468;

pub(crate) fn write_integer(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.push(b',');
}

/// An integer between `open` and `close`.
pub(crate) fn write_quoted_integer(open: &[u8], value: i64, close: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(open);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.extend_from_slice(close);
}

/// The text of a decimal between `open` and `close`.
pub(crate) fn write_decimal(open: &[u8], bits: u128, close: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(open);
    decimal128::write_decimal(bits, out);
    out.extend_from_slice(close);
}

/// The shortest decimal that reads back as the same double, always with a fraction or an exponent
/// so that no reader takes it for an integer. JSON has no NaN and no infinity: they keep their
/// wrapper in relaxed form too, and the payload of a NaN is lost.
pub(crate) fn write_double<const CANONICAL: bool>(value: f64, out: &mut Vec<u8>) {
    if !value.is_finite() {
        let name: &[u8] = match value {
            f64::INFINITY => br#"{"$numberDouble":"Infinity"},"#,
            f64::NEG_INFINITY => br#"{"$numberDouble":"-Infinity"},"#,
            _ => br#"{"$numberDouble":"NaN"},"#,
        };
        return out.extend_from_slice(name);
    }
    if CANONICAL {
        out.extend_from_slice(br#"{"$numberDouble":""#);
    }
    out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    end_number::<CANONICAL>(out);
}

fn end_number<const CANONICAL: bool>(out: &mut Vec<u8>) {
    if CANONICAL {
        out.extend_from_slice(br#""},"#);
    } else {
        out.push(b',');
    }
}

/// Seconds and ordinal, with what goes before, between and after them.
pub(crate) fn write_timestamp([open, between, close]: [&[u8]; 3], value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(open);
    out.extend_from_slice(itoa::Buffer::new().format(value >> 32).as_bytes());
    out.extend_from_slice(between);
    out.extend_from_slice(itoa::Buffer::new().format(value & 0xffff_ffff).as_bytes());
    out.extend_from_slice(close);
}

pub(crate) fn write_object_id(id: [u8; 12], out: &mut Vec<u8>) {
    const START: usize = 9;
    let mut text = *br#"{"$oid":"000000000000000000000000"},"#;
    text[START..START + 24].copy_from_slice(&hex(id));
    out.extend_from_slice(&text);
}

/// The lower-case hexadecimal digits of an `ObjectId`.
#[inline]
pub(crate) fn hex(id: [u8; 12]) -> [u8; 24] {
    let mut text = [0; 24];
    for (pair, byte) in text.chunks_exact_mut(2).zip(id) {
        pair.copy_from_slice(&HEX_PAIRS[usize::from(byte)]);
    }
    text
}

/// Both lower-case hexadecimal digits of every byte.
const HEX_PAIRS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [digits[byte >> 4], digits[byte & 0xf]];
        byte += 1;
    }
    pairs
};

pub(crate) fn write_binary(subtype: u8, data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"$binary":{"base64":""#);
    write_base64(data, out);
    let mut end = *br#"","subType":"00"}},"#;
    end[13..15].copy_from_slice(&HEX_PAIRS[usize::from(subtype)]);
    out.extend_from_slice(&end);
}

/// The base64 text of `data`.
pub(crate) fn write_base64(data: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + data.len().div_ceil(3) * 4, 0);
    // The room is exact, so this cannot fail.
    let written = STANDARD.encode_slice(data, &mut out[start..]).unwrap_or_default();
    out.truncate(start + written);
}

/// The lower-case hexadecimal digits of `bytes`.
pub(crate) fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        out.extend_from_slice(&HEX_PAIRS[usize::from(byte)]);
    }
}

/// A UUID as text; false, with nothing written, for binary data that is none.
pub(crate) fn write_uuid(subtype: u8, data: &[u8], out: &mut Vec<u8>) -> bool {
    /// Binary data of this subtype is a UUID (bsonspec.org).
    const UUID: u8 = 4;
    if subtype != UUID || data.len() != 16 {
        return false;
    }
    for (index, part) in [0..4, 4..6, 6..8, 8..10, 10..16].into_iter().enumerate() {
        if index > 0 {
            out.push(b'-');
        }
        write_hex(&data[part], out);
    }
    true
}

/// A date of the years 1 to 9999 as ISO-8601 text between `open` and `close`; false, with nothing
/// written, for others.
pub(crate) fn write_plain_date(open: &[u8], ms: i64, close: &[u8], out: &mut Vec<u8>) -> bool {
    let writable = PLAIN_DATES.contains(&ms);
    if writable {
        write_iso_date(open, ms, b"Z", out);
        out.extend_from_slice(close);
    }
    writable
}

/// Milliseconds since 1970 in UTC: ISO-8601 in relaxed form from 1970 to 9999, with milliseconds
/// only where there are any.
pub(crate) fn write_date<const CANONICAL: bool>(ms: i64, out: &mut Vec<u8>) {
    if !CANONICAL && (0..YEAR_10000).contains(&ms) {
        write_iso_date(br#"{"$date":""#, ms, br#"Z"},"#, out);
    } else {
        write_quoted_integer(br#"{"$date":{"$numberLong":""#, ms, br#""}},"#, out);
    }
}

/// `YYYY-MM-DDThh:mm:ss`, with milliseconds only where there are any, between `open` and `close`.
/// `ms` counts from 1970, within the years 1 to 9999.
fn write_iso_date(open: &[u8], ms: i64, close: &[u8], out: &mut Vec<u8>) {
    const SECONDS_END: usize = 19;
    let [year, month, day, of_day] = civil_time(ms);
    let (seconds, ms) = (of_day / 1000, of_day % 1000);
    let mut text = *b"0000-00-00T00:00:00.000";
    let fields = [
        (0, year / 100),
        (2, year % 100),
        (5, month),
        (8, day),
        (11, seconds / 3600),
        (14, seconds / 60 % 60),
        (17, seconds % 60),
        (20, ms / 10),
    ];
    for (at, value) in fields {
        text[at..at + 2].copy_from_slice(&two_digits(value));
    }
    text[22] = two_digits(ms % 10)[1];
    out.extend_from_slice(open);
    out.extend_from_slice(if ms == 0 { &text[..SECONDS_END] } else { &text });
    out.extend_from_slice(close);
}

/// Year, month and day, and the milliseconds of the day, of one of the [`PLAIN_DATES`].
pub(crate) fn civil_time(ms: i64) -> [u32; 4] {
    // Within these years both fit; the fallbacks are never taken.
    let days = u32::try_from(ms.div_euclid(MS_PER_DAY) + FROM_YEAR_0).unwrap_or_default();
    let of_day = u32::try_from(ms.rem_euclid(MS_PER_DAY)).unwrap_or_default();
    let (year, month, day) = civil_date(days);
    [year, month, day, of_day]
}

/// Both decimal digits of a number below 100.
fn two_digits(value: u32) -> [u8; 2] {
    [value / 10, value % 10].map(|digit| b'0' + digit.to_le_bytes()[0])
}

/// Year, month and day of the proleptic Gregorian calendar, from days since 1 March of the year 0.
///
/// Counts in years that begin on 1 March, so that the leap day is the last one and the lengths of
/// the months follow one line: 153 days in five months.
fn civil_date(days: u32) -> (u32, u32, u32) {
    const DAYS_IN_400_YEARS: u32 = 146_097;
    let (era, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}
