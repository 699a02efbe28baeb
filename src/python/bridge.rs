//! How an event loop learns that something is done: a descriptor that it watches.
//!
//! Results wait in a queue and become Python objects on the loop's own thread. No thread of the
//! runtime ever touches Python, so that the interpreter may end whenever it likes.

use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::panic::AssertUnwindSafe;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::runtime;

/// What a call gives, made into a Python object where the loop runs.
pub(super) type Outcome = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// Number of a finished call, whether it worked, and its result or exception.
type Finished = (u64, bool, Py<PyAny>);

/// Wakes one event loop.
#[pyclass(frozen, module = "mongo_gcp_stream._core")]
pub(super) struct Bridge {
    reader: UnixStream,
    done: Arc<Done>,
    process: u32,
}

/// The end of a bridge that the runtime's threads hold.
struct Done {
    waiting: Mutex<Vec<(u64, Outcome)>>,
    writer: UnixStream,
}

impl Done {
    /// One byte wakes the loop for all that waits.
    fn push(&self, call: u64, outcome: Outcome) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push((call, outcome));
        if waiting.len() == 1 {
            // A full pipe wakes the loop as well, and a closed one has no loop to wake.
            (&self.writer).write_all(&[0]).ok();
        }
    }
}

#[pymethods]
impl Bridge {
    #[new]
    fn new() -> PyResult<Self> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        let done = Arc::new(Done { waiting: Mutex::default(), writer });
        Ok(Self { reader, done, process: process::id() })
    }

    /// The descriptor that becomes readable.
    fn fileno(&self) -> i32 {
        self.reader.as_raw_fd()
    }

    /// What has finished since the last call.
    fn drain(&self, py: Python<'_>) -> PyResult<Vec<Finished>> {
        let mut wakes = [0; 64];
        while let Err(error) = (&self.reader).read(&mut wakes) {
            match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock => break,
                _ => return Err(PyRuntimeError::new_err(error.to_string())),
            }
        }
        let waiting = {
            let mut waiting = self.done.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *waiting)
        };
        let finished = waiting.into_iter().map(|(call, outcome)| match outcome(py) {
            Ok(result) => (call, true, result),
            Err(error) => (call, false, error.into_value(py).into_any()),
        });
        Ok(finished.collect())
    }
}

impl Bridge {
    /// Runs `future` on the process's runtime; its outcome comes out of [`drain`](Self::drain) as
    /// that of `call`.
    pub(super) fn spawn(
        &self,
        call: u64,
        future: impl Future<Output = Outcome> + Send + 'static,
    ) -> PyResult<Call> {
        runtime::check_process(self.process)?;
        let done = Arc::clone(&self.done);
        let future = AssertUnwindSafe(future).catch_unwind();
        let task = runtime::handle()?.spawn(async move {
            // The loop waits for an outcome in any case.
            let outcome = future.await.unwrap_or_else(|_| {
                let broken = "a defect of mongo_gcp_stream: the call panicked";
                Box::new(move |_| Err(PyRuntimeError::new_err(broken)))
            });
            done.push(call, outcome);
        });
        Ok(Call { task: task.abort_handle(), given_up: Vec::new(), process: self.process })
    }

    /// The same where the outcome is a value that cannot fail.
    pub(super) fn spawn_value<T>(
        &self,
        call: u64,
        future: impl Future<Output = T> + Send + 'static,
    ) -> PyResult<Call>
    where
        T: for<'py> IntoPyObject<'py> + Send + 'static,
    {
        self.spawn(call, async move {
            let value = future.await;
            let outcome: Outcome = Box::new(move |py| value.into_py_any(py));
            outcome
        })
    }
}

/// A call under way.
#[pyclass(frozen, module = "mongo_gcp_stream._core")]
pub(super) struct Call {
    task: AbortHandle,
    given_up: Vec<CancellationToken>,
    process: u32,
}

impl Call {
    /// The same, which cancels `tokens` with it: before [`cancel`](Self::cancel) returns, whereas
    /// its future is dropped by a thread of the runtime, some time later.
    pub(super) fn giving_up(self, tokens: Vec<CancellationToken>) -> Self {
        Self { given_up: tokens, ..self }
    }
}

#[pymethods]
impl Call {
    /// Drops it. What it has taken so far is lost: calls wait, and take on the loop's thread.
    fn cancel(&self) {
        if self.process != process::id() {
            // Its task is in the parent, and so may be the locks around it.
            return;
        }
        self.given_up.iter().for_each(CancellationToken::cancel);
        self.task.abort();
    }
}
