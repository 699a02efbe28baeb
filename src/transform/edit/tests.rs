#![expect(clippy::needless_pass_by_value, reason = "a literal is handed over")]

use mongodb::bson::{Document, RawDocument, RawDocumentBuf, Timestamp, doc};
use serde_json::{Value, json};

use super::*;
use crate::config::{Environment, from_value};

const TOKEN: &str = "8265F1C2A0000000012B022C0100296E5A1004";
const KEY: &str = "a key of at least 16 bytes";

/// The edits of the source `main.orders` with these keys.
pub(in crate::transform) fn edits(source: Value, key: Option<&str>) -> Edits {
    let config = config(source, key).unwrap();
    Edits::compile(&config, &config.streams().unwrap()[0]).unwrap().unwrap()
}

pub(in crate::transform) fn config(
    source: Value,
    key: Option<&str>,
) -> Result<Config, ConfigError> {
    let mut orders = json!({"database": "shop", "collection": "orders"});
    orders.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
    let mut tree = json!({
        "mongodb": {"connections": {"main": {
            "uri": "mongodb://localhost", "sources": {"orders": orders},
        }}},
    });
    if let Some(key) = key {
        tree["protection"] = json!({"key": key});
    }
    from_value(tree, &Environment::new()).map(|loaded| loaded.config)
}

pub(in crate::transform) fn event(parts: Document) -> RawDocumentBuf {
    let mut event = doc! {
        "_id": {"_data": TOKEN},
        "operationType": "update",
        "clusterTime": Timestamp { time: 1_700_000_000, increment: 7 },
        "ns": {"db": "shop", "coll": "orders"},
        "documentKey": {"_id": 1},
    };
    event.extend(parts);
    RawDocumentBuf::try_from(&event).unwrap()
}

/// The event as it goes out.
pub(in crate::transform) fn applied(
    edits: &Edits,
    event: &RawDocument,
) -> Result<Document, RecordError> {
    let mut out = vec![1, 2, 3];
    let change = ChangeEvent::decode(event.as_bytes()).unwrap();
    let done =
        edits.apply(&change, &Context { now_ms: 1_700_000_000_250, redriven: false }, &mut out);
    if let Err(error) = done {
        assert!(out.is_empty());
        return Err(error);
    }
    Ok(Document::try_from(RawDocument::from_bytes(&out).unwrap()).unwrap())
}

/// What becomes of a full document.
fn full(source: Value, document: Document) -> Document {
    let edits = edits(source, Some(KEY));
    let out = applied(&edits, &event(doc! {"fullDocument": document})).unwrap();
    out.get_document("fullDocument").unwrap().clone()
}

#[test]
fn a_mask_and_a_removal() {
    let rules = json!({"protect": [
        {"path": "users[*].email", "action": "mask"},
        {"path": "secret", "action": "remove"},
    ]});
    let document =
        doc! {"a": 1, "users": [{"email": "jane@example.com", "x": 1}], "secret": 5, "z": 2};
    let expected = doc! {"a": 1, "users": [{"email": "XXXXXXXXXXXX.com", "x": 1}], "z": 2};
    assert_eq!(full(rules, document), expected);
}

#[test]
fn every_part_of_an_event_is_protected() {
    let rules = json!({"protect": [
        {"path": "users[*].email", "action": "mask"},
        {"path": "address", "action": "hash"},
        {"path": "pin", "action": "remove"},
    ]});
    let user = || doc! {"email": "12345", "x": 1};
    let document = || doc! {"users": [user()], "pin": 5, "a": 1};
    let delta = doc! {
        "updatedFields": {
            "users.0.email": "12345", "users.1": user(), "users": [user()], "address.zip": "12345",
            "pin": 5, "a": 1,
        },
        "removedFields": ["pin", "address.street", "address", "users.0.email"],
        "truncatedArrays": [{"field": "users", "newSize": 1}, {"field": "address", "newSize": 2}],
        "disambiguatedPaths": {"users.0.email": ["users", 0, "email"], "address.0": ["address", 0]},
        "not known": {"email": "12345"},
    };
    let event = event(doc! {
        "fullDocument": document(), "fullDocumentBeforeChange": document(),
        "updateDescription": delta, "copied": document(), "txnNumber": 5_i64,
    });
    let out = applied(&edits(rules, Some(KEY)), &event).unwrap();
    let hidden = || doc! {"email": "X2345", "x": 1};
    let expected = doc! {
        "_id": {"_data": TOKEN},
        "operationType": "update",
        "clusterTime": Timestamp { time: 1_700_000_000, increment: 7 },
        "ns": {"db": "shop", "coll": "orders"},
        "documentKey": {"_id": 1},
        "fullDocument": {"users": [hidden()], "a": 1},
        "fullDocumentBeforeChange": {"users": [hidden()], "a": 1},
        "updateDescription": {
            "updatedFields": {
                "users.0.email": "X2345", "users.1": hidden(), "users": [hidden()], "a": 1,
            },
            "removedFields": ["pin", "address", "users.0.email"],
            "truncatedArrays": [{"field": "users", "newSize": 1}],
            "disambiguatedPaths": {"users.0.email": ["users", 0, "email"]},
        },
        "txnNumber": 5_i64,
    };
    assert_eq!(out, expected);
}

