use std::io::Read as _;

use flate2::read::GzDecoder;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Document, doc};
use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Value, json};

use crate::config::{Environment, from_value};
use crate::error::{RecordError, RecordErrorKind};
use crate::event::{Batch, Destination, Message};
use crate::transform::{Context, Transform};

fn transform(oversize: &Value) -> Transform {
    let mut tree = json!({
        "mongodb": {"connections": {"main": {
            "uri": "mongodb://localhost",
            "sources": {"orders": {"database": "shop", "collection": "orders",
                "oversize": oversize}},
        }}},
        "gcp": {"project_id": "p"},
        "pubsub": {"topics": {"default": {"name": "shop-changes"}}},
        "checkpoint": {"store": "memory"},
    });
    if oversize["policy"] == "dead_letter" {
        tree["dead_letter"] = json!({"file": {}});
    }
    let config = from_value(tree, &Environment::new()).unwrap().config;
    Transform::compile(&config, &config.streams().unwrap()[0]).unwrap()
}

fn event(document: Document) -> Document {
    doc! {
        "_id": {"_data": "8265F1C2A0000000012B022C0100296E5A1004"},
        "operationType": "insert",
        "ns": {"db": "shop", "coll": "orders"},
        "documentKey": {"_id": 1},
        "fullDocument": document,
    }
}

fn apply(oversize: &Value, event: &Document) -> Result<Message, RecordError> {
    let event = event.to_vec().unwrap();
    let messages = transform(oversize).apply(7, &event, &Context { now_ms: 0, redriven: false })?;
    let [message] = <[Message; 1]>::try_from(messages).unwrap();
    Ok(message)
}

fn read(message: &Message) -> (PubsubMessage, Value) {
    let read = PubsubMessage::decode(message.body.clone()).unwrap();
    let json = serde_json::from_slice(&read.data).unwrap_or_default();
    (read, json)
}

fn text(bytes: usize) -> String {
    "é€a".chars().cycle().take(bytes / 2).collect()
}

#[test]
fn what_fits_is_left_alone_by_every_policy() {
    let event = event(doc! {"_id": 1, "text": text(1000)});
    let plain = apply(&json!({}), &event).unwrap().body;
    for policy in ["dead_letter", "compress", "truncate_fields", "claim_check"] {
        let mut oversize = json!({"policy": policy, "limit": "100kB"});
        if policy == "claim_check" {
            oversize["claim_check"] = json!({"url": "gs://bucket"});
        }
        assert_eq!(apply(&oversize, &event).unwrap().body, plain, "{policy}");
    }
}

