//! `topic`, `routes`, `pubsub.routing`, `pubsub.extra_attributes` and `ordering: field:<path>`.

use mongo_gcp_stream::config::{Ordering, TopicList};

use super::mistakes::source;
use super::{minimal_with, read};

const SOURCE: &str = "database: shop, collection: orders";

/// The source with these keys more is refused so, at a path below it.
fn refused(keys: &str, expected: &str) {
    source(&format!("{SOURCE}, {keys}"), expected);
}

/// The smallest file with these lines below `pubsub`.
fn with_pubsub(lines: &str) -> String {
    minimal_with("pubsub:", lines)
}

fn refused_pubsub(lines: &str, expected: &str) {
    assert_eq!(read(&with_pubsub(lines)).unwrap_err().to_string(), expected);
}

#[test]
fn a_topic_is_a_key_a_list_or_a_template() {
    let topic = |text: &str| {
        let keys = format!("orders: {{{SOURCE}, topic: {text}}}");
        let file = super::MINIMAL.replace(&format!("orders: {{{SOURCE}}}"), &keys);
        let config = read(&file).unwrap().config;
        config.mongodb.connections["main"].sources["orders"].topic.clone()
    };
    let one = |text: &str| TopicList::One(text.into());
    assert_eq!(topic("default"), one("default"));
    assert_eq!(topic("'{database}.{collection|none}'"), one("{database}.{collection|none}"));
    let several = TopicList::Several(vec!["default".into(), "x-{operation}".into()]);
    assert_eq!(topic("[default, 'x-{operation}']"), several);
}

#[test]
fn mistakes_in_topics() {
    refused(
        "topic: 5",
        ".topic: expected a topic or a list of topics, found a number; put it in quotes to make it a text",
    );
    refused("topic: []", ".topic: at least one topic is needed");
    refused(
        "topic: [default, paid]",
        ".topic[1]: `paid` is not a key of `pubsub.topics`: `default`",
    );
    refused("topic: [default, default]", ".topic[1]: is there twice");
    refused(
        "topic: '{db}'",
        ".topic: unknown field `{db}`: expected `{database}`, `{collection}`, `{operation}`, `{connection_id}`, `{source_name}` or `{field:<path>}`",
    );
    refused("topic: '{collection'", ".topic: a `{` without `}`; write `{{` for a brace");
    refused("topic: '{field:a..b}'", ".topic: expected a dotted path: `{field:customer.id}`");
    refused(
        "topic: '1/{collection}'",
        ".topic: makes no topic's name: 3 to 255 letters, digits and - . _ ~ + %, the first a letter, not beginning with `goog`",
    );
}

#[test]
fn mistakes_in_rules() {
    let rule = |when: &str, expected: &str| {
        refused(
            &format!("routes: [{{topic: default, when: {when}}}]"),
            &format!(".routes[0]{expected}"),
        );
    };
    let operators = "expected a value for one of `equals`, `not_equals`, `greater_than`, `less_than`, `exists`, `in`; null is none";
    refused("routes: [{topic: default}]", ".routes[0].when: missing: expected a mapping");
    refused(
        "routes: [{topic: paid, when: {field: a, exists: true}}]",
        ".routes[0].topic: `paid` is not a key of `pubsub.topics`: `default`",
    );
    rule("[]", ".when: at least one condition is needed");
    rule("{field: a}", &format!(".when: {operators}"));
    rule("[{field: a, exists: true}, {field: b}]", &format!(".when[1]: {operators}"));
    rule("{field: a, equal: 1}", ".when.equal: unknown key; did you mean `equals`?");
    rule("{field: '', equals: 1}", ".when.field: expected a dotted path: `customer.id`");
    rule("{field: a, equals: [1]}", ".when.equals: expected a text, a number or a boolean");
    rule("{field: a, greater_than: true}", ".when.greater_than: expected a text or a number");
    rule("{field: a, in: []}", ".when.in: expected a list of texts, numbers and booleans");
    rule("{field: a, exists: 1}", ".when.exists: expected `true` or `false`, found a number");
}

#[test]
fn mistakes_in_the_rules_of_the_original() {
    let rule = |topic: &str, rule: &str, expected: &str| {
        let expected = format!("pubsub.routing.{topic}{expected}");
        refused_pubsub(&format!("  routing: {{{topic}: {rule}}}"), &expected);
    };
    rule("alerts", "{}", ": `alerts` is not a key of `pubsub.topics`: `default`");
    rule("default", "{source: nobody}", ".source: no source is called `nobody`");
    rule("default", "{field: total}", ": `field` and `value` go together");
    rule(
        "default",
        "{field: a, value: [1]}",
        ".value: expected a value that the operator compares",
    );
    rule(
        "default",
        "{field: a, value: 1, operator: more}",
        ".operator: expected one of `equals`, `greater_than`, `less_than`",
    );
    for source in ["orders", "main.orders"] {
        read(&with_pubsub(&format!("  routing: {{default: {{source: {source}}}}}"))).unwrap();
    }
}

#[test]
fn mistakes_in_attributes() {
    let extra = |attributes: &str, expected: &str| {
        refused_pubsub(&format!("  extra_attributes: {{{attributes}}}"), expected);
    };
    extra(
        "region: 5",
        "pubsub.extra_attributes.region: expected a string, found a number; put it in quotes to make it a text",
    );
    extra(
        "googregion: eu",
        "pubsub.extra_attributes.googregion: expected a name of 1 to 256 bytes, not beginning with `goog`",
    );
    extra(
        "operation: x",
        "pubsub.extra_attributes.operation: is the name of one that `pubsub.attributes` may list: take another",
    );
    extra(
        "kind: '{kind}'",
        "pubsub.extra_attributes.kind: unknown field `{kind}`: expected `{database}`, `{collection}`, `{operation}`, `{connection_id}`, `{source_name}` or `{field:<path>}`",
    );
    extra(
        &format!("long: {}", "x".repeat(1025)),
        "pubsub.extra_attributes.long: longer than 1024 bytes, Pub/Sub's limit of an attribute",
    );
    let many: Vec<String> = (0..80).map(|n| format!("a{n}: b")).collect();
    extra(
        &many.join(", "),
        "pubsub.extra_attributes: too many: with `pubsub.attributes` 80 at the most",
    );
}

#[test]
fn the_order_by_a_field_names_it() {
    let config = read(&with_pubsub("  ordering: field:customer.id")).unwrap().config;
    let Ordering::Field(field) = config.pubsub.unwrap().ordering else { panic!("no field") };
    assert_eq!(field.0.to_string(), "customer.id");
    for text in ["'field:'", "field:a..b", "field:$a"] {
        let expected =
            "pubsub.ordering: expected one of `lanes`, `document`, `none`, `field:customer.id`";
        refused_pubsub(&format!("  ordering: {text}"), expected);
    }
}