#[test]
fn what_is_not_understood_does_not_go_out() {
    let edits = edits(json!({"protect": [{"path": "a", "action": "mask"}]}), None);
    for parts in [
        doc! {"fullDocument": "text"},
        doc! {"fullDocumentBeforeChange": [1]},
        doc! {"documentKey": 1},
        doc! {"updateDescription": "text"},
        doc! {"updateDescription": {"updatedFields": ["text"]}},
        doc! {"updateDescription": {"removedFields": [{"a": 1}]}},
        doc! {"updateDescription": {"truncatedArrays": [{"x": 1}]}},
        doc! {"updateDescription": {"truncatedArrays": [{"field": "b", "newSize": "x"}]}},
        doc! {"updateDescription": {"disambiguatedPaths": {"b.c": "x"}}},
        doc! {"updateDescription": {"disambiguatedPaths": {"b.c": [{"x": 1}]}}},
    ] {
        let error = applied(&edits, &event(parts.clone())).unwrap_err();
        assert_eq!(error.kind, RecordErrorKind::Protect, "{parts}");
    }
    let nulls = doc! {"fullDocument": null, "updateDescription": {"updatedFields": null}};
    assert!(applied(&edits, &event(nulls)).is_ok());
}

#[test]
fn nothing_configured_is_nothing() {
    let config = config(json!({}), Some(KEY)).unwrap();
    assert!(Edits::compile(&config, &config.streams().unwrap()[0]).unwrap().is_none());
}

#[test]
fn rules_are_refused_with_their_path() {
    let rule = |path: &str, action: &str| json!({"protect": [{"path": "a", "action": "mask"}, {"path": path, "action": action}]});
    let source = "mongodb.connections.main.sources.orders.protect[1]";
    for (path, action, key, expected) in [
        ("a..b", "mask", Some(KEY), format!("{source}.path")),
        ("a", "hash", None, format!("{source}.action")),
        ("a", "tokenise", None, format!("{source}.action")),
        ("_id.x", "mask", None, format!("{source}.path")),
        ("*", "remove", None, format!("{source}.path")),
        ("a", "mask", Some("too short"), "protection.key".to_owned()),
    ] {
        assert_eq!(config(rule(path, action), key).unwrap_err().path, expected);
    }
    let wide = json!({"protect": [{"path": "a", "action": "mask", "mask_char": "ab"}]});
    assert!(config(wide, None).unwrap_err().path.ends_with("protect[0].mask_char"));
    let many: Vec<_> = (0..300).map(|n| json!({"path": n.to_string(), "action": "mask"})).collect();
    let config = config(json!({"protect": many}), None).unwrap();
    let error = Edits::compile(&config, &config.streams().unwrap()[0]).unwrap_err();
    assert_eq!(error.path, "mongodb.connections.main.sources.orders.protect[255].path");
}

#[test]
fn a_reference_is_no_key() {
    let rule = json!({"protect": [{"path": "a", "action": "hash"}]});
    let config = config(rule, Some("secret://projects/p/secrets/s/versions/1")).unwrap();
    let error = Edits::compile(&config, &config.streams().unwrap()[0]).unwrap_err();
    assert_eq!(error.path, "protection.key");
    assert!(error.message.contains("Beam pipelines only"), "{error}");
}

#[test]
fn rules_step_through_arrays() {
    let rules = |paths: [&str; 3]| {
        let rule = |path| json!({"path": path, "action": "mask", "keep": 0});
        json!({"protect": paths.map(rule)})
    };
    let document = || doc! {"a": [[{"b": "x"}], {"b": ["x", 1, null]}, "x"], "c": {"b": "x"}};
    let out = full(rules(["a.b", "none", "none[*]"]), document());
    let masked = doc! {"a": [[{"b": "X"}], {"b": "XXXX"}, "x"], "c": {"b": "x"}};
    assert_eq!(out, masked);
    let out = full(rules(["a[*].b[*]", "c[*].b[*]", "none"]), document());
    let masked = doc! {"a": [[{"b": "X"}], {"b": ["X", "XXXX", null]}, "x"], "c": {"b": "X"}};
    assert_eq!(out, masked);
    let out = full(rules(["a.0.b", "a.2", "c.*"]), document());
    let masked = doc! {"a": [[{"b": "X"}], {"b": ["x", 1, null]}, "X"], "c": {"b": "X"}};
    assert_eq!(out, masked);
    let out = full(rules(["a.*", "c", "none"]), document());
    assert_eq!(out, doc! {"a": ["XXXX", "XXXX", "X"], "c": "XXXX"});
    assert_eq!(
        full(json!({"protect": [{"path": "a[*]", "action": "remove"}]}), document()),
        doc! {"a": [], "c": {"b": "x"}}
    );
}

mod guide;
mod key;
mod properties;

fn by_field(path: &str) -> Ordering {
    serde_json::from_value(json!(format!("field:{path}"))).unwrap()
}

#[test]
fn lanes_are_keyed_where_they_would_tell_what_is_protected() {
    let rules = || json!({"protect": [{"path": "customer.email", "action": "mask"}]});
    let keyed = edits(rules(), Some(KEY));
    for path in ["customer.email", "customer"] {
        assert!(keyed.lane_seed(&by_field(path)).unwrap().is_some(), "{path}");
        let refused = edits(rules(), None).lane_seed(&by_field(path)).unwrap_err();
        assert_eq!(refused.path, "pubsub.ordering");
    }
    assert_eq!(keyed.lane_seed(&by_field("customer.id")), Ok(None));
    assert_eq!(keyed.lane_seed(&Ordering::Lanes), Ok(None));
    let id = edits(json!({"protect": [{"path": "_id", "action": "hash"}]}), Some(KEY));
    assert!(id.lane_seed(&Ordering::Lanes).unwrap().is_some());
}
