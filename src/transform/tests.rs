#![expect(clippy::needless_pass_by_value, reason = "a literal is handed over")]

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use mongodb::bson::{Bson, Document, RawDocumentBuf, Timestamp, doc, oid::ObjectId};
use prost::Message as _;
use serde_json::json;

use super::*;
use crate::config::{Environment, Ordering, from_value};
use crate::error::RecordErrorKind;
use crate::event::{Destination, Lane};

const TOKEN: &str = "8265F1C2A0000000012B022C0100296E5A1004";

fn event(operation: &str, id: impl Into<Bson>) -> Document {
    doc! {
        "_id": {"_data": TOKEN},
        "operationType": operation,
        "clusterTime": Timestamp { time: 1_700_000_000, increment: 7 },
        "ns": {"db": "shop", "coll": "orders"},
        "documentKey": {"_id": id.into()},
        "fullDocument": {"a": 1},
    }
}

fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

/// A configuration with the source `main.orders`, its `pubsub` as given.
fn config(mut pubsub: serde_json::Value) -> Config {
    pubsub["topics"] = json!({"default": {"name": "shop-changes"}});
    let tree = json!({
        "mongodb": {"connections": {"main": {
            "uri": "mongodb://localhost",
            "sources": {"orders": {"database": "shop", "collection": "orders"}},
        }}},
        "gcp": {"project_id": "p"},
        "pubsub": pubsub,
        "checkpoint": {"store": "memory"},
    });
    from_value(tree, &Environment::new()).unwrap().config
}

/// The same with a place for dead letters, and these keys of the source.
fn with_dead_letters(source: serde_json::Value) -> Transform {
    let mut config = config(json!({}));
    config.dead_letter = serde_json::from_value(json!({"file": {}})).unwrap();
    let connection = config.mongodb.connections.get_mut("main").unwrap();
    let orders = connection.sources.get_mut("orders").unwrap();
    let mut keys = serde_json::to_value(&*orders).unwrap();
    keys.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
    *orders = serde_json::from_value(keys).unwrap();
    compiled(&config)
}

/// The one dead letter for an event.
fn letter(transform: &Transform, event: &Document) -> serde_json::Value {
    let letter = message(transform, 1, raw(event).as_bytes()).unwrap();
    assert_eq!(letter.to, Destination::DeadLetter);
    serde_json::from_slice(&decoded(&letter).data).unwrap()
}

fn compiled(config: &Config) -> Transform {
    Transform::compile(config, &config.streams().unwrap()[0]).unwrap()
}

fn transform(ordering: Ordering) -> Transform {
    compiled(&config(json!({"ordering": ordering})))
}

/// The one message for an event.
fn message(transform: &Transform, sequence: u64, event: &[u8]) -> Result<Message, RecordError> {
    let messages = transform.apply(sequence, event, &Context { now_ms: 0, redriven: false })?;
    let [message] = <[Message; 1]>::try_from(messages).unwrap();
    Ok(message)
}

fn decoded(message: &Message) -> PubsubMessage {
    PubsubMessage::decode(message.body.clone()).unwrap()
}

fn lane_of(transform: &Transform, document: &Document) -> Lane {
    message(transform, 1, raw(document).as_bytes()).unwrap().lane
}

#[test]
fn a_message_is_what_prost_would_read() {
    let message =
        message(&transform(Ordering::Lanes), 9, raw(&event("insert", 1)).as_bytes()).unwrap();
    assert_eq!(message.sequence, 9);
    assert_eq!(message.to, Destination::Topic("projects/p/topics/shop-changes".into()));
    let read = decoded(&message);
    let json: serde_json::Value = serde_json::from_slice(&read.data).unwrap();
    assert_eq!(json["fullDocument"], serde_json::json!({"a": 1}));
    assert_eq!(json["_id"]["_data"], TOKEN);
    let expected = [
        ("event_id", "2ddccb753ab858be0a0a6cdef84a8b9e"),
        ("operation", "insert"),
        ("namespace", "shop.orders"),
        ("cluster_time", "1700000000.7"),
        ("connection_id", "main"),
        ("source_name", "orders"),
        ("full_document", "image"),
        ("content_type", "application/json"),
    ];
    assert_eq!(read.attributes.len(), expected.len());
    for (name, value) in &expected {
        assert_eq!(read.attributes[*name], *value);
    }
    let Lane::Key(lane) = message.lane else { panic!("{:?}", message.lane) };
    assert_eq!(read.ordering_key, format!("main.orders/{lane}"));
}

