//! YAML text to a tree of values, by serde-saphyr: it is kept, passes the YAML test suite, refuses
//! duplicate keys, limits alias bombs, and tells line and column without quoting the text.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, Error, NonFiniteFloatPolicy, Options, Spanned};

use super::path::join;
use crate::error::ConfigError;

/// Parses one YAML document. Keys keep their order; duplicate keys are refused; `yes`, `on`, `007`
/// and `1_000` are texts, as YAML 1.2 has it.
///
/// # Errors
/// [`ConfigError`] with `origin` as its path, and line and column. No line of the text is shown:
/// it may hold a password.
pub(super) fn parse(text: &str, origin: &str) -> Result<Value, ConfigError> {
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let error = error.without_snippet();
        let place = error.location().map_or_else(String::new, |location| {
            format!("line {}, column {}: ", location.line(), location.column())
        });
        ConfigError { path: origin.into(), message: format!("{place}{}", reason(error)) }
    })
}

/// The line of every value in YAML that [`parse`] has read, by dotted path; lists as a whole.
pub(super) fn lines(text: &str) -> BTreeMap<String, u32> {
    let mut lines = BTreeMap::new();
    if let Ok(root) = serde_saphyr::from_str_with_options::<Node>(text, options()) {
        root.collect("", &mut lines);
    }
    lines
}

/// Where the values of a mapping stand; empty for everything else.
struct Node(Vec<(String, Spanned<Node>)>);

impl Node {
    fn collect(&self, path: &str, lines: &mut BTreeMap<String, u32>) {
        for (key, node) in &self.0 {
            let path = join(path, key);
            lines.extend(u32::try_from(node.referenced.line()).map(|line| (path.clone(), line)));
            node.value.collect(&path, lines);
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Node(Vec::new()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node(Vec::new()))
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        non_finite_float_policy: NonFiniteFloatPolicy::Reject,
        emit_comments: false,
        with_snippet: false,
    }
}

/// Why the text is no YAML, without any of it but a key's name.
fn reason(error: &Error) -> String {
    match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the key `{key}` is there twice")
        }
        Error::DuplicateMappingKey { key: None, .. } => "a key is there twice".into(),
        Error::MultipleDocuments { .. } => "only one YAML document is read".into(),
        Error::NonFiniteFloat { .. } => "a number must be finite".into(),
        Error::UnknownAnchor { .. } => {
            "an alias (`*name`) of no anchor; a text that begins with `*` or `&` needs quotes"
                .into()
        }
        Error::Budget { .. } => "too large or too deeply nested for a configuration".into(),
        // The parser's own messages are about characters and indentation, never about a text.
        Error::ExternalMessage { msg, .. } => format!("not valid YAML: {msg}"),
        Error::Eof { .. } => "the file ends too early".into(),
        _ => "not valid YAML here".into(),
    }
}
