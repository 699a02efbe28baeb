//! Logs on standard error, as text for people or JSON for machines.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{LogFormat, LoggingConfig};
use crate::error::ConfigError;

/// Starts logging for the process. A second call changes nothing: the first one's settings stay.
///
/// # Errors
/// A `logging.level` that is neither a level nor a filter.
pub fn start(config: &LoggingConfig) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&config.level).map_err(|error| ConfigError {
        path: "logging.level".into(),
        message: format!("expected a level such as `info` or a filter such as `info,mongo_gcp_stream::sink=debug`: {error}"),
    })?;
    // The text of a panic could hold a value of a document; its place cannot.
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(place = panic.location().map(tracing::field::display), "panicked");
    }));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let result = match config.format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).try_init(),
    };
    if result.is_err() {
        tracing::debug!("logging was already started; its settings stay");
    }
    Ok(())
}
