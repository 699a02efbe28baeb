//! What the service refuses in a Publish request. Numbers: the quotas page, "resource limits"
//! (<https://cloud.google.com/pubsub/quotas#resource_limits>), and the comments of the protocol.

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{PublishRequest, PubsubMessage};
use prost::Message as _;
use tonic::Status;

/// Messages in one request.
const MAX_MESSAGES: usize = 1_000;
/// Bytes of one request, encoded, with all overhead.
const MAX_REQUEST_BYTES: usize = 10_000_000;
/// Attributes of one message.
const MAX_ATTRIBUTES: usize = 100;
/// Bytes of an attribute's key, in UTF-8.
const MAX_ATTRIBUTE_KEY_BYTES: usize = 256;
/// Bytes of an attribute's value, in UTF-8.
const MAX_ATTRIBUTE_VALUE_BYTES: usize = 1_024;
/// Bytes of an ordering key, in UTF-8.
const MAX_ORDERING_KEY_BYTES: usize = 1_024;

/// Refuses a request that the service would refuse.
pub(super) fn check_publish(request: &PublishRequest) -> Result<(), Status> {
    let messages = &request.messages;
    let Some(first) = messages.first() else {
        return Err(Status::invalid_argument("a request must hold at least one message"));
    };
    at_most(messages.len(), MAX_MESSAGES, "messages in one request")?;
    at_most(request.encoded_len(), MAX_REQUEST_BYTES, "bytes in one request")?;
    if messages.iter().any(|message| message.ordering_key != first.ordering_key) {
        return Err(Status::invalid_argument(
            "all messages of one request must carry the same ordering key, or none",
        ));
    }
    messages.iter().enumerate().try_for_each(|(index, message)| {
        check_message(message)
            .map_err(|refusal| Status::invalid_argument(format!("message {index}: {refusal}")))
    })
}

fn check_message(message: &PubsubMessage) -> Result<(), String> {
    if message.data.is_empty() && message.attributes.is_empty() {
        return Err("it must have data or at least one attribute".to_owned());
    }
    check(message.ordering_key.len(), MAX_ORDERING_KEY_BYTES, "bytes in an ordering key")?;
    check(message.attributes.len(), MAX_ATTRIBUTES, "attributes")?;
    message.attributes.iter().try_for_each(|(key, value)| {
        check(key.len(), MAX_ATTRIBUTE_KEY_BYTES, "bytes in an attribute's key")?;
        check(value.len(), MAX_ATTRIBUTE_VALUE_BYTES, "bytes in an attribute's value")?;
        if key.is_empty() {
            return Err("an attribute's key must not be empty".to_owned());
        }
        // Google's own clients publish their trace context as `googclient_traceparent`.
        if key.starts_with("goog") && !key.starts_with("googclient_") {
            return Err("an attribute's key must not begin with \"goog\"".to_owned());
        }
        Ok(())
    })
}

fn at_most(found: usize, limit: usize, what: &str) -> Result<(), Status> {
    check(found, limit, what).map_err(Status::invalid_argument)
}

fn check(found: usize, limit: usize, what: &str) -> Result<(), String> {
    if found <= limit {
        Ok(())
    } else {
        Err(format!("{found} {what}, at most {limit} are allowed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(attributes: &[(&str, &str)]) -> PubsubMessage {
        let attributes =
            attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        PubsubMessage {
            data: "data".into(),
            attributes: attributes.collect(),
            ..PubsubMessage::default()
        }
    }

    fn refusal(messages: Vec<PubsubMessage>) -> Option<String> {
        let request = PublishRequest { topic: "projects/p/topics/t".to_owned(), messages };
        check_publish(&request).err().map(|status| status.message().to_owned())
    }

    #[test]
    fn attributes_are_counted_in_bytes() {
        // "ä" is one character of two bytes.
        assert_eq!(refusal(vec![message(&[("k", &"ä".repeat(512))])]), None);
        assert_eq!(
            refusal(vec![message(&[("k", &"ä".repeat(513))])]).unwrap(),
            "message 0: 1026 bytes in an attribute's value, at most 1024 are allowed"
        );
        assert_eq!(refusal(vec![message(&[(&"ä".repeat(128), "v")])]), None);
        assert!(refusal(vec![message(&[(&"ä".repeat(129), "v")])]).unwrap().contains("258 bytes"));
    }

    #[test]
    fn keys_reserved_for_google_are_refused() {
        assert!(refusal(vec![message(&[("google", "v")])]).unwrap().contains("goog"));
        assert_eq!(refusal(vec![message(&[("googclient_traceparent", "v")])]), None);
    }

    #[test]
    fn counts_are_limited() {
        assert_eq!(refusal(vec![message(&[]); 1_000]), None);
        assert!(refusal(vec![message(&[]); 1_001]).unwrap().starts_with("1001 messages"));
        let many: Vec<String> = (0..101).map(|index| index.to_string()).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|key| (key.as_str(), "v")).collect();
        assert_eq!(refusal(vec![message(&many[..100])]), None);
        assert!(refusal(vec![message(&many)]).unwrap().contains("101 attributes"));
    }

    #[test]
    fn one_request_carries_one_ordering_key() {
        let keyed = |key: &str| PubsubMessage { ordering_key: key.to_owned(), ..message(&[]) };
        assert_eq!(refusal(vec![keyed("a"), keyed("a")]), None);
        assert!(refusal(vec![keyed("a"), keyed("b")]).unwrap().contains("same ordering key"));
        assert!(refusal(vec![keyed("a"), keyed("")]).unwrap().contains("same ordering key"));
        assert!(refusal(vec![keyed(&"k".repeat(1_025))]).unwrap().contains("1025 bytes"));
    }

    #[test]
    fn the_request_is_measured_as_encoded() {
        let sized = |bytes: usize| PubsubMessage { data: vec![0; bytes].into(), ..message(&[]) };
        // 21 bytes for the topic, 5 each for the tag and length of the message and of its data.
        assert_eq!(refusal(vec![sized(10_000_000 - 31)]), None);
        assert!(refusal(vec![sized(10_000_000 - 30)]).unwrap().starts_with("10000001 bytes"));
    }

    #[test]
    fn a_message_without_data_needs_an_attribute() {
        assert!(refusal(vec![PubsubMessage::default()]).unwrap().contains("data or at least one"));
        assert!(refusal(Vec::new()).unwrap().contains("at least one message"));
        let bare = PubsubMessage { data: Vec::new().into(), ..message(&[("k", "v")]) };
        assert_eq!(refusal(vec![bare]), None);
    }
}
