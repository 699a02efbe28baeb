//! `schemas` and `validation` of a source: what a document has to be like.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::path::{join, nearest};
use super::validate::{error, expect};
use super::{Config, JsonSchemaConfig, SourceConfig};
use crate::error::ConfigError;
use crate::event::FieldPath;
use crate::limits::MAX_ATTRIBUTE_VALUE;

/// Rules for the documents of one stream, by the dotted path of a field.
pub type FieldRules = BTreeMap<String, FieldRule>;

/// What a field has to be like.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldRule {
    /// The type of its value. Default: any.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<FieldType>,
    /// Whether every document has it. Default: `false`.
    #[serde(default)]
    pub required: bool,
    /// Whether it may be null. Default: `false`.
    #[serde(default)]
    pub nullable: bool,
    /// Least number, or earliest date as in RFC 3339. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Value>,
    /// Greatest number, or latest date as in RFC 3339. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Value>,
    /// Fewest characters of a string, or items of an array. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u32>,
    /// Most characters of a string, or items of an array. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    /// Regular expression that a string has to contain a match of. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Texts, numbers and booleans of which it has to be one. Default: any.
    #[serde(rename = "enum", skip_serializing_if = "Option::is_none")]
    pub any_of: Option<Vec<Value>>,
    /// Stands for the original's Python callable, which a configuration file cannot hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Value>,
}

/// The type of a field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// A string.
    String,
    /// An int, a long, a double or a decimal.
    Number,
    /// A boolean.
    Boolean,
    /// A date.
    Date,
    /// An embedded document.
    Object,
    /// An array.
    Array,
}

/// What else documents are held against, and what becomes of those that break a rule.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ValidationConfig {
    /// What becomes of an event whose document breaks a rule. Default: `dead_letter`.
    pub on_invalid: OnInvalid,
    /// A JSON Schema of the documents, beside the rules of `schemas`: one of these at the most.
    pub json_schema: JsonSchemaConfig,
    /// Sent as the attribute `schema_version`, where it is set. Default: `null`.
    pub schema_version: Option<String>,
}

/// What becomes of an event whose document breaks a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnInvalid {
    /// It goes to the dead letters, with the rules that it breaks.
    #[default]
    DeadLetter,
    /// It is left out, and counted.
    Drop,
    /// It is published with the attribute `validation_errors`.
    Pass,
    /// Its stream ends before it.
    Fail,
}

/// Checks `schemas`, and that what needs dead letters has a place for them.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let names: Vec<String> = streams(config).map(|(name, _)| name).collect();
    for (stream, rules) in &config.schemas {
        let path = join("schemas", stream);
        if !names.contains(stream) {
            let hint = nearest(stream, names.iter().map(String::as_str));
            let hint = hint.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
            let message = format!("no source of this name: expected `<connection>.<source>`{hint}");
            return Err(error(&path, message));
        }
        rules.iter().try_for_each(|(field, rule)| rule.check(field, &join(&path, field)))?;
    }
    for (stream, source) in streams(config) {
        let (connection, name) = stream.split_once('.').unwrap_or((&stream, ""));
        let path = format!("mongodb.connections.{connection}.sources.{name}.validation");
        let version = source.validation.schema_version.as_ref();
        expect(
            version.is_none_or(|version| (1..=MAX_ATTRIBUTE_VALUE).contains(&version.len())),
            &format!("{path}.schema_version"),
            "expected a text of 1 to 1024 bytes",
        )?;
        let json_schema = &source.validation.json_schema;
        let checked = json_schema.check(source);
        checked.map_err(|error| error.below(&format!("{path}.json_schema")))?;
        let has_rules = config.schemas.get(&stream).is_some_and(|rules| !rules.is_empty())
            || json_schema.is_set();
        let needs_place = source.validation.on_invalid == OnInvalid::DeadLetter;
        expect(
            // Without `pubsub` nothing is published, and nothing sent away.
            !has_rules || !needs_place || config.pubsub.is_none() || config.has_dead_letters(),
            &format!("{path}.on_invalid"),
            "`dead_letter`, the default, needs a place: set `dead_letter.file` or \
             `dead_letter.topic`, or choose `drop`, `pass` or `fail`",
        )?;
    }
    Ok(())
}

fn streams(config: &Config) -> impl Iterator<Item = (String, &SourceConfig)> {
    config.mongodb.connections.iter().flat_map(|(id, connection)| {
        connection.sources.iter().map(move |(name, source)| (format!("{id}.{name}"), source))
    })
}

impl FieldRule {
    fn check(&self, field: &str, path: &str) -> Result<(), ConfigError> {
        let at = |key: &str| join(path, key);
        expect(FieldPath::parse(field).is_some(), path, "expected a dotted path of a field")?;
        expect(
            self.validation.is_none(),
            &at("validation"),
            "a callable works only from Python, not from a file: use `pattern`, `enum`, `min` and \
             the like",
        )?;
        for (key, bound) in [("min", &self.min), ("max", &self.max)] {
            let sound = match bound {
                None | Some(Value::Number(_)) => true,
                Some(Value::String(text)) => text.parse::<jiff::Timestamp>().is_ok(),
                Some(_) => false,
            };
            expect(sound, &at(key), "expected a number, or a time as in RFC 3339")?;
        }
        self.check_fit(&at)?;
        let lengths = (self.min_length, self.max_length);
        let sound = !matches!(lengths, (Some(least), Some(most)) if least > most);
        expect(sound, &at("min_length"), "must not be more than `max_length`")?;
        if let Some(pattern) = &self.pattern {
            let sound = regex::Regex::new(pattern).is_ok();
            expect(sound, &at("pattern"), "expected a regular expression as of the crate `regex`")?;
        }
        let plain =
            |value: &Value| matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_));
        let sound = |values: &Vec<Value>| !values.is_empty() && values.iter().all(plain);
        let sound = self.any_of.as_ref().is_none_or(sound);
        expect(sound, &at("enum"), "expected texts, numbers and booleans, one at the least")
    }

    /// A rule that no value of the type can keep would send all documents away.
    fn check_fit(&self, at: &impl Fn(&str) -> String) -> Result<(), ConfigError> {
        let is = |kind| self.kind.is_none_or(|own| own == kind);
        for (key, bound) in [("min", &self.min), ("max", &self.max)] {
            let fits = match bound {
                None => true,
                Some(Value::Number(_)) => is(FieldType::Number),
                Some(_) => is(FieldType::Date),
            };
            expect(fits, &at(key), "a number bounds `type: number`, a time `type: date`")?;
        }
        let ordered = match (&self.min, &self.max) {
            (Some(Value::Number(min)), Some(Value::Number(max))) => min.as_f64() <= max.as_f64(),
            (Some(Value::String(min)), Some(Value::String(max))) => {
                min.parse::<jiff::Timestamp>().ok() <= max.parse::<jiff::Timestamp>().ok()
            }
            (Some(_), Some(_)) => false,
            _ => true,
        };
        expect(ordered, &at("min"), "must not be greater than `max`, nor of another kind")?;
        let measured = self.min_length.or(self.max_length).is_none()
            || is(FieldType::String)
            || is(FieldType::Array);
        let key = if self.min_length.is_some() { "min_length" } else { "max_length" };
        expect(measured, &at(key), "only a string or an array has a length")?;
        let matched = self.pattern.is_none() || is(FieldType::String);
        expect(matched, &at("pattern"), "only a string matches a pattern")
    }
}
