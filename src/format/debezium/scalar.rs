//! Values without text of their own.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mongodb::bson::Decimal128;

pub(super) fn write_number(number: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

pub(super) fn write_int64(number: i64, strict: bool, out: &mut Vec<u8>) {
    if !strict {
        return write_number(number, out);
    }
    out.extend_from_slice(br#"{"$numberLong": ""#);
    write_number(number, out);
    out.extend_from_slice(br#""}"#);
}

/// In the strict form NaN and the infinities stand bare, although that is no JSON: so does Debezium.
pub(super) fn write_double(number: f64, strict: bool, out: &mut Vec<u8>) {
    if number.is_finite() {
        return write_finite(number, out);
    }
    let name: &[u8] = match number {
        f64::INFINITY => b"Infinity",
        f64::NEG_INFINITY => b"-Infinity",
        _ => b"NaN",
    };
    if strict {
        return out.extend_from_slice(name);
    }
    out.extend_from_slice(br#"{"$numberDouble": ""#);
    out.extend_from_slice(name);
    out.extend_from_slice(br#""}"#);
}

/// Java's `Double.toString`: plain from a thousandth to ten millions, else scientific, with at
/// least two digits, the second of which is the one that comes closest.
fn write_finite(number: f64, out: &mut Vec<u8>) {
    // Writing to a `Vec` cannot fail.
    if number == 0.0 || (1e-3..1e7).contains(&number.abs()) {
        let _ = write!(out, "{number:?}");
        return;
    }
    let start = out.len();
    let _ = write!(out, "{number:e}");
    if !out[start..].contains(&b'.') {
        out.truncate(start);
        let _ = write!(out, "{number:.1e}");
    }
    out[start..].make_ascii_uppercase();
}

pub(super) fn write_decimal(bytes: [u8; 16], out: &mut Vec<u8>) {
    let _ = write!(out, r#"{{"$numberDecimal": "{}"}}"#, Decimal128::from_bytes(bytes));
}

/// Milliseconds; in the relaxed form a text from 1970 to 9999.
pub(super) fn write_date(ms: i64, strict: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"$date": "#);
    match jiff::Timestamp::from_millisecond(ms) {
        _ if strict => write_number(ms, out),
        Ok(time) if ms >= 0 => {
            let _ = write!(out, "\"{time}\"");
        }
        _ => write_int64(ms, true, out),
    }
    out.push(b'}');
}

pub(super) fn write_object_id(id: [u8; 12], out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"$oid": ""#);
    write_hex(&id, out);
    out.extend_from_slice(br#""}"#);
}

pub(super) fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    let digits = b"0123456789abcdef";
    for byte in bytes {
        out.extend([byte >> 4, byte & 15].map(|digit| digits[usize::from(digit)]));
    }
}

pub(super) fn write_base64(data: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + data.len().div_ceil(3) * 4, 0);
    // The room is exact, so this cannot fail.
    let written = STANDARD.encode_slice(data, &mut out[start..]).unwrap_or_default();
    out.truncate(start + written);
}
