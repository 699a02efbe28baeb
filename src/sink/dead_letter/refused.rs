//! From a refused message to its dead letter.

use std::collections::HashMap;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use mongodb::bson::Timestamp;
use prost::Message as _;

use crate::error::PublishErrorKind;
use crate::event::Message;
use crate::format::dead_letter::{DeadLetter, Payload, Stage};
use crate::sink::lanes::Refused;

/// The dead letter for a message that `topic` refuses. What its event was is told by the message's
/// own attributes.
pub(super) fn dead_letter(stream: &str, topic: &str, refused: &Refused) -> Message {
    let body = &refused.message.body;
    let attributes = PubsubMessage::decode(body.clone()).unwrap_or_default().attributes;
    let attribute = |name: &str| attributes.get(name).map(String::as_str);
    let letter = DeadLetter {
        stream,
        stage: Stage::Publish,
        reason_kind: match refused.kind {
            PublishErrorKind::TooLarge => "too_large",
            _ => "rejected",
        },
        reason: &refused.reason,
        path: None,
        event_id: attribute("event_id"),
        namespace: attribute("namespace"),
        operation: attribute("operation"),
        cluster_time: cluster_time(&attributes),
        payload: Payload::Message { topic, body },
    };
    letter.message(refused.message.sequence)
}

/// The attribute `cluster_time`, `<seconds>.<ordinal>`.
fn cluster_time(attributes: &HashMap<String, String>) -> Option<Timestamp> {
    let (time, increment) = attributes.get("cluster_time")?.split_once('.')?;
    Some(Timestamp { time: time.parse().ok()?, increment: increment.parse().ok()? })
}
