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
    let streams = config.streams().expect("sound");
    streams.iter().map(|stream| Transform::compile(&config, stream).expect("compiles")).collect()
});

/// Puts `input` through the transform: the first byte chooses a configuration, the rest is the
/// event. The same event gives the same messages, and whatever is published is a message that
/// Pub/Sub takes.
pub fn check(input: &[u8]) {
    let Some((&choice, event)) = input.split_first() else { return };
    let transform = &TRANSFORMS[usize::from(choice) % TRANSFORMS.len()];
    let context = Context { now_ms: 1_795_366_985_417, redriven: false };
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
    if !message.data.is_empty() {
        serde_json::from_slice::<IgnoredAny>(&message.data).expect("the data is JSON");
    }
}
