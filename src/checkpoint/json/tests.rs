use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Timestamp, rawdoc};

use super::*;
use crate::checkpoint::Identity;
use crate::event::Position;

fn checkpoint(position: Position) -> Checkpoint {
    Checkpoint {
        identity: Identity {
            stream: "main.orders".into(),
            scope: "collection shop.orders".into(),
            replica_set: "rs0".into(),
            ordering: "lanes 64 xxh3-64".into(),
        },
        epoch: 3,
        sequence: 5_000_000_000,
        position,
    }
}

fn stored_at() -> jiff::Timestamp {
    "2026-01-02T03:04:05.678Z".parse().unwrap()
}

/// A checkpoint's document with `field` replaced, as JSON.
fn json_with(field: &str, value: impl Into<Bson>) -> Vec<u8> {
    let time = Timestamp { time: 1_725_000_000, increment: 7 };
    let checkpoint = checkpoint(Position::OperationTime(time));
    let mut document = document::encode(&checkpoint, None, "now".into()).unwrap();
    document.insert(field, value);
    serde_json::to_vec(&document).unwrap()
}

#[test]
fn the_text_is_readable() {
    let token = rawdoc! { "_data": "8266F0C0DE000000032B04" };
    let json = encode(&checkpoint(Position::Token(token)), None, stored_at()).unwrap();
    let expected = r#"{
  "format_version": 1,
  "stream": "main.orders",
  "scope": "collection shop.orders",
  "replica_set": "rs0",
  "ordering": "lanes 64 xxh3-64",
  "epoch": 3,
  "sequence": 5000000000,
  "position": {
    "token": {
      "_data": "8266F0C0DE000000032B04"
    }
  },
  "cluster_time": {
    "$timestamp": {
      "t": 1727054046,
      "i": 3
    }
  },
  "stored_at": "2026-01-02T03:04:05.678Z"
}
"#;
    assert_eq!(String::from_utf8(json).unwrap(), expected);
}

#[test]
fn positions_come_back_to_the_byte() {
    let binary = |subtype| Binary { subtype, bytes: vec![0, 255, 128] };
    for position in [
        Position::OperationTime(Timestamp { time: u32::MAX, increment: 0 }),
        Position::Token(rawdoc! { "_data": "8266F0C0DE00000001" }),
        // The server adds type bits where numbers of different types compare as equal.
        Position::Token(rawdoc! { "_data": "82", "_typeBits": binary(BinarySubtype::Generic) }),
        // Other servers that speak the protocol.
        Position::Token(rawdoc! { "_data": binary(BinarySubtype::UserDefined(0x80)), "_kind": 1 }),
        Position::Token(rawdoc! { "z": true, "_data": "82" }),
    ] {
        let checkpoint = checkpoint(position);
        let json = encode(&checkpoint, Some("me"), stored_at()).unwrap();
        let stored = Stored { checkpoint, stored_at: Some(stored_at()), owner: Some("me".into()) };
        assert_eq!(decode(&json), Ok(stored));
    }
}

#[test]
fn a_token_that_json_would_change_is_refused() {
    let checkpoint = checkpoint(Position::Token(rawdoc! { "_data": "82", "_kind": 1_i64 }));
    let error = encode(&checkpoint, Some("me"), stored_at()).unwrap_err();
    assert!(error.starts_with("position: "), "{error}");
}

#[test]
fn every_field_that_is_read_is_missed_by_its_name() {
    let fields = [
        "format_version",
        "stream",
        "scope",
        "replica_set",
        "ordering",
        "epoch",
        "sequence",
        "position",
    ];
    for field in fields {
        let mut document: Document = serde_json::from_slice(&json_with("cluster_time", 0)).unwrap();
        document.remove(field);
        let json = serde_json::to_vec(&document).unwrap();
        assert_eq!(decode(&json), Err(format!("{field}: missing")));
        let error = decode(&json_with(field, Vec::<Bson>::new())).unwrap_err();
        assert!(error.starts_with(&format!("{field}: expected")), "{error}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let time = Timestamp { time: 1, increment: 1 };
    let secret = "8266F0C0DE";
    for (field, value, expected) in [
        ("format_version", Bson::Int32(2), "format_version: 2"),
        ("epoch", Bson::Int32(-1), "epoch: expected"),
        ("sequence", Bson::Double(1.0), "sequence: expected"),
        ("position", doc! {}.into(), "position: expected"),
        ("position", doc! { "tokens": secret }.into(), "position: expected"),
        ("position", doc! { "token": {}, "operation_time": time }.into(), "position: expected"),
        ("position", doc! { "token": secret }.into(), "position.token: expected"),
        ("position", doc! { "token": {} }.into(), "position.token: expected"),
        ("position", doc! { "operation_time": secret }.into(), "position.operation_time: expected"),
    ] {
        let error = decode(&json_with(field, value)).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
        assert!(!error.contains(secret), "a token in an error: {error}");
    }
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    let json = json_with("ordering", "none");
    for cut in 0..json.len() {
        let error = decode(&json[..cut]).unwrap_err();
        assert!(error.contains("not a valid JSON object at line"), "{cut}: {error}");
    }
    for text in ["[]", "7", "null", "\0\0\0\0", "{\"position\": {\"$timestamp\": \"8266F0C0DE\"}}"]
    {
        let error = decode(text.as_bytes()).unwrap_err();
        assert!(error.contains("not a valid JSON object at line"), "{error}");
        assert!(!error.contains("8266F0C0DE"), "{error}");
    }
}
