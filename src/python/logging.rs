//! `mongo_gcp_stream._core.log_format`.

use pyo3::prelude::*;

use crate::config::LogFormat;
use crate::telemetry::logging;

/// The form of this process's log lines: `"text"` or `"json"`.
#[pyfunction]
pub(crate) fn log_format() -> &'static str {
    match logging::format() {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    }
}
