//! Whether a document is as `schemas` says, looked up in its raw bytes.

mod rule;

use crate::config::{Config, OnInvalid, StreamConfig};
use crate::error::ConfigError;
use crate::event::ChangeEvent;

use rule::Rule;

/// Longest text of what a document breaks, in bytes: it goes into attributes and errors.
const MAX_TEXT: usize = 512;

/// The rules for the documents of one stream.
#[derive(Debug)]
pub(crate) struct Validator {
    rules: Vec<Rule>,
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
        Ok(Some(Self {
            rules: compiled.collect::<Result<_, _>>()?,
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
        let broken = self.broken(document);
        if broken.is_empty() {
            return Ok(());
        }
        let mut broken = broken.join("; ");
        cut(&mut broken, MAX_TEXT);
        Err(broken)
    }

    /// The rules that `document` breaks, each as `path: rule`.
    pub fn broken(&self, document: &[u8]) -> Vec<String> {
        let broken = |rule: &Rule| {
            let what = rule.check(document).err()?;
            Some(format!("{}: {what}", rule.path()))
        };
        self.rules.iter().filter_map(broken).collect()
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
