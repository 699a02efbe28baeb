#![expect(clippy::format_collect, reason = "the digits of a few bytes")]

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Decimal128, Document, Timestamp, doc};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::{Environment, from_value};
use crate::event::ChangeEvent;

const TOKEN: &str = "826B03969A000000172B022C01002C02586E5A1004E9AACE0025F44B0DBFFFF7DC340FA873461E5F6964002B020004";

const NUMBER: &str = "6b03969a00000017/0000012d";

fn table(more: &Value) -> BigQueryConfig {
    let mut table = json!({"dataset": "shop", "table": "orders"});
    table.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(table).unwrap()
}

fn event(operation: &str, token: &str, full: impl Into<Bson>) -> Document {
    doc! {
        "_id": {"_data": token},
        "operationType": operation,
        "documentKey": {"_id": 7},
        "fullDocument": full.into(),
    }
}

fn write(rows: &BigQueryCdc, event: &Document) -> Result<Option<Value>, Refusal> {
    let bytes = event.to_vec().unwrap();
    let read = ChangeEvent::decode(&bytes).unwrap();
    let record = Record { change: read, event_id: &read.event_id(), read: &read, now_ms: 0 };
    let mut out = MessageWriter::with_capacity(100);
    out.begin();
    if rows.write(&record, &mut out)? == Written::Nothing {
        return Ok(None);
    }
    let message: googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage =
        prost::Message::decode(out.message()).unwrap();
    Ok(Some(serde_json::from_slice(&message.data).unwrap()))
}

fn row_of(columns: &Value, document: Document) -> Result<Value, Refusal> {
    let rows = BigQueryCdc::new(&table(columns));
    write(&rows, &event("insert", TOKEN, document)).map(Option::unwrap)
}

fn stream(source: &Value, topic: &Value) -> Result<BigQueryCdc, ConfigError> {
    let mut orders = json!({"database": "shop", "collection": "orders"});
    orders.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
    let tree = json!({
        "mongodb": {"connections": {"main": {
            "uri": "mongodb://localhost", "sources": {"orders": orders},
        }}},
        "gcp": {"project_id": "p"},
        "pubsub": {"topics": {"default": topic}},
        "checkpoint": {"store": "memory"},
    });
    let config = from_value(tree, &Environment::new()).unwrap().config;
    let topic = &config.pubsub.as_ref().unwrap().topics["default"];
    BigQueryCdc::compile(&config.streams().unwrap()[0], Some(("default", topic)))
}

#[test]
fn what_a_stream_needs_is_told_by_its_path() {
    let topic = json!({"name": "rows", "bigquery": {"dataset": "shop", "table": "orders"}});
    assert!(stream(&json!({}), &topic).is_ok());
    assert!(stream(&json!({"full_document": "required"}), &topic).is_ok());
    let path = |source: Value, topic: &Value| stream(&source, topic).unwrap_err().path;
    let source = "mongodb.connections.main.sources.orders";
    for image in ["default", "when_available"] {
        let missing = path(json!({"full_document": image}), &topic);
        assert_eq!(missing, format!("{source}.full_document"));
    }
    let skipped = path(json!({"skip_operations": ["delete"]}), &topic);
    assert_eq!(skipped, format!("{source}.skip_operations"));
    assert_eq!(path(json!({}), &json!({"name": "rows"})), "pubsub.topics.default.bigquery");
}

#[test]
fn the_key_of_a_table_stays_the_documents_own() {
    let topic = |key: &str| {
        let table = json!({"dataset": "shop", "table": "orders", "primary_key": [key]});
        json!({"name": "rows", "bigquery": table})
    };
    let wrong = |key: &str, source: &Value| {
        let path = stream(source, &topic(key)).err()?.path;
        Some(path.strip_prefix("mongodb.connections.main.sources.orders.")?.to_owned())
    };
    for (key, enrich, at) in [
        ("_id", json!({"copy": {"_id": "fullDocument.no"}}), "copy._id"),
        ("_id", json!({"fields": {"_id": "static"}}), "fields._id"),
        ("_metadata", json!({"metadata": true}), "metadata"),
        ("id", json!({"rename": {"_id": "id"}}), "rename._id"),
        ("_id", json!({"rename": {"_id.a": "b"}}), "rename._id.a"),
        ("_id", json!({"exclude": ["a", "_id"]}), "exclude[1]"),
        ("no", json!({"exclude": ["*"]}), "exclude[0]"),
        ("no", json!({"include": ["a", "no.part"]}), "include"),
    ] {
        let found = wrong(key, &json!({"enrich": enrich}));
        assert_eq!(found, Some(format!("enrich.{at}")), "{enrich}");
    }
    let masked = json!([{"path": "a", "action": "remove"}, {"path": "no", "action": "mask"}]);
    assert_eq!(wrong("no", &json!({"protect": masked})).as_deref(), Some("protect[1].action"));
    let fine = json!({
        "enrich": {
            "include": ["no", "a", "b.c"], "exclude": ["b.c", "*.secret"], "rename": {"a": "no_of_another"},
            "fields": {"region": "eu"}, "metadata": true,
        },
        "protect": [{"path": "a", "action": "mask"}],
    });
    assert_eq!(wrong("no", &fine), None);
    assert_eq!(wrong("_id", &fine), None);
}

