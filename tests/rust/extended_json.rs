//! The transcoder against the golden files, against the BSON crate and against arbitrary bytes.

use mongo_gcp_stream::config::JsonMode;
use mongo_gcp_stream::format::json::{DecodeErrorKind, MAX_DEPTH, write_document};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{
    Binary, Bson, DateTime, Decimal128, Document, JavaScriptCodeWithScope, Regex, Timestamp, doc,
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Valid {
    name: String,
    bson: String,
    canonical: String,
    relaxed: String,
}

#[derive(Deserialize)]
struct Invalid {
    name: String,
    bson: String,
    error: String,
    path: String,
}

fn valid() -> Vec<Valid> {
    serde_json::from_str(include_str!("../golden/extended_json.json")).unwrap()
}

fn invalid() -> Vec<Invalid> {
    serde_json::from_str(include_str!("../golden/invalid_bson.json")).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn json(bson: &[u8], mode: JsonMode) -> String {
    let mut out = Vec::new();
    write_document(bson, mode, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn json_of(document: &Document, mode: JsonMode) -> String {
    json(&document.to_vec().unwrap(), mode)
}

#[test]
fn golden_documents_are_written_to_the_byte() {
    for case in valid() {
        let bson = bytes(&case.bson);
        assert_eq!(json(&bson, JsonMode::Canonical), case.canonical, "{}", case.name);
        assert_eq!(json(&bson, JsonMode::Relaxed), case.relaxed, "{}", case.name);
    }
}

#[test]
fn golden_faults_are_refused_with_rule_and_path() {
    for case in invalid() {
        let mut out = b"before".to_vec();
        let error = write_document(&bytes(&case.bson), JsonMode::Relaxed, &mut out).unwrap_err();
        let refused = (format!("{:?}", error.kind), error.path);
        assert_eq!(refused, (case.error, case.path), "{}", case.name);
        assert_eq!(out, b"before", "{}", case.name);
    }
}

#[test]
fn every_truncation_is_refused() {
    for case in valid() {
        let bson = bytes(&case.bson);
        for length in 0..bson.len() {
            let result = write_document(&bson[..length], JsonMode::Canonical, &mut Vec::new());
            assert!(result.is_err(), "{} cut to {length} bytes", case.name);
        }
    }
}

#[test]
fn appends_to_what_is_there() {
    let mut out = b"before".to_vec();
    write_document(&doc! {}.to_vec().unwrap(), JsonMode::Relaxed, &mut out).unwrap();
    assert_eq!(out, b"before{}");
}

/// `depth` documents in one another, by hand: an encoder may have a limit of its own.
fn nested(depth: usize) -> Vec<u8> {
    let mut bson = vec![5, 0, 0, 0, 0];
    for _ in 1..depth {
        let length = i32::try_from(bson.len() + 8).unwrap();
        bson = [&length.to_le_bytes()[..], b"\x03a\0", &bson, b"\0"].concat();
    }
    bson
}

#[test]
fn nesting_ends_at_the_limit_not_in_the_stack() {
    let deepest = json(&nested(MAX_DEPTH), JsonMode::Relaxed);
    assert_eq!(deepest.matches('{').count(), MAX_DEPTH);
    for depth in [MAX_DEPTH + 1, 100_000] {
        let error = write_document(&nested_fast(depth), JsonMode::Relaxed, &mut Vec::new());
        assert_eq!(error.unwrap_err().kind, DecodeErrorKind::Depth);
    }
}

/// [`nested`] in time linear in `depth`.
fn nested_fast(depth: usize) -> Vec<u8> {
    let length = |level: usize| i32::try_from(5 + 8 * (depth - level)).unwrap().to_le_bytes();
    let mut bson = length(1).to_vec();
    for level in 2..=depth {
        bson.extend_from_slice(b"\x03a\0");
        bson.extend_from_slice(&length(level));
    }
    bson.resize(bson.len() + depth, 0);
    bson
}

#[test]
fn an_error_shows_names_and_no_value() {
    let secret = [0x02, b'k', b'e', b'\n', b'y', 0, 7, 0, 0, 0];
    let bson = [&[22, 0, 0, 0][..], &secret, b"secr\xfft\0", b"\0"].concat();
    let error = write_document(&bson, JsonMode::Relaxed, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "invalid BSON at ke\\ny: the text is not UTF-8");
    let long = doc! { "n".repeat(5000): { "x": Bson::Null } }.to_vec().unwrap();
    let broken = [&long[..long.len() - 5], &[0x14, b'x', 0, 0, 0]].concat();
    let error = write_document(&broken, JsonMode::Relaxed, &mut Vec::new()).unwrap_err();
    assert_eq!(error.path, format!("{}.x", "n".repeat(64)));
}

#[test]
fn every_day_has_its_date() {
    const DAY: i64 = 86_400_000;
    const LAST_OF_JIFF: i64 = 253_402_207_200_000;
    // Every leap rule shows within 400 years; beyond, a sample is enough.
    let days = (0..146_097).chain((146_097..LAST_OF_JIFF / DAY).step_by(97));
    for day in days {
        let ms = day * DAY + day % 1000 + day % 86_400 * 1000;
        let time = jiff::Timestamp::from_millisecond(ms).unwrap();
        let precision = if ms % 1000 == 0 { 0 } else { 3 };
        let written = json_of(&doc! { "d": DateTime::from_millis(ms) }, JsonMode::Relaxed);
        assert_eq!(written, format!(r#"{{"d":{{"$date":"{time:.precision$}"}}}}"#));
    }
}

/// A name that no reader of Extended JSON takes for a type wrapper.
fn name() -> impl Strategy<Value = String> + Clone {
    "[^$\\x00][^\\x00]{0,20}"
}

fn leaf() -> impl Strategy<Value = Bson> {
    prop_oneof![
        any::<f64>().prop_filter("equal to itself", |value| !value.is_nan()).prop_map(Bson::Double),
        ".{0,40}".prop_map(Bson::String),
        any::<bool>().prop_map(Bson::Boolean),
        Just(Bson::Null),
        any::<i32>().prop_map(Bson::Int32),
        any::<i64>().prop_map(Bson::Int64),
        any::<i64>().prop_map(|ms| Bson::DateTime(DateTime::from_millis(ms))),
        any::<[u8; 12]>().prop_map(|id| Bson::ObjectId(ObjectId::from_bytes(id))),
        (any::<u8>(), prop::collection::vec(any::<u8>(), 0..50)).prop_map(|(subtype, bytes)| {
            Bson::Binary(Binary { subtype: BinarySubtype::from(subtype), bytes })
        }),
        (any::<u32>(), any::<u32>())
            .prop_map(|(time, increment)| Bson::Timestamp(Timestamp { time, increment })),
        ("-?[1-9][0-9]{0,33}", -6000..6000).prop_map(|(digits, exponent)| {
            Bson::Decimal128(format!("{digits}E{exponent}").parse().unwrap())
        }),
        "[^\\x00]{0,20}".prop_map(|pattern| Bson::RegularExpression(Regex {
            pattern: pattern.try_into().unwrap(),
            options: "im".try_into().unwrap(),
        })),
        ".{0,20}".prop_map(Bson::JavaScriptCode),
        ".{0,20}".prop_map(Bson::Symbol),
        Just(Bson::Undefined),
        Just(Bson::MinKey),
        Just(Bson::MaxKey),
    ]
}

fn value() -> impl Strategy<Value = Bson> {
    leaf().prop_recursive(4, 40, 6, |inner| {
        let members = prop::collection::vec((name(), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Bson::Array),
            members.clone().prop_map(|members| Bson::Document(members.into_iter().collect())),
            (".{0,10}", members).prop_map(|(code, scope)| {
                let scope = scope.into_iter().collect();
                Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code, scope })
            }),
        ]
    })
}

fn document() -> impl Strategy<Value = Document> {
    prop::collection::vec((name(), value()), 0..8).prop_map(|members| members.into_iter().collect())
}

proptest! {
    #[test]
    fn canonical_form_reads_back_as_the_same_document(document in document()) {
        let written = json_of(&document, JsonMode::Canonical);
        let read: Document = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(read, document);
    }

    #[test]
    fn relaxed_form_is_json_with_the_same_names(document in document()) {
        let written = json_of(&document, JsonMode::Relaxed);
        let read: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&written).unwrap();
        prop_assert!(read.len() == document.len() && document.keys().all(|name| read.contains_key(name)));
    }

    #[test]
    fn text_is_escaped_as_by_serde_json(text in "(.|[\\x00-\\x7f]){0,70}", prefix in "[a-z]{0,40}") {
        let text = prefix + &text;
        let written = json_of(&doc! { "t": &text }, JsonMode::Relaxed);
        prop_assert_eq!(written, format!(r#"{{"t":{}}}"#, serde_json::to_string(&text).unwrap()));
    }

    #[test]
    fn doubles_read_back_bit_by_bit(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        let written = json_of(&doc! { "d": value }, JsonMode::Relaxed);
        let text = &written[5..written.len() - 1];
        prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits);
        prop_assert!(text.contains(['.', 'e']), "not an integer: {}", text);
    }

    #[test]
    fn decimals_are_written_as_by_the_bson_crate(bytes in any::<[u8; 16]>(), head in 0u8..4) {
        let mut small = bytes;
        small[8..14].fill(0);
        small[14] = small[14] & 0x0f | 0x30;
        small[15] = head.rotate_right(1) | 0x30;
        for bytes in [bytes, small] {
            let value = Decimal128::from_bytes(bytes);
            let written = json_of(&doc! { "d": value }, JsonMode::Relaxed);
            prop_assert_eq!(written, format!(r#"{{"d":{{"$numberDecimal":"{value}"}}}}"#));
        }
    }

    #[test]
    fn damaged_documents_never_panic(
        document in document(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bson = document.to_vec().unwrap();
        for (at, byte) in damage {
            let at = at.index(bson.len());
            bson[at] = byte;
        }
        if let Some(cut) = cut {
            bson.truncate(cut.index(bson.len()));
        }
        for mode in [JsonMode::Relaxed, JsonMode::Canonical] {
            let mut out = Vec::new();
            match write_document(&bson, mode, &mut out) {
                Ok(()) => prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&out).is_ok()),
                Err(_) => prop_assert!(out.is_empty()),
            }
        }
    }
}
