//! `dead_letter`: where what cannot be delivered goes.

use super::{MINIMAL, read};

fn with(section: &str) -> String {
    format!("{MINIMAL}dead_letter: {section}\n")
}

fn refusal(section: &str) -> (String, String) {
    let error = read(&with(section)).unwrap_err();
    (error.path, error.message)
}

#[test]
fn a_file_has_a_name_a_size_and_a_number_of_copies() {
    let config = read(&with("{file: {}}")).unwrap().config;
    let file = config.dead_letter.unwrap().file.unwrap();
    assert_eq!(file.path.to_str(), Some("./dead-letters.jsonl"));
    assert_eq!((file.max_size.bytes(), file.keep), (100_000_000, 5));
    for (section, path) in [
        ("{file: {path: ''}}", "dead_letter.file.path"),
        ("{file: {path: ..}}", "dead_letter.file.path"),
        ("{file: {max_size: 0}}", "dead_letter.file.max_size"),
        ("{file: {keep: 0}}", "dead_letter.file.keep"),
        ("{file: {kept: 1}}", "dead_letter.file.kept"),
    ] {
        assert_eq!(refusal(section).0, path, "{section}");
    }
}

#[test]
fn a_topic_is_one_of_those_that_are_named() {
    let config = read(&with("{topic: default}")).unwrap().config;
    assert_eq!(config.dead_letter.unwrap().topic.as_deref(), Some("default"));
    let (path, message) = refusal("{topic: nowhere}");
    assert_eq!(path, "dead_letter.topic");
    assert_eq!(message, "`nowhere` is not a key of `pubsub.topics`: `default`");
}

#[test]
fn one_of_the_two_is_needed() {
    let (path, message) = refusal("{}");
    assert_eq!(path, "dead_letter");
    assert!(message.contains("`dead_letter.topic`, `dead_letter.file`"), "{message}");
    assert!(read(MINIMAL).unwrap().config.dead_letter.is_none());
}