/// The golden file: also what BigQuery's model is fed with in the Python tests.
#[test]
fn rows_are_those_of_the_golden_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/bigquery_rows.json");
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(cases.len() >= 8);
    for case in cases {
        let event: Document = serde_json::from_value(case["event"].clone()).unwrap();
        let rows = BigQueryCdc::new(&table(&case["bigquery"]));
        let row = write(&rows, &event).unwrap().unwrap_or_default();
        assert_eq!(row, case["data"], "{}", case["name"]);
    }
}

#[test]
fn values_are_what_bigquerys_json_takes() {
    let id = ObjectId::from_bytes([0xab; 12]);
    let row = row_of(
        &json!({}),
        doc! {
            "_id": id, "long": i64::MAX, "nan": f64::NAN, "low": f64::NEG_INFINITY,
            "decimal": "1.50".parse::<Decimal128>().unwrap(),
            "date": DateTime::from_millis(1_700_000_000_250),
            "bytes": Bson::Binary(mongodb::bson::Binary {
                subtype: mongodb::bson::spec::BinarySubtype::Generic, bytes: vec![0xff, 0xfe],
            }),
            "nested": {"a\"b": [1, {"c": id}, Bson::Null]}, "text": "a\"\n",
            "stamp": Timestamp { time: 7, increment: 2 }, "none": Bson::Null, "small": 1.0,
        },
    );
    let expected = json!({
        "_CHANGE_TYPE": "UPSERT", "_CHANGE_SEQUENCE_NUMBER": NUMBER,
        "_id": "abababababababababababab", "long": "9223372036854775807", "nan": "NaN",
        "low": "-Infinity", "decimal": "1.50", "date": "2023-11-14T22:13:20.250Z",
        "bytes": "//4=", "nested": r#"{"a\"b":[1,{"c":"abababababababababababab"},null]}"#,
        "text": "a\"\n", "stamp": "7.2", "none": null, "small": 1.0,
    });
    assert_eq!(row.unwrap(), expected);
    let late = row_of(&json!({}), doc! {"_id": 1, "d": DateTime::MAX}).unwrap_err();
    assert!(late.1.contains("years 1 to 9999"), "{}", late.1);
}

#[test]
fn columns_of_texts_are_sent_as_texts() {
    let columns = json!({"primary_key": ["_id", "shop"],
                         "columns": {"shop": "INT64", "paid": "STRING(9)"}});
    let row = row_of(&columns, doc! {"_id": 1, "shop": 2, "paid": true, "total": 3}).unwrap();
    assert_eq!(row["_id"], "1");
    assert_eq!(row["shop"], 2);
    assert_eq!(row["paid"], "true");
    assert_eq!(row["total"], 3);
    assert!(row_of(&columns, doc! {"_id": 1}).is_err(), "without a field of the key");
}

#[test]
fn names_that_cannot_be_columns_are_made_ones() {
    assert_eq!(column_name("_id"), "_id");
    assert_eq!(column_name("totalPrice_2"), "totalPrice_2");
    for (name, column) in [
        ("_CHANGE_TYPE", "f__CHANGE_TYPE_"),
        ("_partitiontime", "f__partitiontime_"),
        ("__root__x", "f___root__x_"),
        ("1st", "f_1st_"),
        ("total-price", "total_price_"),
        ("größe", "gr__e_"),
        ("", "f__"),
    ] {
        let renamed = column_name(name);
        assert!(renamed.starts_with(column), "{renamed}");
        assert_eq!(renamed.len(), column.len() + 8);
    }
    assert_ne!(column_name("a-b"), column_name("a+b"));
}

