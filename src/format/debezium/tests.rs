use mongodb::bson::{Document, doc};
use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn text(document: &Document, style: Style) -> String {
    let mut out = Vec::new();
    DocumentWriter::new(style, &mut out).document(&document.to_vec().unwrap()).unwrap();
    String::from_utf8(out).unwrap()
}

fn double(number: f64) -> String {
    let mut out = Vec::new();
    scalar::write_double(number, true, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn doubles_are_written_as_java_writes_them() {
    for (number, expected) in [
        (0.001, "0.001"),
        (0.000_999_9, "9.999E-4"),
        (9_999_999.999, "9999999.999"),
        (1e7, "1.0E7"),
        (-2e23, "-2.0E23"),
        (5e-324, "4.9E-324"),
        (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
    ] {
        assert_eq!(double(number), expected);
    }
}

#[test]
fn the_styles_differ_in_types_and_spaces() {
    let document = doc! { "a": 1_i64, "b": [true, unsorted_regex()] };
    let image = r#"{"a": {"$numberLong": "1"},"b": [true,{"$regex": "x","$options": "im"}]}"#;
    let key = r#"{"a": 1,"b": [true,{"$regularExpression": {"pattern": "x","options": "im"}}]}"#;
    assert_eq!(text(&document, Style::Image), image);
    assert_eq!(text(&document, Style::Key), key);
    assert_eq!(text(&document, Style::Changes), key.replace(',', ", "));
}

fn unsorted_regex() -> mongodb::bson::Regex {
    mongodb::bson::Regex { pattern: "x".try_into().unwrap(), options: "mi".try_into().unwrap() }
}

#[test]
fn depth_is_bounded() {
    let nested = |levels| (1..levels).fold(doc! {}, |inner, _| doc! { "a": inner });
    let write = |document: Document| {
        let bytes = document.to_vec().unwrap();
        DocumentWriter::new(Style::Image, &mut Vec::new()).document(&bytes)
    };
    assert!(write(nested(crate::format::json::MAX_DEPTH)).is_ok());
    assert!(write(nested(crate::format::json::MAX_DEPTH + 1)).is_err());
}

proptest! {
    #[test]
    fn any_text_reads_back_from_both_levels(name in "[^\\x00]*", value: String) {
        let document = doc! { name.clone(): value.clone() };
        let mut out = b"before".to_vec();
        write_text(&document.to_vec().unwrap(), Style::Image, &mut out).unwrap();
        let inner: String = serde_json::from_slice(&out[6..]).unwrap();
        let parsed: Value = serde_json::from_str(&inner).unwrap();
        prop_assert_eq!(parsed, serde_json::json!({ name: value }));
    }

    #[test]
    fn any_double_reads_back(number: f64) {
        prop_assert!(!number.is_finite() || double(number).parse() == Ok(number));
    }

    #[test]
    fn damaged_bytes_are_refused_or_written(at in 4_usize..120, byte: u8) {
        let document = doc! {
            "a": [1, 2_i64, 1.5], "r": unsorted_regex(), "s": "text", "d": { "x": true, "n": unsorted_regex() },
            "c": mongodb::bson::JavaScriptCodeWithScope { code: "f()".into(), scope: doc! { "x": 1 } },
        };
        let mut bytes = document.to_vec().unwrap();
        let at = at.min(bytes.len() - 1);
        bytes[at] = byte;
        let mut out = Vec::new();
        if DocumentWriter::new(Style::Changes, &mut out).document(&bytes).is_ok() {
            prop_assert!(String::from_utf8(out).is_ok());
        }
    }
}
