//! What must hold of the transform whatever comes in: the fuzz target checks it on arbitrary bytes, a
//! test on what is checked in.

use std::sync::LazyLock;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use mongo_gcp_stream::config::{Environment, from_yaml};
use mongo_gcp_stream::event::Message;
use mongo_gcp_stream::transform::{Context, Transform};
use prost::Message as _;
use serde::de::IgnoredAny;

static TRANSFORMS: LazyLock<Vec<Transform>> = LazyLock::new(|| {
    let yaml = include_str!("transform.yaml");
    let config = from_yaml(yaml, "transform.yaml", &Environment::new()).expect("valid").config;
    let streams = config.streams().expect("sound").into_iter().map(|mut stream| {
        let json_schema = &mut stream.source.validation.json_schema;
        if json_schema.collection {
            let own = serde_json::from_str(OWN_SCHEMA).expect("it is a document");
            json_schema.set_own(&own).expect("it is a schema");
        }
        Transform::compile(&config, &stream).expect("compiles")
    });
    streams.collect()
});

/// What a collection's validator may hold: types of BSON, and no keyword that is not MongoDB's.
const OWN_SCHEMA: &str = r#"{
    "bsonType": "object",
    "required": ["_id", "number"],
    "properties": {
        "_id": {"bsonType": ["objectId", "int", "string"]},
        "number": {"bsonType": "int", "minimum": 0},
        "placed_at": {"bsonType": "date"},
        "total": {"bsonType": ["double", "decimal"]},
        "customer": {"bsonType": "object", "properties": {"email": {"bsonType": "string", "pattern": "@"}}},
        "items": {"bsonType": "array", "minItems": 1, "items": {"bsonType": "object"}}
    }
}"#;

/// What the data of a compressed message begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The highest bit of the first byte: the event comes from a dead letter.
const REDRIVEN: u8 = 0x80;

/// Puts `input` through the transform: the first byte chooses a configuration, the rest is the
/// event. The same event gives the same messages, and whatever is published is a message that
/// Pub/Sub takes.
pub fn check(input: &[u8]) {
    let Some((&choice, event)) = input.split_first() else { return };
    let transform = &TRANSFORMS[usize::from(choice & !REDRIVEN) % TRANSFORMS.len()];
    let redriven = choice & REDRIVEN != 0;
    let context = Context { now_ms: 1_795_366_985_417, redriven };
    let once = transform.apply(1, event, &context);
    match &once {
        Ok(messages) => messages.iter().for_each(check_message),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let again = transform.apply(1, event, &context);
    assert_eq!(once.is_ok(), again.is_ok());
    for (one, other) in once.into_iter().flatten().zip(again.into_iter().flatten()) {
        assert_eq!(one.body, other.body, "the same event and context give the same bytes");
    }
}

fn check_message(message: &Message) {
    let message = PubsubMessage::decode(message.body.clone()).expect("it is a PubsubMessage");
    assert!(!message.data.is_empty() || !message.attributes.is_empty(), "an empty message");
    assert!(message.attributes.len() <= 100);
    for (key, value) in &message.attributes {
        assert!(key.len() <= 256 && value.len() <= 1024, "{key}: {} bytes", value.len());
    }
    if message.attributes.get("content_encoding").is_some_and(|encoding| encoding == "gzip") {
        assert!(message.data.starts_with(&GZIP), "the data is what gzip writes");
    } else if !message.data.is_empty() {
        serde_json::from_slice::<IgnoredAny>(&message.data).expect("the data is JSON");
    }
}
