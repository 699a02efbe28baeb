//! `Sources`: the streams of a configuration, for a runner that keeps their positions.

use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::Timestamp;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tokio::sync::Mutex;

use crate::checkpoint::{Pace, Resume};
use crate::error::{ConfigError, Error};
use crate::event::{NotPortable, Position};
use crate::manager;
use crate::reader::{self, Delivery};

use super::batch::ChangeBatch;
use super::errors::to_python;
use super::reading::{known, parse};
use super::runtime::{self, OfProcess};

/// The streams of one configuration, none of them open.
#[pyclass(frozen, module = "mongo_gcp_stream._core")]
pub(super) struct Sources {
    sources: OfProcess<manager::Sources>,
}

#[pymethods]
impl Sources {
    /// Checks the configuration, JSON text of a mapping without variables; nothing is connected.
    #[new]
    #[pyo3(signature = (config, *, follow = false))]
    fn new(py: Python<'_>, config: &str, follow: bool) -> PyResult<Self> {
        let sources = manager::Sources::new(&known(py, parse(config))?, follow);
        let sources = sources.map_err(|error| to_python(py, &error))?;
        Ok(Self { sources: OfProcess::new(sources) })
    }

    /// Begins to read a stream.
    #[pyo3(signature = (stream, start = None, until = None, resume = None))]
    fn open(
        &self,
        py: Python<'_>,
        stream: &str,
        start: Option<&[u8]>,
        until: Option<(u32, u32)>,
        resume: Option<&str>,
    ) -> PyResult<Slices> {
        let resume = known(py, resume.map(resume_of_name).transpose())?;
        let (sources, runtime) = (self.sources.get()?, runtime::handle()?);
        let start = start.map(Position::from_bytes).transpose().map_err(not_portable)?;
        let until = until.map(|(time, increment)| Timestamp { time, increment });
        let _entered = runtime.enter();
        let slices = known(py, sources.open(stream, start, until, resume))?;
        Ok(Slices { stream: stream.into(), slices: OfProcess::new(Mutex::new(slices)) })
    }

    /// Closes the connections.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        runtime::block_on(py, self.sources.get()?.close())
    }
}

/// A stream that is read ahead.
#[pyclass(frozen, module = "mongo_gcp_stream._core")]
pub(super) struct Slices {
    stream: Arc<str>,
    slices: OfProcess<Mutex<reader::Slices>>,
}

#[pymethods]
impl Slices {
    /// The next slice; `None` where there is none in time.
    fn next(&self, py: Python<'_>, most: usize, timeout_ms: u64) -> PyResult<Option<Slice>> {
        let slices = self.slices.get()?;
        let next = async {
            let next = async { slices.lock().await.next(most).await };
            tokio::time::timeout(Duration::from_millis(timeout_ms), next).await.ok()
        };
        let Some(slice) = runtime::block_on(py, next)? else { return Ok(None) };
        let slice = slice.map_err(|error: Error| to_python(py, &error))?;
        Slice::new(py, &self.stream, slice).map(Some)
    }

    /// Lets the checkpoint follow to a position that the runner has committed.
    #[pyo3(signature = (position, *, moved, last = false))]
    fn keep(&self, py: Python<'_>, position: &[u8], moved: bool, last: bool) -> PyResult<bool> {
        let slices = self.slices.get()?;
        let pace = match (last, moved) {
            (true, _) => Pace::AtOnce,
            (false, true) => Pace::Events,
            (false, false) => Pace::Idle,
        };
        let position = Position::from_bytes(position).map_err(not_portable)?;
        let kept = async {
            let bound = slices.lock().await.bound();
            match bound {
                Some(bound) => bound.keep(&position, pace).await,
                None => Ok(false),
            }
        };
        runtime::block_on(py, kept)?.map_err(|error| to_python(py, &error.into()))
    }
}

fn resume_of_name(name: &str) -> Result<Resume, ConfigError> {
    Resume::of_name(name).ok_or_else(|| ConfigError {
        path: "resume".into(),
        message: "expected RESUME_OR_NEW, RESUME_OR_FAIL or FAIL_IF_EXISTS".into(),
    })
}

/// Events of one second of cluster time, or a position that has moved.
#[pyclass(frozen, get_all, module = "mongo_gcp_stream._core")]
pub(super) struct Slice {
    batch: Option<Py<ChangeBatch>>,
    position: Py<PyBytes>,
    time: Option<(u32, u32)>,
    catching_up: bool,
    done: bool,
}

impl Slice {
    fn new(py: Python<'_>, stream: &Arc<str>, slice: reader::Slice) -> PyResult<Self> {
        let reader::Slice { batch, position, time, done } = slice;
        let catching_up = batch.catching_up;
        let batch = (!batch.is_empty()).then(|| {
            Py::new(py, ChangeBatch::new(Arc::clone(stream), Arc::new(Delivery::detached(batch))))
        });
        Ok(Self {
            batch: batch.transpose()?,
            position: PyBytes::new(py, &position.to_bytes()).unbind(),
            time: time.map(|time| (time.time, time.increment)),
            catching_up,
            done,
        })
    }
}

/// The cluster time of a position, seconds and ordinal; `None` where its token does not tell.
#[pyfunction]
pub(super) fn position_time(position: &[u8]) -> PyResult<Option<(u32, u32)>> {
    let position = Position::from_bytes(position).map_err(not_portable)?;
    Ok(position.cluster_time().map(|time| (time.time, time.increment)))
}

/// The position before everything of a second, since the epoch, and of those after it.
#[pyfunction]
pub(super) fn position_at(py: Python<'_>, seconds: u32) -> Bound<'_, PyBytes> {
    PyBytes::new(py, &Position::at_second(seconds).to_bytes())
}

pub(super) fn not_portable(error: NotPortable) -> PyErr {
    PyValueError::new_err(error.to_string())
}
