use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{
    Binary, Bson, DateTime, Decimal128, Document, JavaScriptCodeWithScope, Regex, Timestamp, doc,
    oid::ObjectId,
};
use serde_json::json;

use super::*;

pub(super) fn compiled(schema: Value) -> JsonSchema {
    let config = JsonSchemaConfig { inline: Some(schema), ..JsonSchemaConfig::default() };
    JsonSchema::compile(&config).unwrap()
}

/// What `document` breaks of a schema.
fn broken(schema: Value, document: &Document) -> String {
    let mut broken = Vec::new();
    compiled(schema).check(&document.to_vec().unwrap(), &mut broken);
    broken.join("; ")
}

/// What the field `a` breaks of a schema.
fn of_value(schema: &Value, value: impl Into<Bson>) -> String {
    broken(json!({"properties": {"a": schema}}), &doc! {"a": value.into()})
}

/// A value of each type, by its alias.
pub(super) fn every_type() -> Vec<(&'static str, Bson)> {
    let scoped = JavaScriptCodeWithScope { code: "f()".into(), scope: doc! {"x": 1} };
    let regex = Regex { pattern: "^a\"".try_into().unwrap(), options: "i".try_into().unwrap() };
    let binary = Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 2, 3] };
    vec![
        ("double", 1.5.into()),
        ("string", "text".into()),
        ("object", doc! {"b": 1}.into()),
        ("array", vec![1, 2].into()),
        ("binData", binary.into()),
        ("undefined", Bson::Undefined),
        ("objectId", ObjectId::from_bytes([7; 12]).into()),
        ("bool", true.into()),
        ("date", DateTime::from_millis(1).into()),
        ("null", Bson::Null),
        ("regex", regex.into()),
        ("javascript", Bson::JavaScriptCode("g()".into())),
        ("symbol", Bson::Symbol("s".into())),
        ("javascriptWithScope", scoped.into()),
        ("int", 1_i32.into()),
        ("timestamp", Timestamp { time: 1, increment: 2 }.into()),
        ("long", 2_i64.into()),
        ("decimal", "2.5".parse::<Decimal128>().unwrap().into()),
        ("minKey", Bson::MinKey),
        ("maxKey", Bson::MaxKey),
    ]
}

#[test]
fn a_bson_type_is_that_of_the_value() {
    let types = every_type();
    for (alias, _) in &types {
        for (other, value) in &types {
            let expected = if alias == other { "" } else { "a: bsonType" };
            assert_eq!(of_value(&json!({"bsonType": alias}), value.clone()), expected, "{other}");
        }
    }
    let numbers = ["double", "int", "long", "decimal"];
    for (alias, value) in types {
        let is_number = numbers.contains(&alias);
        let found = of_value(&json!({"bsonType": ["number", "date"]}), value);
        assert_eq!(found.is_empty(), is_number || alias == "date", "{alias}");
    }
}

