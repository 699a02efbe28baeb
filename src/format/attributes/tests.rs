use std::collections::BTreeMap;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use mongodb::bson::{Bson, Document, doc};
use prost::Message as _;
use serde_json::{Value, json};

use super::*;
use crate::config::{Environment, from_value};

/// The attributes of `sent`, an event that was read with a customer.
fn attributes(extra: &Value, sent: &Document) -> Result<BTreeMap<String, String>, String> {
    let pubsub = json!({ "attributes": ["operation"], "extra_attributes": extra });
    written(&json!("update_lookup"), pubsub, sent)
}

fn written(
    full_document: &Value,
    mut pubsub: Value,
    sent: &Document,
) -> Result<BTreeMap<String, String>, String> {
    pubsub["topics"] = json!({"default": {"name": "shop-changes"}});
    let source =
        json!({"database": "shop", "collection": "orders", "full_document": full_document});
    let tree = json!({
        "mongodb": {"connections": {"main": {
            "uri": "mongodb://localhost", "sources": {"orders": source},
        }}},
        "pubsub": pubsub,
    });
    let config = from_value(tree, &Environment::new()).unwrap().config;
    let stream = config.streams().unwrap().remove(0);
    let writer = AttributeWriter::compile(&stream, &config.pubsub.unwrap()).unwrap();
    let read = event("secret").to_vec().unwrap();
    let read = ChangeEvent::look_at(&read).unwrap();
    let sent = sent.to_vec().unwrap();
    let change = ChangeEvent::look_at(&sent).unwrap();
    let mut message = MessageWriter::with_capacity(0);
    message.begin();
    message.data(|_| Ok::<(), String>(()))?;
    writer.write(
        &Record { change, event_id: &read.event_id(), read: &read, now_ms: 0 },
        &mut message,
    )?;
    Ok(PubsubMessage::decode(message.message()).unwrap().attributes.into_iter().collect())
}

fn event(customer: &str) -> Document {
    doc! {
        "operationType": "insert",
        "ns": {"db": "shop", "coll": "orders"},
        "fullDocument": {"customer": customer},
    }
}

#[test]
fn templates_make_further_attributes() {
    let extra = json!({
        "region": "eu", "kind": "{collection}.{operation}", "customer": "c-{field:customer}",
        "missing": "{field:x}", "other": "{field:x|none}",
    });
    let expected = [
        ("customer", "c-c7"),
        ("kind", "orders.insert"),
        ("operation", "insert"),
        ("other", "none"),
        ("region", "eu"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(attributes(&extra, &event("c7")).unwrap(), BTreeMap::from(expected));
}

#[test]
fn what_was_protected_stays_so() {
    let extra = json!({"customer": "{field:customer|none}"});
    let mut removed = event("");
    removed.insert("fullDocument", doc! {});
    assert_eq!(attributes(&extra, &removed).unwrap()["customer"], "none");
    assert_eq!(attributes(&extra, &event("***")).unwrap()["customer"], "***");
}

#[test]
fn an_attribute_that_is_too_long_is_named_and_not_shown() {
    let extra = json!({"customer": "{field:customer}"});
    // Within the limit as characters, above it as bytes.
    let refused = attributes(&extra, &event(&"€".repeat(400))).unwrap_err();
    assert_eq!(refused, "the attribute customer would be longer than 1024 bytes");
    assert!(attributes(&extra, &event(&"x".repeat(1024))).is_ok());
}

#[test]
fn where_the_document_comes_from_is_told() {
    let origin = |asked: &str, operation: &str, document: Option<Bson>| {
        let mut sent = doc! { "operationType": operation };
        sent.extend(document.map(|document| ("fullDocument".to_owned(), document)));
        let pubsub = json!({ "attributes": ["full_document"] });
        written(&json!(asked), pubsub, &sent).unwrap().remove("full_document")
    };
    let document = || Some(Bson::Document(doc! { "a": 1 }));
    for asked in ["default", "update_lookup", "when_available", "required"] {
        for operation in ["insert", "replace"] {
            assert_eq!(origin(asked, operation, document()).as_deref(), Some("image"));
        }
        for operation in ["insert", "update", "replace"] {
            assert_eq!(origin(asked, operation, None).as_deref(), Some("missing"));
            assert_eq!(origin(asked, operation, Some(Bson::Null)).as_deref(), Some("missing"));
        }
        assert_eq!(origin(asked, "delete", None).as_deref(), Some("deleted"));
        for operation in ["drop", "rename", "dropDatabase", "invalidate", "create"] {
            assert_eq!(origin(asked, operation, None), None);
        }
    }
    assert_eq!(origin("update_lookup", "update", document()).as_deref(), Some("lookup"));
    assert_eq!(origin("when_available", "update", document()).as_deref(), Some("image"));
    assert_eq!(origin("required", "update", document()).as_deref(), Some("image"));
}
