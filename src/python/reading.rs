//! `Reading`: the streams of a configuration, read by Python.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::batch::ChangeBatch;
use super::bridge::{Bridge, Call};
use super::errors::to_python;
use super::runner::Failure;
use super::runtime::{self, OfProcess};
use super::statistics::PyStreamStatistics;
use crate::config::{self, Config};
use crate::error::{ConfigError, Error};
use crate::flow::Backoff;
use crate::manager::{self, States};
use crate::reader;

/// The streams of one configuration, whose changes Python takes.
#[pyclass(frozen, module = "mongo_gcp_stream._core")]
pub(super) struct Reading {
    reading: OfProcess<Arc<manager::Reading>>,
}

#[pymethods]
impl Reading {
    /// Checks the configuration, JSON text of a mapping without variables; nothing is connected.
    #[new]
    fn new(py: Python<'_>, config: &str) -> PyResult<Self> {
        let reading = manager::Reading::new(known(py, parse(config))?);
        let reading = reading.map_err(|error| to_python(py, &error))?;
        Ok(Self { reading: OfProcess::new(Arc::new(reading)) })
    }

    /// How long callbacks may take when processing is to end, in seconds.
    #[getter]
    fn drain_timeout(&self) -> PyResult<f64> {
        Ok(self.here()?.drain_timeout().as_secs_f64())
    }

    /// How long a stream may be silent, in seconds.
    #[getter]
    fn max_inactivity(&self) -> PyResult<f64> {
        Ok(self.here()?.max_inactivity().as_secs_f64())
    }

    /// Starts every stream that has not been started.
    fn start(&self) -> PyResult<()> {
        let (reading, runtime) = (self.here()?, runtime::handle()?);
        let _entered = runtime.enter();
        let closed = "the manager was closed, and is not started again: make a new one";
        reading.start().then_some(()).ok_or_else(|| PyRuntimeError::new_err(closed))
    }

    /// Waits until each stream is open or has failed at its first attempt.
    fn opened(&self, bridge: &Bridge, call: u64) -> PyResult<Call> {
        let reading = self.here()?;
        bridge.spawn_value(call, async move { reading.opened().await })
    }

    /// The same, without an event loop.
    fn wait_opened(&self, py: Python<'_>) -> PyResult<()> {
        let reading = self.here()?;
        runtime::block_on(py, async move { reading.opened().await })
    }

    /// Stops all streams, stores what was committed and closes the connections.
    fn close(&self, bridge: &Bridge, call: u64) -> PyResult<Call> {
        let reading = self.here()?;
        bridge.spawn_value(call, async move { reading.close().await })
    }

    /// The same, without an event loop.
    fn wait_closed(&self, py: Python<'_>) -> PyResult<()> {
        let reading = self.here()?;
        runtime::block_on(py, async move { reading.close().await })
    }

    /// Adds a stream as a configuration, JSON text again, describes it.
    fn add_source(&self, py: Python<'_>, config: &str, stream: &str) -> PyResult<()> {
        let reading = self.here()?;
        known(py, parse(config).and_then(|config| reading.add_source(&config, stream)))
    }

    /// Stops a stream and forgets it; False where there is none of this name.
    fn remove(&self, bridge: &Bridge, call: u64, stream: String) -> PyResult<Call> {
        let reading = self.here()?;
        bridge.spawn_value(call, async move { reading.remove(&stream).await })
    }

    /// The same, without an event loop.
    fn wait_removed(&self, py: Python<'_>, stream: String) -> PyResult<bool> {
        let reading = self.here()?;
        runtime::block_on(py, async move { reading.remove(&stream).await })
    }

    /// The right to take the batches of a stream; `None` while somebody else has it.
    fn consumer(&self, py: Python<'_>, stream: &str) -> PyResult<Option<Consumer>> {
        let consumer = known(py, self.here()?.consumer(stream))?;
        Ok(consumer.map(|consumer| Consumer {
            stream: stream.into(),
            consumer: OfProcess::new(Arc::new(consumer)),
        }))
    }

    /// Why a stream ended, if by an error.
    fn failure(&self, py: Python<'_>, stream: &str) -> PyResult<Option<Failure>> {
        Ok(known(py, self.here()?.failure(stream))?.map(Failure::from))
    }

    /// Ends a stream as failed.
    fn refuse(&self, py: Python<'_>, stream: &str, message: String) -> PyResult<()> {
        known(py, self.here()?.refuse(stream, message))
    }

    /// Notes that an event could not be taken and is tried again, or that the stream goes on.
    #[pyo3(signature = (stream, message))]
    fn interrupted(&self, py: Python<'_>, stream: &str, message: Option<&str>) -> PyResult<()> {
        known(py, self.here()?.interrupted(stream, message))
    }

    /// Waits between the attempts at one event.
    fn backoff(&self) -> PyResult<RetryDelays> {
        Ok(RetryDelays { backoff: Mutex::new(self.here()?.backoff()) })
    }

