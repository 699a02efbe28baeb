//! `Emulator`: the embedded Pub/Sub for Python, on a thread of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tokio::runtime::Runtime;
use tonic::{Code, Status};

use crate::emulator::Emulator;

/// How long a pull waits before it looks whether Python wants to handle a signal.
const SIGNAL_CHECK: Duration = Duration::from_millis(100);

/// Data, attributes, ordering key, publish time in milliseconds since the epoch.
type Pulled<'py> = (Bound<'py, PyBytes>, HashMap<String, String>, String, f64);

/// A Pub/Sub in this process: topics, ordered subscriptions, publish, pull, acknowledge.
#[pyclass(name = "Emulator", module = "mongo_gcp_stream._core", frozen)]
pub struct PyEmulator {
    address: SocketAddr,
    /// `None` once closed. A pull under way in another thread keeps it until it returns.
    running: Mutex<Option<Arc<Running>>>,
}

/// The server and its runtime, which exists only in the process that made it.
struct Running {
    emulator: Option<Emulator>,
    runtime: Option<Runtime>,
    process: u32,
}

impl Running {
    fn start(port: u16) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("emulator")
            .enable_all()
            .build()?;
        let emulator = runtime.block_on(Emulator::start(port))?;
        Ok(Self { emulator: Some(emulator), runtime: Some(runtime), process: std::process::id() })
    }

    /// The server and its runtime; in a forked child neither has a thread any more.
    fn parts(&self) -> PyResult<(&Emulator, &Runtime)> {
        if self.process != std::process::id() {
            let message = "the emulator runs in the parent process: use its address, or start \
                           another one after the fork";
            return Err(PyRuntimeError::new_err(message));
        }
        self.emulator.as_ref().zip(self.runtime.as_ref()).ok_or_else(closed)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let (Some(emulator), Some(runtime)) = (self.emulator.take(), self.runtime.take()) else {
            return;
        };
        if self.process == std::process::id() {
            runtime.block_on(emulator.stop());
            runtime.shutdown_background();
        } else {
            // Its threads are in the parent: waiting for them would never end.
            std::mem::forget((emulator, runtime));
        }
    }
}

impl PyEmulator {
    fn running(&self) -> PyResult<Arc<Running>> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.clone().ok_or_else(closed)
    }
}

#[pymethods]
impl PyEmulator {
    #[new]
    #[pyo3(signature = (port = 0))]
    fn new(py: Python<'_>, port: u16) -> PyResult<Self> {
        let running = py.detach(|| Running::start(port))?;
        let address = running.parts()?.0.address();
        Ok(Self { address, running: Mutex::new(Some(Arc::new(running))) })
    }

    #[getter]
    fn address(&self) -> String {
        self.address.to_string()
    }

    fn create_topic(&self, topic: &str) -> PyResult<()> {
        match self.running()?.parts()?.0.create_topic(topic) {
            Err(status) if status.code() == Code::AlreadyExists => Ok(()),
            result => result.map_err(|status| exception(&status)),
        }
    }

    #[pyo3(signature = (subscription, topic, ordered = true))]
    fn create_subscription(&self, subscription: &str, topic: &str, ordered: bool) -> PyResult<()> {
        let running = self.running()?;
        let created = running.parts()?.0.create_subscription(subscription, topic, ordered);
        created.map_err(|status| exception(&status))
    }

    #[pyo3(signature = (subscription, max_messages = 1000, wait_ms = 1000))]
    fn pull<'py>(
        &self,
        py: Python<'py>,
        subscription: &str,
        max_messages: usize,
        wait_ms: u64,
    ) -> PyResult<Vec<Pulled<'py>>> {
        let begun = Instant::now();
        loop {
            let running = self.running()?;
            let (emulator, runtime) = running.parts()?;
            let left = Duration::from_millis(wait_ms).saturating_sub(begun.elapsed());
            let pull = emulator.pull(subscription, max_messages, left.min(SIGNAL_CHECK));
            let messages =
                py.detach(|| runtime.block_on(pull)).map_err(|status| exception(&status))?;
            if !messages.is_empty() || left.is_zero() {
                return Ok(messages.iter().map(|message| pulled(py, message)).collect());
            }
            py.check_signals()?;
        }
    }

    fn close(&self, py: Python<'_>) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        py.detach(|| drop(running));
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, pyo3::types::PyTuple>) {
        self.close(py);
    }
}

fn pulled<'py>(py: Python<'py>, message: &PubsubMessage) -> Pulled<'py> {
    let published =
        message.publish_time.and_then(|time| std::time::SystemTime::try_from(time).ok());
    let since_epoch = published.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    (
        PyBytes::new(py, &message.data),
        message.attributes.clone(),
        message.ordering_key.clone(),
        since_epoch.unwrap_or_default().as_secs_f64() * 1e3,
    )
}

fn closed() -> PyErr {
    PyRuntimeError::new_err("the emulator is closed")
}

fn exception(status: &Status) -> PyErr {
    let message = status.message().to_owned();
    match status.code() {
        Code::InvalidArgument => PyValueError::new_err(message),
        _ => PyRuntimeError::new_err(message),
    }
}
