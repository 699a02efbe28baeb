use mongodb::bson::{DateTime, Decimal128, Document, doc, oid::ObjectId};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::{Environment, from_value};
use crate::event::Destination;

const ID: &str = "65f1c2a0b1c2d3e4f5a6b7c8";

/// A source with these keys, and this `pubsub.routing`.
fn compile(mut source: Value, routing: &Value) -> Result<Route, ConfigError> {
    source["database"] = json!("shop");
    let topic = |name: &str| json!({"name": format!("shop-{name}")});
    let tree = json!({
        "mongodb": {"connections": {"main": {
            "uri": "mongodb://localhost", "sources": {"orders": source},
        }}},
        "gcp": {"project_id": "p"},
        "protection": {"key": "a key of at least 16 bytes"},
        "pubsub": {
            "topics": {"default": topic("default"), "a": topic("a"), "b": topic("b")},
            "routing": routing,
        },
        "checkpoint": {"store": "memory"},
    });
    let config = from_value(tree, &Environment::new()).unwrap().config;
    let stream = &config.streams().unwrap()[0];
    let edits = Edits::compile(&config, stream).unwrap();
    Route::compile(&config, stream, edits.as_ref())
}

fn route_with(source: Value, routing: &Value) -> Route {
    compile(source, routing).unwrap()
}

fn route(source: Value) -> Route {
    route_with(source, &json!({}))
}

/// The names of the topics that `event` goes to.
fn names(route: &Route, event: &Document) -> Result<Vec<String>, String> {
    let bytes = event.to_vec().unwrap();
    let read = ChangeEvent::look_at(&bytes).unwrap();
    let name = |outlet: &Outlet| match outlet.destination(&read)? {
        Destination::Topic(topic) => Ok(topic.trim_start_matches("projects/p/topics/").into()),
        Destination::DeadLetter => Err("a dead letter".into()),
    };
    route.of(&read).map(name).collect()
}

fn topics(route: &Route, event: &Document) -> Vec<String> {
    names(route, event).unwrap()
}

fn insert(document: Document) -> Document {
    doc! {
        "operationType": "insert",
        "ns": {"db": "shop", "coll": "orders"},
        "documentKey": {"_id": 1},
        "fullDocument": document,
    }
}

/// Whether the condition holds in the document.
fn holds(condition: &Value, document: &Document) -> bool {
    let route = route(json!({"routes": [{"topic": "a", "when": condition}]}));
    topics(&route, &insert(document.clone())) == ["shop-a"]
}

#[test]
fn a_source_has_one_topic_or_several() {
    let event = insert(doc! {});
    assert_eq!(topics(&route(json!({})), &event), ["shop-default"]);
    assert_eq!(topics(&route(json!({"topic": "b"})), &event), ["shop-b"]);
    assert_eq!(topics(&route(json!({"topic": ["b", "a"]})), &event), ["shop-b", "shop-a"]);
}

#[test]
fn a_template_names_the_topic() {
    let route = route(json!({"topic": "x-{database}.{collection}"}));
    assert_eq!(topics(&route, &insert(doc! {})), ["x-shop.orders"]);
    let dropped = doc! {"operationType": "dropDatabase", "ns": {"db": "shop"}};
    assert!(names(&route, &dropped).unwrap_err().contains("{collection}"));
}

#[test]
fn a_name_that_the_service_refuses_is_not_shown() {
    let route = route(json!({"topic": "{field:customer}"}));
    assert_eq!(topics(&route, &insert(doc! {"customer": "anna"})), ["anna"]);
    for name in ["an na", "ä", "go", "1anna", "google", ""] {
        let refused = names(&route, &insert(doc! {"customer": name})).unwrap_err();
        assert!(refused.starts_with("no topic") && !refused.contains("an na"), "{refused}");
    }
}

#[test]
fn a_name_does_not_tell_what_is_protected() {
    for path in ["customer.email", "customer", "customer.*", "*.email", "customer.email.host"] {
        let protect = json!([{"path": path, "action": "mask"}]);
        for (key, source) in [
            ("topic", json!({"topic": ["a", "x-{field:customer.email}"]})),
            (
                "routes",
                json!({"routes": [{
                    "topic": "x-{field:customer.email|none}", "when": {"field": "n", "exists": true},
                }]}),
            ),
        ] {
            let mut source = source;
            source["protect"] = protect.clone();
            let refused = compile(source, &json!({})).unwrap_err();
            assert_eq!(refused.path, format!("mongodb.connections.main.sources.orders.{key}"));
            assert!(refused.message.contains("customer.email"), "{refused}");
        }
    }
    for path in ["customer.email", "*.email", "customers[*].id", "id"] {
        let protect = json!([{"path": path, "action": "mask"}]);
        let other = json!({"topic": "x-{field:customer.id}", "protect": protect});
        assert!(compile(other, &json!({})).is_ok(), "{path}");
    }
}

