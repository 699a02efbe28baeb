//! `Validator`: the rules of `schemas`, for documents that Python holds.

use std::collections::HashMap;

use pyo3::prelude::*;
use serde_json::{Map, Value, json};

use crate::config::{self, Environment};
use crate::error::ConfigError;
use crate::transform;

use super::errors::to_python;

/// The rules of every stream, compiled once.
#[pyclass(name = "Validator", frozen, module = "mongo_gcp_stream._core")]
pub(super) struct PyValidator {
    streams: HashMap<String, transform::Validator>,
}

#[pymethods]
impl PyValidator {
    #[new]
    fn new(py: Python<'_>, schemas: &str) -> PyResult<Self> {
        compile(schemas).map_err(|error| to_python(py, &error.into()))
    }

    /// The rules that a document breaks; none for a stream without rules.
    fn check(&self, stream: &str, document: &[u8]) -> Vec<String> {
        self.streams.get(stream).map_or_else(Vec::new, |rules| rules.broken(document))
    }
}

fn compile(schemas: &str) -> Result<PyValidator, ConfigError> {
    let schemas: Map<String, Value> = serde_json::from_str(schemas).map_err(|_| ConfigError {
        path: "schemas".into(),
        message: "expected a mapping of streams".into(),
    })?;
    let mut streams = HashMap::new();
    for (stream, rules) in schemas {
        if let Some(validator) = of_stream(&stream, &rules)? {
            streams.insert(stream, validator);
        }
    }
    Ok(PyValidator { streams })
}

/// The rules of one stream, read as those of a configuration with this stream alone.
fn of_stream(stream: &str, rules: &Value) -> Result<Option<transform::Validator>, ConfigError> {
    let path = format!("schemas.{stream}");
    let Some((connection, source)) = stream.split_once('.') else {
        return Err(ConfigError { path, message: "expected `<connection>.<source>`".into() });
    };
    let tree = json!({
        "mongodb": {"connections": {connection: {
            "uri": "mongodb://localhost",
            "sources": {source: {
                "database": "any", "collection": "any", "validation": {"on_invalid": "drop"},
            }},
        }}},
        "schemas": {stream: rules},
    });
    // What is wrong elsewhere comes of the stream's name.
    let own = |error: ConfigError| {
        if error.path.starts_with("schemas") {
            return error;
        }
        ConfigError { path: path.clone(), ..error }
    };
    let config = config::from_value(tree, &Environment::default()).map_err(own)?.config;
    let streams = config.streams().map_err(own)?;
    let validator = streams.first().map(|stream| transform::Validator::compile(&config, stream));
    Ok(validator.transpose()?.flatten())
}
