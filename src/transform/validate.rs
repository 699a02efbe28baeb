//! Whether a document is as `schemas` says, looked up in its raw bytes.

mod fields;
mod rule;

use std::fmt::Write as _;

use crate::config::{Config, OnInvalid, StreamConfig};
use crate::error::ConfigError;
use crate::event::ChangeEvent;

use fields::Fields;
use rule::Rule;

/// Longest text of what a document breaks, in bytes: it goes into attributes and errors.
const MAX_TEXT: usize = 512;

/// The rules for the documents of one stream.
#[derive(Debug)]
pub(super) struct Validator {
    rules: Vec<Rule>,
    /// Checks them in one pass.
    fields: Option<Fields>,
    /// What becomes of an event whose document breaks one.
    pub on_invalid: OnInvalid,
}

impl Validator {
    /// Compiles the rules of `stream`; `None` where it has none.
    pub fn compile(config: &Config, stream: &StreamConfig) -> Result<Option<Self>, ConfigError> {
        let name = stream.id.to_string();
        let Some(rules) = config.schemas.get(&name) else { return Ok(None) };
        let compiled = rules.iter().map(|(field, rule)| {
            Rule::compile(field, rule).ok_or_else(|| ConfigError {
                path: format!("schemas.{name}.{field}"),
                message: "the rule cannot be understood".into(),
            })
        });
        let rules = compiled.collect::<Result<Vec<_>, _>>()?;
        Ok(Some(Self {
            fields: Fields::of(&rules),
            rules,
            on_invalid: stream.source.validation.on_invalid,
        }))
    }

    /// Checks the document after the change, as it was read. An event without one, such as a
    /// delete, breaks no rule.
    ///
    /// # Errors
    /// The rules that it breaks, `path: rule; path: rule`, never with a value.
    pub fn check(&self, read: &ChangeEvent<'_>) -> Result<(), String> {
        let Some(document) = read.full_document.document() else { return Ok(()) };
        if self.fields.as_ref().is_some_and(|fields| fields.keep(&self.rules, document)) {
            return Ok(());
        }
        let mut broken = String::new();
        for rule in &self.rules {
            if let Err(what) = rule.check(document) {
                let gap = if broken.is_empty() { "" } else { "; " };
                let _ = write!(broken, "{gap}{}: {what}", rule.path());
            }
        }
        if broken.is_empty() {
            return Ok(());
        }
        cut(&mut broken, MAX_TEXT);
        Err(broken)
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
mod tests;