#[test]
fn the_first_rule_decides_unless_it_goes_on() {
    let rule = |topic: &str, goes_on: bool| json!({"topic": topic, "when": {"field": "n", "greater_than": 1}, "continue": goes_on});
    let chosen = |first_goes_on| {
        let route = route(json!({"routes": [rule("a", first_goes_on), rule("b", false)]}));
        topics(&route, &insert(doc! {"n": 2}))
    };
    assert_eq!(chosen(false), ["shop-a"]);
    assert_eq!(chosen(true), ["shop-a", "shop-b"]);
}

#[test]
fn what_no_rule_takes_goes_to_the_topic_of_the_source() {
    let rule = json!({"topic": ["a", "b"], "when": {"field": "n", "equals": 1}});
    let route = route(json!({"routes": [rule]}));
    assert_eq!(topics(&route, &insert(doc! {"n": 2})), ["shop-default"]);
    assert_eq!(topics(&route, &insert(doc! {"n": 1})), ["shop-a", "shop-b"]);
    let dropped = doc! {"operationType": "drop", "ns": {"db": "shop", "coll": "orders"}};
    assert_eq!(topics(&route, &dropped), ["shop-default"]);
}

#[test]
fn a_topic_that_two_rules_name_gets_an_event_once() {
    let rule =
        json!({"topic": "default", "when": {"field": "n", "exists": true}, "continue": true});
    let route = route(json!({"routes": [rule.clone(), rule]}));
    assert_eq!(topics(&route, &insert(doc! {"n": 1})), ["shop-default"]);
}

#[test]
fn all_conditions_of_a_rule_hold() {
    let both = json!([{"field": "a", "equals": 1}, {"field": "b", "equals": 2}]);
    assert!(holds(&both, &doc! {"a": 1, "b": 2}));
    assert!(!holds(&both, &doc! {"a": 1, "b": 3}));
    let between = json!({"field": "a", "greater_than": 1, "less_than": 3});
    assert_eq!([1, 2, 3].map(|n| holds(&between, &doc! {"a": n})), [false, true, false]);
}

#[test]
fn values_are_compared_with_their_type() {
    let decimal: Decimal128 = "12.50".parse().unwrap();
    let document = doc! {
        "int": 12, "long": 12_i64, "double": 12.5, "decimal": decimal, "text": "12", "yes": true,
        "id": ObjectId::parse_str(ID).unwrap(), "date": DateTime::from_millis(1_769_817_600_000),
        "list": [1, {"sku": "x"}], "none": null,
    };
    for (field, value) in [
        ("int", json!(12)),
        ("int", json!(12.0)),
        ("long", json!(12)),
        ("double", json!(12.5)),
        ("decimal", json!(12.5)),
        ("text", json!("12")),
        ("yes", json!(true)),
        ("id", json!(ID)),
        ("date", json!("2026-01-31T00:00:00Z")),
        ("date", json!("2026-01-31T01:00:00+01:00")),
        ("list.0", json!(1)),
        ("list.1.sku", json!("x")),
    ] {
        assert!(holds(&json!({"field": field, "equals": value}), &document), "{field}");
        assert!(holds(&json!({"field": field, "in": [value, "other"]}), &document), "{field}");
        assert!(!holds(&json!({"field": field, "not_equals": value}), &document), "{field}");
    }
    for (field, value) in [
        ("int", json!("12")),
        ("text", json!(12)),
        ("yes", json!("true")),
        ("yes", json!(1)),
        ("list", json!(1)),
        ("none", json!(0)),
        ("missing", json!("")),
    ] {
        assert!(!holds(&json!({"field": field, "equals": value}), &document), "{field}");
        assert!(holds(&json!({"field": field, "not_equals": value}), &document), "{field}");
    }
}

