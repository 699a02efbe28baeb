//! The envelopes against the golden files, which `tests/python/test_envelopes.py` reads, too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use mongo_gcp_stream::config::{Environment, from_yaml};
use mongo_gcp_stream::error::{RecordError, RecordErrorKind};
use mongo_gcp_stream::event::Destination;
use mongo_gcp_stream::transform::{Context, Transform};
use mongodb::bson::{Bson, Document, doc};
use prost::Message as _;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    config: String,
    event: Document,
    now_ms: i64,
    expected: Vec<Sent>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
struct Sent {
    topic: String,
    data: String,
    attributes: BTreeMap<String, String>,
    ordering_key: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/envelopes")
}

fn cases(envelope: &str) -> Vec<Case> {
    let text = std::fs::read(folder().join(envelope).with_extension("json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn sent(yaml: &str, event: &Document, now_ms: i64) -> Result<Vec<Sent>, RecordError> {
    let config = from_yaml(yaml, "case", &Environment::new()).unwrap().config;
    let transform = Transform::compile(&config, &config.streams().unwrap()[0]).unwrap();
    let context = Context { now_ms, redriven: false };
    let messages = transform.apply(0, &event.to_vec().unwrap(), &context)?;
    let messages = messages.into_iter().map(|message| {
        let Destination::Topic(topic) = &message.to else { panic!("{:?}", message.to) };
        let read = PubsubMessage::decode(message.body.clone()).unwrap();
        Sent {
            topic: topic.to_string(),
            data: String::from_utf8(read.data.to_vec()).unwrap(),
            attributes: read.attributes.into_iter().collect(),
            ordering_key: read.ordering_key,
        }
    });
    Ok(messages.collect())
}

#[test]
fn messages_are_those_of_the_golden_files() {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|file| file.extension().is_some_and(|extension| extension == "json"));
    let envelopes: Vec<String> =
        files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert!(envelopes.len() >= 7, "{envelopes:?}");
    for envelope in envelopes {
        let cases = cases(&envelope);
        assert!(cases.len() >= 10, "{envelope}: {} cases", cases.len());
        for mut case in cases {
            for sent in &mut case.expected {
                sent.data = sent.data.replace("{version}", env!("CARGO_PKG_VERSION"));
            }
            let sent = sent(&case.config, &case.event, case.now_ms).unwrap();
            assert_eq!(sent, case.expected, "{envelope}: {}", case.name);
        }
    }
}

/// The first case of an envelope, its event changed.
fn changed(envelope: &str, change: impl Fn(&mut Document)) -> Result<Vec<Sent>, RecordError> {
    let mut case = cases(envelope).swap_remove(0);
    change(&mut case.event);
    sent(&case.config, &case.event, case.now_ms)
}

#[test]
fn a_document_key_that_fits_no_attribute_is_refused_without_its_text() {
    let key = |length: usize| {
        changed("document", |event| {
            event.remove("fullDocument");
            event.insert("documentKey", doc! { "_id": "s".repeat(length) });
        })
    };
    let around = r#"{"_id":""}"#.len();
    assert_eq!(key(1024 - around).unwrap()[0].attributes["document_key"].len(), 1024);
    let error = key(1025 - around).unwrap_err();
    assert_eq!(error.kind, RecordErrorKind::Format);
    assert!(!error.to_string().contains("sss"), "{error}");
}

#[test]
fn a_tombstone_is_never_empty() {
    let case = cases("document").swap_remove(0);
    let yaml =
        case.config.replacen("pubsub:", "pubsub:\n  attributes: [operation]\n  ordering: none", 1);
    for operation in ["drop", "rename", "invalidate", "dropDatabase", "delete"] {
        let mut event = case.event.clone();
        event.insert("operationType", operation);
        event.remove("fullDocument");
        event.remove("documentKey");
        let [message] = <[_; 1]>::try_from(sent(&yaml, &event, 0).unwrap()).unwrap();
        assert_eq!(message.data, "");
        let expected =
            [("document_key".into(), "null".into()), ("operation".into(), operation.into())];
        assert_eq!(message.attributes, BTreeMap::from(expected));
    }
}

#[test]
fn attributes_that_an_envelope_needs_or_writes_itself_are_not_taken_from_it() {
    let case = cases("document").swap_remove(0);
    let refused = |keys: &str| {
        let yaml = case.config.replacen("pubsub:", &format!("pubsub:\n  {keys}"), 1);
        let config = from_yaml(&yaml, "case", &Environment::new()).unwrap().config;
        Transform::compile(&config, &config.streams().unwrap()[0]).unwrap_err().path
    };
    assert_eq!(refused("attributes: [event_id]"), "pubsub.attributes");
    for name in ["document_key", "redriven"] {
        let path = refused(&format!("extra_attributes: {{{name}: x}}"));
        assert_eq!(path, format!("pubsub.extra_attributes.{name}"));
    }
}

#[test]
fn a_subject_that_cloudevents_forbid_is_left_out() {
    let subject = |id: Bson| {
        let sent = changed("cloudevents", |event| {
            event.insert("documentKey", doc! { "_id": id.clone() });
        });
        sent.unwrap()[0].attributes.get("ce-subject").cloned()
    };
    assert_eq!(subject("x".repeat(1024).into()), Some("x".repeat(1024)));
    for id in ["x".repeat(1025), String::new(), "a\nb".into()] {
        assert_eq!(subject(id.clone().into()), None, "{id}");
    }
    assert_eq!(subject("Ä\"\\".into()).as_deref(), Some("Ä\"\\"));
    assert_eq!(subject(doc! { "a": 1 }.into()).as_deref(), Some(r#"{"a":1}"#));
}

#[test]
fn a_cloudevent_has_a_type() {
    for envelope in ["cloudevents", "cloudevents_structured"] {
        let error = changed(envelope, |event| {
            event.remove("operationType");
        });
        let error = error.unwrap_err();
        assert_eq!(error.kind, RecordErrorKind::Format);
        assert!(error.message.contains("operationType"), "{error}");
    }
}

/// A pipeline took the document out of the event: that does not say that it was gone.
#[test]
fn only_a_look_up_that_found_nothing_drops_an_update() {
    let found = cases("change_event");
    let case = found.iter().find(|case| case.config.contains("drop")).unwrap();
    assert_eq!(case.expected, []);
    let mut event = case.event.clone();
    event.remove("fullDocument");
    assert_eq!(sent(&case.config, &event, 0).unwrap().len(), 1);
}
