//! The message that is to blame, named without a value of its document.

use bytes::Bytes;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use prost::Message as _;

use crate::event::Message;

/// A message that is refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Culprit {
    /// Its sequence number.
    pub sequence: u64,
    /// Bytes of a request with nothing but it.
    pub bytes: usize,
    /// What it calls itself.
    pub name: String,
}

impl Culprit {
    /// Names `message`, which alone makes a request of `bytes`.
    #[must_use]
    pub fn new(message: &Message, bytes: usize) -> Self {
        Self { sequence: message.sequence, bytes, name: name(message.body.clone()) }
    }
}

/// `event <event_id> of <namespace>`, as far as the message carries these attributes.
fn name(body: Bytes) -> String {
    let attributes = PubsubMessage::decode(body).unwrap_or_default().attributes;
    let attribute = |key, prefix: &str| {
        attributes.get(key).map_or_else(String::new, |value| format!("{prefix}{value}"))
    };
    format!("an event{}{}", attribute("event_id", " "), attribute("namespace", " of "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Destination, Lane};

    fn named(attributes: &[(&str, &str)]) -> String {
        let attributes =
            attributes.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let body = PubsubMessage { data: "secret".into(), attributes, ..Default::default() };
        let body = body.encode_to_vec().into();
        Culprit::new(
            &Message {
                sequence: 1,
                to: Destination::DeadLetter,
                lane: Lane::Unordered,
                body,
                claim: None,
            },
            10,
        )
        .name
    }

    #[test]
    fn a_message_is_named_by_what_its_attributes_tell() {
        assert_eq!(named(&[("event_id", "0a1b"), ("namespace", "a.b")]), "an event 0a1b of a.b");
        assert_eq!(named(&[("namespace", "a.b"), ("operation", "insert")]), "an event of a.b");
        assert_eq!(named(&[]), "an event");
    }
}
