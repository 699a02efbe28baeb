//! Messages that are made of no event: a caller's own, in the order of their ordering keys.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use prost::Message as _;
use xxhash_rust::xxh3::xxh3_64;

use super::{Destination, Lane, Message};

impl Message {
    /// A message for `topic`, `projects/…/topics/…`. An empty ordering key is none.
    #[must_use]
    pub fn plain(
        sequence: u64,
        topic: &Arc<str>,
        data: Bytes,
        attributes: HashMap<String, String>,
        ordering_key: String,
    ) -> Self {
        let lane = if ordering_key.is_empty() {
            Lane::Unordered
        } else {
            Lane::Key(xxh3_64(ordering_key.as_bytes()))
        };
        let message = PubsubMessage { data, attributes, ordering_key, ..PubsubMessage::default() };
        Self {
            sequence,
            to: Destination::Topic(Arc::clone(topic)),
            lane,
            body: message.encode_to_vec().into(),
            claim: None,
        }
    }

    /// Data and attributes; nothing where the body is no message.
    #[must_use]
    pub fn content(&self) -> (Bytes, HashMap<String, String>) {
        let message = PubsubMessage::decode(self.body.clone()).unwrap_or_default();
        (message.data, message.attributes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_lane_and_no_key_is_none() {
        let topic: Arc<str> = "projects/p/topics/t".into();
        let attributes = HashMap::from([("colour".to_owned(), "red".to_owned())]);
        let plain = |key: &str| {
            Message::plain(7, &topic, Bytes::from_static(b"data"), attributes.clone(), key.into())
        };
        let (ann, bob, none) = (plain("ann"), plain("bob"), plain(""));
        assert_eq!(ann.lane, plain("ann").lane);
        assert_ne!(ann.lane, bob.lane);
        assert_eq!(none.lane, Lane::Unordered);
        assert_eq!((ann.sequence, &ann.to), (7, &Destination::Topic(Arc::clone(&topic))));
        assert_eq!(ann.content(), (Bytes::from_static(b"data"), attributes));
        let sent = PubsubMessage::decode(ann.body).unwrap();
        assert_eq!(sent.ordering_key, "ann");
    }
}
