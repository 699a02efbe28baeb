//! Laws of both kinds of rules, on random documents.

use jsonschema::options;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{
    Binary, Bson, DateTime, Decimal128, Document, Regex, Timestamp, doc, oid::ObjectId,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::json_schema::strict;
use crate::config::{Environment, JsonMode, JsonSchemaConfig, from_value};
use crate::format::json::write_document;

/// A value of the types that JSON has too, dates and object ids.
fn common() -> impl Strategy<Value = Bson> {
    prop_oneof![
        "[a-c€\"\\\\]{0,4}".prop_map(Bson::from),
        (-3..12_i32).prop_map(Bson::from),
        (-3..12_i64).prop_map(Bson::from),
        any::<i64>().prop_map(Bson::from),
        (-300..1200_i32).prop_map(|hundredths| Bson::from(f64::from(hundredths) / 100.0)),
        any::<bool>().prop_map(Bson::from),
        Just(Bson::Null),
        any::<[u8; 12]>().prop_map(|id| ObjectId::from_bytes(id).into()),
        any::<i32>().prop_map(|s| DateTime::from_millis(i64::from(s) * 500).into()),
        vec((-3..4_i32).prop_map(Bson::from), 0..4).prop_map(Bson::from),
    ]
}

/// A value of any type.
fn value() -> impl Strategy<Value = Bson> {
    let text = |text: &str| text.try_into().unwrap();
    let decimal = |text: &str| Bson::from(text.parse::<Decimal128>().unwrap());
    let regex = Regex { pattern: text("^a\"/"), options: text("i") };
    let binary =
        |subtype| vec(any::<u8>(), 16).prop_map(move |bytes| Binary { subtype, bytes }.into());
    let rare = prop_oneof![
        any::<f64>().prop_map(Bson::from),
        any::<i64>().prop_map(|ms| DateTime::from_millis(ms).into()),
        binary(BinarySubtype::Generic),
        binary(BinarySubtype::Uuid),
        Just(decimal("1.50")),
        Just(decimal("NaN")),
        Just(regex.into()),
        Just(Timestamp { time: 7, increment: 8 }.into()),
        Just(Bson::Symbol("a\"b".into())),
        Just(Bson::JavaScriptCode("f()".into())),
        Just(Bson::Undefined),
        Just(Bson::MinKey),
        Just(Bson::MaxKey),
    ];
    prop_oneof![3 => common(), 1 => rare].prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Bson::Array),
            btree_map("[abc]", inner, 0..3)
                .prop_map(|fields| Bson::Document(fields.into_iter().collect())),
        ]
    })
}

/// A document with some of the fields a to d.
fn document(value: impl Strategy<Value = Bson>) -> impl Strategy<Value = Document> {
    btree_map("[a-d]", value, 0..5).prop_map(|fields| fields.into_iter().collect())
}

/// Schemas that cover what asserts something.
fn schemas() -> Vec<Value> {
    let fields: Vec<Value> = vec![
        json!({"type": ["string", "null", "boolean"]}),
        json!({"type": "integer", "minimum": -1, "exclusiveMaximum": 5}),
        json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1e3, "multipleOf": 0.5}),
        json!({"minLength": 2, "maxLength": 24, "pattern": "^[0-9a-f]"}),
        json!({"pattern": "Z$", "type": "string"}),
        json!({"enum": ["a", "NaN", 1, 2.5, null, true, [1], {"a": 1}, "MinKey", []]}),
        json!({"const": 1}),
        json!({"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "integer"}}),
        json!({"uniqueItems": true, "prefixItems": [{"type": "number"}], "items": {"minimum": 0}}),
        json!({"contains": {"type": "string"}, "minContains": 1, "maxContains": 2}),
        json!({"prefixItems": [true], "unevaluatedItems": {"type": "string"}}),
        json!({"required": ["a", "b"], "minProperties": 1, "maxProperties": 2}),
        json!({"additionalProperties": false, "properties": {"a": {"type": "string"}}}),
        json!({"patternProperties": {"^[ab]": {"type": "string"}}, "additionalProperties": true}),
        json!({"propertyNames": {"enum": ["a"]}, "dependentRequired": {"a": ["b"]}}),
        json!({"properties": {"a": true}, "unevaluatedProperties": {"type": "number"}}),
        json!({"anyOf": [{"type": "null"}, {"minLength": 3}, {"minimum": 2}]}),
        json!({"oneOf": [{"type": "number"}, {"minimum": 2}], "not": {"const": 3}}),
        json!({"if": {"type": "string"}, "then": {"maxLength": 2}, "else": {"not": {"type": "null"}}}),
        json!({"dependentSchemas": {"a": {"required": ["c"]}}}),
    ];
    let tree = json!({"additionalProperties": {"$ref": "#"}, "items": {"$ref": "#"}, "maximum": 9});
    let of_field =
        |field: Value| json!({"properties": {"a": field}, "additionalProperties": field});
    let top = [json!({"required": ["a", "c"]}), json!({"properties": {"b": false}}), tree];
    fields.into_iter().map(of_field).chain(top).collect()
}

