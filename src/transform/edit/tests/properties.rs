//! Laws: what is protected is nowhere, what is not protected is as it was, and what goes out is
//! BSON.

#![expect(clippy::format_collect, reason = "the digits of a few bytes")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, RawDocument, RawDocumentBuf, doc};
use proptest::prelude::*;
use prost::Message as _;
use serde_json::json;

use super::{KEY, edits, event};
use crate::config::{Environment, from_value};
use crate::event::ChangeEvent;
use crate::transform::{Context, Transform};

const CANARY: &str = "canary-7f3a9b-must-not-be-seen";

/// A step on the way to the protected value.
#[derive(Clone, Debug)]
enum Step {
    Field { name: String, wild: bool },
    Item { before: usize, told: bool },
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]{1,2}", "[a-b]\\.[a-b]", "[0-2]", Just("ä".to_owned())]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (name(), prop::bool::weighted(0.2)).prop_map(|(name, wild)| Step::Field { name, wild }),
        2 => (0..3_usize, any::<bool>()).prop_map(|(before, told)| Step::Item { before, told }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    (name(), any::<bool>(), prop::collection::vec(step(), 0..5)).prop_map(|(name, wild, more)| {
        let mut steps = vec![Step::Field { name, wild }];
        steps.extend(more);
        steps
    })
}

/// Values without a canary.
fn noise() -> impl Strategy<Value = Bson> {
    let leaf = prop_oneof![
        any::<i32>().prop_map(Bson::from),
        "[a-z]{0,12}".prop_map(Bson::from),
        Just(Bson::Null),
        any::<f64>().prop_map(Bson::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Bson::from),
            prop::collection::vec((name(), inner), 0..3)
                .prop_map(|fields| fields.into_iter().collect::<Document>().into()),
        ]
    })
}

fn canary() -> impl Strategy<Value = Bson> {
    let binary = Binary { subtype: BinarySubtype::Generic, bytes: CANARY.into() };
    prop_oneof![
        Just(Bson::from(CANARY)),
        Just(doc! {"x": CANARY}.into()),
        Just(doc! {"a": [CANARY, {"a": CANARY}]}.into()),
        Just(Bson::from(binary)),
    ]
}

/// The path of a rule for the value that the steps lead to. An array that a name comes after need
/// not be told.
fn rule(steps: &[Step]) -> String {
    let mut path = String::new();
    for (index, step) in steps.iter().enumerate() {
        let named = matches!(steps.get(index + 1), Some(Step::Field { .. }));
        match step {
            Step::Item { told: false, .. } if named => {}
            Step::Item { .. } => path.push_str("[*]"),
            Step::Field { name, wild } => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&if *wild { "*".to_owned() } else { name.replace('.', "\\.") });
            }
        }
    }
    path
}

/// The value that the steps lead through, `noise` beside them.
fn nested(steps: &[Step], value: Bson, noise: &Bson) -> Bson {
    steps.iter().rev().fold(value, |value, step| match step {
        Step::Field { name, .. } => doc! {"before": noise, name: value, "behind": noise}.into(),
        Step::Item { before, .. } => {
            let mut items = vec![noise.clone(); *before];
            items.push(value);
            items.into()
        }
    })
}

/// The name that an update gives to what the steps lead to.
fn dotted(steps: &[Step]) -> String {
    let parts = steps.iter().map(|step| match step {
        Step::Field { name, .. } => name.clone(),
        Step::Item { before, .. } => before.to_string(),
    });
    parts.collect::<Vec<_>>().join(".")
}

fn shows_canary(bytes: &[u8]) -> bool {
    let holds = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
    let hex: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
    // In base64 a text has three forms, as it may begin at any of three bytes.
    let base64 = (0..3).map(|skip| STANDARD_NO_PAD.encode(&CANARY[skip..27 + skip]));
    holds(CANARY.as_bytes())
        || holds(hex.as_bytes())
        || holds(hex.to_uppercase().as_bytes())
        || base64.into_iter().any(|text| holds(text.as_bytes()))
}

fn apply(rules: serde_json::Value, event: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let change = ChangeEvent::look_at(event).ok()?;
    edits(rules, Some(KEY))
        .apply(&change, &Context { now_ms: 0, redriven: false }, &mut out)
        .ok()?;
    Some(out)
}

