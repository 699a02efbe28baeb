//! `mongo_gcp_stream.to_extended_json`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::config::JsonMode;
use crate::format::json::write_document;

/// Writes one BSON document as MongoDB Extended JSON v2.
///
/// `mode` is `"relaxed"` (the default: numbers and dates as JSON readers expect them) or
/// `"canonical"` (every type kept). Raises `ValueError` for another mode, and for bytes that are
/// not one whole BSON document; its text names the field, never a value.
#[pyfunction]
#[pyo3(signature = (bson, mode = "relaxed"))]
pub(crate) fn to_extended_json<'py>(
    py: Python<'py>,
    bson: &[u8],
    mode: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    let mode = match mode {
        "relaxed" => JsonMode::Relaxed,
        "canonical" => JsonMode::Canonical,
        _ => return Err(PyValueError::new_err("mode must be 'relaxed' or 'canonical'")),
    };
    let mut json = Vec::with_capacity(bson.len() * 2);
    match write_document(bson, mode, &mut json) {
        Ok(()) => Ok(PyBytes::new(py, &json)),
        Err(error) => Err(PyValueError::new_err(error.to_string())),
    }
}
