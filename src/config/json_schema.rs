//! `validation.json_schema` of a source: a JSON Schema, draft 2020-12, of its documents.

mod bson_types;
mod keywords;
mod mongodb;
mod walk;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::mongodb::bson::Document;
use jsonschema::json::Json;
use jsonschema::{Draft, PatternOptions, Retrieve, ValidationOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::path::join;
use super::validate::{error, expect};
use super::{Scope, SourceConfig, yaml};
use crate::error::ConfigError;

pub(crate) use bson_types::of_alias;
pub(crate) use walk::Mistake;
use walk::Walk;

/// A JSON Schema of the documents: `inline`, `file` or `collection`, or none.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JsonSchemaConfig {
    /// The schema, draft 2020-12, with `bsonType` as MongoDB has it. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    #[schemars(example = serde_json::json!({"required": ["_id"]}))]
    pub inline: Option<Value>,
    /// A file with such a schema in JSON or YAML, relative to the working directory. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"./orders.schema.json")]
    pub file: Option<PathBuf>,
    /// Whether it is the collection's own: the `$jsonSchema` of its validator, read when the stream
    /// starts. Default: `false`.
    pub collection: bool,
    /// The collection's own, once it was read.
    #[serde(skip)]
    pub(crate) own: Option<Value>,
}

/// A schema without a mistake.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The schema itself.
    pub tree: Value,
    /// The names of fields in it, which an error may tell.
    pub names: HashSet<String>,
    /// Values are seen as MongoDB's own validator sees them.
    pub typed: bool,
}

type Options<F> = ValidationOptions<'static, Arc<dyn Retrieve>, F>;

/// How every schema is compiled: no network, no file, patterns in linear time, `format` tells
/// something and asserts nothing.
pub(crate) fn strict<F: Json>(options: Options<F>) -> Options<F> {
    options
        .offline()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex())
        .should_validate_formats(false)
}

impl JsonSchemaConfig {
    /// Checks what the types cannot tell; paths begin below `json_schema`.
    pub(super) fn check(&self, source: &SourceConfig) -> Result<(), ConfigError> {
        let ways = [self.inline.is_some(), self.file.is_some(), self.collection];
        let message = "expected one at the most of `inline`, `file` and `collection: true`";
        if ways.into_iter().filter(|&chosen| chosen).count() > 1 {
            let path = if self.inline.is_some() { "inline" } else { "file" };
            return Err(error(path, message));
        }
        if self.collection {
            let of_one = source.collection.is_some()
                && source.scope.is_none_or(|scope| scope == Scope::Collection);
            return expect(
                of_one,
                "collection",
                "a source that captures several collections has no one schema: set `collection` \
                 of the source, or use `inline` or `file`",
            );
        }
        if self.is_set() { self.schema().map(drop) } else { Ok(()) }
    }

    /// Whether there is a schema.
    pub(crate) fn is_set(&self) -> bool {
        self.inline.is_some() || self.file.is_some() || self.collection || self.own.is_some()
    }

    /// The schema, read and checked; paths of errors begin below `json_schema`.
    ///
    /// # Errors
    /// A mistake in it, a file that cannot be read, and a collection's own before it was read.
    pub(crate) fn schema(&self) -> Result<Schema, ConfigError> {
        if let Some(own) = &self.own {
            return checked(own.clone(), true).map_err(|mistake| in_place("collection", mistake));
        }
        if let Some(inline) = &self.inline {
            return checked(inline.clone(), false).map_err(|mistake| in_place("inline", mistake));
        }
        let Some(file) = &self.file else {
            let message = "the collection's own schema is read when its stream starts";
            return Err(error("collection", message));
        };
        checked(read(file)?, false).map_err(|Mistake { path, message }| {
            let place = if path.is_empty() { String::new() } else { format!("{path}: ") };
            error("file", format!("{}: {place}{message}", file.display()))
        })
    }
}

impl JsonSchemaConfig {
    /// Keeps the collection's own schema, which was read; paths begin below `json_schema`.
    ///
    /// # Errors
    /// What of it cannot be checked here.
    pub fn set_own(&mut self, schema: &Document) -> Result<(), ConfigError> {
        let own = mongodb::translate(schema, "").map_err(|wrong| in_place("collection", wrong))?;
        self.own = Some(own);
        self.schema().map(drop)
    }

    /// Whether a schema has still to be read from the server.
    pub(crate) fn is_unread(&self) -> bool {
        self.collection && self.own.is_none()
    }
}

fn in_place(key: &str, Mistake { path, message }: Mistake) -> ConfigError {
    let path = if path.is_empty() { key.to_owned() } else { join(key, &path) };
    error(&path, message)
}

fn read(file: &Path) -> Result<Value, ConfigError> {
    let text = std::fs::read_to_string(file)
        .map_err(|why| error("file", format!("{}: {why}", file.display())))?;
    // JSON is YAML too, but for its tabs.
    if let Ok(schema) = serde_json::from_str(&text) {
        return Ok(schema);
    }
    yaml::parse(&text, "file").map_err(|why| ConfigError {
        message: format!("{}: {}", file.display(), why.message),
        ..why
    })
}

/// Goes over the whole of a schema, and compiles it once to see that it can be.
fn checked(mut schema: Value, typed: bool) -> Result<Schema, Mistake> {
    let names = Walk::whole(&schema)?;
    if let Some(keywords) = schema.as_object_mut() {
        // References are within the schema, whatever its own name is.
        keywords.remove("$id");
        keywords.remove("$schema");
    }
    if strict(jsonschema::options()).build(&schema).is_err() {
        let message = "the schema cannot be compiled".to_owned();
        return Err(Mistake { path: String::new(), message });
    }
    Ok(Schema { tree: schema, names, typed })
}

#[cfg(test)]
mod tests;