#[test]
fn event_id_is_pinned() {
    let message =
        message(&transform(Ordering::None), 1, raw(&event("insert", 1)).as_bytes()).unwrap();
    let id = decoded(&message).attributes["event_id"].clone();
    assert_eq!(id, blake3::hash(TOKEN.as_bytes()).to_hex()[..32]);
    assert_eq!(id, "2ddccb753ab858be0a0a6cdef84a8b9e");
}

#[test]
fn lanes_are_pinned() {
    let transform = transform(Ordering::Lanes);
    let oid = ObjectId::parse_str("65f1c2a0b1c2d3e4f5a6b7c8").unwrap();
    let lanes = [
        lane_of(&transform, &event("insert", 1)),
        lane_of(&transform, &event("insert", 1_i64)),
        lane_of(&transform, &event("insert", "1")),
        lane_of(&transform, &event("insert", oid)),
        lane_of(&transform, &event("insert", doc! {"a": 1, "b": "x"})),
    ];
    // Recomputed with the Python packages xxhash and bson.
    assert_eq!(lanes, [51, 55, 37, 55, 54].map(Lane::Key));
}

#[test]
fn the_lane_follows_namespace_and_id_only() {
    let transform = transform(Ordering::Document);
    let insert = event("insert", 5);
    let mut sharded = event("delete", 5);
    sharded.insert("documentKey", doc! {"region": "eu", "_id": 5});
    let mut elsewhere = insert.clone();
    elsewhere.insert("ns", doc! {"db": "shop", "coll": "returns"});
    assert_eq!(lane_of(&transform, &insert), lane_of(&transform, &sharded));
    assert_ne!(lane_of(&transform, &insert), lane_of(&transform, &elsewhere));
    assert_ne!(lane_of(&transform, &insert), lane_of(&transform, &event("insert", 6)));
}

#[test]
fn ordering_document_makes_a_key_of_the_hash_and_none_makes_no_key() {
    let insert = raw(&event("insert", 5));
    let document = message(&transform(Ordering::Document), 1, insert.as_bytes()).unwrap();
    let Lane::Key(hash) = document.lane else { panic!("{:?}", document.lane) };
    assert_eq!(decoded(&document).ordering_key, format!("main.orders/{hash:016x}"));
    let none = message(&transform(Ordering::None), 1, insert.as_bytes()).unwrap();
    assert_eq!((none.lane, decoded(&none).ordering_key.as_str()), (Lane::Unordered, ""));
}

#[test]
fn an_event_without_a_document_is_a_barrier() {
    let mut drop = event("drop", 0);
    drop.remove("documentKey");
    let message = message(&transform(Ordering::Lanes), 1, raw(&drop).as_bytes()).unwrap();
    assert_eq!(message.lane, Lane::Barrier);
    assert_eq!(decoded(&message).ordering_key, "main.orders/barrier");
}

#[test]
fn a_removed_document_key_is_refused_unless_no_order_is_asked_for() {
    let mut insert = event("insert", 5);
    insert.remove("documentKey");
    let refused = message(&transform(Ordering::Lanes), 1, raw(&insert).as_bytes()).unwrap_err();
    assert_eq!(refused.kind, RecordErrorKind::Format);
    assert!(refused.message.contains("documentKey"), "{refused}");
    assert!(message(&transform(Ordering::None), 1, raw(&insert).as_bytes()).is_ok());
}

#[test]
fn only_the_configured_attributes_are_sent() {
    let transform = compiled(&config(json!({"attributes": ["operation"]})));
    let message = message(&transform, 1, raw(&event("insert", 1)).as_bytes()).unwrap();
    let attributes = decoded(&message).attributes;
    assert_eq!(attributes.into_iter().collect::<Vec<_>>(), [("operation".into(), "insert".into())]);
}

#[test]
fn attribute_limits_are_counted_in_bytes() {
    // 400 characters of three bytes: within the limit as characters, above it as bytes.
    let mut insert = event("insert", 1);
    insert.insert("ns", doc! {"db": "shop", "coll": "€".repeat(400)});
    let refused = message(&transform(Ordering::Lanes), 1, raw(&insert).as_bytes()).unwrap_err();
    assert!(refused.message.contains("namespace"), "{refused}");
}

#[test]
fn what_is_not_a_change_event_is_an_error_without_values() {
    let transform = transform(Ordering::Lanes);
    let no_token = raw(&doc! {"secret": "value"});
    let refused = message(&transform, 1, no_token.as_bytes()).unwrap_err();
    assert_eq!(refused.kind, RecordErrorKind::Decode);
    assert!(!refused.to_string().contains("value"), "{refused}");
    let whole = raw(&event("insert", 1));
    for end in 0..whole.as_bytes().len() {
        assert!(message(&transform, 1, &whole.as_bytes()[..end]).is_err());
    }
}

