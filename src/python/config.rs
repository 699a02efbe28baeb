//! Configurations for Python: three trees as JSON text, of which `mongo_gcp_stream.config` makes one
//! mapping.

use std::path::PathBuf;

use pyo3::prelude::*;
use serde_json::Value;

use crate::config::{self, Resolved};
use crate::error::ConfigError;

use super::errors::to_python;

/// What was written; the same with the defaults filled in; that without secrets; and warnings.
type Trees = (String, String, String, Vec<String>);

/// Reads a configuration file.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "PyO3 hands arguments over by value")]
pub(super) fn resolve_file(py: Python<'_>, config_path: PathBuf) -> PyResult<Trees> {
    trees(config::resolve(&config_path)).map_err(|error| to_python(py, &error.into()))
}

/// Reads JSON text of a mapping as it would stand in a file.
#[pyfunction]
pub(super) fn resolve_mapping(py: Python<'_>, json: &str) -> PyResult<Trees> {
    let resolved = parse(json).and_then(config::resolve_value);
    trees(resolved).map_err(|error| to_python(py, &error.into()))
}

/// JSON text of a mapping.
pub(super) fn parse(json: &str) -> Result<Value, ConfigError> {
    serde_json::from_str(json).map_err(|_| ConfigError {
        path: "configuration".into(),
        message: "expected JSON text of a mapping".into(),
    })
}

fn trees(resolved: Result<Resolved, ConfigError>) -> Result<Trees, ConfigError> {
    let Resolved { config, tree, warnings } = resolved?;
    let mut shown = config::shown(&config);
    drop_null(&mut shown);
    let mut effective = tree.clone();
    inherit_database(&mut effective);
    config::add_missing(&mut effective, shown.clone());
    Ok((tree.to_string(), effective.to_string(), shown.to_string(), warnings))
}

/// A key without a value has no default.
fn drop_null(tree: &mut Value) {
    if let Value::Object(map) = tree {
        map.retain(|_, value| !value.is_null());
        map.values_mut().for_each(drop_null);
    }
}

/// Sources have the database of their connection where they name none.
fn inherit_database(tree: &mut Value) {
    let connections = tree.pointer_mut("/mongodb/connections").and_then(Value::as_object_mut);
    for connection in connections.into_iter().flat_map(|map| map.values_mut()) {
        let Some(database) = connection.get("database").cloned() else { continue };
        let sources = connection.get_mut("sources").and_then(Value::as_object_mut);
        for source in sources.into_iter().flat_map(|map| map.values_mut()) {
            if let Value::Object(source) = source {
                source.entry("database").or_insert_with(|| database.clone());
            }
        }
    }
}
