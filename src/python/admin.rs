//! `validate`, `check` and `setup`: what an operator asks before and around a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pyo3::prelude::*;

use crate::admin;
use crate::config::{self, Config, Explained, Origin};
use crate::error::Error;
use crate::manager::Manager;

use super::errors::to_python;

/// One key of a configuration and where its value came from.
#[pyclass(frozen, get_all, module = "mongo_gcp_stream._core")]
pub(super) struct EffectiveValue {
    path: String,
    value: String,
    source: &'static str,
    line: Option<u32>,
    variables: BTreeMap<String, &'static str>,
}

impl From<config::EffectiveValue> for EffectiveValue {
    fn from(value: config::EffectiveValue) -> Self {
        let (source, line, variables) = match value.origin {
            Origin::Default => ("default", None, BTreeMap::new()),
            Origin::File { line, variables } => {
                let names = variables.into_iter().map(|(name, from)| (name, from.name()));
                ("file", line, names.collect())
            }
            Origin::Override { variable, origin } => {
                ("override", None, BTreeMap::from([(variable, origin.name())]))
            }
        };
        Self { path: value.path, value: value.value.to_string(), source, line, variables }
    }
}

/// What a configuration means.
#[pyclass(frozen, get_all, module = "mongo_gcp_stream._core")]
pub(super) struct Validation {
    streams: Vec<String>,
    warnings: Vec<String>,
    values: Vec<Py<EffectiveValue>>,
}

/// One thing that a check found.
#[pyclass(frozen, get_all, module = "mongo_gcp_stream._core")]
pub(super) struct Finding {
    severity: &'static str,
    subject: String,
    check: &'static str,
    what: String,
    fix: String,
}

/// What became of a topic or a subscription.
#[pyclass(frozen, get_all, module = "mongo_gcp_stream._core")]
pub(super) struct Step {
    action: &'static str,
    resource: String,
    what: String,
    command: String,
}

/// Loads a configuration and refuses what `run` would refuse; nothing is connected.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "PyO3 hands arguments over by value")]
pub(super) fn validate(py: Python<'_>, config_path: PathBuf) -> PyResult<Validation> {
    let explained = explain(&config_path).map_err(|error| to_python(py, &error))?;
    let streams = explained.loaded.config.streams();
    let streams = streams.map_err(|error| to_python(py, &error.into()))?;
    let values = explained.values.into_iter().map(|value| Py::new(py, EffectiveValue::from(value)));
    Ok(Validation {
        streams: streams.into_iter().map(|stream| stream.id.to_string()).collect(),
        warnings: explained.loaded.warnings,
        values: values.collect::<PyResult<_>>()?,
    })
}

/// Connects to everything that a run would connect to.
#[pyfunction]
#[pyo3(signature = (config_path, *, timeout_ms = 30_000))]
#[expect(clippy::needless_pass_by_value, reason = "PyO3 hands arguments over by value")]
pub(super) fn check(
    py: Python<'_>,
    config_path: PathBuf,
    timeout_ms: u64,
) -> PyResult<Vec<Finding>> {
    let findings = on_runtime(py, &config_path, async |config| {
        admin::check(config, Duration::from_millis(timeout_ms)).await
    })?;
    let finding = |finding: admin::Finding| Finding {
        severity: finding.severity.name(),
        subject: finding.subject,
        check: finding.check,
        what: finding.what,
        fix: finding.fix,
    };
    Ok(findings.into_iter().map(finding).collect())
}

/// Makes sure of topics and subscriptions, or only says how.
#[pyfunction]
#[pyo3(signature = (config_path, *, dry_run = false, timeout_ms = 30_000))]
#[expect(clippy::needless_pass_by_value, reason = "PyO3 hands arguments over by value")]
pub(super) fn setup(
    py: Python<'_>,
    config_path: PathBuf,
    dry_run: bool,
    timeout_ms: u64,
) -> PyResult<Vec<Step>> {
    let steps = on_runtime(py, &config_path, async |config| {
        if dry_run {
            return admin::plan(config).map_err(Error::from);
        }
        admin::setup(config, Duration::from_millis(timeout_ms)).await
    })?;
    let step = |step: admin::Step| Step {
        action: step.action.name(),
        resource: step.resource,
        what: step.what,
        command: step.command,
    };
    Ok(steps.into_iter().map(step).collect())
}

/// The configuration with the origin of its values, if `run` would take it.
fn explain(path: &Path) -> Result<Explained, Error> {
    let explained = config::explain(path)?;
    Manager::new(explained.loaded.config.clone())?;
    Ok(explained)
}

/// Loads the file and does `work` with it, without the GIL.
fn on_runtime<T: Send>(
    py: Python<'_>,
    path: &Path,
    work: impl AsyncFnOnce(&Config) -> Result<T, Error> + Send,
) -> PyResult<T> {
    let refused = |error: Error| to_python(py, &error);
    let config = config::load(path).map_err(|error| refused(error.into()))?.config;
    let done = py.detach(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let done = runtime.block_on(work(&config));
        // A look-up of a name may still be under way on a thread of its own.
        runtime.shutdown_background();
        Ok::<_, std::io::Error>(done)
    })?;
    done.map_err(refused)
}
