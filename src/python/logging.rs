//! Logging: `log_format` of `Runner`, and the records that Python's `logging` gets.

use std::time::UNIX_EPOCH;

use pyo3::prelude::*;
use serde_json::Value;
use tracing::Level;

use crate::config::LogFormat;
use crate::telemetry::logging;
use crate::telemetry::records::{self, Record, Records};

/// Level, target, message, fields as JSON, seconds since the epoch, file and line.
type Logged = (u8, &'static str, String, String, f64, &'static str, u32);

/// The form of this process's log lines: `"text"` or `"json"`.
#[pyfunction]
pub(super) fn log_format() -> &'static str {
    match logging::format() {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    }
}

/// Begins to keep what Rust logs; false where it goes to standard error for the life of the process.
#[pyfunction]
pub(super) fn log_open() -> bool {
    let installed = records::install();
    if installed {
        Records::open();
    }
    installed
}

/// Waits, without the GIL, for what Rust logs; `None` once it is closed and all is taken.
#[pyfunction]
pub(super) fn log_take(py: Python<'_>) -> Option<(Vec<Logged>, u64)> {
    let records = Records::of_process()?;
    let taken = py.detach(|| records.take())?;
    Some((taken.records.into_iter().map(logged).collect(), taken.dropped))
}

/// Ends what `log_open` began.
#[pyfunction]
pub(super) fn log_close(py: Python<'_>) {
    if let Some(records) = Records::of_process() {
        py.detach(|| records.close());
    }
}

/// Whether the core's own `debug` records are kept, too.
#[pyfunction]
pub(super) fn log_debug(wanted: bool) {
    records::set_debug(wanted);
}

fn logged(record: Record) -> Logged {
    let time = record.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let (file, line) = record.place.unwrap_or_default();
    let fields = Value::Object(record.fields).to_string();
    (level(record.level), record.target, record.message, fields, time, file, line)
}

/// The level's number in Python.
fn level(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        _ => 10,
    }
}
