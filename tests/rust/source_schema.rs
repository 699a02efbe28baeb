//! A collection's own schema: read from the server, and as strict here as there.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use mongo_gcp_stream::config::{Config, Environment, StreamConfig, from_yaml};
use mongo_gcp_stream::error::Error;
use mongo_gcp_stream::source::with_own_schema;
use mongo_gcp_stream::transform::{Context, Transform};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Decimal128, Document, Timestamp, doc, oid::ObjectId};
use mongodb::options::ValidationAction;
use serde_json::json;

use crate::Bench;

fn config(database: &str, collection: &str) -> Config {
    let source = json!({
        "database": database, "collection": collection,
        "validation": {"on_invalid": "drop", "json_schema": {"collection": true}},
    });
    let yaml = json!({
        "mongodb": {"connections": {"main": {
            "uri": "mongodb://localhost/", "sources": {"orders": source},
        }}},
        "gcp": {"project_id": "p"}, "pubsub": {"topics": {"default": {"name": "changes"}}},
        "checkpoint": {"store": "memory"},
    });
    from_yaml(&yaml.to_string(), "test", &Environment::new()).unwrap().config
}

fn stream(config: &Config) -> StreamConfig {
    config.streams().unwrap().remove(0)
}

/// The values that a field may have, one document each.
fn values() -> Vec<Bson> {
    let decimal = |text: &str| Bson::from(text.parse::<Decimal128>().unwrap());
    let binary = Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 2, 3] };
    vec![
        1.into(),
        2_i64.into(),
        1.5.into(),
        7.0.into(),
        decimal("7"),
        decimal("1.5"),
        900_i64.into(),
        decimal("7.5"),
        (-3).into(),
        "".into(),
        "abc".into(),
        "€€€€".into(),
        true.into(),
        Bson::Null,
        ObjectId::from_bytes([0xab; 12]).into(),
        DateTime::from_millis(1_700_000_000_000).into(),
        Timestamp { time: 1, increment: 2 }.into(),
        binary.into(),
        Bson::MinKey,
        Bson::Array(vec![]),
        vec![1, 2].into(),
        vec![1, 1].into(),
        vec!["a", "b", "c"].into(),
        Bson::Array(vec![1.into(), "x".into(), Bson::Null]),
        Bson::Array(vec![1.into(), 1.0.into()]),
        doc! {}.into(),
        doc! {"b": 1}.into(),
        doc! {"b": "x", "c": 1}.into(),
        doc! {"c": DateTime::from_millis(1)}.into(),
    ]
}

/// Schemas of a field, in MongoDB's dialect.
fn schemas() -> Vec<Document> {
    vec![
        doc! {"type": "string"},
        doc! {"type": "number"},
        doc! {"type": ["object", "boolean"]},
        doc! {"type": "array"},
        doc! {"type": "null"},
        doc! {"bsonType": "objectId"},
        doc! {"bsonType": ["date", "decimal", "int"]},
        doc! {"bsonType": "number"},
        doc! {"minimum": 1.5},
        doc! {"minimum": 1.5, "exclusiveMinimum": true},
        doc! {"maximum": 7},
        doc! {"maximum": 7_i64, "exclusiveMaximum": true},
        doc! {"multipleOf": 1.5},
        doc! {"minLength": 3},
        doc! {"maxLength": 3},
        doc! {"pattern": "^a"},
        doc! {"minItems": 1},
        doc! {"maxItems": 2},
        doc! {"uniqueItems": true},
        doc! {"items": {"type": "number"}},
        doc! {"items": [{"type": "number"}, {"type": "string"}], "additionalItems": false},
        doc! {"items": [{"bsonType": "int"}], "additionalItems": {"bsonType": "int"}},
        doc! {"required": ["b"]},
        doc! {"minProperties": 1},
        doc! {"maxProperties": 1},
        doc! {"properties": {"b": {"type": "string"}}, "additionalProperties": false},
        doc! {"patternProperties": {"^b": {"type": "number"}}, "additionalProperties": {"bsonType": "date"}},
        doc! {"dependencies": {"b": ["c"]}},
        doc! {"dependencies": {"b": {"required": ["c"]}}},
        doc! {"enum": [7, "abc", true, Bson::Null, [1, 2], {"b": 1}, "ab".repeat(12)]},
        doc! {"not": {"type": "string"}},
        doc! {"anyOf": [{"type": "string"}, {"minimum": 2}]},
        doc! {"oneOf": [{"type": "number"}, {"minimum": 2}]},
        doc! {"allOf": [{"type": "number"}, {"maximum": 2}], "title": "t", "description": "d"},
    ]
}

