//! The envelope `debezium` against what Debezium Server sent for the same changes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use mongo_gcp_stream::config::from_yaml;
use mongo_gcp_stream::error::RecordErrorKind;
use mongo_gcp_stream::transform::{Context, Transform};
use mongodb::bson::{Bson, Document, doc};
use prost::Message as _;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Case {
    name: String,
    capture_mode: String,
    event: String,
    ordering_key: String,
    value: String,
}

/// When the replies came, for the test.
const NOW_MS: i64 = 1_800_000_000_123;

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../golden/debezium/recorded.json")).unwrap()
}

fn event(case: &Case) -> Vec<u8> {
    STANDARD.decode(&case.event).unwrap()
}

/// The configuration in the guide; the recording was made with the topic prefix `golden`.
fn transform() -> Transform {
    let guide = include_str!("../../docs/guide/debezium.md");
    let yaml = guide.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let variables = [("MONGODB_URI", "mongodb://localhost"), ("GCP_PROJECT_ID", "some-project")];
    let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let yaml = yaml.replace("    main:\n", "    golden:\n");
    let config = from_yaml(&yaml, "debezium.md", &environment.into()).unwrap().config;
    Transform::compile(&config, &config.streams().unwrap()[0]).unwrap()
}

fn messages(transform: &Transform, event: &[u8]) -> Vec<PubsubMessage> {
    let messages = transform.apply(0, event, &Context { now_ms: NOW_MS, redriven: false }).unwrap();
    messages.iter().map(|message| PubsubMessage::decode(message.body.clone()).unwrap()).collect()
}

/// Escapes of characters that need none may differ: in the text within the text they show.
fn same_escapes(value: &mut Value, name: &str) {
    for path in ["/before", "/after", "/updateDescription/updatedFields"] {
        if name.contains("texts")
            && let Some(Value::String(text)) = value.pointer_mut(path)
        {
            *text = serde_json::from_str::<Value>(text).unwrap().to_string();
        }
    }
}

#[test]
fn every_recorded_message_is_written_alike() {
    let transform = transform();
    let cases = cases();
    assert!(cases.len() > 50);
    for case in cases {
        let name = format!("{} ({})", case.name, case.capture_mode);
        let [message] = <[_; 1]>::try_from(messages(&transform, &event(&case))).unwrap();
        let mut expected: Value = serde_json::from_str(&case.value).unwrap();
        expected["ts_ms"] = json!(NOW_MS);
        expected["source"]["version"] = json!(env!("CARGO_PKG_VERSION"));
        let mut written: Value = serde_json::from_slice(&message.data).unwrap();
        same_escapes(&mut expected, &case.name);
        same_escapes(&mut written, &case.name);
        assert_eq!(written, expected, "{name}");
        assert_eq!(message.attributes["key"], case.ordering_key, "{name}");
    }
}

#[test]
fn the_fields_come_in_the_recorded_order() {
    let case = cases().swap_remove(0);
    let [message] = <[_; 1]>::try_from(messages(&transform(), &event(&case))).unwrap();
    let stamp = |text: &str, version: &str| {
        let start = text.rfind(r#""ts_ms":"#).unwrap();
        let end = text.rfind(r#","transaction""#).unwrap();
        format!("{}{}", &text[..start], &text[end..]).replace(version, "")
    };
    let written = String::from_utf8(message.data.to_vec()).unwrap();
    assert_eq!(
        stamp(&written, env!("CARGO_PKG_VERSION")),
        stamp(&case.value, "3.0.0.Final"),
        "byte for byte but for the version and the time of sending"
    );
}

fn changed(change: impl Fn(&mut Document)) -> Vec<u8> {
    let mut document = Document::from_reader(event(&cases()[0]).as_slice()).unwrap();
    change(&mut document);
    document.to_vec().unwrap()
}

#[test]
fn an_event_without_a_document_makes_no_message() {
    for operation in ["drop", "rename", "invalidate", "dropDatabase"] {
        let event = changed(|event| {
            event.insert("operationType", operation);
            event.remove("documentKey");
        });
        assert!(messages(&transform(), &event).is_empty(), "{operation}");
    }
}

#[test]
fn what_the_envelope_needs_is_asked_for() {
    for field in ["operationType", "clusterTime", "documentKey"] {
        let event = changed(|event| {
            event.remove(field);
        });
        let context = Context { now_ms: NOW_MS, redriven: false };
        let error = transform().apply(0, &event, &context).unwrap_err();
        assert_eq!(error.kind, RecordErrorKind::Format, "{field}");
        assert!(error.message.contains(field), "{}", error.message);
    }
}

#[test]
fn a_key_that_fits_no_attribute_is_refused_without_its_text() {
    let id = Bson::String("secret".repeat(200));
    let event = changed(|event| {
        event.insert("documentKey", doc! { "_id": id.clone() });
    });
    let error =
        transform().apply(0, &event, &Context { now_ms: NOW_MS, redriven: false }).unwrap_err();
    assert_eq!(error.kind, RecordErrorKind::Format);
    assert!(!error.to_string().contains("secret"), "{error}");
}
