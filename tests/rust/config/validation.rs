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
