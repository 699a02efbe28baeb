use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{
    Binary, Bson, DateTime, Decimal128, Document, JavaScriptCodeWithScope, RawDocument,
    RawDocumentBuf, Regex, Timestamp, doc, oid::ObjectId,
};
use serde_json::{Value, json};

use super::*;
use crate::event::bson_type::STRING;
use crate::event::elements::Elements;

const KEY: &str = "a key of at least 16 bytes";

/// What a rule makes of a value.
fn protected(rule: Value, value: impl Into<Bson>) -> Option<Bson> {
    let mut rule = rule;
    rule["path"] = "v".into();
    let protector = Protector::new(&[serde_json::from_value(rule).unwrap()], Keys::derive(KEY));
    let bytes = RawDocumentBuf::try_from(&doc! {"v": value.into()}).unwrap();
    let element = Elements::of(bytes.as_bytes()).unwrap().find(b"v").unwrap();
    let mut out = vec![0; 4];
    out.extend_from_slice(b"?v\0");
    let kind = protector.write(0, element.kind, element.value, &mut out).unwrap()?;
    out[4] = kind;
    out.push(0);
    let length = i32::try_from(out.len()).unwrap();
    out[..4].copy_from_slice(&length.to_le_bytes());
    Document::try_from(RawDocument::from_bytes(&out).unwrap()).unwrap().remove("v")
}

fn no_texts() -> Vec<Bson> {
    let code = JavaScriptCodeWithScope { code: "f()".into(), scope: doc! { "x": 1 } };
    let regex = Regex { pattern: "^a".try_into().unwrap(), options: "i".try_into().unwrap() };
    vec![
        1.5.into(),
        doc! {"a": "text"}.into(),
        vec!["text"].into(),
        Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 2, 3] }.into(),
        Bson::Undefined,
        ObjectId::from_bytes([7; 12]).into(),
        true.into(),
        DateTime::from_millis(1).into(),
        regex.into(),
        Bson::JavaScriptCode("g()".into()),
        Bson::Symbol("s".into()),
        code.into(),
        1_i32.into(),
        Timestamp { time: 1, increment: 2 }.into(),
        2_i64.into(),
        Decimal128::from_bytes([9; 16]).into(),
        Bson::MinKey,
        Bson::MaxKey,
    ]
}

#[test]
fn a_mask_leaves_the_last_characters_of_a_longer_text() {
    let mask =
        |rule: Value, text: &str| protected(rule, text).unwrap().as_str().unwrap().to_owned();
    let rule = || json!({"action": "mask"});
    assert_eq!(mask(rule(), "4111111111111234"), "XXXXXXXXXXXX1234");
    assert_eq!(mask(rule(), "12345"), "X2345");
    assert_eq!(mask(rule(), "1234"), "XXXX");
    assert_eq!(mask(rule(), "1"), "X");
    assert_eq!(mask(rule(), ""), "");
    assert_eq!(mask(json!({"action": "mask", "keep": 0}), "äöü"), "XXX");
    assert_eq!(mask(json!({"action": "mask", "keep": 2, "mask_char": "•"}), "äöüß"), "••üß");
}

#[test]
fn truncation_cuts_at_a_character() {
    let cut = |length: u32| protected(json!({"action": "truncate", "length": length}), "äöüß");
    assert_eq!(cut(2), Some("äö".into()));
    assert_eq!(cut(0), Some("".into()));
    assert_eq!(cut(9), Some("äöüß".into()));
    let text = protected(json!({"action": "truncate"}), "0123456789abc");
    assert_eq!(text, Some("0123456789".into()));
}

#[test]
fn what_is_no_text_is_masked_whole() {
    for value in no_texts() {
        for action in ["mask", "truncate"] {
            let rule = json!({"action": action});
            assert_eq!(protected(rule, value.clone()), Some("XXXX".into()), "{value:?}");
        }
    }
}

#[test]
fn null_stays_null_and_a_removal_removes() {
    for action in ["mask", "truncate", "hash", "tokenise"] {
        assert_eq!(protected(json!({"action": action}), Bson::Null), Some(Bson::Null));
    }
    for value in no_texts().into_iter().chain([Bson::Null, "text".into()]) {
        assert_eq!(protected(json!({"action": "remove"}), value), None);
    }
}

/// With Python: `hmac.new(key, message, "sha256").hexdigest()`.
#[test]
fn hashes_are_those_of_any_hmac_tool() {
    let hash = |value: Bson| protected(json!({"action": "hash"}), value);
    let text = "19e9d7bb594f00a7e1c04bdc3fb5b0709399b6ed4e0fb7a1e2c8aa4bcd84071c";
    assert_eq!(hash("jane@example.com".into()), Some(text.into()));
    // Of the bytes ff 10 07 00 00 00.
    let number = "b06ca9287311b2d09ea9ff367257df743d9775c13bc39db278847a7f4508011e";
    assert_eq!(hash(7_i32.into()), Some(number.into()));
}

#[test]
fn hashes_and_tokens_are_equal_for_equal_values_only() {
    let mut seen = std::collections::BTreeSet::new();
    let values = no_texts().into_iter().chain(["text", "text2", "", "1"].map(Bson::from));
    for value in values {
        for (action, length) in [("hash", 64), ("tokenise", 36)] {
            let rule = || json!({"action": action});
            let one = protected(rule(), value.clone()).unwrap();
            assert_eq!(protected(rule(), value.clone()).unwrap(), one);
            let text = one.as_str().unwrap().to_owned();
            assert_eq!(text.len(), length);
            assert_eq!(text.starts_with("tok_"), action == "tokenise");
            assert!(seen.insert(text), "{value:?}");
        }
    }
}

/// Tokens are kept by consumers: another derivation would break their joins.
#[test]
fn tokens_are_pinned() {
    let token = protected(json!({"action": "tokenise"}), "jane@example.com").unwrap();
    assert_eq!(token.as_str().unwrap(), "tok_a8ee950e337f6cb1bbb63626d0e43ddd");
}

#[test]
fn keys_do_not_show() {
    assert_eq!(format!("{:?}", Keys::derive(KEY).unwrap()), "***");
}

#[test]
fn a_text_that_is_not_utf_8_is_refused() {
    let value = [2, 0, 0, 0, 0xff, 0];
    for action in ["mask", "truncate", "hash"] {
        let rule = serde_json::from_value(json!({"path": "v", "action": action})).unwrap();
        let protector = Protector::new(&[rule], Keys::derive(KEY));
        assert!(protector.write(0, STRING, &value, &mut Vec::new()).is_err());
    }
}
