//! The process's Tokio runtime, for everything that Python calls and does not run to its end at
//! once.

use std::future::Future;
use std::process;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

/// How long a call waits before it looks whether Python wants to handle a signal.
const SIGNAL_CHECK: Duration = Duration::from_millis(100);

/// Most threads for what blocks: files, host names.
const BLOCKING_THREADS: usize = 16;

/// Made at the first use, for the life of the process: threads end with it.
static RUNTIME: Mutex<Option<Owned>> = Mutex::new(None);

/// A runtime and the process whose threads it has.
struct Owned {
    runtime: Runtime,
    process: u32,
}

/// The runtime of this process.
///
/// # Errors
/// `RuntimeError` in a child that was forked after the first use: the threads are the parent's,
/// and whoever waited for them would wait for ever.
pub(super) fn handle() -> PyResult<Handle> {
    let mut owned = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(Owned { runtime, process }) = &*owned {
        check_process(*process)?;
        return Ok(runtime.handle().clone());
    }
    let runtime = Builder::new_multi_thread()
        .thread_name("mongo-gcp-stream")
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()?;
    let handle = runtime.handle().clone();
    *owned = Some(Owned { runtime, process: process::id() });
    Ok(handle)
}

/// Refuses to go on in another process than `process`.
pub(super) fn check_process(process: u32) -> PyResult<()> {
    if process == process::id() {
        return Ok(());
    }
    let message = "mongo_gcp_stream was used before this process was forked, and its threads are \
                   the parent's: use it only after the fork, or start processes with \"spawn\"";
    Err(PyRuntimeError::new_err(message))
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
