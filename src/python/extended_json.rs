//! `mongo_gcp_stream.to_extended_json`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::config::JsonMode;
use crate::format::json::write_document;

/// Writes one BSON document as MongoDB Extended JSON v2.
///
/// `mode` is `"relaxed"` (the default: numbers and dates as JSON readers expect them) or
/// `"canonical"` (every type kept), or `"simplified"` (no type wrapped). Raises `ValueError` for another mode, and for bytes that are
/// not one whole BSON document; its text names the field, never a value.
#[pyfunction]
#[pyo3(signature = (bson, mode = "relaxed"))]
pub(crate) fn to_extended_json<'py>(
    py: Python<'py>,
    bson: &[u8],
    mode: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    json(py, bson, json_mode(mode)?)
}

/// The mode of this name.
pub(super) fn json_mode(name: &str) -> PyResult<JsonMode> {
    match name {
        "relaxed" => Ok(JsonMode::Relaxed),
        "canonical" => Ok(JsonMode::Canonical),
        "simplified" => Ok(JsonMode::Simplified),
        _ => Err(PyValueError::new_err("mode must be 'relaxed', 'canonical' or 'simplified'")),
    }
}

/// One document as JSON.
pub(super) fn json<'py>(
    py: Python<'py>,
    bson: &[u8],
    mode: JsonMode,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut text = Vec::with_capacity(bson.len() * 2);
    match write_document(bson, mode, &mut text) {
        Ok(()) => Ok(PyBytes::new(py, &text)),
        Err(error) => Err(PyValueError::new_err(error.to_string())),
    }
}
