//! A dead letter as it is read back: see `format::dead_letter` for how it is written.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use mongodb::bson::Timestamp;
use serde::Deserialize;

use super::Summary;

/// A dead letter.
#[derive(Debug, Deserialize)]
pub(super) struct Letter {
    pub stream: String,
    pub stage: String,
    reason: String,
    pub event_id: Option<String>,
    namespace: Option<String>,
    operation: Option<String>,
    position: Option<Position>,
    pub message: Option<StoredMessage>,
}

/// The dead letter `line` after one more attempt to deliver it, its other bytes as they are.
pub(super) fn tried_again(line: &[u8]) -> Cow<'_, [u8]> {
    // Quotes in a text are escaped, and what was to be delivered comes last: the first is it.
    const NAME: &[u8] = b"\"attempt\":";
    let Some(name) = line.windows(NAME.len()).position(|window| window == NAME) else {
        return line.into();
    };
    let (head, rest) = line.split_at(name + NAME.len());
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = rest.split_at(digits);
    let number = str::from_utf8(number).ok().and_then(|number| number.parse::<u32>().ok());
    let Some(number) = number else { return line.into() };
    let number = number.saturating_add(1).to_string();
    [head, number.as_bytes(), rest].concat().into()
}

#[derive(Debug, Deserialize)]
struct Position {
    operation_time: OperationTime,
}

#[derive(Debug, Deserialize)]
struct OperationTime {
    t: u32,
    i: u32,
}

/// The message that was refused; without data where it was too large to be kept.
#[derive(Debug, Deserialize)]
pub(super) struct StoredMessage {
    pub topic: String,
    #[serde(default)]
    ordering_key: String,
    #[serde(default)]
    attributes: HashMap<String, String>,
    data: Option<String>,
    data_base64: Option<String>,
}

impl Letter {
    /// `None` for what is not a dead letter.
    pub fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// The operation time that its event is at.
    pub fn operation_time(&self) -> Option<Timestamp> {
        let OperationTime { t, i } = self.position.as_ref()?.operation_time;
        Some(Timestamp { time: t, increment: i })
    }

    /// What may be shown of it.
    pub fn summary(&self) -> Summary {
        Summary {
            stream: self.stream.clone(),
            stage: self.stage.clone(),
            reason: self.reason.clone(),
            event_id: self.event_id.clone(),
            namespace: self.namespace.clone(),
            operation: self.operation.clone(),
            time: self.operation_time().map(|time| time.time),
        }
    }
}

impl StoredMessage {
    /// The message as it was, marked as redriven; `None` where its data was not kept.
    pub fn message(&self) -> Option<PubsubMessage> {
        let data = match (&self.data, &self.data_base64) {
            (Some(text), _) => Bytes::copy_from_slice(text.as_bytes()),
            (None, Some(text)) => STANDARD.decode(text).ok()?.into(),
            (None, None) => return None,
        };
        let mut attributes = self.attributes.clone();
        attributes.insert("redriven".into(), "true".into());
        let ordering_key = self.ordering_key.clone();
        Some(PubsubMessage { data, attributes, ordering_key, ..PubsubMessage::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_counted_and_nothing_else_changes() {
        let line = |attempt: u32| {
            format!(
                r#"{{"stream":"a\"attempt\":7","attempt":{attempt},"event":{{"attempt":1,"n":1.10}}}}"#
            )
        };
        assert_eq!(tried_again(line(1).as_bytes()), line(2).as_bytes());
        assert_eq!(tried_again(line(9).as_bytes()), line(10).as_bytes());
        for none in [&b"{}"[..], br#"{"attempt":"x"}"#] {
            assert_eq!(tried_again(none), none);
        }
    }
}
