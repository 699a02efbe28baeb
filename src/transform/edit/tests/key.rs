//! The document key, and what stands for it.

use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use super::{KEY, TOKEN, applied, edits, event};
use crate::config::Ordering;
use crate::error::RecordErrorKind;
use crate::event::ChangeEvent;
use crate::transform::edit::Edits;

fn rule(path: &str) -> Value {
    json!({"protect": [{"path": path, "action": "tokenise"}]})
}

fn event_id(edits: &Edits, parts: Document) -> String {
    let event = event(parts);
    edits.event_id(&ChangeEvent::decode(event.as_bytes()).unwrap()).to_string()
}

fn seed(edits: &Edits) -> Option<u64> {
    edits.lane_seed(&Ordering::Lanes).unwrap()
}

fn plain_id() -> String {
    blake3::hash(TOKEN.as_bytes()).to_hex()[..32].to_owned()
}

#[test]
fn a_protected_id_takes_the_token_along() {
    let edits = edits(rule("_id"), Some(KEY));
    let out = applied(&edits, &event(doc! {"fullDocument": {"_id": 1, "a": 2}})).unwrap();
    assert!(!out.contains_key("_id"));
    let key = out.get_document("documentKey").unwrap().get_str("_id").unwrap();
    assert!(key.starts_with("tok_"));
    assert_eq!(out.get_document("fullDocument").unwrap(), &doc! {"_id": key, "a": 2});
    let id = event_id(&edits, doc! {});
    assert_ne!(id, plain_id());
    assert_eq!(event_id(&edits, doc! {"fullDocument": null}), id);
    assert!(seed(&edits).is_some());
}

#[test]
fn ids_and_seeds_are_those_of_their_key() {
    let (one, other) =
        (edits(rule("_id"), Some(KEY)), edits(rule("_id"), Some("another key, 16+")));
    assert_ne!(event_id(&one, doc! {}), event_id(&other, doc! {}));
    assert_ne!(seed(&one), seed(&other));
    let copy = edits(rule("_id"), Some(KEY));
    assert_eq!(seed(&one), seed(&copy));
}

#[test]
fn a_part_of_the_id_and_every_name_count() {
    for path in ["_id.ssn", "*", "*.ssn", "_id[*]"] {
        let edits = edits(rule(path), Some(KEY));
        let out = applied(&edits, &event(doc! {"documentKey": {"_id": {"ssn": 5}}})).unwrap();
        assert!(!out.contains_key("_id"), "{path}");
        assert_ne!(event_id(&edits, doc! {}), plain_id());
        assert!(seed(&edits).is_some());
        assert!(!out.to_string().contains(": 5"), "{path}");
    }
}

#[test]
fn a_protected_shard_key_counts_where_it_is_one() {
    let edits = edits(rule("address"), Some(KEY));
    assert_eq!(event_id(&edits, doc! {}), plain_id());
    assert!(applied(&edits, &event(doc! {})).unwrap().contains_key("_id"));
    for key in [
        doc! {"address": "x", "_id": 1},
        doc! {"address.zip": "x", "_id": 1},
        doc! {"address": {"zip": "x"}, "_id": 1},
    ] {
        let parts = doc! {"documentKey": key};
        assert_ne!(event_id(&edits, parts.clone()), plain_id());
        let out = applied(&edits, &event(parts)).unwrap();
        assert!(!out.contains_key("_id"));
        let key = out.get_document("documentKey").unwrap();
        assert_eq!(key.get("_id"), Some(&1.into()));
        assert!(!key.contains_key("address.zip"));
        assert!(
            key.get_str("address").is_ok_and(|text| text.starts_with("tok_")) || key.len() == 1
        );
    }
    assert_eq!(seed(&edits), None);
}

#[test]
fn without_a_key_a_protected_shard_key_is_refused() {
    let edits = edits(json!({"protect": [{"path": "zip", "action": "mask"}]}), None);
    let error = applied(&edits, &event(doc! {"documentKey": {"zip": 1, "_id": 1}})).unwrap_err();
    assert_eq!(error.kind, RecordErrorKind::Protect);
    assert_eq!(error.event_id, None);
    assert!(applied(&edits, &event(doc! {})).is_ok());
}

#[test]
fn a_key_that_is_not_in_the_event_may_be_in_its_token() {
    let mut without = Document::try_from(event(doc! {})).unwrap();
    without.remove("documentKey");
    let without = mongodb::bson::RawDocumentBuf::try_from(&without).unwrap();
    let out = applied(&edits(rule("zip"), Some(KEY)), &without).unwrap();
    assert!(!out.contains_key("_id"));
    let mask = edits(json!({"protect": [{"path": "zip", "action": "mask"}]}), None);
    assert_eq!(applied(&mask, &without).unwrap_err().kind, RecordErrorKind::Protect);
}

#[test]
fn with_enrichment_alone_the_key_goes_out() {
    let edits = edits(json!({"enrich": {"exclude": ["_id"]}}), Some(KEY));
    let out = applied(&edits, &event(doc! {"fullDocument": {"_id": 1, "a": 1}})).unwrap();
    assert_eq!(out.get_document("fullDocument").unwrap(), &doc! {"a": 1});
    assert_eq!(out.get_document("documentKey").unwrap(), &doc! {"_id": 1});
    assert!(out.contains_key("_id"));
    assert_eq!(event_id(&edits, doc! {}), plain_id());
}