#[test]
fn greater_and_less_go_by_the_type() {
    let id = ObjectId::parse_str(ID).unwrap();
    let document = doc! {"n": 5, "d": 5.5, "t": "m", "date": DateTime::from_millis(1), "id": id};
    for (field, less, greater) in [
        ("n", json!(4.5), json!(5.5)),
        ("d", json!(5), json!(6)),
        ("t", json!("a"), json!("z")),
        ("date", json!("1970-01-01T00:00:00Z"), json!("1971-01-01T00:00:00Z")),
        ("id", json!("0".repeat(24)), json!("f".repeat(24))),
    ] {
        assert!(holds(&json!({"field": field, "greater_than": less}), &document), "{field}");
        assert!(holds(&json!({"field": field, "less_than": greater}), &document), "{field}");
        assert!(!holds(&json!({"field": field, "less_than": less}), &document), "{field}");
        assert!(!holds(&json!({"field": field, "greater_than": greater}), &document), "{field}");
    }
    assert!(!holds(&json!({"field": "t", "greater_than": 0}), &document));
    assert!(!holds(&json!({"field": "n", "less_than": "a"}), &document));
}

#[test]
fn a_delete_is_told_by_its_before_image_or_its_key() {
    let rule = |when: Value| route(json!({"routes": [{"topic": "a", "when": when}]}));
    let by_status = rule(json!({"field": "status", "equals": "paid"}));
    let mut delete = insert(doc! {});
    delete.remove("fullDocument");
    assert_eq!(topics(&by_status, &delete), ["shop-default"]);
    for when in [
        json!({"field": "_id", "equals": 1}),
        json!({"field": "status", "exists": false}),
        json!({"field": "status", "not_equals": "paid"}),
    ] {
        assert_eq!(topics(&rule(when), &delete), ["shop-a"]);
    }
    delete.insert("fullDocumentBeforeChange", doc! {"status": "paid"});
    assert_eq!(topics(&by_status, &delete), ["shop-a"]);
}

#[test]
fn the_rules_of_the_original_go_on_working() {
    let routing = json!({
        "default": {},
        "a": {"source": "orders", "field": "total", "operator": "greater_than", "value": 100},
        "b": {"source": "main.orders", "alert_only": true},
    });
    let of = |document: Document| topics(&route_with(json!({}), &routing), &insert(document));
    assert_eq!(of(doc! {"total": 1}), ["shop-default"]);
    assert_eq!(of(doc! {"total": 101}), ["shop-default", "shop-a"]);
    assert_eq!(of(doc! {"total": 101, "alert": true}), ["shop-default", "shop-a", "shop-b"]);
    let without_default = json!({"a": {"field": "kind", "value": "x"}});
    let route = route_with(json!({"topic": "b"}), &without_default);
    assert_eq!(topics(&route, &insert(doc! {"kind": "x"})), ["shop-a"]);
    assert_eq!(topics(&route, &insert(doc! {"kind": "y"})), ["shop-b"]);
}

#[test]
fn there_are_at_most_64_topics() {
    let topics: Vec<String> = (0..65).map(|n| format!("shop-{n}{{collection}}")).collect();
    let of = |topics: &[String]| compile(json!({"topic": topics}), &json!({}));
    assert_eq!(names(&of(&topics[..64]).unwrap(), &insert(doc! {})).unwrap().len(), 64);
    assert_eq!(of(&topics).unwrap_err().path, "mongodb.connections.main.sources.orders.routes");
}

proptest! {
    /// Numbers compare as they do on paper, whichever type they have in the document.
    #[test]
    fn numbers_of_all_types_compare_alike(a in -1000_i32..1000, b in -1000_i32..1000) {
        let half = |n: i32| f64::from(n) / 2.0;
        let decimal: Decimal128 = half(a).to_string().parse().unwrap();
        for value in [mongodb::bson::Bson::Double(half(a)), decimal.into()] {
            let document = doc! {"n": value};
            for (operator, expected) in
                [("greater_than", a > b), ("less_than", a < b), ("equals", a == b)]
            {
                let condition = json!({"field": "n", operator: half(b)});
                prop_assert_eq!(holds(&condition, &document), expected);
            }
        }
    }

    /// Nor does an integer beyond 2^53 lose its last digits.
    #[test]
    fn large_integers_are_compared_exactly(n in (1_i64 << 53)..i64::MAX) {
        let equals = |value: i64| holds(&json!({"field": "n", "equals": value}), &doc! {"n": n});
        prop_assert!(equals(n) && !equals(n - 1));
        let decimal: Decimal128 = n.to_string().parse().unwrap();
        let decimal = holds(&json!({"field": "n", "equals": n}), &doc! {"n": decimal});
        prop_assert!(decimal);
    }
}
