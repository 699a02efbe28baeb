//! `${VAR}` and `${VAR:-default}` in the texts of a configuration.

use serde_json::Value;

use super::Environment;
use super::path::{item, join};
use super::schema::Place;
use crate::error::ConfigError;

/// Expands every text of the tree in place.
///
/// A text that is one whole `${VAR}` becomes a number or a boolean where the schema has no use for
/// a text; everywhere else, and in free places such as a pipeline, it stays a text.
pub(super) fn expand_tree(
    value: &mut Value,
    place: Option<Place<'_>>,
    path: &str,
    environment: &Environment,
) -> Result<(), ConfigError> {
    match value {
        Value::Object(map) => {
            for (key, child) in map.iter_mut() {
                let below = place.and_then(|place| place.child(key));
                expand_tree(child, below, &join(path, key), environment)?;
            }
        }
        Value::Array(list) => {
            for (index, child) in list.iter_mut().enumerate() {
                let below = place.and_then(Place::items);
                expand_tree(child, below, &item(path, index), environment)?;
            }
        }
        Value::String(text) => {
            let expanded = expand_text(text, path, environment)?;
            *value = if is_one_variable(text) {
                scalar(expanded, place)
            } else {
                Value::String(expanded)
            };
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

/// `text` as what the schema wants at `place`: a number or boolean only where no text may stand.
pub(super) fn scalar(text: String, place: Option<Place<'_>>) -> Value {
    let wanted = |place: &Place<'_>| {
        let kinds = ["integer", "number", "boolean"];
        !place.accepts("string") && kinds.iter().any(|kind| place.accepts(kind))
    };
    if place.as_ref().is_some_and(wanted)
        && let Ok(value @ (Value::Number(_) | Value::Bool(_))) = serde_json::from_str(text.trim())
    {
        return value;
    }
    Value::String(text)
}

/// Writes a text so that [`expand_text`] gives it back as it was.
pub(super) fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

fn is_one_variable(text: &str) -> bool {
    text.starts_with("${") && text.find('}') == Some(text.len() - 1)
}

/// Replaces `${VAR}` and `${VAR:-default}`, and `$${` by `${`; any other `$` stays.
///
/// # Errors
/// [`ConfigError`] at `path` for a variable without value and default, and for a `${` that opens
/// neither form.
pub(super) fn expand_text(
    text: &str,
    path: &str,
    environment: &Environment,
) -> Result<String, ConfigError> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        if let Some(after) = rest.strip_prefix("$${") {
            expanded.push_str("${");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let (inner, after) = after.split_once('}').ok_or_else(|| malformed(path))?;
            expanded.push_str(variable(inner, path, environment)?);
            rest = after;
        } else {
            expanded.push('$');
            rest = &rest[1..];
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// The names of the variables in a text that expands, and whether the environment has a value for
/// each: else its default is taken.
pub(super) fn variables<'a>(text: &'a str, environment: &Environment) -> Vec<(&'a str, bool)> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        rest = &rest[dollar..];
        if let Some(after) = rest.strip_prefix("$${") {
            rest = after;
        } else if let Some((inner, after)) =
            rest.strip_prefix("${").and_then(|after| after.split_once('}'))
        {
            let name = inner.split_once(":-").map_or(inner, |(name, _)| name);
            let value = environment.get(name);
            names.push((name, value.is_some_and(|value| name == inner || !value.is_empty())));
            rest = after;
        } else {
            rest = &rest[1..];
        }
    }
    names
}

/// The value of `NAME` or `NAME:-default`. As in a shell, the default also replaces an empty value.
fn variable<'a>(
    inner: &'a str,
    path: &str,
    environment: &'a Environment,
) -> Result<&'a str, ConfigError> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    if !is_name(name) {
        return Err(malformed(path));
    }
    let value = environment.get(name).map(String::as_str);
    let value = value.filter(|value| default.is_none() || !value.is_empty());
    value.or(default).ok_or_else(|| ConfigError {
        path: path.into(),
        message: format!(
            "the variable `{name}` is defined neither in the environment nor in `.env`, and \
             there is no default (`${{{name}:-…}}`)"
        ),
    })
}

fn is_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(word)
}

/// The text itself may be a password, so that it is not shown.
fn malformed(path: &str) -> ConfigError {
    ConfigError {
        path: path.into(),
        message: "`${` opens neither `${VAR}` nor `${VAR:-default}`; a literal `${` is written \
                  `$${`"
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn environment() -> Environment {
        let pairs = [("URI", "mongodb://h"), ("EMPTY", ""), ("TRICKY", "${URI} $${ }")];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn expand(text: &str) -> String {
        expand_text(text, "a.b", &environment()).unwrap()
    }

    #[test]
    fn variables_are_replaced_only_in_their_form() {
        for (text, expected) in [
            ("${URI}", "mongodb://h"),
            ("<${URI}/${URI}>", "<mongodb://h/mongodb://h>"),
            ("${NONE:-./state}", "./state"),
            ("${EMPTY:-full}", "full"),
            ("${EMPTY}", ""),
            ("${NONE:-}", ""),
            ("${NONE:-a:-b}", "a:-b"),
            ("${URI:-other}", "mongodb://h"),
            ("${TRICKY}", "${URI} $${ }"),
            ("$match $field $$ROOT $", "$match $field $$ROOT $"),
            ("$${URI}", "${URI}"),
            ("$$${URI}", "$${URI}"),
            ("größe ${URI} €", "größe mongodb://h €"),
        ] {
            assert_eq!(expand(text), expected, "{text}");
        }
    }

    #[test]
    fn the_variables_of_a_text_are_those_that_are_replaced() {
        let named = |text| variables(text, &environment());
        assert_eq!(named("<${URI}/${NONE:-a}>"), [("URI", true), ("NONE", false)]);
        assert_eq!(named("${EMPTY:-full} ${EMPTY}"), [("EMPTY", false), ("EMPTY", true)]);
        assert_eq!(named("$match $${URI} $ $$"), []);
    }

    #[test]
    fn what_cannot_be_replaced_names_path_and_variable() {
        let fails = |text: &str| expand_text(text, "a.b", &environment()).unwrap_err();
        let undefined = fails("x${NONE}");
        assert_eq!(undefined.path, "a.b");
        assert!(undefined.message.contains("`NONE`"), "{undefined}");
        for text in ["${", "${URI", "${}", "${a-b}", "${1}", "${:-x}", "${ URI }", "${hunter2!}"] {
            let error = fails(text);
            assert_eq!(error, malformed("a.b"), "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    proptest! {
        #[test]
        fn text_without_an_opening_is_untouched(text in any::<String>()) {
            prop_assume!(!text.contains("${"));
            prop_assert_eq!(expand(&text), text);
        }

        #[test]
        fn dollars_and_braces_without_an_opening_are_untouched(text in "[$}a-z{ -]*") {
            prop_assume!(!text.contains("${"));
            prop_assert_eq!(expand(&text), text);
        }

        #[test]
        fn what_is_escaped_comes_back(text in "[${}A-Z:-]*") {
            prop_assert_eq!(expand(&escape(&text)), text);
        }
    }
}
