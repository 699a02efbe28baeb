//! Errors as Python sees them: the classes of `mongo_gcp_stream.errors`.
//!
//! They are written in Python, because a class with two bases (ours and the built-in that fits)
//! cannot be made through the stable ABI of Python 3.10.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::Error;
use crate::recovery::{Restart, hint, restart};

/// Turns an error into its Python exception, with `hint`, `kind`, `retryable`, and `path` for a
/// `ConfigError`.
pub fn to_python(py: Python<'_>, error: &Error) -> PyErr {
    exception(py, error).unwrap_or_else(|import| {
        let plain = PyRuntimeError::new_err(error.to_string());
        plain.set_cause(py, Some(import));
        plain
    })
}

fn exception(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let class = match error {
        Error::Config(_) => "ConfigError",
        _ => "MongoGcpStreamError",
    };
    let details = PyDict::new(py);
    details.set_item("hint", hint(error))?;
    if let Error::Config(config) = error {
        details.set_item("path", &config.path)?;
    }
    let class = py.import("mongo_gcp_stream.errors")?.getattr(class)?;
    let exception = class.call((error.to_string(),), Some(&details))?;
    exception.setattr("kind", error.kind())?;
    exception.setattr("retryable", restart(error) != Restart::Never)?;
    Ok(PyErr::from_value(exception))
}
