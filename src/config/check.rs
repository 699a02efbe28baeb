//! Compares a tree with the schema, so that a mistake is told in the user's terms: the dotted
//! path, what was expected, what was found, and the nearest known key. A text is never shown: it may be a password.

use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

use super::path::{item, join, nearest};
use super::schema::Place;
use crate::error::ConfigError;

/// Removes keys without a value from mappings with fixed keys: `flow:` with all of its lines
/// commented out means the defaults. An id or name without a value stays, and is a mistake.
pub(super) fn drop_empty(value: &mut Value, place: Place<'_>) {
    let Value::Object(map) = value else { return };
    let known = place.keys();
    map.retain(|key, child| !(child.is_null() && known.contains(&key.as_str())));
    for (key, child) in map {
        if let Some(below) = place.child(key).filter(|below| !below.is_free()) {
            drop_empty(child, below);
        }
    }
}

/// Finds the first mistake in the order of the file.
///
/// # Errors
/// [`ConfigError`] for an unknown or missing key, a wrong type, or a number outside its range.
pub(super) fn check(value: &Value, place: Place<'_>, path: &str) -> Result<(), ConfigError> {
    if place.is_free() {
        return Ok(());
    }
    match value {
        Value::Object(map) if place.accepts("object") => check_mapping(map, place, path),
        Value::Array(list) if place.accepts("array") => {
            let items = place.items();
            list.iter().enumerate().try_for_each(|(index, value)| {
                items.map_or(Ok(()), |items| check(value, items, &item(path, index)))
            })
        }
        Value::String(text) if place.accepts("string") => check_word(text, place, path),
        Value::Number(number) if accepts_number(place, number) => check_range(number, place, path),
        Value::Bool(_) if place.accepts("boolean") => Ok(()),
        _ => Err(mismatch(value, place, path)),
    }
}

fn check_mapping(
    map: &Map<String, Value>,
    place: Place<'_>,
    path: &str,
) -> Result<(), ConfigError> {
    for (key, value) in map {
        let path = join(path, key);
        let below = place.child(key).ok_or_else(|| unknown(key, place, &path))?;
        check(value, below, &path)?;
    }
    let missing = place.required().into_iter().find(|key| !map.contains_key(*key));
    missing.map_or(Ok(()), |key| {
        let expected = place.child(key).map_or_else(String::new, Place::expected);
        Err(ConfigError { path: join(path, key), message: format!("missing: expected {expected}") })
    })
}

fn check_word(text: &str, place: Place<'_>, path: &str) -> Result<(), ConfigError> {
    let words = place.words();
    let begins = |(beginning, _): &(&str, &str)| text.starts_with(beginning);
    if words.is_empty() || words.contains(&text) || place.beginnings().iter().any(begins) {
        return Ok(());
    }
    let hint = did_you_mean(nearest(text, words));
    Err(ConfigError { path: path.into(), message: format!("expected {}{hint}", place.expected()) })
}

fn accepts_number(place: Place<'_>, number: &Number) -> bool {
    place.accepts("number") || (place.accepts("integer") && !number.is_f64())
}

fn check_range(number: &Number, place: Place<'_>, path: &str) -> Result<(), ConfigError> {
    let (least, most) = place.range();
    let number = number.as_f64().unwrap_or(f64::INFINITY);
    if least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most) {
        return Ok(());
    }
    let message = format!("expected {}, found {number}", place.expected());
    Err(ConfigError { path: path.into(), message })
}

fn unknown(key: &str, place: Place<'_>, path: &str) -> ConfigError {
    let known = place.keys();
    let hint = match nearest(key, known.iter().copied()) {
        Some(nearest) => did_you_mean(Some(nearest)),
        None => format!(
            "; known here: {}",
            known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
        ),
    };
    ConfigError { path: path.into(), message: format!("unknown key{hint}") }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"))
}

fn mismatch(value: &Value, place: Place<'_>, path: &str) -> ConfigError {
    let (found, hint) = match value {
        Value::Null => ("nothing", ""),
        Value::Bool(_) => ("a boolean", "; put it in quotes to make it a text"),
        Value::Number(_) => ("a number", "; put it in quotes to make it a text"),
        Value::String(_) => ("a string", ""),
        Value::Array(_) => ("a list", ""),
        Value::Object(_) => ("a mapping", ""),
    };
    let takes_any_text = place.accepts("string") && !place.accepts("number");
    let hint = if takes_any_text && place.words().is_empty() { hint } else { "" };
    let message = format!("expected {}, found {found}{hint}", place.expected());
    ConfigError { path: path.into(), message }
}

/// The structs, out of a tree that was checked. What the schema does not tell, such as the suffix
/// of a duration, is refused here.
///
/// # Errors
/// [`ConfigError`] with the path at which the structs refuse the tree. The text of Serde's error
/// holds the refused value and is dropped.
pub(super) fn deserialize<T: DeserializeOwned>(tree: Value) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(tree).map_err(|error| {
        let path = error.path();
        let place = path.iter().try_fold(Place::root(), |place, segment| match segment {
            serde_path_to_error::Segment::Seq { .. } => place.items(),
            serde_path_to_error::Segment::Map { key }
            | serde_path_to_error::Segment::Enum { variant: key } => place.child(key),
            serde_path_to_error::Segment::Unknown => None,
        });
        let expected = place.map_or_else(|| "a valid configuration".into(), Place::expected);
        ConfigError { path: path.to_string(), message: format!("expected {expected}") }
    })
}