#[test]
fn every_keyword_is_told_by_its_name() {
    for (schema, value, keyword) in [
        (json!({"type": "string"}), Bson::from(1), "type"),
        (json!({"type": ["string", "null"]}), 1.into(), "type"),
        (json!({"type": "integer"}), 1.5.into(), "type"),
        (json!({"enum": ["x", 1]}), 2.into(), "enum"),
        (json!({"const": {"b": [1]}}), doc! {"b": [2]}.into(), "const"),
        (json!({"multipleOf": 2}), 3.into(), "multipleOf"),
        (json!({"minimum": 2}), 1.into(), "minimum"),
        (json!({"maximum": 2}), 2.5.into(), "maximum"),
        (json!({"exclusiveMinimum": 2}), 2_i64.into(), "exclusiveMinimum"),
        (json!({"exclusiveMaximum": 2}), 2.into(), "exclusiveMaximum"),
        (json!({"minLength": 2}), "€".into(), "minLength"),
        (json!({"maxLength": 2}), "abc".into(), "maxLength"),
        (json!({"pattern": "^[A-Z]+$"}), "a".into(), "pattern"),
        (json!({"minItems": 1}), Bson::Array(vec![]), "minItems"),
        (json!({"maxItems": 1}), vec![1, 2].into(), "maxItems"),
        (json!({"uniqueItems": true}), Bson::Array(vec![1.into(), 1.0.into()]), "uniqueItems"),
        (json!({"contains": {"const": 3}}), vec![1, 2].into(), "contains"),
        (json!({"unevaluatedItems": false}), vec![1].into(), "unevaluatedItems"),
        (json!({"minProperties": 2}), doc! {"b": 1}.into(), "minProperties"),
        (json!({"maxProperties": 0}), doc! {"b": 1}.into(), "maxProperties"),
        (json!({"additionalProperties": false}), doc! {"b": 1}.into(), "additionalProperties"),
        (json!({"unevaluatedProperties": false}), doc! {"b": 1}.into(), "unevaluatedProperties"),
        (json!({"propertyNames": {"maxLength": 1}}), doc! {"bb": 1}.into(), "propertyNames"),
        (json!({"anyOf": [{"type": "null"}, {"minimum": 9}]}), 1.into(), "anyOf"),
        (json!({"oneOf": [{"minimum": 0}, {"maximum": 9}]}), 1.into(), "oneOf"),
        (json!({"oneOf": [{"minimum": 5}, {"maximum": 0}]}), 1.into(), "oneOf"),
        (json!({"not": {"type": "integer"}}), 1.into(), "not"),
        (json!({"allOf": [{"maximum": 0}]}), 1.into(), "maximum"),
        (json!({"if": {"minimum": 0}, "then": {"maximum": 0}}), 1.into(), "maximum"),
        (json!({"if": {"maximum": 0}, "else": {"maximum": 0}}), 1.into(), "maximum"),
        (json!(false), 1.into(), "false"),
    ] {
        assert_eq!(of_value(&schema, value), format!("a: {keyword}"), "{schema}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let schema = json!({
        "required": ["b"], "dependentRequired": {"a": ["c"]},
        "properties": {"a": {"required": ["d"]}},
    });
    let told = broken(schema, &doc! {"a": {}});
    assert_eq!(told, "b: required; c: required; a.d: required");
}

#[test]
fn paths_lead_into_documents_and_arrays() {
    let schema = json!({
        "$defs": {"line": {"properties": {"quantity": {"minimum": 1}}}},
        "properties": {
            "customer": {"properties": {"email": {"minLength": 3}}},
            "items": {"items": {"$ref": "#/$defs/line"}},
        },
    });
    let document = doc! {
        "customer": {"email": "x"}, "items": [{"quantity": 1}, {}, {"quantity": 0}],
    };
    assert_eq!(broken(schema, &document), "customer.email: minLength; items[2].quantity: minimum");
}

#[test]
fn names_that_only_the_document_has_are_not_told() {
    let document = doc! {"by_id": {"4711": 1, "canary@x": "canary"}, "canary": {"by_id": "canary"}};
    for schema in [
        json!({"properties": {"by_id": {"additionalProperties": {"type": "null"}}}}),
        json!({"properties": {"by_id": {"patternProperties": {"^[4c]": {"type": "null"}}}}}),
        json!({"properties": {"by_id": {"unevaluatedProperties": {"type": "null"}}}}),
    ] {
        let told = broken(schema.clone(), &document);
        assert!(told.starts_with("by_id: ") && !told.contains("4711"), "{told}");
        assert!(!told.contains("canary"), "{told}");
    }
    let told = broken(json!({"additionalProperties": false}), &document);
    assert_eq!(told, "document: additionalProperties");
    let inner = json!({"additionalProperties": {"properties": {"by_id": {"type": "null"}}}});
    assert_eq!(broken(inner, &document), "document: type");
}

#[test]
fn a_schema_may_lead_back_to_itself() {
    let schema = json!({"properties": {"next": {"$ref": "#"}, "number": {"type": "integer"}}});
    let document = doc! {"next": {"next": {"number": "x"}}};
    assert_eq!(broken(schema, &document), "next.next.number: type");
    let circle = json!({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"});
    assert_eq!(broken(circle, &doc! {"a": 1}), "");
}

#[test]
fn a_format_asserts_nothing() {
    assert_eq!(of_value(&json!({"format": "email"}), "no address"), "");
}

#[test]
fn not_more_than_some_errors_are_told() {
    let schema = json!({"items": {"type": "string"}});
    let told = of_value(&schema, (0..100).collect::<Vec<i32>>());
    assert_eq!(told.split("; ").count(), MAX_ERRORS);
}