#[test]
fn names_that_differ_in_case_have_columns_of_their_own() {
    let names = |columns: &Value, document: Document| {
        let row = row_of(columns, document).unwrap();
        let mut names: Vec<String> = row.as_object().unwrap().keys().cloned().collect();
        names.retain(|name| name.to_lowercase().starts_with("name"));
        names.sort();
        names
    };
    let one_way = names(&json!({}), doc! {"_id": 1, "Name": 1, "name": 2});
    assert_eq!(one_way, names(&json!({}), doc! {"_id": 1, "name": 2, "Name": 1}));
    let [renamed, kept] = <[String; 2]>::try_from(one_way).unwrap();
    assert_eq!(kept, "name");
    let columns = json!({"columns": {"name": "INT64"}});
    assert_eq!(names(&columns, doc! {"_id": 1, "Name": 1}), [renamed]);
    assert_eq!(names(&json!({}), doc! {"_id": 1, "Name": 1}), ["Name"]);
}

#[test]
fn what_is_not_about_a_document_makes_no_row() {
    let rows = BigQueryCdc::new(&table(&json!({})));
    for operation in ["drop", "rename", "invalidate", "dropDatabase", "create"] {
        assert_eq!(write(&rows, &event(operation, TOKEN, Bson::Null)).unwrap(), None);
    }
    assert_eq!(write(&rows, &event("update", TOKEN, Bson::Null)).unwrap(), None);
    let mut without = event("update", TOKEN, Bson::Null);
    without.remove("fullDocument");
    assert_eq!(write(&rows, &without).unwrap_err().0, RecordErrorKind::Format);
}

#[test]
fn a_delete_has_the_key_alone() {
    let rows = BigQueryCdc::new(&table(&json!({"primary_key": ["_id", "shop"]})));
    let mut delete = event("delete", TOKEN, Bson::Null);
    assert!(write(&rows, &delete).unwrap_err().1.contains("full_document_before_change"));
    delete.insert("fullDocumentBeforeChange", doc! {"_id": 7, "shop": "s", "total": 1});
    let expected = json!({"_CHANGE_TYPE": "DELETE", "_CHANGE_SEQUENCE_NUMBER": NUMBER,
                          "_id": "7", "shop": "s"});
    assert_eq!(write(&rows, &delete).unwrap(), Some(expected));
}

#[test]
fn a_token_that_is_not_known_is_refused_without_its_text() {
    let rows = BigQueryCdc::new(&table(&json!({})));
    let event = event("insert", "826B03969A000000172B99", doc! {"_id": 1});
    let (kind, message) = write(&rows, &event).unwrap_err();
    assert_eq!(kind, RecordErrorKind::Format);
    assert!(message.contains("layout") && !message.contains("6B03969A"), "{message}");
}

fn token(seconds: u32, ordinal: u32, index: u32) -> String {
    let shifted = (u64::from(index) << 1).to_be_bytes();
    let bytes: Vec<u8> = shifted.into_iter().skip_while(|&byte| byte == 0).collect();
    let digits: String = bytes.iter().map(|byte| std::format!("{byte:02X}")).collect();
    let kind = if index == 0 { 0x29 } else { 0x2a + bytes.len() };
    std::format!("82{seconds:08X}{ordinal:08X}2B022C0100{kind:02X}{digits}6E5A1004")
}

/// The two groups as numbers.
fn groups(number: &str) -> (u64, u64) {
    let (time, index) = number.split_once('/').unwrap();
    assert!(time.len() <= 16 && index.len() <= 16);
    let read = |text| u64::from_str_radix(text, 16).unwrap();
    (read(time), read(index))
}

proptest! {
    /// As the tokens, so the numbers: group by group, and as text.
    #[test]
    fn the_number_rises_as_the_events_do(
        a: (u32, u32, u32), b: (u32, u32, u32), same_time: bool,
    ) {
        let b = if same_time { (a.0, a.1, b.2) } else { b };
        let number = |(seconds, ordinal, index)| {
            let mut out = Vec::new();
            assert!(sequence::write(token(seconds, ordinal, index).as_bytes(), &mut out));
            String::from_utf8(out).unwrap()
        };
        let (one, other) = (number(a), number(b));
        prop_assert_eq!(groups(&one).cmp(&groups(&other)), a.cmp(&b));
        prop_assert!(groups(&one).1 > 0, "room for a snapshot below");
        if a.2 < u32::MAX && b.2 < u32::MAX {
            prop_assert_eq!(one.cmp(&other), a.cmp(&b));
        }
    }

    /// Each name keeps its own column, and each is one that BigQuery takes.
    #[test]
    fn every_column_is_one_that_bigquery_takes(name in ".{0,400}", other in ".{0,400}") {
        let column = column_name(&name);
        prop_assert!((1..=300).contains(&column.len()));
        prop_assert!(column.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
        prop_assert!(!column.as_bytes()[0].is_ascii_digit());
        prop_assert_eq!(column_name(&column), column.as_ref(), "no further renaming");
        prop_assert_eq!(name == other, column_name(&other) == column);
    }
}
