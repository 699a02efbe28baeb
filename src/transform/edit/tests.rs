use mongodb::bson::{Document, RawDocument, RawDocumentBuf, Timestamp, doc};
use serde_json::{Value, json};

use super::*;
use crate::config::{Environment, from_value};

const TOKEN: &str = "8265F1C2A0000000012B022C0100296E5A1004";
const KEY: &str = "a key of at least 16 bytes";

/// The edits of the source `main.orders` with these keys.
pub(super) fn edits(source: Value, key: Option<&str>) -> Edits {
    let config = config(source, key).unwrap();
    Edits::compile(&config, &config.streams().unwrap()[0]).unwrap().unwrap()
}

fn config(source: Value, key: Option<&str>) -> Result<Config, ConfigError> {
    let mut orders = json!({"database": "shop", "collection": "orders"});
    orders.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
    let mut tree = json!({
        "mongodb": {"connections": {"main": {
            "uri": "mongodb://localhost", "sources": {"orders": orders},
        }}},
    });
    if let Some(key) = key {
        tree["protection"] = json!({"key": key});
    }
    from_value(tree, &Environment::new()).map(|loaded| loaded.config)
}

pub(super) fn event(parts: Document) -> RawDocumentBuf {
    let mut event = doc! {
        "_id": {"_data": TOKEN},
        "operationType": "update",
        "clusterTime": Timestamp { time: 1_700_000_000, increment: 7 },
        "ns": {"db": "shop", "coll": "orders"},
        "documentKey": {"_id": 1},
    };
    event.extend(parts);
    RawDocumentBuf::try_from(&event).unwrap()
}

/// The event as it goes out.
pub(super) fn applied(edits: &Edits, event: &RawDocument) -> Result<Document, RecordError> {
    let mut out = vec![1, 2, 3];
    let change = ChangeEvent::decode(event.as_bytes()).unwrap();
    let done =
        edits.apply(&change, &Context { now_ms: 1_700_000_000_250, redriven: false }, &mut out);
    if let Err(error) = done {
        assert!(out.is_empty());
        return Err(error);
    }
    Ok(Document::try_from(RawDocument::from_bytes(&out).unwrap()).unwrap())
}

/// What becomes of a full document.
fn full(source: Value, document: Document) -> Document {
    let edits = edits(source, Some(KEY));
    let out = applied(&edits, &event(doc! {"fullDocument": document})).unwrap();
    out.get_document("fullDocument").unwrap().clone()
}

#[test]
fn a_mask_and_a_removal() {
    let rules = json!({"protect": [
        {"path": "users[*].email", "action": "mask"},
        {"path": "secret", "action": "remove"},
    ]});
    let document =
        doc! {"a": 1, "users": [{"email": "jane@example.com", "x": 1}], "secret": 5, "z": 2};
    let expected = doc! {"a": 1, "users": [{"email": "XXXXXXXXXXXX.com", "x": 1}], "z": 2};
    assert_eq!(full(rules, document), expected);
}
