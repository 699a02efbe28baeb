//! Values from the environment that go before those of the file, such as
//! `MONGO_GCP_STREAM__MONGODB__CONNECTIONS__MAIN__URI`.

use serde_json::{Map, Value};

use super::path::{join, nearest};
use super::schema::Place;
use super::{Environment, expand, yaml};
use crate::error::ConfigError;

/// What an overriding variable's name begins with.
pub(super) const PREFIX: &str = "MONGO_GCP_STREAM__";

/// A key that a variable has set.
pub(super) struct Override {
    path: String,
    variable: String,
}

impl Override {
    /// The variable, if it set what lies at `path`.
    pub(super) fn sets(&self, path: &str) -> Option<&str> {
        let below = path.strip_prefix(&self.path)?;
        (below.is_empty() || below.starts_with(['.', '['])).then_some(&self.variable)
    }
}

/// Puts the values of all overriding variables into the tree, before it is expanded.
pub(super) fn apply(
    tree: &mut Value,
    environment: &Environment,
) -> Result<Vec<Override>, ConfigError> {
    let mut known = Vec::new();
    collect(Place::root(), Some(tree), &mut Vec::new(), &mut known);
    let mut overrides = Vec::new();
    for (variable, text) in environment.iter().filter(|(name, _)| is_override(name)) {
        let keys = find(&known, variable)?;
        let path = keys.iter().fold(String::new(), |path, key| join(&path, key));
        let place = keys.iter().try_fold(Place::root(), |place, key| place.child(key));
        let value = parse(text, place).map_err(|expected| ConfigError {
            path: path.clone(),
            message: format!("expected {expected}, as YAML or JSON (set by {variable})"),
        })?;
        set(tree, keys, value);
        overrides.push(Override { path, variable: variable.clone() });
    }
    Ok(overrides)
}

fn is_override(variable: &str) -> bool {
    variable.get(..PREFIX.len()).is_some_and(|head| head.eq_ignore_ascii_case(PREFIX))
}

/// Every key that a variable may name: those of the schema, and the ids and names of the file.
fn collect(
    place: Place<'_>,
    value: Option<&Value>,
    path: &mut Vec<String>,
    known: &mut Vec<Vec<String>>,
) {
    let in_file = value.and_then(Value::as_object);
    let mut keys: Vec<&str> = place.keys();
    let given = in_file.into_iter().flat_map(Map::keys).map(String::as_str);
    keys.extend(given.filter(|key| place.child(key).is_some()));
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let Some(below) = place.child(key) else { continue };
        path.push(key.to_owned());
        known.push(path.clone());
        if !below.is_free() {
            collect(below, in_file.and_then(|map| map.get(key)), path, known);
        }
        path.pop();
    }
}

/// The keys that `variable` names.
fn find<'a>(known: &'a [Vec<String>], variable: &str) -> Result<&'a [String], ConfigError> {
    let error = |message| ConfigError { path: variable.into(), message };
    let wanted = variable.to_ascii_uppercase();
    let mut matching = known.iter().filter(|keys| name(keys) == wanted);
    match (matching.next(), matching.next()) {
        (Some(keys), None) => Ok(keys),
        (Some(one), Some(other)) => {
            Err(error(format!("names both `{}` and `{}`", one.join("."), other.join("."))))
        }
        (None, _) => {
            let names: Vec<String> = known.iter().map(|keys| name(keys)).collect();
            let hint = nearest(variable, names.iter().map(String::as_str))
                .map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"));
            Err(error(format!(
                "names no key of the configuration, and no connection, source or topic of the \
                 file{hint}"
            )))
        }
    }
}

/// The name of the variable that sets these keys: what is neither letter nor digit is `_`.
fn name(keys: &[String]) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let words: Vec<String> = keys.iter().map(|key| key.chars().map(word).collect()).collect();
    format!("{PREFIX}{}", words.join("__"))
}

/// The value of a variable, of the kind that the schema wants; lists and mappings as YAML or JSON.
/// The error is what was expected.
fn parse(text: &str, place: Option<Place<'_>>) -> Result<Value, String> {
    let structured = |place: &Place<'_>| {
        !place.accepts("string") && (place.accepts("array") || place.accepts("object"))
    };
    let Some(place) = place.filter(structured) else {
        let mut value = expand::scalar(text.to_owned(), place);
        escape_all(&mut value);
        return Ok(value);
    };
    let mut value = yaml::parse(text, "").map_err(|_| place.expected())?;
    escape_all(&mut value);
    Ok(value)
}

/// A variable's value is taken literally: the expansion that follows gives it back as it was.
fn escape_all(value: &mut Value) {
    match value {
        Value::String(text) => *text = expand::escape(text),
        Value::Array(list) => list.iter_mut().for_each(escape_all),
        Value::Object(map) => map.values_mut().for_each(escape_all),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Sets what lies at `keys`, with the mappings on the way there.
fn set(tree: &mut Value, keys: &[String], value: Value) {
    let Some((key, rest)) = keys.split_first() else {
        *tree = value;
        return;
    };
    if !tree.is_object() {
        *tree = Value::Object(Map::new());
    }
    if let Value::Object(map) = tree {
        set(map.entry(key.clone()).or_insert(Value::Null), rest, value);
    }
}
