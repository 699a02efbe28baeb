use mongodb::bson::{Bson, DateTime, Decimal128, Document, doc, oid::ObjectId};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::{Environment, from_value};

fn validator(rules: &Value) -> Validator {
    let tree = json!({
        "mongodb": {"connections": {"main": {
            "uri": "mongodb://localhost",
            "sources": {"orders": {
                "database": "shop", "collection": "orders", "validation": {"on_invalid": "drop"},
            }},
        }}},
        "schemas": {"main.orders": rules},
    });
    let config = from_value(tree, &Environment::new()).unwrap().config;
    Validator::compile(&config, &config.streams().unwrap()[0]).unwrap().unwrap()
}

/// What `document` breaks of the rules.
fn broken(rules: &Value, document: &Document) -> String {
    let event = doc! {
        "_id": {"_data": "8265F1C2A0000000012B022C0100296E5A1004"}, "operationType": "insert",
        "fullDocument": document,
    };
    let bson = event.to_vec().unwrap();
    validator(rules).check(&ChangeEvent::decode(&bson).unwrap()).err().unwrap_or_default()
}

/// What a value of the field `a` breaks of its rule.
fn of_value(rule: &Value, value: impl Into<Bson>) -> String {
    broken(&json!({"a": rule}), &doc! {"a": value.into()})
}

#[test]
fn a_type_is_that_of_bson() {
    let decimal: Decimal128 = "1.5".parse().unwrap();
    let values: [(&str, Vec<Bson>); 6] = [
        ("string", vec!["x".into()]),
        ("number", vec![1_i32.into(), 2_i64.into(), 1.5.into(), decimal.into()]),
        ("boolean", vec![true.into()]),
        ("date", vec![DateTime::from_millis(1).into()]),
        ("object", vec![doc! {"b": 1}.into()]),
        ("array", vec![vec![1, 2].into()]),
    ];
    for (kind, _) in &values {
        for (other, samples) in &values {
            let expected = if kind == other { String::new() } else { format!("a: type {kind}") };
            for sample in samples {
                assert_eq!(of_value(&json!({"type": kind}), sample.clone()), expected, "{other}");
            }
        }
        assert_eq!(of_value(&json!({"type": kind}), ObjectId::new()), format!("a: type {kind}"));
    }
}

#[test]
fn what_is_missing_or_null_breaks_its_own_rules() {
    let cases = [
        (json!({}), doc! {}, ""),
        (json!({"required": true}), doc! {}, "a: required"),
        (json!({"required": true}), doc! {"a": Bson::Null}, "a: not nullable"),
        (json!({"type": "string", "nullable": true}), doc! {"a": Bson::Null}, ""),
    ];
    for (rule, document, expected) in cases {
        assert_eq!(broken(&json!({"a": rule}), &document), expected, "{rule}");
    }
}

#[test]
fn numbers_and_dates_lie_between_their_bounds() {
    let number = json!({"min": 1, "max": 2.5});
    let decimal = |text: &str| text.parse::<Decimal128>().unwrap();
    for (value, expected) in [
        (Bson::from(1), ""),
        (0.99.into(), "a: min"),
        (3_i64.into(), "a: max"),
        (decimal("2.50").into(), ""),
        (decimal("2.51").into(), "a: max"),
        (f64::NAN.into(), "a: min"),
        ("2".into(), "a: min"),
    ] {
        assert_eq!(of_value(&number, value.clone()), expected, "{value}");
    }
    let date = json!({"min": "2026-01-01T00:00:00Z", "max": "2026-12-31T23:59:59Z"});
    let day = |text| Bson::from(DateTime::parse_rfc3339_str(text).unwrap());
    assert_eq!(of_value(&date, day("2026-06-01T00:00:00Z")), "");
    assert_eq!(of_value(&date, day("2025-12-31T23:59:59Z")), "a: min");
    assert_eq!(of_value(&date, day("2027-01-01T00:00:00Z")), "a: max");
}

#[test]
fn lengths_are_those_of_characters_and_items() {
    let rule = json!({"min_length": 2, "max_length": 3});
    for (value, expected) in [
        (Bson::from("ab"), ""),
        ("€€€".into(), ""),
        ("€".into(), "a: min_length"),
        ("abcd".into(), "a: max_length"),
        (vec![1, 2].into(), ""),
        (vec![1].into(), "a: min_length"),
        (7.into(), "a: min_length"),
    ] {
        assert_eq!(of_value(&rule, value.clone()), expected, "{value}");
    }
}

#[test]
fn patterns_and_words() {
    let pattern = json!({"pattern": "^[A-Z]{3}$"});
    assert_eq!(of_value(&pattern, "EUR"), "");
    assert_eq!(of_value(&pattern, "EURO"), "a: pattern");
    assert_eq!(of_value(&pattern, 1), "a: pattern");
    let words = json!({"enum": ["paid", 7, true]});
    for value in [Bson::from("paid"), 7_i64.into(), 7.0.into(), true.into()] {
        assert_eq!(of_value(&words, value), "");
    }
    for value in [Bson::from("open"), 8.into(), false.into(), doc! {}.into()] {
        assert_eq!(of_value(&words, value), "a: enum");
    }
}

#[test]
fn paths_lead_into_documents_and_all_that_is_broken_is_told_without_a_value() {
    let rules = json!({
        "customer.email": {"type": "string", "pattern": "@"},
        "items": {"type": "array", "min_length": 1},
        "number": {"type": "number", "required": true},
    });
    let document = doc! {"customer": {"email": "canary"}, "items": [], "number": "canary"};
    let told = broken(&rules, &document);
    assert_eq!(told, "customer.email: pattern; items: min_length; number: type number");
}

#[test]
fn the_text_is_cut_at_the_end_of_a_character() {
    let rules: serde_json::Map<String, Value> =
        (0..100).map(|number| (format!("fïeld{number}"), json!({"required": true}))).collect();
    let told = broken(&rules.into(), &doc! {});
    assert!(told.len() <= MAX_TEXT && told.ends_with('…'), "{told}");
}

#[test]
fn an_event_without_a_document_breaks_nothing() {
    let rules = validator(&json!({"a": {"required": true}}));
    let token = doc! {"_data": "8265F1C2A0000000012B022C0100296E5A1004"};
    for event in [
        doc! {"_id": &token, "operationType": "delete", "documentKey": {"_id": 1}},
        doc! {"_id": &token, "operationType": "update", "fullDocument": Bson::Null},
    ] {
        let bson = event.to_vec().unwrap();
        assert_eq!(rules.check(&ChangeEvent::decode(&bson).unwrap()), Ok(()));
    }
}

proptest! {
    /// Damaged documents are invalid or valid, never a panic.
    #[test]
    fn damage_does_no_harm(at in 4_usize..120, byte: u8) {
        let rules = validator(&json!({
            "a": {"type": "string", "min_length": 1}, "b.c": {"type": "number", "min": 0},
            "list": {"type": "array", "max_length": 9}, "date": {"min": "2026-01-01T00:00:00Z"},
        }));
        let document = doc! {
            "a": "text", "b": {"c": 1.5}, "list": [1, 2, 3], "date": DateTime::from_millis(1),
        };
        let mut bytes = document.to_vec().unwrap();
        let at = at.min(bytes.len() - 2);
        bytes[at] = byte;
        let read = ChangeEvent {
            full_document: crate::event::Image::Document(&bytes), ..ChangeEvent::default()
        };
        let told = rules.check(&read).err().unwrap_or_default();
        prop_assert!(told.len() <= MAX_TEXT);
    }
}