#[test]
fn a_batch_stops_before_the_event_that_is_refused() {
    let transform = transform(Ordering::Lanes);
    let mut broken = event("insert", 2);
    broken.remove("documentKey");
    let reply = raw(&doc! {"events": [event("insert", 1), broken, event("insert", 3)]});
    let mut ranges = Vec::new();
    let start = reply.as_bytes().as_ptr() as usize;
    for element in reply.get_array("events").unwrap() {
        let event = element.unwrap().as_document().unwrap().as_bytes();
        let at = event.as_ptr() as usize - start;
        ranges.push(at..at + event.len());
    }
    let batch = Batch::new(reply.into_bytes().into(), ranges, None, false);
    let done = transform.apply_batch(10, &batch, &Context { now_ms: 0, redriven: false });
    assert_eq!(done.messages.iter().map(|message| message.sequence).collect::<Vec<_>>(), [10]);
    assert!(done.refused.is_some());
}

#[test]
fn an_event_without_its_documents_is_never_published() {
    let mut gap = event("update", 5);
    gap.remove("fullDocument");
    gap.insert("documentsOmitted", true);
    let kept = letter(&with_dead_letters(json!({})), &gap);
    assert!(kept["reason"].as_str().unwrap().starts_with("oversize: "), "{kept}");
    assert_eq!(kept["event"]["documentKey"], json!({"_id": 5}));
    let redriven = Context { now_ms: 0, redriven: true };
    for (transform, context) in [
        (with_dead_letters(json!({})), redriven),
        (transform(Ordering::Lanes), Context { redriven: false, ..redriven }),
    ] {
        let refused = transform.apply(1, raw(&gap).as_bytes(), &context).unwrap_err();
        assert_eq!(refused.kind, RecordErrorKind::Oversize);
    }
    // Only the mark itself counts.
    gap.insert("documentsOmitted", "true");
    assert!(message(&transform(Ordering::Lanes), 1, raw(&gap).as_bytes()).is_ok());
}

/// Without an id it could never be found again.
#[test]
fn an_event_whose_id_may_not_be_told_for_want_of_a_key_ends_its_stream() {
    let rules = json!({"protect": [{"path": "email", "action": "mask"}]});
    let transform = with_dead_letters(rules);
    let mut event = event("insert", 5);
    event.insert("documentKey", doc! {"email": "a@b", "_id": 5});
    let context = Context { now_ms: 0, redriven: false };
    let refused = transform.apply(1, raw(&event).as_bytes(), &context).unwrap_err();
    assert_eq!((refused.kind, refused.event_id), (RecordErrorKind::Protect, None));
    event.insert("documentKey", doc! {"_id": 5});
    assert!(transform.apply(1, raw(&event).as_bytes(), &context).is_ok());
}

#[test]
fn what_is_too_large_becomes_a_reference() {
    let keys = json!({"oversize": {"policy": "dead_letter", "limit": 100_000}});
    let mut large = event("insert", 5);
    large.insert("fullDocument", doc! {"text": "x".repeat(200_000)});
    let kept = letter(&with_dead_letters(keys), &large);
    assert_eq!(kept["event_omitted"], raw(&large).as_bytes().len());
    assert_eq!(kept.get("event"), None);
}

#[test]
fn data_that_is_read_as_it_stands_is_not_compressed_or_kept_elsewhere() {
    let claimed = json!({"policy": "claim_check", "claim_check": {"url": "./large"}});
    for envelope in ["bigquery_cdc", "cloudevents_structured", "cloudevents"] {
        for oversize in [json!({"policy": "compress"}), claimed.clone()] {
            let mut config = config(json!({}));
            let topic = config.pubsub.as_mut().unwrap().topics.get_mut("default").unwrap();
            let table = json!({"dataset": "shop", "table": "orders"});
            topic.bigquery = serde_json::from_value(table).unwrap();
            let connection = config.mongodb.connections.get_mut("main").unwrap();
            let orders = connection.sources.get_mut("orders").unwrap();
            orders.envelope = Some(serde_json::from_value(json!(envelope)).unwrap());
            orders.oversize = serde_json::from_value(oversize).unwrap();
            let compiled = Transform::compile(&config, &config.streams().unwrap()[0]);
            let path = compiled.err().map(|error| error.path);
            let expected = "mongodb.connections.main.sources.orders.oversize.policy";
            assert_eq!(path.as_deref(), (envelope != "cloudevents").then_some(expected));
        }
    }
}