    /// Pauses a stream, or lets it go on.
    fn pause(&self, py: Python<'_>, stream: &str, paused: bool) -> PyResult<()> {
        known(py, self.here()?.pause(stream, paused))
    }

    /// Waits until a stream that is to pause is at rest, was never started, or is gone.
    fn at_rest(&self, bridge: &Bridge, call: u64, stream: String) -> PyResult<Call> {
        let reading = self.here()?;
        bridge.spawn_value(call, async move { reading.at_rest(&stream).await })
    }

    /// The same without an event loop; False when the time is over.
    fn wait_at_rest(
        &self,
        py: Python<'_>,
        stream: String,
        timeout_ms: Option<u64>,
    ) -> PyResult<bool> {
        let reading = self.here()?;
        let rests = async move { reading.at_rest(&stream).await };
        Ok(runtime::block_on(py, within(timeout_ms, rests))?.is_some())
    }

    /// The statistics of each stream now.
    fn statistics(&self) -> PyResult<BTreeMap<String, PyStreamStatistics>> {
        let streams = self.here()?.statistics().into_iter();
        Ok(streams.map(|(id, now)| (id.to_string(), PyStreamStatistics::new(&id, now))).collect())
    }

    /// Waits until the states of the streams differ from `seen`; gives those of all.
    fn changed(
        &self,
        bridge: &Bridge,
        call: u64,
        seen: BTreeMap<String, String>,
    ) -> PyResult<Call> {
        let (reading, seen) = (self.here()?, states(seen));
        bridge.spawn_value(call, async move { names(reading.changed(&seen).await) })
    }
}

impl Drop for Reading {
    /// Streams of a manager that was forgotten do not go on for the life of the process.
    fn drop(&mut self) {
        if let Ok(reading) = self.reading.get() {
            reading.abandon();
        }
    }
}

impl Reading {
    /// The streams, in the process that has them.
    fn here(&self) -> PyResult<Arc<manager::Reading>> {
        Ok(Arc::clone(self.reading.get()?))
    }
}

/// The waits between the attempts at one event, growing and jittered.
#[pyclass(frozen, module = "mongo_gcp_stream._core")]
pub(super) struct RetryDelays {
    backoff: Mutex<Backoff>,
}

#[pymethods]
impl RetryDelays {
    /// Seconds to wait before the next attempt; `None` once `max_retries` is used up.
    fn next(&self) -> Option<f64> {
        let mut backoff = self.backoff.lock().unwrap_or_else(PoisonError::into_inner);
        (!backoff.is_exhausted()).then(|| backoff.next_delay().as_secs_f64())
    }
}

/// The one who takes the batches of a stream; releasing it puts back what is not committed.
#[pyclass(frozen, module = "mongo_gcp_stream._core")]
pub(super) struct Consumer {
    stream: Arc<str>,
    consumer: OfProcess<Arc<reader::Consumer>>,
}

#[pymethods]
impl Consumer {
    /// Waits until a batch can be taken (True) or none comes any more (False).
    fn ready(&self, bridge: &Bridge, call: u64) -> PyResult<Call> {
        let consumer = Arc::clone(self.consumer.get()?);
        bridge.spawn_value(call, async move { consumer.ready().await })
    }

    /// The same without an event loop; `None` when the time is over.
    fn wait_ready(&self, py: Python<'_>, timeout_ms: Option<u64>) -> PyResult<Option<bool>> {
        runtime::block_on(py, within(timeout_ms, self.consumer.get()?.ready()))
    }

    /// The next batch, if there is one.
    fn take(&self) -> PyResult<Option<ChangeBatch>> {
        let taken = self.consumer.get()?.take();
        Ok(taken.map(|delivery| ChangeBatch::new(Arc::clone(&self.stream), delivery)))
    }

    /// Gives the right back; what is taken and not committed comes again to the next who has it.
    fn release(&self) -> PyResult<()> {
        self.consumer.get()?.release();
        Ok(())
    }
}

/// The states of streams by their names, as Python has them.
type Names = BTreeMap<String, &'static str>;

fn names(states: States) -> Names {
    states.into_iter().map(|(name, state)| (name, state.name())).collect()
}

/// Without those that do not exist.
fn states(names: BTreeMap<String, String>) -> States {
    names.into_iter().filter_map(|(name, state)| Some((name, state.parse().ok()?))).collect()
}

/// What `future` gives in time.
async fn within<T>(timeout_ms: Option<u64>, future: impl Future<Output = T>) -> Option<T> {
    match timeout_ms {
        Some(ms) => tokio::time::timeout(Duration::from_millis(ms), future).await.ok(),
        None => Some(future.await),
    }
}

/// A configuration whose variables are already in place.
pub(super) fn parse(json: &str) -> Result<Config, ConfigError> {
    config::from_resolved(super::config::parse(json)?)
}

pub(super) fn known<T>(py: Python<'_>, result: Result<T, ConfigError>) -> PyResult<T> {
    result.map_err(|error| to_python(py, &Error::from(error)))
}
