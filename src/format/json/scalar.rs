//! Values without text of their own: numbers, dates, object ids, binary data.
//!
//! Each function writes the value and the comma that follows it, so that a type wrapper's closing
//! and the comma are one copy.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The first millisecond of the year 10000.
const YEAR_10000: u64 = 253_402_300_800_000;

const MS_PER_DAY: u64 = 86_400_000;

pub(super) fn write_int32<const CANONICAL: bool>(value: i32, out: &mut Vec<u8>) {
    if CANONICAL {
        out.extend_from_slice(br#"{"$numberInt":""#);
    }
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    end_number::<CANONICAL>(out);
}

pub(super) fn write_int64<const CANONICAL: bool>(value: i64, out: &mut Vec<u8>) {
    if CANONICAL {
        out.extend_from_slice(br#"{"$numberLong":""#);
    }
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    end_number::<CANONICAL>(out);
}

/// The shortest decimal that reads back as the same double, always with a fraction or an exponent
/// so that no reader takes it for an integer. JSON has no NaN and no infinity: they keep their
/// wrapper in relaxed form too, and the payload of a NaN is lost.
pub(super) fn write_double<const CANONICAL: bool>(value: f64, out: &mut Vec<u8>) {
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

pub(super) fn write_timestamp(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"$timestamp":{"t":"#);
    out.extend_from_slice(itoa::Buffer::new().format(value >> 32).as_bytes());
    out.extend_from_slice(br#","i":"#);
    out.extend_from_slice(itoa::Buffer::new().format(value & 0xffff_ffff).as_bytes());
    out.extend_from_slice(b"}},");
}

pub(super) fn write_object_id(id: [u8; 12], out: &mut Vec<u8>) {
    const START: usize = 9;
    let mut text = *br#"{"$oid":"000000000000000000000000"},"#;
    for (pair, byte) in text[START..START + 24].chunks_exact_mut(2).zip(id) {
        pair.copy_from_slice(&HEX_PAIRS[usize::from(byte)]);
    }
    out.extend_from_slice(&text);
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

pub(super) fn write_binary(subtype: u8, data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"$binary":{"base64":""#);
    let start = out.len();
    out.resize(start + data.len().div_ceil(3) * 4, 0);
    // The room is exact, so this cannot fail.
    let written = STANDARD.encode_slice(data, &mut out[start..]).unwrap_or_default();
    out.truncate(start + written);
    let mut end = *br#"","subType":"00"}},"#;
    end[13..15].copy_from_slice(&HEX_PAIRS[usize::from(subtype)]);
    out.extend_from_slice(&end);
}

/// Milliseconds since 1970 in UTC: ISO-8601 in relaxed form from 1970 to 9999, with milliseconds
/// only where there are any.
pub(super) fn write_date<const CANONICAL: bool>(ms: i64, out: &mut Vec<u8>) {
    match u64::try_from(ms) {
        Ok(ms) if !CANONICAL && ms < YEAR_10000 => write_iso_date(ms, out),
        _ => {
            out.extend_from_slice(br#"{"$date":{"$numberLong":""#);
            out.extend_from_slice(itoa::Buffer::new().format(ms).as_bytes());
            out.extend_from_slice(br#""}},"#);
        }
    }
}

fn write_iso_date(ms: u64, out: &mut Vec<u8>) {
    const MS_START: usize = 29;
    // Below the year 10000 both fit; the fallback is never taken.
    let days = u32::try_from(ms / MS_PER_DAY).unwrap_or_default();
    let of_day = u32::try_from(ms % MS_PER_DAY).unwrap_or_default();
    let (year, month, day) = civil_date(days);
    let (seconds, ms) = (of_day / 1000, of_day % 1000);
    let mut text = *br#"{"$date":"0000-00-00T00:00:00.000Z"},"#;
    let fields = [
        (10, year / 100),
        (12, year % 100),
        (15, month),
        (18, day),
        (21, seconds / 3600),
        (24, seconds / 60 % 60),
        (27, seconds % 60),
        (30, ms / 10),
    ];
    for (at, value) in fields {
        text[at..at + 2].copy_from_slice(&two_digits(value));
    }
    if ms == 0 {
        out.extend_from_slice(&text[..MS_START]);
        return out.extend_from_slice(br#"Z"},"#);
    }
    text[32] = two_digits(ms % 10)[1];
    out.extend_from_slice(&text);
}

/// Both decimal digits of a number below 100.
fn two_digits(value: u32) -> [u8; 2] {
    [value / 10, value % 10].map(|digit| b'0' + digit.to_le_bytes()[0])
}

/// Year, month and day of the proleptic Gregorian calendar, from days since 1970-01-01.
///
/// Counts in years that begin on 1 March, so that the leap day is the last one and the lengths of
/// the months follow one line: 153 days in five months.
fn civil_date(days: u32) -> (u32, u32, u32) {
    const FROM_YEAR_0: u32 = 719_468;
    const DAYS_IN_400_YEARS: u32 = 146_097;
    let days = days + FROM_YEAR_0;
    let (era, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}
