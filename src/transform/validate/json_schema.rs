//! A document against its JSON Schema, and what it breaks, without a value.

use std::collections::HashSet;
use std::fmt::{self, Write as _};

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, options_for};
use serde_json::Value;

use super::bson_type;
use super::instance::{BsonNode, RawBson};
use crate::config::JsonSchemaConfig;
use crate::config::json_schema::{Schema, strict};
use crate::error::ConfigError;
use crate::event::bson_type::{ARRAY, DOCUMENT};
use crate::event::elements::{Element, Elements};

/// Most errors that are looked at.
const MAX_ERRORS: usize = 20;

/// What is told of the document as a whole.
const WHOLE: &str = "document";

/// A compiled schema.
pub(super) struct JsonSchema {
    validator: Validator,
    /// The names of fields in the schema. Others are content of documents.
    names: HashSet<String>,
}

enum Validator {
    Plain(jsonschema::Validator<RawBson<false>>),
    /// Of the collection's own schema.
    Typed(jsonschema::Validator<RawBson<true>>),
}

impl JsonSchema {
    /// Compiles the schema; paths of errors begin below `json_schema`.
    pub fn compile(config: &JsonSchemaConfig) -> Result<Self, ConfigError> {
        let Schema { tree: schema, names, typed } = config.schema()?;
        let validator = if typed {
            build(&schema).map(Validator::Typed)
        } else {
            build(&schema).map(Validator::Plain)
        };
        Ok(Self { validator: validator?, names })
    }

    /// Appends what `document` breaks, `path: keyword`.
    pub fn check(&self, document: &[u8], broken: &mut Vec<String>) {
        match &self.validator {
            Validator::Plain(validator) => self.check_with(validator, document, broken),
            Validator::Typed(validator) => self.check_with(validator, document, broken),
        }
    }

    fn check_with<const TYPED: bool>(
        &self,
        validator: &jsonschema::Validator<RawBson<TYPED>>,
        document: &[u8],
        broken: &mut Vec<String>,
    ) {
        let instance = BsonNode::<TYPED>::of_document(document);
        if validator.is_valid(instance) {
            return;
        }
        let before = broken.len();
        for error in validator.iter_errors(instance).take(MAX_ERRORS) {
            let text = self.tell(&error, document);
            if !broken.contains(&text) {
                broken.push(text);
            }
        }
        if broken.len() == before {
            // An error that only the fast way saw.
            broken.push(format!("{WHOLE}: json_schema"));
        }
    }

    /// Path and keyword. None of the error's own text: it quotes values.
    fn tell(&self, error: &ValidationError<'_>, document: &[u8]) -> String {
        let mut path = self.path(error.instance_path().as_str(), document);
        if let ValidationErrorKind::Required { property: Value::String(name) } = error.kind() {
            push_name(&mut path, name);
        }
        let keyword = match error.kind() {
            ValidationErrorKind::FalseSchema => forbidding(error.schema_path().as_str()),
            kind => kind.keyword(),
        };
        let path = if path.is_empty() { WHOLE } else { &path };
        format!("{path}: {keyword}")
    }

    /// The dotted path for a JSON pointer into `document`, as far as its names stand in the schema.
    fn path(&self, pointer: &str, document: &[u8]) -> String {
        let mut path = String::new();
        let (mut kind, mut value) = (DOCUMENT, document);
        for segment in pointer.split('/').skip(1) {
            let name = segment.replace("~1", "/").replace("~0", "~");
            let known = kind == ARRAY || self.names.contains(&name);
            let Some(element) = child(kind, value, &name).filter(|_| known) else { break };
            if kind == ARRAY {
                let _ = write!(path, "[{name}]");
            } else {
                push_name(&mut path, &name);
            }
            (kind, value) = (element.kind, element.value);
        }
        path
    }
}

fn build<const TYPED: bool>(
    schema: &Value,
) -> Result<jsonschema::Validator<RawBson<TYPED>>, ConfigError> {
    let options = strict(options_for::<RawBson<TYPED>>());
    let built = options.with_keyword("bsonType", bson_type::compile::<TYPED>).build(schema);
    built.map_err(|_| ConfigError {
        path: "schema".into(),
        message: "the schema cannot be compiled".into(),
    })
}

/// The keyword whose schema is `false`.
fn forbidding(schema_path: &str) -> &'static str {
    let last = schema_path.rsplit('/').next();
    let keywords = ["additionalProperties", "unevaluatedProperties", "unevaluatedItems", "items"];
    keywords.into_iter().find(|keyword| last == Some(keyword)).unwrap_or("false")
}

fn push_name(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

/// The child of a document or an array.
fn child<'a>(kind: u8, value: &'a [u8], name: &str) -> Option<Element<'a>> {
    match kind {
        DOCUMENT => Elements::of(value)?.find(name.as_bytes()),
        ARRAY => Elements::of(value)?.nth(name.parse().ok()?)?,
        _ => None,
    }
}

impl fmt::Debug for JsonSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonSchema").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