/// The `_id`s of documents that our validator lets through.
fn let_through(transform: &Transform, documents: &[Document]) -> BTreeSet<i32> {
    let valid = |document: &&Document| {
        let event = doc! {
            "_id": {"_data": "8265F1C2A0000000012B022C0100296E5A1004"},
            "operationType": "insert", "clusterTime": Timestamp { time: 1, increment: 1 },
            "ns": {"db": "shop", "coll": "orders"},
            "documentKey": {"_id": document.get("_id")}, "fullDocument": (*document).clone(),
        };
        let context = Context { now_ms: 0, redriven: false };
        let messages = transform.apply(0, &event.to_vec().unwrap(), &context).unwrap();
        !messages.is_empty()
    };
    documents.iter().filter(valid).map(|document| document.get_i32("_id").unwrap()).collect()
}

#[tokio::test]
async fn what_the_server_takes_is_valid_and_nothing_else() {
    let bench = Bench::new().await;
    let documents: Vec<Document> =
        (0..).zip(values()).map(|(id, value)| doc! {"_id": id, "a": value}).collect();
    for (number, field) in schemas().into_iter().enumerate() {
        let schema = doc! {"bsonType": "object", "required": ["a"], "properties": {"a": &field}};
        let name = format!("held{number}");
        let create = bench.database.create_collection(&name);
        let create = create.validator(doc! {"$jsonSchema": &schema});
        create.validation_action(ValidationAction::Warn).await.unwrap();
        let collection = bench.database.collection::<Document>(&name);
        collection.insert_many(&documents).await.unwrap();
        let found = collection.find(doc! {"$jsonSchema": &schema}).await.unwrap();
        let found: Vec<Document> = found.try_collect().await.unwrap();
        let expected: BTreeSet<i32> =
            found.iter().map(|document| document.get_i32("_id").unwrap()).collect();
        assert!(!expected.is_empty() && expected.len() < documents.len(), "{field}");

        let config = config(bench.database.name(), &name);
        let own = with_own_schema(&bench.client, &stream(&config)).await.unwrap().into_owned();
        let transform = Transform::compile(&config, &own).unwrap();
        let valid = let_through(&transform, &documents);
        let differ: Vec<_> = valid
            .symmetric_difference(&expected)
            .map(|&id| documents[usize::try_from(id).unwrap()].clone())
            .collect();
        assert!(differ.is_empty(), "{field}: {differ:?}");
    }
}

#[tokio::test]
async fn a_collection_without_a_plain_schema_is_refused() {
    let bench = Bench::new().await;
    let mixed = doc! {"$jsonSchema": {"required": ["a"]}, "b": {"$exists": true}};
    let hidden = doc! {"$jsonSchema": {"properties": {"a": {"enum": [ObjectId::new()]}}}};
    for (name, validator, path, text) in [
        ("none", None, "", "no validator"),
        ("query", Some(doc! {"b": 1}), "", "no `$jsonSchema`"),
        ("mixed", Some(mixed), "", "beside"),
        ("values", Some(hidden), ".properties.a.enum[0]", "inline"),
    ] {
        if let Some(validator) = validator {
            bench.database.create_collection(name).validator(validator).await.unwrap();
        }
        let config = config(bench.database.name(), name);
        let error = with_own_schema(&bench.client, &stream(&config)).await.unwrap_err();
        let Error::Config(error) = error else { panic!("{name}: {error}") };
        let key = "mongodb.connections.main.sources.orders.validation.json_schema.collection";
        assert_eq!(error.path, format!("{key}{path}"));
        assert!(error.message.contains(text), "{error}");
        // Nothing is compiled without the schema that was asked for.
        assert_eq!(Transform::compile(&config, &stream(&config)).unwrap_err().path, key);
    }
}