fn read(out: &[u8]) -> Document {
    Document::try_from(RawDocument::from_bytes(out).unwrap()).unwrap()
}

const ACTIONS: [&str; 5] = ["remove", "mask", "hash", "truncate", "tokenise"];

/// An event with a value that the steps lead to in each of its parts; `split` is where an updated
/// field ends and its value begins.
fn event_with(
    steps: &[Step],
    value: &Bson,
    noise: &Bson,
    split: usize,
    sharded: usize,
) -> RawDocumentBuf {
    let document = nested(steps, value.clone(), noise);
    let split = split.min(steps.len());
    let updated = doc! {
        "z": noise, dotted(steps) + ".x": value, dotted(steps) + ".0.a.b": CANARY,
        dotted(&steps[..split]): nested(&steps[split..], value.clone(), noise),
    };
    let mut parts = doc! {
        "fullDocument": &document, "fullDocumentBeforeChange": &document,
        "updateDescription": {"updatedFields": updated, "removedFields": [dotted(steps)]},
        "mine": &document,
    };
    let shard_key = match sharded {
        0 => None,
        1 => Some((dotted(steps) + ".x", value.clone())),
        _ => Some((dotted(&steps[..split]), nested(&steps[split..], value.clone(), noise))),
    };
    if let Some(field) = shard_key {
        let key: Document = [field, ("_id".into(), 1.into())].into_iter().collect();
        parts.insert("documentKey", key);
        let hex: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
        parts.insert("_id", doc! {"_data": hex});
    }
    event(parts)
}

/// The transforms that make messages in each envelope, and one that makes dead letters.
fn transforms(path: &str, action: &str) -> Vec<Transform> {
    let source = |more: serde_json::Value| {
        let mut source = json!({
            "database": "shop", "collection": "orders", "enrich": {"metadata": true},
            "protect": [{"path": path, "action": action}],
        });
        source.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        source
    };
    let tree = json!({
        "mongodb": {"connections": {"main": {"uri": "mongodb://localhost", "sources": {
            "change_event": source(json!({"envelope": "change_event"})),
            "document": source(json!({"envelope": "document"})),
            "cloudevents": source(json!({"envelope": "cloudevents"})),
            "structured": source(json!({"envelope": "cloudevents_structured"})),
            "original": source(json!({"envelope": "original"})),
            "debezium": source(json!({"envelope": "debezium"})),
            "bigquery": source(json!({"envelope": "bigquery_cdc"})),
            "letters": source(json!({})),
        }}}},
        "gcp": {"project_id": "p"},
        "protection": {"key": KEY},
        "pubsub": {
            "topics": {"default": {"name": "all", "bigquery": {"dataset": "d", "table": "t"}}},
            "extra_attributes": {"a": "{field:a}", "ab": "{field:a.b}", "mine": "{field:b}"},
        },
        "schemas": {"main.letters": {"never there": {"type": "string", "required": true}}},
        "dead_letter": {"file": {}},
        "checkpoint": {"store": "memory"},
    });
    let config = from_value(tree, &Environment::new()).unwrap().config;
    let streams = config.streams().unwrap();
    let compiled = streams.iter().filter_map(|stream| match Transform::compile(&config, stream) {
        // The rule means the key of the table.
        Err(refused) if refused.path.contains(".bigquery.protect[0]") => None,
        compiled => Some(compiled.unwrap()),
    });
    compiled.collect()
}

