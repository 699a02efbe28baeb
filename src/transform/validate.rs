//! Whether a document is as `schemas` and its JSON Schema say, looked up in its raw bytes.

mod bson_type;
mod fields;
mod instance;
mod json_schema;
mod rule;

use crate::config::{Config, OnInvalid, StreamConfig};
use crate::error::ConfigError;
use crate::event::ChangeEvent;

use fields::Fields;
use json_schema::JsonSchema;
use rule::Rule;

/// Longest text of what a document breaks, in bytes: it goes into attributes and errors.
const MAX_TEXT: usize = 512;

/// The rules for the documents of one stream.
#[derive(Debug)]
pub(crate) struct Validator {
    rules: Vec<Rule>,
    /// Checks them in one pass.
    fields: Option<Fields>,
    json_schema: Option<JsonSchema>,
    /// What becomes of an event whose document breaks one.
    pub on_invalid: OnInvalid,
}

impl Validator {
    /// Compiles the rules of `stream`; `None` where it has none.
    pub fn compile(config: &Config, stream: &StreamConfig) -> Result<Option<Self>, ConfigError> {
        let name = stream.id.to_string();
        let validation = &stream.source.validation;
        let rules = config.schemas.get(&name);
        if rules.is_none() && !validation.json_schema.is_set() {
            return Ok(None);
        }
        let compiled = rules.into_iter().flatten().map(|(field, rule)| {
            Rule::compile(field, rule).ok_or_else(|| ConfigError {
                path: format!("schemas.{name}.{field}"),
                message: "the rule cannot be understood".into(),
            })
        });
        let json_schema = &validation.json_schema;
        let json_schema =
            json_schema.is_set().then(|| JsonSchema::compile(json_schema)).transpose();
        let id = &stream.id;
        let path = format!(
            "mongodb.connections.{}.sources.{}.validation.json_schema",
            id.connection_id, id.source_name
        );
        let rules = compiled.collect::<Result<Vec<_>, _>>()?;
        Ok(Some(Self {
            fields: Fields::of(&rules),
            rules,
            json_schema: json_schema.map_err(|error| error.below(&path))?,
            on_invalid: validation.on_invalid,
        }))
    }

    /// Checks the document after the change, as it was read. An event without one, such as a
    /// delete, breaks no rule.
    ///
    /// # Errors
    /// The rules that it breaks, `path: rule; path: rule`, never with a value.
    pub fn check(&self, read: &ChangeEvent<'_>) -> Result<(), String> {
        let Some(document) = read.full_document.document() else { return Ok(()) };
        let broken = self.broken(document);
        if broken.is_empty() {
            return Ok(());
        }
        let mut broken = broken.join("; ");
        cut(&mut broken, MAX_TEXT);
        Err(broken)
    }

    /// What `document` breaks, each as `path: rule`.
    pub fn broken(&self, document: &[u8]) -> Vec<String> {
        let broken = |rule: &Rule| {
            let what = rule.check(document).err()?;
            Some(format!("{}: {what}", rule.path()))
        };
        let kept = self.fields.as_ref().is_some_and(|fields| fields.keep(&self.rules, document));
        let rules = if kept { &[] } else { &self.rules[..] };
        let mut broken: Vec<String> = rules.iter().filter_map(broken).collect();
        if let Some(schema) = &self.json_schema {
            schema.check(document, &mut broken);
        }
        broken
    }
}

/// Cuts a text that has more than `most` bytes, at the end of a character.
fn cut(text: &mut String, most: usize) {
    const MORE: &str = "…";
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most - MORE.len()));
        text.push_str(MORE);
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
