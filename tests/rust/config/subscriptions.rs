//! `pubsub.topics.*.subscriptions`.

use super::{minimal_with, read};

fn with_subscription(text: &str) -> String {
    let topic = "    default: {name: shop-changes}";
    let block = format!("    default:\n      name: shop-changes\n      subscriptions: {text}");
    minimal_with("topics:", "    #").replace(topic, &block)
}

fn refusal(text: &str) -> (String, String) {
    let error = read(&with_subscription(text)).unwrap_err();
    (error.path, error.message)
}

#[test]
fn the_defaults_keep_order_and_leave_the_rest_to_the_service() {
    let loaded = read(&with_subscription("{worker: {}}")).unwrap();
    let pubsub = loaded.config.pubsub.unwrap();
    let worker = &pubsub.topics["default"].subscriptions["worker"];
    assert!(worker.ordering);
    assert!(worker.ack_deadline.is_none() && worker.retention.is_none());
}

#[test]
fn names_follow_the_rules_of_the_service() {
    for name in ["ab", "1st", "google-mine", "a/b", "größe"] {
        let (path, message) = refusal(&format!("{{'{name}': {{}}}}"));
        assert_eq!(path, format!("pubsub.topics.default.subscriptions.{name}"));
        assert!(message.contains("3 to 255"), "{message}");
    }
}

#[test]
fn times_have_the_bounds_of_the_service() {
    let path = |key: &str| format!("pubsub.topics.default.subscriptions.worker.{key}");
    for (key, refused, taken) in [
        ("ack_deadline", ["9s", "601s", "10.5s"], ["10s", "10m"]),
        ("retention", ["9m", "745h", "600.5s"], ["10m", "744h"]),
    ] {
        for value in refused {
            let (found, message) = refusal(&format!("{{worker: {{{key}: {value}}}}}"));
            assert_eq!(found, path(key));
            assert!(message.contains("whole seconds"), "{message}");
        }
        for value in taken {
            read(&with_subscription(&format!("{{worker: {{{key}: {value}}}}}"))).unwrap();
        }
    }
}

#[test]
fn dead_letters_go_to_another_topic() {
    let path = "pubsub.topics.default.subscriptions.worker.dead_letter_topic";
    for name in ["shop-changes", "projects/p/topics/dead"] {
        assert_eq!(refusal(&format!("{{worker: {{dead_letter_topic: {name}}}}}")).0, path);
    }
    read(&with_subscription("{worker: {dead_letter_topic: dead}}")).unwrap();
}

#[test]
fn a_subscription_has_one_topic() {
    let yaml = with_subscription("{worker: {}}")
        .replace("topics:\n", "topics:\n    another: {name: more, subscriptions: {worker: {}}}\n");
    let error = read(&yaml).unwrap_err();
    assert_eq!(error.path, "pubsub.topics.default.subscriptions.worker");
    assert!(error.message.contains("pubsub.topics.another"), "{error}");
}
