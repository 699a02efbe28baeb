//! `Emulator`: the embedded Pub/Sub for Python, on a thread of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use pyo3::exceptions::{PyRuntimeError, PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tokio::runtime::Runtime;
use tonic::{Code, Status};

use crate::emulator::{DEFAULT_MAX_BYTES, Emulator, Fault, Statistics};

/// How long a wait lasts before it looks whether Python wants to handle a signal.
const SIGNAL_CHECK: Duration = Duration::from_millis(100);

/// Data, attributes, ordering key, publish time in milliseconds since the epoch.
type Pulled<'py> = (Bound<'py, PyBytes>, HashMap<String, String>, String, f64);

/// The codes that a fault may answer with, by their names in the protocol.
const CODES: [(&str, Code); 16] = [
    ("CANCELLED", Code::Cancelled),
    ("UNKNOWN", Code::Unknown),
    ("INVALID_ARGUMENT", Code::InvalidArgument),
    ("DEADLINE_EXCEEDED", Code::DeadlineExceeded),
    ("NOT_FOUND", Code::NotFound),
    ("ALREADY_EXISTS", Code::AlreadyExists),
    ("PERMISSION_DENIED", Code::PermissionDenied),
    ("RESOURCE_EXHAUSTED", Code::ResourceExhausted),
    ("FAILED_PRECONDITION", Code::FailedPrecondition),
    ("ABORTED", Code::Aborted),
    ("OUT_OF_RANGE", Code::OutOfRange),
    ("UNIMPLEMENTED", Code::Unimplemented),
    ("INTERNAL", Code::Internal),
    ("UNAVAILABLE", Code::Unavailable),
    ("DATA_LOSS", Code::DataLoss),
    ("UNAUTHENTICATED", Code::Unauthenticated),
];

/// The counters of an emulator.
#[pyclass(module = "mongo_gcp_stream._core", frozen, get_all, eq)]
#[derive(PartialEq, Eq)]
pub struct EmulatorStatistics {
    attempts: u64,
    refused: u64,
    faults: u64,
    requests: u64,
    messages: u64,
    bytes: u64,
    delivered: u64,
    acknowledged: u64,
    kept_bytes: u64,
}

impl From<Statistics> for EmulatorStatistics {
    fn from(counted: Statistics) -> Self {
        Self {
            attempts: counted.attempts,
            refused: counted.refused,
            faults: counted.faults,
            requests: counted.requests,
            messages: counted.messages,
            bytes: counted.bytes,
            delivered: counted.delivered,
            acknowledged: counted.acknowledged,
            kept_bytes: counted.kept_bytes,
        }
    }
}

#[pymethods]
impl EmulatorStatistics {
    fn __repr__(&self) -> String {
        format!(
            "EmulatorStatistics(attempts={}, refused={}, faults={}, requests={}, messages={}, \
             bytes={}, delivered={}, acknowledged={}, kept_bytes={})",
            self.attempts,
            self.refused,
            self.faults,
            self.requests,
            self.messages,
            self.bytes,
            self.delivered,
            self.acknowledged,
            self.kept_bytes
        )
    }
}

/// A Pub/Sub in this process.
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
    fn start(port: u16, max_bytes: usize) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("emulator")
            .enable_all()
            .build()?;
        let emulator = runtime.block_on(Emulator::start_bounded(port, max_bytes))?;
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
    #[pyo3(signature = (port = 0, *, max_bytes = DEFAULT_MAX_BYTES))]
    fn new(py: Python<'_>, port: u16, max_bytes: usize) -> PyResult<Self> {
        let running = py.detach(|| Running::start(port, max_bytes))?;
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

    #[pyo3(signature = (
        action, *, topic = None, ordering_key = None, nth = 1, times = 1,
        code = "UNAVAILABLE", delay_ms = 0
    ))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments in Python")]
    fn fault(
        &self,
        action: &str,
        topic: Option<&str>,
        ordering_key: Option<&str>,
        nth: u64,
        times: i64,
        code: &str,
        delay_ms: u64,
    ) -> PyResult<()> {
        let code = code_of(code)?;
        let delay = Duration::from_millis(delay_ms);
        let mut fault = match action {
            "status" => Fault::status(code).after(delay),
            "delay" => Fault::delay(delay),
            "lose_response" => Fault::lose_response(code).after(delay),
            _ => {
                let message = "action must be \"status\", \"delay\" or \"lose_response\"";
                return Err(PyValueError::new_err(message));
            }
        };
        if let Some(topic) = topic {
            fault = fault.of_topic(topic);
        }
        if let Some(key) = ordering_key {
            fault = fault.of_key(key);
        }
        fault = match u64::try_from(times) {
            Ok(times) => fault.times(times),
            Err(_negative) => fault.for_ever(),
        };
        self.running()?.parts()?.0.fault(fault.from_request(nth));
        Ok(())
    }

    fn clear_faults(&self) -> PyResult<()> {
        self.running()?.parts()?.0.clear_faults();
        Ok(())
    }

    fn statistics(&self) -> PyResult<EmulatorStatistics> {
        Ok(self.running()?.parts()?.0.statistics().into())
    }

    #[pyo3(signature = (
        *, attempts = 0, refused = 0, faults = 0, requests = 0, messages = 0, delivered = 0,
        acknowledged = 0, timeout_ms = 30_000
    ))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments in Python")]
    fn wait(
        &self,
        py: Python<'_>,
        attempts: u64,
        refused: u64,
        faults: u64,
        requests: u64,
        messages: u64,
        delivered: u64,
        acknowledged: u64,
        timeout_ms: u64,
    ) -> PyResult<EmulatorStatistics> {
        let goal = move |s: &Statistics| {
            s.attempts >= attempts
                && s.refused >= refused
                && s.faults >= faults
                && s.requests >= requests
                && s.messages >= messages
                && s.delivered >= delivered
                && s.acknowledged >= acknowledged
        };
        let begun = Instant::now();
        loop {
            let running = self.running()?;
            let (emulator, runtime) = running.parts()?;
            let left = Duration::from_millis(timeout_ms).saturating_sub(begun.elapsed());
            let reached = async {
                tokio::time::timeout(left.min(SIGNAL_CHECK), emulator.reached(goal)).await
            };
            if let Ok(statistics) = py.detach(|| runtime.block_on(reached)) {
                return Ok(statistics.into());
            }
            if left.is_zero() {
                let so_far = EmulatorStatistics::from(emulator.statistics()).__repr__();
                let message = format!("not reached within {timeout_ms} ms: {so_far}");
                return Err(PyTimeoutError::new_err(message));
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

fn code_of(name: &str) -> PyResult<Code> {
    let found = CODES.iter().find(|(known, _)| *known == name);
    found.map(|(_, code)| *code).ok_or_else(|| {
        PyValueError::new_err(format!("{name:?} is no gRPC code such as \"UNAVAILABLE\""))
    })
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
