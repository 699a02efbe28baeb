//! The extension module `mongo_gcp_stream._core`: the only place that knows PyO3, one file a class.
//!
//! What crosses the boundary are whole runs and whole batches, never single events. The
//! documentation that Python sees is in `python/mongo_gcp_stream/_core/`.

mod admin;
mod batch;
mod bridge;
mod config;
mod dead_letter;
mod decode;
mod emulator;
mod errors;
mod extended_json;
mod logging;
mod position;
mod publisher;
mod reading;
mod runner;
mod runtime;
mod sources;
mod statistics;
mod transform;
mod validator;
mod writer;

use pyo3::prelude::*;

/// A microsecond an event less than with glibc's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<admin::EffectiveValue>()?;
    module.add_class::<admin::Finding>()?;
    module.add_class::<admin::Step>()?;
    module.add_class::<admin::Validation>()?;
    module.add_class::<batch::ChangeBatch>()?;
    module.add_class::<batch::ChangeEvent>()?;
    module.add_class::<batch::Committed>()?;
    module.add_class::<bridge::Bridge>()?;
    module.add_class::<bridge::Call>()?;
    module.add_function(wrap_pyfunction!(config::resolve_file, module)?)?;
    module.add_function(wrap_pyfunction!(config::resolve_mapping, module)?)?;
    module.add_class::<dead_letter::DeadLetter>()?;
    module.add_class::<dead_letter::Redriven>()?;
    module.add_function(wrap_pyfunction!(dead_letter::dead_letter_list, module)?)?;
    module.add_function(wrap_pyfunction!(dead_letter::dead_letter_redrive, module)?)?;
    module.add_class::<emulator::EmulatorStatistics>()?;
    module.add_class::<emulator::PyEmulator>()?;
    module.add_class::<position::StoredPosition>()?;
    module.add_function(wrap_pyfunction!(position::position_show, module)?)?;
    module.add_function(wrap_pyfunction!(position::position_set, module)?)?;
    module.add_function(wrap_pyfunction!(position::position_clear, module)?)?;
    module.add_class::<reading::Consumer>()?;
    module.add_class::<reading::Reading>()?;
    module.add_class::<reading::RetryDelays>()?;
    module.add_class::<publisher::PyPublisher>()?;
    module.add_class::<publisher::Unpublished>()?;
    module.add_class::<runner::Failure>()?;
    module.add_class::<runner::RunReport>()?;
    module.add_class::<runner::Runner>()?;
    module.add_function(wrap_pyfunction!(logging::log_close, module)?)?;
    module.add_function(wrap_pyfunction!(logging::log_debug, module)?)?;
    module.add_function(wrap_pyfunction!(logging::log_format, module)?)?;
    module.add_function(wrap_pyfunction!(logging::log_open, module)?)?;
    module.add_function(wrap_pyfunction!(logging::log_take, module)?)?;
    module.add_class::<sources::Slice>()?;
    module.add_class::<sources::Slices>()?;
    module.add_class::<sources::Sources>()?;
    module.add_function(wrap_pyfunction!(sources::position_at, module)?)?;
    module.add_function(wrap_pyfunction!(sources::position_time, module)?)?;
    module.add_class::<statistics::PyStreamStatistics>()?;
    module.add_class::<validator::PyValidator>()?;
    module.add_class::<writer::MessageBatch>()?;
    module.add_class::<writer::Transform>()?;
    module.add_class::<writer::Writer>()?;
    module.add_function(wrap_pyfunction!(admin::check, module)?)?;
    module.add_function(wrap_pyfunction!(admin::setup, module)?)?;
    module.add_function(wrap_pyfunction!(admin::validate, module)?)?;
    module.add_function(wrap_pyfunction!(extended_json::to_extended_json, module)?)?;
    module.add_function(wrap_pyfunction!(transform::transform_event, module)?)
}