fn checks(config: &JsonSchemaConfig, bytes: &[u8]) -> Vec<String> {
    let mut broken = Vec::new();
    JsonSchema::compile(config).unwrap().check(bytes, &mut broken);
    broken
}

fn inline(schema: &Value) -> JsonSchemaConfig {
    JsonSchemaConfig { inline: Some(schema.clone()), ..JsonSchemaConfig::default() }
}

/// The rules that `schemas` has, and the same as a JSON Schema.
fn both_kinds() -> (Value, Value) {
    let rules = json!({
        "a": {"type": "string", "required": true, "min_length": 1, "max_length": 3, "pattern": "a"},
        "b": {"type": "number", "min": 0, "max": 9.5},
        "c": {"enum": ["a", 1, true]},
        "d": {"type": "array", "nullable": true, "max_length": 2},
    });
    let schema = json!({
        "required": ["a"],
        "properties": {
            "a": {"bsonType": "string", "minLength": 1, "maxLength": 3, "pattern": "a"},
            "b": {"bsonType": "number", "minimum": 0, "maximum": 9.5},
            "c": {"enum": ["a", 1, true]},
            "d": {"bsonType": ["array", "null"], "maxItems": 2},
        },
    });
    (rules, schema)
}

/// A validator with rules of both kinds.
fn validator(rules: Option<&Value>, json_schema: Option<&Value>) -> Validator {
    let mut source = json!({"database": "shop", "collection": "orders"});
    source["validation"] = json!({"on_invalid": "drop"});
    if let Some(schema) = json_schema {
        source["validation"]["json_schema"] = json!({"inline": schema});
    }
    let main = json!({"uri": "mongodb://localhost", "sources": {"orders": source}});
    let mut tree = json!({"mongodb": {"connections": {"main": main}}});
    if let Some(rules) = rules {
        tree["schemas"] = json!({"main.orders": rules});
    }
    let config = from_value(tree, &Environment::new()).unwrap().config;
    Validator::compile(&config, &config.streams().unwrap()[0]).unwrap().unwrap()
}

fn check(validator: &Validator, bytes: &[u8]) -> Result<(), String> {
    let full_document = crate::event::Image::Document(bytes);
    validator.check(&ChangeEvent { full_document, ..ChangeEvent::default() })
}

#[test]
fn what_both_kinds_tell_is_joined() {
    let (rules, schema) = both_kinds();
    let bytes = doc! {"b": 10}.to_vec().unwrap();
    let told = check(&validator(Some(&rules), Some(&schema)), &bytes).unwrap_err();
    assert_eq!(told, "a: required; b: max; b: maximum");
    let told = check(&validator(None, Some(&schema)), &bytes).unwrap_err();
    assert_eq!(told, "a: required; b: maximum");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Raw BSON is what a tree of its `simplified` JSON is to the stock validator.
    #[test]
    fn an_instance_is_its_simplified_json(document in document(value())) {
        let bytes = document.to_vec().unwrap();
        let mut json = Vec::new();
        write_document(&bytes, JsonMode::Simplified, &mut json).unwrap();
        let tree: Value = serde_json::from_slice(&json).unwrap();
        for schema in schemas() {
            let stock = strict(options()).build(&schema).unwrap();
            let broken = checks(&inline(&schema), &bytes);
            prop_assert_eq!(broken.is_empty(), stock.is_valid(&tree), "{}: {}", schema, tree);
        }
    }

    /// The rules of `schemas` hold where the same rules as a JSON Schema hold.
    #[test]
    fn both_kinds_of_rules_agree(document in document(common())) {
        let bytes = document.to_vec().unwrap();
        let (rules, schema) = both_kinds();
        let typed = check(&validator(Some(&rules), None), &bytes);
        let json_schema = check(&validator(None, Some(&schema)), &bytes);
        prop_assert_eq!(typed.is_ok(), json_schema.is_ok(), "{:?} {:?}", typed, json_schema);
    }

    /// Damaged documents are invalid or valid, never a panic; what is told stays short.
    #[test]
    fn damage_does_no_harm(document in document(value()), at in 4_usize..200, byte: u8) {
        let mut bytes = document.to_vec().unwrap();
        let at = at.min(bytes.len() - 2);
        bytes[at] = byte;
        for schema in schemas() {
            let own = JsonSchemaConfig { own: Some(schema.clone()), ..JsonSchemaConfig::default() };
            for config in [inline(&schema), own] {
                prop_assert!(checks(&config, &bytes).len() <= 20);
            }
        }
    }
}

#[test]
fn a_document_deeper_than_any_is_looked_at_without_harm() {
    let mut bytes = doc! {}.to_vec().unwrap();
    while bytes.len() < 50_000 {
        let mut outer = i32::try_from(bytes.len() + 8).unwrap().to_le_bytes().to_vec();
        outer.extend([3, b'a', 0]);
        outer.append(&mut bytes);
        outer.push(0);
        bytes = outer;
    }
    let schema = json!({"additionalProperties": {"$ref": "#"}, "required": ["a"]});
    assert_eq!(checks(&inline(&schema), &bytes).len(), 1);
}