#[test]
fn a_dead_letter_tells_that_it_was_too_large() {
    let event = event(doc! {"_id": 1, "text": text(200_000)});
    let letter = apply(&json!({"policy": "dead_letter", "limit": "100kB"}), &event).unwrap();
    assert_eq!(letter.to, Destination::DeadLetter);
    let reason = read(&letter).1["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("oversize: a message of "), "{reason}");
    assert!(!reason.contains('€'), "{reason}");
}

#[test]
fn what_is_compressed_is_the_same_message() {
    let event = event(doc! {"_id": 1, "text": text(200_000)});
    let plain = apply(&json!({}), &event).unwrap();
    let shrunk = apply(&json!({"policy": "compress", "limit": "100kB"}), &event).unwrap();
    assert!(shrunk.body.len() < 100_000);
    let ((plain, _), (shrunk, _)) = (read(&plain), read(&shrunk));
    let mut data = Vec::new();
    GzDecoder::new(shrunk.data.as_ref()).read_to_end(&mut data).unwrap();
    assert_eq!(data, plain.data);
    let mut attributes = plain.attributes;
    attributes.insert("content_encoding".into(), "gzip".into());
    assert_eq!((shrunk.attributes, shrunk.ordering_key), (attributes, plain.ordering_key));
}

#[test]
fn what_cannot_be_compressed_enough_is_refused() {
    let noise =
        (0..200_000_u32).flat_map(|n| blake3::hash(&n.to_le_bytes()).as_bytes()[..1].to_vec());
    let bytes = Binary { subtype: BinarySubtype::Generic, bytes: noise.collect() };
    let event = event(doc! {"_id": 1, "noise": bytes});
    let error = apply(&json!({"policy": "compress", "limit": "100kB"}), &event).unwrap_err();
    assert_eq!(error.kind, RecordErrorKind::Oversize);
}

#[test]
fn a_claim_check_takes_the_place_of_the_data() {
    let event = event(doc! {"_id": 1, "text": text(200_000)});
    let plain = apply(&json!({}), &event).unwrap();
    let oversize = json!({"policy": "claim_check", "limit": "100kB",
        "claim_check": {"url": "gs://bucket/large/"}});
    let message = apply(&oversize, &event).unwrap();
    let claim = message.claim.clone().unwrap();
    let ((plain, _), (shrunk, data)) = (read(&plain), read(&message));
    assert_eq!(claim.payload, plain.data);
    let event_id = &plain.attributes["event_id"];
    assert!(claim.name.starts_with(&format!("main.orders/{event_id}-")), "{}", claim.name);
    let uri = format!("gs://bucket/large/{}", claim.name);
    assert_eq!(shrunk.attributes["claim_check"], uri);
    assert_eq!(data["claim_check"]["uri"], uri);
    assert_eq!(data["claim_check"]["size"], plain.data.len());
    assert_eq!(data["claim_check"]["content_type"], "application/json");
    assert_eq!(shrunk.ordering_key, plain.ordering_key);
    // The same data has the same name, and other data another.
    assert_eq!(apply(&oversize, &event).unwrap().body, message.body);
    let other = event_with(&event, "x");
    assert_ne!(apply(&oversize, &other).unwrap().claim.unwrap().name, claim.name);
}

fn event_with(event: &Document, more: &str) -> Document {
    let mut other = event.clone();
    other.get_document_mut("fullDocument").unwrap().insert("more", more);
    other
}

fn truncate(keep: &[&str]) -> Value {
    json!({"policy": "truncate_fields", "limit": "100kB", "keep_fields": keep})
}

#[test]
fn the_largest_values_are_cut_first_and_told() {
    let bytes = Binary { subtype: BinarySubtype::Generic, bytes: vec![7; 60_000] };
    let old = Binary { subtype: BinarySubtype::BinaryOld, bytes: vec![7; 70_000] };
    let event = event(doc! {"_id": text(3000), "n": 5, "a": {"text": text(50_000)},
    "b": [1, {"bytes": bytes}], "old": old, "small": text(2000)});
    let (shrunk, data) = read(&apply(&truncate(&[]), &event).unwrap());
    assert_eq!(shrunk.attributes["truncated_fields"], "fullDocument.old,fullDocument.b.bytes");
    let document = &data["fullDocument"];
    assert_eq!(document["_id"], text(3000));
    assert_eq!(document["a"]["text"], text(50_000));
    assert_eq!(document["b"][1]["bytes"]["$binary"]["base64"], "");
    assert_eq!(document["b"][0], 1);
    assert_eq!(document["old"]["$binary"], json!({"base64": "", "subType": "02"}));
}

#[test]
fn what_is_to_be_kept_is_kept() {
    let delta = doc! {"updatedFields": {"a.0.text": text(40_000), "c": text(90_000)}};
    let mut event = event(doc! {"_id": 1, "a": [{"text": text(20_000)}], "c": text(60_000)});
    event.insert("updateDescription", delta);
    let error = apply(&truncate(&["a", "c"]), &event).unwrap_err();
    assert_eq!(error.kind, RecordErrorKind::Oversize);
    let (shrunk, data) =
        read(&apply(&truncate(&["a.text"]), &event).unwrap_or_else(|e| panic!("{e}")));
    let told = &shrunk.attributes["truncated_fields"];
    assert!(told.contains("updateDescription.updatedFields.c") && !told.contains(".a"), "{told}");
    assert_eq!(data["fullDocument"]["a"][0]["text"], text(20_000));
}

#[test]
fn many_long_paths_are_told_as_far_as_there_is_room() {
    let mut document = doc! {"_id": 1};
    for n in 0..100 {
        document.insert(format!("{}{n}", "long".repeat(20)), text(3000));
    }
    let oversize = json!({"policy": "truncate_fields", "limit": "120kB"});
    let (shrunk, _) = read(&apply(&oversize, &event(document)).unwrap());
    let told = &shrunk.attributes["truncated_fields"];
    assert!(told.len() <= 1024 && told.ends_with(",…"), "{told}");
}

/// Values of a document, some of them large.
fn value() -> impl Strategy<Value = mongodb::bson::Bson> {
    use mongodb::bson::Bson;
    let leaf = prop_oneof![
        any::<i32>().prop_map(Bson::Int32),
        (0_usize..60_000).prop_map(|bytes| Bson::String(text(bytes))),
        (0_usize..60_000).prop_map(|bytes| Bson::Binary(Binary {
            subtype: BinarySubtype::Generic,
            bytes: vec![1; bytes],
        })),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Bson::Array),
            prop::collection::vec(("[a-z]{1,5}", inner), 0..6)
                .prop_map(|fields| Bson::Document(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the document, what goes out fits, is whole JSON, and says what was cut.
    #[test]
    fn a_truncated_message_fits_and_reads(fields in prop::collection::vec(value(), 1..8)) {
        let fields = fields.into_iter().enumerate();
        let document: Document = fields.map(|(n, value)| (format!("f{n}"), value)).collect();
        let event = event(document);
        match apply(&truncate(&[]), &event) {
            Ok(message) => {
                prop_assert!(message.body.len() <= 100_000);
                let (shrunk, data) = read(&message);
                prop_assert_eq!(&data["documentKey"], &json!({"_id": 1}));
                let plain = apply(&json!({}), &event).unwrap();
                let cut = plain.body.len() > 100_000;
                prop_assert_eq!(shrunk.attributes.contains_key("truncated_fields"), cut);
            }
            Err(error) => prop_assert_eq!(error.kind, RecordErrorKind::Oversize),
        }
    }
}

#[test]
fn neighbours_of_a_dead_letter_are_published() {
    let events = [doc! {"_id": 1}, doc! {"_id": 2, "text": text(200_000)}, doc! {"_id": 3}];
    let (mut reply, mut ranges) = (Vec::new(), Vec::new());
    for document in events {
        let start = reply.len();
        reply.extend(event(document).to_vec().unwrap());
        ranges.push(start..reply.len());
    }
    let batch = Batch::new(reply.into(), ranges, None, false);
    let done = transform(&json!({"policy": "dead_letter", "limit": "100kB"})).apply_batch(
        1,
        &batch,
        &Context { now_ms: 0, redriven: false },
    );
    let to: Vec<bool> =
        done.messages.iter().map(|message| message.to == Destination::DeadLetter).collect();
    assert_eq!(to, [false, true, false]);
    assert!(done.refused.is_none());
}
