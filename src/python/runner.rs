//! `Runner`: everything that a configuration file asks for, run in Rust.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use pyo3::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::config::{self, LogFormat};
use crate::error::ConfigError;
use crate::manager::{self, Manager, Report, RunOptions};
use crate::telemetry::logging;

use super::errors::to_python;
use super::statistics::PyStreamStatistics;

/// How long what is left after a run (a DNS look-up, say) may hold the end back.
const LEFTOVERS: Duration = Duration::from_secs(1);

/// Most threads for what blocks: storing positions in files, looking up host names. Hundreds of
/// streams store theirs in turns.
const BLOCKING_THREADS: usize = 16;

/// Runs the streams of one configuration file.
#[pyclass(frozen, module = "mongo_gcp_stream._core")]
pub(super) struct Runner {
    manager: Manager,
    stop: CancellationToken,
    /// What the loader noticed: keys that are accepted and not yet used.
    #[pyo3(get)]
    warnings: Vec<String>,
    /// `text` or `json`: what `logging.format` says.
    #[pyo3(get)]
    log_format: &'static str,
}

#[pymethods]
impl Runner {
    /// Loads and checks the file; nothing is connected yet.
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "PyO3 hands arguments over by value")]
    fn new(py: Python<'_>, config_path: PathBuf) -> PyResult<Self> {
        let refused = |error: ConfigError| to_python(py, &error.into());
        let loaded = config::load(&config_path).map_err(refused)?;
        logging::start(&loaded.config.logging).map_err(refused)?;
        let log_format = match loaded.config.logging.format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        let manager = Manager::new(loaded.config).map_err(|error| to_python(py, &error))?;
        Ok(Self { manager, stop: CancellationToken::new(), warnings: loaded.warnings, log_format })
    }

    /// Runs until every stream has ended. The GIL is released all the while.
    #[pyo3(signature = (*, until_caught_up = false, timeout_ms = None, accept_lane_change = false, log_statistics = true))]
    fn run(
        &self,
        py: Python<'_>,
        until_caught_up: bool,
        timeout_ms: Option<u64>,
        accept_lane_change: bool,
        log_statistics: bool,
    ) -> PyResult<RunReport> {
        logging::hide_statistics(!log_statistics);
        let options = RunOptions {
            until_caught_up,
            accept_lane_change,
            timeout: timeout_ms.map(Duration::from_millis),
        };
        let report = py.detach(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .max_blocking_threads(BLOCKING_THREADS)
                .build()?;
            let report = runtime.block_on(self.manager.run(options, self.stop.clone()));
            runtime.shutdown_timeout(LEFTOVERS);
            Ok::<_, std::io::Error>(report)
        })?;
        RunReport::new(py, report)
    }

    /// Asks a run to drain and end; from any thread, at any time.
    fn stop(&self) {
        self.stop.cancel();
    }

    /// The statistics of each stream now.
    fn statistics(&self) -> BTreeMap<String, PyStreamStatistics> {
        let streams = self.manager.statistics().into_iter();
        streams.map(|(id, now)| (id.to_string(), PyStreamStatistics::new(id, now))).collect()
    }
}

/// How a run ended.
#[pyclass(frozen, get_all, module = "mongo_gcp_stream._core")]
pub(super) struct RunReport {
    exit_code: u8,
    failures: Vec<Py<Failure>>,
}

/// Why a stream ended.
#[pyclass(frozen, get_all, module = "mongo_gcp_stream._core")]
pub(super) struct Failure {
    stream: String,
    message: String,
    hint: String,
}

impl From<manager::Failure> for Failure {
    fn from(failure: manager::Failure) -> Self {
        Self { stream: failure.stream, message: failure.message, hint: failure.hint }
    }
}

impl RunReport {
    fn new(py: Python<'_>, report: Report) -> PyResult<Self> {
        let failures =
            report.failures.into_iter().map(|failure| Py::new(py, Failure::from(failure)));
        Ok(Self { exit_code: report.exit.code(), failures: failures.collect::<PyResult<_>>()? })
    }
}
