use serde_json::{Value, json};

use super::*;

/// Path and message of the mistake in a schema.
fn refusal(schema: Value) -> (String, String) {
    let config = JsonSchemaConfig { inline: Some(schema), ..JsonSchemaConfig::default() };
    let error = config.schema().expect_err("it has a mistake");
    (error.path, error.message)
}

fn accepted(schema: Value) -> Schema {
    let config = JsonSchemaConfig { inline: Some(schema), ..JsonSchemaConfig::default() };
    config.schema().unwrap()
}

#[test]
fn every_keyword_is_accepted() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.org/a",
        "$comment": "c", "title": "t", "description": "d", "default": {}, "examples": [1],
        "deprecated": true, "readOnly": false, "writeOnly": false, "format": "date-time",
        "$defs": {"a": {"$anchor": "here", "type": ["string", "null"], "pattern": "^[A-Z]{3}$"}},
        "definitions": {"b": true},
        "properties": {
            "a": {"$ref": "#/$defs/a"}, "b": {"$ref": "#here"}, "c": {"$ref": "#"}, "d": false,
            "e": {"bsonType": ["objectId", "number"], "multipleOf": 0.5, "minimum": 1,
                  "maximum": 2, "exclusiveMinimum": 0, "exclusiveMaximum": 3},
            "f": {"enum": [1, null], "const": null, "minLength": 1, "maxLength": 2},
            "g/h~i": {"items": {}, "prefixItems": [{}], "contains": {}, "minContains": 1,
                  "maxContains": 2, "minItems": 1, "maxItems": 2, "uniqueItems": true,
                  "unevaluatedItems": false},
            "j": {"$ref": "#/properties/g~1h~0i"},
        },
        "patternProperties": {"^x": {}}, "additionalProperties": {}, "propertyNames": {},
        "required": ["a"], "dependentRequired": {"a": ["k"]}, "dependentSchemas": {"a": {}},
        "minProperties": 1, "maxProperties": 99, "unevaluatedProperties": true, "allOf": [{}],
        "anyOf": [true], "oneOf": [{}], "not": false, "if": {}, "then": {}, "else": {},
    });
    let known: std::collections::HashSet<&str> =
        keywords::KEYWORDS.iter().map(|(name, _)| *name).collect();
    let text = schema.to_string();
    for name in known {
        assert!(text.contains(&format!("\"{name}\":")), "{name} is tested");
    }
    assert!(accepted(schema).names.contains("k"));
}

#[test]
fn mistakes_are_named_by_their_path() {
    for (schema, path) in [
        (json!({"requred": ["a"]}), "inline.requred"),
        (json!({"properties": {"a": {"typ": "string"}}}), "inline.properties.a.typ"),
        (json!({"properties": {"a": {"type": "text"}}}), "inline.properties.a.type"),
        (json!({"type": ["string", "date"]}), "inline.type[1]"),
        (json!({"type": ["string", "string"]}), "inline.type[1]"),
        (json!({"bsonType": "objectID"}), "inline.bsonType"),
        (json!({"bsonType": []}), "inline.bsonType"),
        (json!({"items": {"minLength": -1}}), "inline.items.minLength"),
        (json!({"minimum": "1"}), "inline.minimum"),
        (json!({"multipleOf": 0}), "inline.multipleOf"),
        (json!({"uniqueItems": 1}), "inline.uniqueItems"),
        (json!({"pattern": "("}), "inline.pattern"),
        (json!({"pattern": "(?=a)"}), "inline.pattern"),
        (json!({"patternProperties": {"(": {}}}), "inline.patternProperties.("),
        (json!({"required": "a"}), "inline.required"),
        (json!({"required": ["a", "a"]}), "inline.required"),
        (json!({"dependentRequired": {"a": [1]}}), "inline.dependentRequired.a"),
        (json!({"enum": []}), "inline.enum"),
        (json!({"allOf": []}), "inline.allOf"),
        (json!({"anyOf": [{}, 1]}), "inline.anyOf[1]"),
        (json!({"items": [{}]}), "inline.items"),
        (json!({"additionalItems": true}), "inline.additionalItems"),
        (json!({"$ref": "other.json"}), "inline.$ref"),
        (json!({"$ref": "https://example.org/a"}), "inline.$ref"),
        (json!({"$ref": "#/$defs/none"}), "inline.$ref"),
        (json!({"properties": {"a": {}}, "$ref": "#/properties"}), "inline.$ref"),
        (json!({"$schema": "http://json-schema.org/draft-07/schema#"}), "inline.$schema"),
        (json!({"items": {"$id": "a"}}), "inline.items.$id"),
        (json!({"$dynamicRef": "#a"}), "inline.$dynamicRef"),
        (json!(true), "inline"),
    ] {
        let (found, message) = refusal(schema);
        assert_eq!(found, path, "{message}");
    }
}

#[test]
fn a_misspelt_word_is_told_with_the_nearest() {
    assert!(refusal(json!({"requred": ["a"]})).1.contains("did you mean `required`"));
    assert!(refusal(json!({"type": "strng"})).1.contains("did you mean `string`"));
    assert!(refusal(json!({"bsonType": "objectID"})).1.contains("did you mean `objectId`"));
    assert!(refusal(json!({"dependencies": {}})).1.contains("dependentRequired"));
}

#[test]
fn a_file_holds_json_or_yaml() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("schema");
    let config = JsonSchemaConfig { file: Some(file.clone()), ..JsonSchemaConfig::default() };
    let missing = config.schema().unwrap_err();
    assert_eq!(missing.path, "file");
    for text in ["{\n\t\"required\":\t[\"a\"]\n}", "required: [a]\n"] {
        std::fs::write(&file, text).unwrap();
        assert_eq!(config.schema().unwrap().tree, json!({"required": ["a"]}));
    }
    std::fs::write(&file, "properties: {a: {typ: string}}").unwrap();
    let error = config.schema().unwrap_err();
    assert_eq!(error.path, "file");
    assert!(error.message.contains("properties.a.typ: "), "{}", error.message);
    std::fs::write(&file, "{").unwrap();
    assert_eq!(config.schema().unwrap_err().path, "file");
}

#[test]
fn a_collections_own_is_not_known_before_it_was_read() {
    let config = JsonSchemaConfig { collection: true, ..JsonSchemaConfig::default() };
    assert_eq!(config.schema().unwrap_err().path, "collection");
}
