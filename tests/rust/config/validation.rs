//! `schemas` and `validation`: rules for documents.

use super::{MINIMAL, read};

fn with(sections: &str) -> String {
    format!("{MINIMAL}{sections}\n")
}

/// Path and message of the mistake in `rule`, which is that of the field `a`.
fn refusal(rule: &str) -> (String, String) {
    let dead_letters = "dead_letter: {file: {}}";
    let error = read(&with(&format!("{dead_letters}\nschemas: {{main.orders: {{a: {rule}}}}}")));
    let error = error.unwrap_err();
    (error.path, error.message)
}

#[test]
fn rules_are_read_as_the_original_had_them() {
    let yaml = with(
        "schemas: {main.orders: {a: {type: string, required: true, nullable: true}}}\ndead_letter: {file: {}}",
    );
    let config = read(&yaml).unwrap().config;
    let rule = &config.schemas["main.orders"]["a"];
    assert!(rule.required && rule.nullable);
}

#[test]
fn mistakes_in_a_rule_are_named_by_their_path() {
    for (rule, key) in [
        ("{type: text}", "type"),
        ("{requird: true}", "requird"),
        ("{min: early}", "min"),
        ("{max: true}", "max"),
        ("{min_length: 3, max_length: 2}", "min_length"),
        ("{pattern: '('}", "pattern"),
        ("{enum: [[1]]}", "enum"),
        ("{enum: []}", "enum"),
        ("{type: number, min: '2026-01-01T00:00:00Z'}", "min"),
        ("{type: date, max: 1}", "max"),
        ("{min: 2, max: 1}", "min"),
        ("{min: 2, max: '2026-01-01T00:00:00Z'}", "min"),
        ("{type: boolean, min_length: 1}", "min_length"),
        ("{type: number, pattern: a}", "pattern"),
        ("{validation: check}", "validation"),
    ] {
        let (path, message) = refusal(rule);
        assert_eq!(path, format!("schemas.main.orders.a.{key}"), "{message}");
    }
    assert!(refusal("{validation: check}").1.contains("Python"));
}

#[test]
fn a_stream_that_does_not_exist_is_refused_with_the_nearest() {
    let error = read(&with("schemas: {main.order: {}}\ndead_letter: {file: {}}")).unwrap_err();
    assert_eq!(error.path, "schemas.main.order");
    assert!(error.message.contains("`main.orders`"), "{}", error.message);
}

#[test]
fn dead_letters_need_a_place() {
    let rules = "schemas: {main.orders: {a: {required: true}}}";
    let error = read(&with(rules)).unwrap_err();
    assert_eq!(error.path, "mongodb.connections.main.sources.orders.validation.on_invalid");
    assert!(error.message.contains("dead_letter.file"), "{}", error.message);
    read(&with(&format!("{rules}\ndead_letter: {{file: {{}}}}"))).unwrap();
    // As the original named it.
    let original = "error_handling: {dead_letter_topic: shop-dead-letters}";
    let config = read(&with(&format!("{rules}\n{original}"))).unwrap().config;
    assert_eq!(config.dead_letter_topic(), Some("shop-dead-letters"));
    let error = read(&with("error_handling: {dead_letter_topic: a/b}")).unwrap_err();
    assert_eq!(error.path, "error_handling.dead_letter_topic");
}

/// The smallest file whose source has this `json_schema`.
fn json_schema(json_schema: &str) -> String {
    let old = "orders: {database: shop, collection: orders}";
    let validation = format!("validation: {{on_invalid: drop, json_schema: {json_schema}}}");
    MINIMAL.replace(old, &format!("orders: {{database: shop, collection: orders, {validation}}}"))
}

#[test]
fn a_json_schema_is_read() {
    for schema in [
        "{inline: {required: [a], properties: {a: {const: null}}}}",
        "{collection: true}",
        "{inline: {$ref: '#/$defs/a', $defs: {a: {pattern: '^[A-Z]{3}$'}}}}",
    ] {
        read(&json_schema(schema)).unwrap();
    }
}

#[test]
fn mistakes_in_a_json_schema_are_named_by_their_path() {
    for (schema, path) in [
        ("{inline: {}, collection: true}", ".inline"),
        ("{inlin: {}}", ".inlin"),
        ("{inline: 1}", ".inline"),
        ("{inline: {properties: {a: {requred: [b]}}}}", ".inline.properties.a.requred"),
        ("{inline: {$ref: 'https://example.org/a'}}", ".inline.$ref"),
        ("{file: ./there/is/no/such/file}", ".file"),
    ] {
        let error = read(&json_schema(schema)).unwrap_err();
        let whole = format!("mongodb.connections.main.sources.orders.validation.json_schema{path}");
        assert_eq!(error.path, whole, "{}", error.message);
    }
}

#[test]
fn only_one_collection_has_a_schema_of_its_own() {
    let yaml = json_schema("{collection: true}").replace(", collection: orders,", ",");
    let error = read(&yaml).unwrap_err();
    assert!(error.path.ends_with(".validation.json_schema.collection"), "{error}");
}

#[test]
fn dead_letters_need_a_place_for_a_json_schema_too() {
    let yaml = json_schema("{inline: {}}").replace("on_invalid: drop, ", "");
    let error = read(&yaml).unwrap_err();
    assert_eq!(error.path, "mongodb.connections.main.sources.orders.validation.on_invalid");
}
