//! The commands on positions: one call each, with the GIL released.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::checkpoint::{self, Checkpoint, Stored};
use crate::config::{self, Config};
use crate::error::Error;
use crate::event::Position;
use crate::telemetry::logging;

use super::errors::to_python;

/// How long what is left after a command (a cursor to be closed, say) may hold the end back.
const LEFTOVERS: Duration = Duration::from_secs(1);

/// A checkpoint, for people.
#[pyclass(frozen, get_all, module = "mongo_gcp_stream._core")]
pub(super) struct StoredPosition {
    stream: String,
    scope: String,
    replica_set: String,
    ordering: String,
    epoch: u64,
    sequence: u64,
    time: Option<String>,
    stored_at: Option<String>,
    token: Option<String>,
}

impl StoredPosition {
    fn new(checkpoint: Checkpoint, stored_at: Option<jiff::Timestamp>) -> Self {
        let Checkpoint { identity, epoch, sequence, position } = checkpoint;
        let time = position.cluster_time();
        let time = time.and_then(|time| jiff::Timestamp::from_second(time.time.into()).ok());
        let token = match &position {
            Position::Token(token) => token.get_str("_data").ok().map(str::to_owned),
            Position::OperationTime(_) => None,
        };
        Self {
            stream: identity.stream,
            scope: identity.scope,
            replica_set: identity.replica_set,
            ordering: identity.ordering,
            epoch,
            sequence,
            time: time.map(|time| time.to_string()),
            stored_at: stored_at.map(|time| format!("{time:.3}")),
            token,
        }
    }
}

impl From<Stored> for StoredPosition {
    fn from(stored: Stored) -> Self {
        Self::new(stored.checkpoint, stored.stored_at)
    }
}

/// What is stored for one stream or for all; `None` where there is nothing.
#[pyfunction]
#[pyo3(signature = (config_path, stream = None))]
pub(super) fn position_show(
    py: Python<'_>,
    config_path: PathBuf,
    stream: Option<String>,
) -> PyResult<BTreeMap<String, Option<StoredPosition>>> {
    let shown = run(py, config_path, async move |config| {
        checkpoint::show(&config, stream.as_deref()).await
    })?;
    Ok(shown.into_iter().map(|(name, stored)| (name, stored.map(Into::into))).collect())
}

/// Begins a new epoch at `start`.
#[pyfunction]
pub(super) fn position_set(
    py: Python<'_>,
    config_path: PathBuf,
    stream: String,
    start: &str,
) -> PyResult<StoredPosition> {
    let start = checkpoint::parse_start(start, jiff::Timestamp::now());
    let start = start.map_err(PyValueError::new_err)?;
    let stored =
        run(py, config_path, async move |config| checkpoint::set(&config, &stream, start).await)?;
    Ok(StoredPosition::new(stored, Some(jiff::Timestamp::now())))
}

/// Forgets the position; false where there is none.
#[pyfunction]
pub(super) fn position_clear(
    py: Python<'_>,
    config_path: PathBuf,
    stream: String,
) -> PyResult<bool> {
    run(py, config_path, async move |config| checkpoint::clear(&config, &stream).await)
}

/// Loads the configuration and does `work` with it on a runtime of its own.
pub(super) fn run<T: Send>(
    py: Python<'_>,
    config_path: PathBuf,
    work: impl AsyncFnOnce(Config) -> Result<T, Error> + Send,
) -> PyResult<T> {
    let done = py.detach(move || {
        let config = config::load(&config_path)?.config;
        logging::start(&config.logging)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::Internal(error.to_string()))?;
        let done = runtime.block_on(work(config));
        runtime.shutdown_timeout(LEFTOVERS);
        done
    });
    done.map_err(|error| to_python(py, &error))
}