proptest! {
    #[test]
    fn a_protected_value_is_nowhere(
        steps in steps(), value in canary(), noise in noise(), split in 1..6_usize,
        action in 0..ACTIONS.len(), sharded in 0..3_usize,
    ) {
        let event = event_with(&steps, &value, &noise, split, sharded);
        let rules = json!({
            "protect": [{"path": rule(&steps), "action": ACTIONS[action]}],
            "enrich": {"metadata": true},
        });
        let out = apply(rules, event.as_bytes()).unwrap();
        prop_assert!(!shows_canary(&out), "{}", read(&out));
        prop_assert!(read(&out).get_document("fullDocument").unwrap().contains_key("_metadata"));
    }

    #[test]
    fn what_no_rule_leads_to_is_as_it_was(
        fields in prop::collection::vec((name(), noise()), 0..6), updated in noise(),
    ) {
        let document: Document = fields.into_iter().collect();
        let event = event(doc! {
            "fullDocument": &document, "fullDocumentBeforeChange": &document,
            "updateDescription": {"updatedFields": {"a.0.b": updated}, "removedFields": ["x.y"]},
        });
        let rules = json!({
            "protect": [
                {"path": "none.of[*].these", "action": "mask"},
                {"path": "not\\.there", "action": "remove"},
            ],
            "enrich": {"exclude": ["nor.this"], "rename": {"nor.that": "x"}},
        });
        prop_assert_eq!(apply(rules, event.as_bytes()).unwrap(), event.as_bytes());
    }

    /// Whatever rules meet whatever documents, BSON comes out.
    #[test]
    fn what_goes_out_is_bson(
        fields in prop::collection::vec((name(), noise()), 0..6), paths in prop::collection::vec(steps(), 1..5),
        action in 0..ACTIONS.len(), updated in noise(),
    ) {
        let document: Document = fields.into_iter().collect();
        let event = event(doc! {
            "fullDocument": &document, "fullDocumentBeforeChange": &document,
            "updateDescription": {"updatedFields": {dotted(&paths[0]): updated}},
        });
        let path = |index: usize| paths.get(index).map_or("x".into(), |steps| rule(steps));
        let rules = json!({
            "protect": [{"path": path(0), "action": ACTIONS[action]}],
            "enrich": {
                "metadata": true, "fields": {"a": 1}, "copy": {"b": "fullDocument.a.b"},
                "rename": {"c": "cc"}, "exclude": [path(1)], "include": [path(2), path(3), "a"],
            },
        });
        read(&apply(rules, event.as_bytes()).unwrap());
    }

    #[test]
    fn damaged_events_do_no_harm(
        document in noise(), at in 4_usize..400, byte: u8, cut in 0_usize..20,
    ) {
        let rules = json!({
            "protect": [{"path": "a", "action": "mask"}, {"path": "*[*].b", "action": "hash"}],
            "enrich": {"metadata": true, "include": ["a", "b"], "copy": {"n": "fullDocument.a"}},
        });
        let parts = doc! {
            "fullDocument": {"a": &document, "b": {"b": [&document]}},
            "updateDescription": {
                "updatedFields": {"a.b": &document, "b.0.b": "text"}, "removedFields": ["a.b", "c"],
                "truncatedArrays": [{"field": "b", "newSize": 1}],
            },
        };
        let mut bytes = RawDocumentBuf::into_bytes(event(parts));
        let at = at.min(bytes.len() - 2);
        bytes[at] = byte;
        bytes.drain(at..at + cut.min(bytes.len() - 1 - at));
        let length = i32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        if let Some(out) = apply(rules, &bytes) {
            prop_assert!(RawDocument::from_bytes(&out).is_ok());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_protected_value_is_in_no_message(
        steps in steps(), value in canary(), noise in noise(), split in 1..6_usize,
        action in 0..ACTIONS.len(), sharded in 0..3_usize,
    ) {
        let event = event_with(&steps, &value, &noise, split, sharded);
        let context = Context { now_ms: 0, redriven: false };
        for transform in transforms(&rule(&steps), ACTIONS[action]) {
            let messages = transform.apply(1, event.as_bytes(), &context).unwrap();
            prop_assert_eq!(messages.len(), 1);
            let message = PubsubMessage::decode(messages[0].body.clone()).unwrap();
            let attributes = message.attributes.values().map(String::as_bytes);
            for part in attributes.chain([&message.data[..], message.ordering_key.as_bytes()]) {
                prop_assert!(!shows_canary(part), "{:?}", message);
            }
        }
    }
}

#[test]
fn documents_nested_too_deep_are_refused() {
    let mut nested = Bson::from(1);
    for _ in 0..300 {
        nested = vec![nested].into();
    }
    let event = event(doc! {"fullDocument": {"a": nested}});
    assert!(
        apply(json!({"protect": [{"path": "a.b", "action": "mask"}]}), event.as_bytes()).is_none()
    );
}
