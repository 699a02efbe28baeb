//! The JSON Schema of the configuration, derived from the structs, and the way around in it: which
//! keys are known at a place, and what is expected there.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::{Config, later};

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = schemars::schema_for!(Config).to_value();
    for key in later::KEYS {
        declare(&mut schema, key);
    }
    schema
});

/// The JSON Schema (draft 2020-12) of the configuration file. Keys that are accepted although
/// their feature comes later are in it, marked with `x-later`.
#[must_use]
pub fn schema() -> &'static Value {
    &SCHEMA
}

/// Adds a key that the structs do not have to the mapping that it belongs to.
fn declare(schema: &mut Value, key: &later::LaterKey) {
    let (parent, name) = key.pattern.rsplit_once('.').unwrap_or(("", key.pattern));
    let mut place = Place { schema, at: schema };
    for segment in parent.split('.').filter(|segment| !segment.is_empty()) {
        place = place.child(segment).expect("the mapping of an accepted key is in the structs");
    }
    let pointer = place.properties_pointer();
    let entry = json!({ "description": key.note(), "x-later": true });
    if let Some(Value::Object(properties)) = schema.pointer_mut(&pointer) {
        properties.insert(name.to_owned(), entry);
    }
}

/// A place in the schema.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    schema: &'a Value,
    at: &'a Value,
}

impl<'a> Place<'a> {
    /// The whole configuration.
    pub(super) fn root() -> Place<'static> {
        Place { schema: &SCHEMA, at: &SCHEMA }
    }

    /// The schemas of which a value has to fit one, with references followed.
    fn alternatives(self) -> Vec<&'a Map<String, Value>> {
        let Value::Object(node) = self.at else { return Vec::new() };
        if let Some(target) = node.get("$ref").and_then(Value::as_str) {
            let at = self.schema.pointer(target.trim_start_matches('#'));
            return at.map_or_else(Vec::new, |at| Place { at, ..self }.alternatives());
        }
        let choices = ["anyOf", "oneOf"].into_iter().find_map(|key| node.get(key)?.as_array());
        match choices {
            Some(choices) => {
                choices.iter().flat_map(|at| Place { at, ..self }.alternatives()).collect()
            }
            None => vec![node],
        }
    }

    /// True where anything may stand: inside a pipeline, below a key for later.
    pub(super) fn is_free(self) -> bool {
        let constrains = |node: &&Map<String, Value>| {
            ["type", "const", "enum"].iter().any(|key| node.contains_key(*key))
        };
        let alternatives = self.alternatives();
        alternatives.is_empty() || !alternatives.iter().all(constrains)
    }

    /// True if a value of this JSON Schema type may stand here.
    pub(super) fn accepts(self, kind: &str) -> bool {
        self.is_free() || self.alternatives().iter().any(|node| has_type(node, kind))
    }

    /// The place below `key`; `None` for an unknown key.
    pub(super) fn child(self, key: &str) -> Option<Place<'a>> {
        let alternatives = self.alternatives();
        let named = |node: &&'a Map<String, Value>| node.get("properties")?.get(key);
        let other = |node: &&'a Map<String, Value>| {
            node.get("additionalProperties").filter(|at| **at != json!(false))
        };
        let found = alternatives.iter().find_map(named);
        let at = found.or_else(|| alternatives.iter().find_map(other))?;
        Some(Place { at, ..self })
    }

    /// The place of every item of a list.
    pub(super) fn items(self) -> Option<Place<'a>> {
        let at = self.alternatives().into_iter().find_map(|node| node.get("items"))?;
        Some(Place { at, ..self })
    }

    /// The keys of a mapping with fixed keys, in the order of their declaration.
    pub(super) fn keys(self) -> Vec<&'a str> {
        let properties = |node: &'a Map<String, Value>| node.get("properties")?.as_object();
        let objects = self.alternatives().into_iter().filter_map(properties);
        objects.flat_map(|properties| properties.keys().map(String::as_str)).collect()
    }

    /// The keys that a mapping cannot do without; empty where there are several forms of it.
    pub(super) fn required(self) -> Vec<&'a str> {
        let mut objects = self.alternatives();
        objects.retain(|node| has_type(node, "object"));
        let [object] = objects.as_slice() else { return Vec::new() };
        let names = object.get("required").and_then(Value::as_array);
        names.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// The words that may stand here, where only certain words may.
    pub(super) fn words(self) -> Vec<&'a str> {
        let mut words = Vec::new();
        for node in self.alternatives() {
            words.extend(node.get("const").and_then(Value::as_str));
            let listed = node.get("enum").and_then(Value::as_array);
            words.extend(listed.into_iter().flatten().filter_map(Value::as_str));
        }
        words
    }

    /// How a text may begin, beside the words, and an example of each.
    pub(super) fn beginnings(self) -> Vec<(&'a str, &'a str)> {
        let beginning = |node: &'a Map<String, Value>| {
            let beginning = node.get("pattern")?.as_str()?.strip_prefix('^')?;
            Some((beginning, node.get("examples")?.get(0)?.as_str()?))
        };
        self.alternatives().into_iter().filter_map(beginning).collect()
    }

    /// Least and greatest number; the range stands beside the reference or in the type itself.
    pub(super) fn range(self) -> (Option<f64>, Option<f64>) {
        let bound = |key: &str| {
            let inner = || self.alternatives().into_iter().find_map(|node| node.get(key)?.as_f64());
            self.at.get(key).and_then(Value::as_f64).or_else(inner)
        };
        (bound("minimum"), bound("maximum"))
    }

    /// What is expected here, as a noun phrase.
    pub(super) fn expected(self) -> String {
        let title = |node: &'a Map<String, Value>| node.get("title")?.as_str();
        if let Some(title) = self.alternatives().into_iter().find_map(title) {
            return title.to_owned();
        }
        let mut words = self.words();
        if !words.is_empty() {
            words.extend(self.beginnings().into_iter().map(|(_, example)| example));
            return one_of(&words, &self.keys());
        }
        match ["object", "array", "boolean", "integer", "number"]
            .into_iter()
            .find(|kind| self.accepts(kind))
        {
            _ if self.accepts("string") => "a string".to_owned(),
            Some("object") => "a mapping".to_owned(),
            Some("array") => "a list".to_owned(),
            Some("boolean") => "`true` or `false`".to_owned(),
            Some("integer") => format!("a whole number{}", in_range(self.range())),
            _ => format!("a number{}", in_range(self.range())),
        }
    }

    /// JSON pointer to the `properties` of the one mapping that may stand here.
    fn properties_pointer(self) -> String {
        let definitions = self.schema.get("$defs").and_then(Value::as_object);
        let target = self.alternatives().into_iter().find(|node| node.contains_key("properties"));
        let mut named = definitions.into_iter().flatten();
        let found = named.find(|(_, node)| node.as_object() == target);
        found.map_or_else(|| "/properties".into(), |(name, _)| format!("/$defs/{name}/properties"))
    }
}

fn has_type(node: &Map<String, Value>, kind: &str) -> bool {
    match node.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(|found| found == kind),
        Some(found) => found == kind,
        None => false,
    }
}

fn one_of(words: &[&str], keys: &[&str]) -> String {
    let quoted = |names: &[&str]| {
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    if keys.is_empty() {
        format!("one of {}", quoted(words))
    } else {
        format!("one of {}, or a mapping with one of {}", quoted(words), quoted(keys))
    }
}

fn in_range(range: (Option<f64>, Option<f64>)) -> String {
    match range {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        (Some(least), None) => format!(" of at least {least}"),
        _ => String::new(),
    }
}
