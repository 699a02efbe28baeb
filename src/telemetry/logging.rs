//! Logs on standard error, as text for people or JSON for machines.

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::fmt::writer::MakeWriterExt as _;
use tracing_subscriber::{EnvFilter, fmt};

use super::json_lines::JsonLines;
use crate::config::{LogFormat, LoggingConfig};
use crate::error::ConfigError;

/// Target of the lines that tell the counters of each stream every `monitoring.report_interval`.
pub const STATISTICS: &str = "mongo_gcp_stream::statistics";

/// The crate, as the targets of its events begin.
const OURS: &str = env!("CARGO_CRATE_NAME");

static FORMAT: OnceLock<LogFormat> = OnceLock::new();
static STATISTICS_HIDDEN: AtomicBool = AtomicBool::new(false);

/// Starts logging for the process. A second call changes nothing: the first one's settings stay.
///
/// # Errors
/// A `logging.level` that is neither a level nor a filter.
pub fn start(config: &LoggingConfig) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&config.level).map_err(|error| ConfigError {
        path: "logging.level".into(),
        message: format!("expected a level such as `info` or a filter such as `info,mongo_gcp_stream::sink=debug`: {error}"),
    })?;
    hide_panics();
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr.with_filter(is_shown));
    let result = match config.format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.fmt_fields(JsonFields::new()).event_format(JsonLines).try_init(),
    };
    if result.is_ok() {
        FORMAT.set(config.format).ok();
    } else {
        tracing::debug!("logging was already started; its settings stay");
    }
    Ok(())
}

/// The text of a panic could hold a value of a document; its place, which is logged, cannot.
pub(super) fn hide_panics() {
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(place = panic.location().map(tracing::field::display), "panicked");
    }));
}

/// The form of this process's log lines; text before [`start`].
#[must_use]
pub fn format() -> LogFormat {
    FORMAT.get().copied().unwrap_or(LogFormat::Text)
}

/// Leaves the lines of [`STATISTICS`] out from now on, or no longer: for who shows the counters in
/// another way.
pub fn hide_statistics(hidden: bool) {
    STATISTICS_HIDDEN.store(hidden, Relaxed);
}

/// What other crates say below `info` is nobody's promise: requests, headers and credentials may
/// be in it. No level or filter shows it.
pub(super) fn is_shown(event: &Metadata<'_>) -> bool {
    if event.target() == STATISTICS {
        return !STATISTICS_HIDDEN.load(Relaxed);
    }
    *event.level() <= Level::INFO || event.target().split("::").next() == Some(OURS)
}
