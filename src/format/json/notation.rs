//! How the values of BSON are written in JSON.
//!
//! A function writes the value and the comma that follows it, so that the closing of a type's
//! wrapper and the comma are one copy.

use super::error::DecodeError;
use super::scalar;
use super::text::{self, write_escaped};

/// What follows the text of a wrapped string, and what goes before it.
pub(crate) type Wrapper = [&'static [u8]; 2];

/// How the values of BSON's types are written; what JSON has too is the same in all of them.
pub(crate) trait Notation {
    /// Around the text of JavaScript code; the second part ends in a comma.
    const CODE: Wrapper;
    /// Around the text of a symbol; the second part ends in a comma.
    const SYMBOL: Wrapper;
    /// What goes before the scope of code with scope, and after it; `None` where it is left out.
    const SCOPE: Option<Wrapper>;
    /// The undefined value, with a comma.
    const UNDEFINED: &'static [u8];
    /// The key less than all others, with a comma.
    const MIN_KEY: &'static [u8];
    /// The key greater than all others, with a comma.
    const MAX_KEY: &'static [u8];
    /// The JSON is to stand in a JSON string: its quotes and backslashes are escaped.
    const WITHIN_TEXT: bool = false;

    /// A 32-bit integer.
    fn int32(value: i32, out: &mut Vec<u8>) {
        scalar::write_integer(i64::from(value), out);
    }
    /// A 64-bit integer.
    fn int64(value: i64, out: &mut Vec<u8>) {
        scalar::write_integer(value, out);
    }
    /// A double.
    fn double(value: f64, out: &mut Vec<u8>);
    /// The bits of a Decimal128.
    fn decimal(bits: u128, out: &mut Vec<u8>);
    /// Milliseconds since 1970, in UTC.
    fn date(ms: i64, out: &mut Vec<u8>);
    /// Seconds in the upper half, the ordinal in the lower.
    fn timestamp(value: u64, out: &mut Vec<u8>);
    /// An `ObjectId`.
    fn object_id(id: [u8; 12], out: &mut Vec<u8>);
    /// Binary data.
    fn binary(subtype: u8, data: &[u8], out: &mut Vec<u8>);
    /// A regular expression, its options in alphabetical order.
    ///
    /// # Errors
    /// Text that is not UTF-8.
    fn regex(pattern: &[u8], options: &[u8], out: &mut Vec<u8>) -> Result<(), Box<DecodeError>>;
    /// The text of a reference's namespace in quotes, as `namespace` writes it, and its id.
    ///
    /// # Errors
    /// That of `namespace`.
    fn pointer(
        id: [u8; 12],
        namespace: impl FnOnce(&mut Vec<u8>) -> Result<(), Box<DecodeError>>,
        out: &mut Vec<u8>,
    ) -> Result<(), Box<DecodeError>>;
}

/// MongoDB Extended JSON v2, canonical (every type kept) or relaxed.
pub(crate) struct Extended<const CANONICAL: bool>;

/// Extended JSON v2, relaxed.
pub(crate) type Relaxed = Extended<false>;
/// Extended JSON v2, canonical.
pub(crate) type Canonical = Extended<true>;

impl<const CANONICAL: bool> Notation for Extended<CANONICAL> {
    const CODE: Wrapper = [br#"{"$code":"#, b"},"];
    const SYMBOL: Wrapper = [br#"{"$symbol":"#, b"},"];
    const SCOPE: Option<Wrapper> = Some([br#","$scope":"#, b"},"]);
    const UNDEFINED: &'static [u8] = br#"{"$undefined":true},"#;
    const MIN_KEY: &'static [u8] = br#"{"$minKey":1},"#;
    const MAX_KEY: &'static [u8] = br#"{"$maxKey":1},"#;

    fn int32(value: i32, out: &mut Vec<u8>) {
        if CANONICAL {
            scalar::write_quoted_integer(br#"{"$numberInt":""#, i64::from(value), br#""},"#, out);
        } else {
            scalar::write_integer(i64::from(value), out);
        }
    }

    fn int64(value: i64, out: &mut Vec<u8>) {
        if CANONICAL {
            scalar::write_quoted_integer(br#"{"$numberLong":""#, value, br#""},"#, out);
        } else {
            scalar::write_integer(value, out);
        }
    }

    fn double(value: f64, out: &mut Vec<u8>) {
        scalar::write_double::<CANONICAL>(value, out);
    }

    fn decimal(bits: u128, out: &mut Vec<u8>) {
        scalar::write_decimal(br#"{"$numberDecimal":""#, bits, br#""},"#, out);
    }

    fn date(ms: i64, out: &mut Vec<u8>) {
        scalar::write_date::<CANONICAL>(ms, out);
    }

    fn timestamp(value: u64, out: &mut Vec<u8>) {
        scalar::write_timestamp([br#"{"$timestamp":{"t":"#, br#","i":"#, b"}},"], value, out);
    }

    fn object_id(id: [u8; 12], out: &mut Vec<u8>) {
        scalar::write_object_id(id, out);
    }

    fn binary(subtype: u8, data: &[u8], out: &mut Vec<u8>) {
        scalar::write_binary(subtype, data, out);
    }

    fn regex(pattern: &[u8], options: &[u8], out: &mut Vec<u8>) -> Result<(), Box<DecodeError>> {
        out.extend_from_slice(br#"{"$regularExpression":{"pattern":""#);
        write_escaped(pattern, out)?;
        out.extend_from_slice(br#"","options":""#);
        write_escaped(options, out)?;
        out.extend_from_slice(br#""}},"#);
        Ok(())
    }

    fn pointer(
        id: [u8; 12],
        namespace: impl FnOnce(&mut Vec<u8>) -> Result<(), Box<DecodeError>>,
        out: &mut Vec<u8>,
    ) -> Result<(), Box<DecodeError>> {
        out.extend_from_slice(br#"{"$dbPointer":{"$ref":"#);
        namespace(out)?;
        out.extend_from_slice(br#","$id":"#);
        scalar::write_object_id(id, out);
        out.pop();
        out.extend_from_slice(b"}},");
        Ok(())
    }
}

/// Plain JSON, as programs expect it that know nothing of MongoDB: no value is wrapped, most types
/// are texts.
pub(crate) struct Plain<const WITHIN_TEXT: bool>;

/// Plain JSON.
pub(crate) type Simplified = Plain<false>;
/// Plain JSON that stands in a JSON string.
pub(crate) type SimplifiedText = Plain<true>;

impl<const WITHIN_TEXT: bool> Plain<WITHIN_TEXT> {
    /// What begins a string.
    const OPEN: &'static [u8] = if WITHIN_TEXT { b"\\\"" } else { b"\"" };
    /// What ends it, with a comma.
    const CLOSE: &'static [u8] = if WITHIN_TEXT { b"\\\"," } else { b"\"," };

    fn text(text: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(Self::OPEN);
        out.extend_from_slice(text);
        out.extend_from_slice(Self::CLOSE);
    }
}

impl<const WITHIN_TEXT: bool> Notation for Plain<WITHIN_TEXT> {
    const CODE: Wrapper = [b"", b","];
    const SYMBOL: Wrapper = [b"", b","];
    const SCOPE: Option<Wrapper> = None;
    const UNDEFINED: &'static [u8] = b"null,";
    const MIN_KEY: &'static [u8] = if WITHIN_TEXT { br#"\"MinKey\","# } else { br#""MinKey","# };
    const MAX_KEY: &'static [u8] = if WITHIN_TEXT { br#"\"MaxKey\","# } else { br#""MaxKey","# };
    const WITHIN_TEXT: bool = WITHIN_TEXT;

    fn double(value: f64, out: &mut Vec<u8>) {
        match value {
            f64::INFINITY => Self::text(b"Infinity", out),
            f64::NEG_INFINITY => Self::text(b"-Infinity", out),
            value if value.is_nan() => Self::text(b"NaN", out),
            value => scalar::write_double::<false>(value, out),
        }
    }

    fn decimal(bits: u128, out: &mut Vec<u8>) {
        scalar::write_decimal(Self::OPEN, bits, Self::CLOSE, out);
    }

    fn date(ms: i64, out: &mut Vec<u8>) {
        if !scalar::write_plain_date(Self::OPEN, ms, Self::CLOSE, out) {
            scalar::write_integer(ms, out);
        }
    }

    fn timestamp(value: u64, out: &mut Vec<u8>) {
        scalar::write_timestamp([Self::OPEN, b".", Self::CLOSE], value, out);
    }

    fn object_id(id: [u8; 12], out: &mut Vec<u8>) {
        Self::text(&scalar::hex(id), out);
    }

    fn binary(subtype: u8, data: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(Self::OPEN);
        if !scalar::write_uuid(subtype, data, out) {
            scalar::write_base64(data, out);
        }
        out.extend_from_slice(Self::CLOSE);
    }

    fn regex(pattern: &[u8], options: &[u8], out: &mut Vec<u8>) -> Result<(), Box<DecodeError>> {
        out.extend_from_slice(Self::OPEN);
        out.push(b'/');
        text::write_text(WITHIN_TEXT, pattern, out)?;
        out.push(b'/');
        text::write_text(WITHIN_TEXT, options, out)?;
        out.extend_from_slice(Self::CLOSE);
        Ok(())
    }

    fn pointer(
        id: [u8; 12],
        namespace: impl FnOnce(&mut Vec<u8>) -> Result<(), Box<DecodeError>>,
        out: &mut Vec<u8>,
    ) -> Result<(), Box<DecodeError>> {
        // Looked at and left out: what is not BSON is an error in every notation.
        let start = out.len();
        namespace(out)?;
        out.truncate(start);
        Self::object_id(id, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::spec::BinarySubtype;
    use mongodb::bson::{
        Binary, Bson, DateTime, Decimal128, Document, JavaScriptCodeWithScope, Regex, Timestamp,
        doc, oid::ObjectId,
    };

    use proptest::prelude::*;

    use super::{Simplified, SimplifiedText};
    use crate::config::JsonMode;
    use crate::format::json::{write_document, write_string, write_value};

    fn simplified(document: &Document) -> serde_json::Value {
        let mut out = Vec::new();
        write_document(&document.to_vec().unwrap(), JsonMode::Simplified, &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    fn every_type() -> Document {
        let uuid = Binary { subtype: BinarySubtype::Uuid, bytes: (0..16).collect() };
        let binary = Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 2, 3] };
        let code = JavaScriptCodeWithScope { code: "f(x)".into(), scope: doc! { "x": 1 } };
        let regex =
            Regex { pattern: "^a\"/".try_into().unwrap(), options: "mi".try_into().unwrap() };
        doc! {
            "oid": ObjectId::from_bytes([0xab; 12]), "date": DateTime::from_millis(1_795_366_985_417),
            "whole": DateTime::from_millis(0), "before": DateTime::from_millis(-1),
            "year_1": DateTime::from_millis(-62_135_596_800_000),
            "earlier": DateTime::from_millis(-62_135_596_800_001),
            "late": DateTime::from_millis(253_402_300_800_000),
            "int": 1_i32, "long": i64::MAX, "double": 1.5, "nan": f64::NAN,
            "infinity": f64::NEG_INFINITY, "decimal": "12.50".parse::<Decimal128>().unwrap(),
            "true": true, "null": Bson::Null, "text": "a\"b", "uuid": uuid, "binary": binary,
            "time": Timestamp { time: 7, increment: 8 }, "regex": regex, "scoped": code,
            "code": Bson::JavaScriptCode("g()".into()), "symbol": Bson::Symbol("s".into()),
            "undefined": Bson::Undefined, "min": Bson::MinKey, "max": Bson::MaxKey,
            "nested": { "list": [ObjectId::from_bytes([1; 12]), {}] },
        }
    }

    #[test]
    fn no_value_is_wrapped() {
        let expected = serde_json::json!({
            "oid": "ab".repeat(12), "date": "2026-11-22T17:03:05.417Z",
            "whole": "1970-01-01T00:00:00Z", "before": "1969-12-31T23:59:59.999Z",
            "year_1": "0001-01-01T00:00:00Z", "earlier": -62_135_596_800_001_i64,
            "late": 253_402_300_800_000_i64, "int": 1, "long": i64::MAX, "double": 1.5,
            "nan": "NaN", "infinity": "-Infinity", "decimal": "12.50", "true": true, "null": null,
            "text": "a\"b", "uuid": "00010203-0405-0607-0809-0a0b0c0d0e0f", "binary": "AQID",
            "time": "7.8", "regex": "/^a\"//im", "scoped": "f(x)", "code": "g()", "symbol": "s",
            "undefined": null, "min": "MinKey", "max": "MaxKey",
            "nested": { "list": ["01".repeat(12), {}] },
        });
        assert_eq!(simplified(&every_type()), expected);
    }

    proptest! {
        /// What stands in a text is what would be escaped afterwards.
        #[test]
        fn json_in_a_text_is_escaped_once_more(
            name in "\\PC{0,4}[\"\\\\\n\u{1}é]?\\PC{0,9}", text in "\\PC{0,9}[\"\\\\\n\u{1}é]?\\PC{0,9}",
        ) {
            let mut document = every_type();
            document.insert("in", doc! { name: text });
            let bson = document.to_vec().unwrap();
            let (mut plain, mut escaped, mut within) = (Vec::new(), Vec::new(), vec![b'"']);
            write_value::<Simplified>(0x03, &bson, &mut plain).unwrap();
            write_string(&plain, &mut escaped).unwrap();
            write_value::<SimplifiedText>(0x03, &bson, &mut within).unwrap();
            within.push(b'"');
            prop_assert_eq!(String::from_utf8(within).unwrap(), String::from_utf8(escaped).unwrap());
        }
    }

    /// Found by fuzzing: what is left out in one notation is checked in all of them.
    #[test]
    fn a_pointer_with_a_damaged_namespace_is_refused_in_every_notation() {
        let seed = "/tests/fuzz/seeds/write_document/pointer_without_a_namespace";
        let bson = std::fs::read(format!("{}{seed}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        for mode in [JsonMode::Relaxed, JsonMode::Canonical, JsonMode::Simplified] {
            assert!(write_document(&bson, mode, &mut Vec::new()).is_err(), "{mode:?}");
        }
    }
}
