//! The commands on dead letters: one call each, with the GIL released.

use std::path::PathBuf;
use std::time::Duration;

use pyo3::prelude::*;

use crate::admin::dead_letter::{self, Origin, Selection, Summary};

use super::position::run;

/// A dead letter, for people.
#[pyclass(frozen, get_all, module = "mongo_gcp_stream._core")]
pub(super) struct DeadLetter {
    stream: String,
    stage: String,
    reason: String,
    event_id: Option<String>,
    namespace: Option<String>,
    operation: Option<String>,
    time: Option<String>,
}

/// A dead letter and what became of it.
#[pyclass(frozen, get_all, module = "mongo_gcp_stream._core")]
pub(super) struct Redriven {
    letter: Py<DeadLetter>,
    outcome: &'static str,
    why: String,
}

impl From<Summary> for DeadLetter {
    fn from(letter: Summary) -> Self {
        let time = letter.time.and_then(|time| jiff::Timestamp::from_second(time.into()).ok());
        Self {
            stream: letter.stream,
            stage: letter.stage,
            reason: letter.reason,
            event_id: letter.event_id,
            namespace: letter.namespace,
            operation: letter.operation,
            time: time.map(|time| time.to_string()),
        }
    }
}

/// The dead letters of a file or a subscription; they stay where they are.
#[pyfunction]
#[pyo3(signature = (config_path, *, file = None, subscription = None, stream = None, event_id = None, limit = 100))]
pub(super) fn dead_letter_list(
    py: Python<'_>,
    config_path: PathBuf,
    file: Option<PathBuf>,
    subscription: Option<String>,
    stream: Option<String>,
    event_id: Option<String>,
    limit: usize,
) -> PyResult<Vec<DeadLetter>> {
    let selection = Selection { from: from(file, subscription), stream, event_id, limit };
    let listed =
        run(py, config_path, async move |config| dead_letter::list(&config, &selection).await)?;
    Ok(listed.into_iter().map(DeadLetter::from).collect())
}

/// Delivers dead letters.
#[pyfunction]
#[pyo3(signature = (config_path, *, file = None, subscription = None, stream = None, event_id = None, limit = 100, keep = false, timeout_ms = 30_000))]
#[expect(clippy::too_many_arguments, reason = "they are named where it is called")]
pub(super) fn dead_letter_redrive(
    py: Python<'_>,
    config_path: PathBuf,
    file: Option<PathBuf>,
    subscription: Option<String>,
    stream: Option<String>,
    event_id: Option<String>,
    limit: usize,
    keep: bool,
    timeout_ms: u64,
) -> PyResult<Vec<Redriven>> {
    let selection = Selection { from: from(file, subscription), stream, event_id, limit };
    let timeout = Duration::from_millis(timeout_ms);
    let redriven = run(py, config_path, async move |config| {
        dead_letter::redrive(&config, &selection, keep, timeout).await
    })?;
    let redriven = redriven.into_iter().map(|redriven| {
        Ok(Redriven {
            letter: Py::new(py, DeadLetter::from(redriven.letter))?,
            outcome: redriven.outcome.name(),
            why: redriven.why,
        })
    });
    redriven.collect()
}

fn from(file: Option<PathBuf>, subscription: Option<String>) -> Origin {
    match (file, subscription) {
        (_, Some(name)) => Origin::Subscription(name),
        (Some(path), None) => Origin::File(path),
        (None, None) => Origin::Configured,
    }
}
