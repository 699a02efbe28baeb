//! The process's Tokio runtime, for everything that Python calls and does not run to its end at
//! once.

use std::future::Future;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

/// How long a call waits before it looks whether Python wants to handle a signal.
const SIGNAL_CHECK: Duration = Duration::from_millis(100);

/// Most threads for what blocks: files, host names.
const BLOCKING_THREADS: usize = 16;

/// Made at the first use, for the life of the process: threads end with it.
static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

/// Whose runtime it is; 0 before there is one.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// The runtime of this process.
///
/// # Errors
/// `RuntimeError` in a child that was forked after the first use: the threads are the parent's,
/// and whoever waited for them would wait for ever.
pub(super) fn handle() -> PyResult<Handle> {
    // Before the lock, which a thread of the parent may have held at the fork.
    if is_forked() {
        return Err(forked());
    }
    let mut made = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = &*made {
        return Ok(runtime.handle().clone());
    }
    let runtime = Builder::new_multi_thread()
        .thread_name("mongo-gcp-stream")
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()?;
    PROCESS.store(process::id(), Relaxed);
    Ok(made.insert(runtime).handle().clone())
}

/// Whether the runtime is that of a parent of this process. Waits for no lock.
pub(super) fn is_forked() -> bool {
    let process = PROCESS.load(Relaxed);
    process != 0 && process != process::id()
}

/// Refuses to go on in another process than `process`.
pub(super) fn check_process(process: u32) -> PyResult<()> {
    if process == process::id() { Ok(()) } else { Err(forked()) }
}

fn forked() -> PyErr {
    PyRuntimeError::new_err(
        "mongo_gcp_stream was used before this process was forked, and its threads are the \
         parent's: use it only after the fork, or start processes with \"spawn\"",
    )
}

/// What shares locks with the threads of one process. In a forked child it is neither used nor
/// dropped: a lock that a thread held at the fork is held there for ever.
pub(super) struct OfProcess<T> {
    /// `None` while it is dropped.
    value: Option<T>,
    process: u32,
}

impl<T> OfProcess<T> {
    /// Belongs to this process.
    pub(super) fn new(value: T) -> Self {
        Self { value: Some(value), process: process::id() }
    }

    /// It, in the process that has its threads.
    pub(super) fn get(&self) -> PyResult<&T> {
        check_process(self.process)?;
        self.value.as_ref().ok_or_else(|| PyRuntimeError::new_err("it is gone"))
    }
}

impl<T> Drop for OfProcess<T> {
    fn drop(&mut self) {
        if self.process != process::id() {
            std::mem::forget(self.value.take());
        }
    }
}

/// Waits for `future` without the GIL; Ctrl-C ends the wait and drops it.
pub(super) fn block_on<F>(py: Python<'_>, future: F) -> PyResult<F::Output>
where
    F: Future + Send,
    F::Output: Send,
{
    let handle = handle()?;
    let mut future = Box::pin(future);
    loop {
        let waited = py.detach(|| {
            handle.block_on(async { tokio::time::timeout(SIGNAL_CHECK, future.as_mut()).await })
        });
        match waited {
            Ok(output) => return Ok(output),
            Err(_elapsed) => py.check_signals()?,
        }
    }
}
