//! What is logged, for a reader outside of Rust: Python's `logging`.
//!
//! Whoever logs never waits: a record goes into a bounded queue, and one thread of the reader's own
//! takes it out. No thread of ours ever calls the reader.

use std::collections::VecDeque;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};

use super::json_lines::Line;
use super::logging;

/// Most records below `error` that wait. Errors wait beyond it: each ends a stream, so that they are
/// few, and it is them that somebody looks for.
pub const CAPACITY: usize = 4096;

static DEBUG: AtomicBool = AtomicBool::new(false);

/// Something that was logged.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// How severe it is.
    pub level: Level,
    /// The module that logged it, such as `mongo_gcp_stream::sink::pubsub`.
    pub target: &'static str,
    /// The text.
    pub message: String,
    /// What it tells beside the text, and what the spans around it tell: `stream`.
    pub fields: Map<String, Value>,
    /// When it was logged.
    pub time: SystemTime,
    /// The file and line that logged it.
    pub place: Option<(&'static str, u32)>,
}

/// What was logged since the last look.
#[derive(Debug, Default)]
pub struct Taken {
    /// In the order in which it was logged.
    pub records: VecDeque<Record>,
    /// How many records found no room.
    pub dropped: u64,
}

/// The records of one process that wait for their reader.
#[derive(Debug)]
pub struct Records {
    process: u32,
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    /// A fork copies locks as they are: a child has records of its own, and never touches these.
    of_child: OnceLock<Box<Records>>,
}

#[derive(Debug, Default)]
struct Waiting {
    taken: Taken,
    /// How many of the records are below `error`.
    lesser: usize,
    /// Whether somebody reads.
    open: bool,
}

static FIRST: OnceLock<Records> = OnceLock::new();

impl Records {
    fn new() -> Self {
        Self {
            process: process::id(),
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            of_child: OnceLock::new(),
        }
    }

    /// Those of this process, if it has begun to read any. Waits for no lock.
    #[must_use]
    pub fn of_process() -> Option<&'static Self> {
        let process = process::id();
        let mut records = FIRST.get()?;
        while records.process != process {
            records = records.of_child.get()?;
        }
        Some(records)
    }

    /// Those of this process; from now on they wait to be taken.
    pub fn open() -> &'static Self {
        let process = process::id();
        let mut records = FIRST.get_or_init(Self::new);
        while records.process != process {
            records = records.of_child.get_or_init(|| Box::new(Self::new()));
        }
        records.lock().open = true;
        records
    }

    /// Nobody reads any more: what waits can still be taken, what comes is forgotten.
    pub fn close(&self) {
        self.lock().open = false;
        self.arrived.notify_all();
    }

    /// Waits for records and takes them all; `None` once nothing waits and it is closed.
    pub fn take(&self) -> Option<Taken> {
        let empty = |waiting: &mut Waiting| {
            waiting.open && waiting.taken.records.is_empty() && waiting.taken.dropped == 0
        };
        let waited = self.arrived.wait_while(self.lock(), empty);
        let mut waiting = waited.unwrap_or_else(PoisonError::into_inner);
        waiting.lesser = 0;
        let taken = std::mem::take(&mut waiting.taken);
        (!taken.records.is_empty() || taken.dropped > 0).then_some(taken)
    }

    fn push(&self, record: Record) {
        let mut waiting = self.lock();
        if !waiting.open {
            return;
        }
        if record.level > Level::ERROR {
            if waiting.lesser == CAPACITY {
                waiting.taken.dropped += 1;
                return;
            }
            waiting.lesser += 1;
        }
        waiting.taken.records.push_back(record);
        drop(waiting);
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends what is logged in this process to [`Records`], for the life of the process. False where it
/// already goes elsewhere: to standard error, by [`logging::start`].
pub fn install() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| {
        let subscriber = Registry::default().with(Recorder { records: Records::of_process });
        let installed = tracing::subscriber::set_global_default(subscriber).is_ok();
        if installed {
            logging::hide_panics();
        }
        installed
    })
}

/// Whether what this crate says at `debug` is recorded, too. What is less than that never is.
pub fn set_debug(wanted: bool) {
    if DEBUG.swap(wanted, Relaxed) != wanted {
        tracing::callsite::rebuild_interest_cache();
    }
}

fn most_verbose() -> LevelFilter {
    if DEBUG.load(Relaxed) { LevelFilter::DEBUG } else { LevelFilter::INFO }
}

/// Makes records of events.
struct Recorder {
    /// Where they go.
    records: fn() -> Option<&'static Records>,
}

/// What a span tells.
struct SpanFields(Map<String, Value>);

impl<S> Layer<S> for Recorder
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= most_verbose()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(most_verbose())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Line::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanFields(fields.0));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(records) = (self.records)() else { return };
        if logging::is_shown(event.metadata()) {
            records.push(record(event, &context));
        }
    }
}

fn record<S>(event: &Event<'_>, context: &Context<'_, S>) -> Record
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    let mut line = Line::default();
    event.record(&mut line);
    for span in context.event_scope(event).into_iter().flatten() {
        if let Some(SpanFields(fields)) = span.extensions().get() {
            line.add_missing(fields);
        }
    }
    let message = match line.0.shift_remove("message") {
        Some(Value::String(message)) => message,
        other => other.unwrap_or_default().to_string(),
    };
    let metadata = event.metadata();
    Record {
        level: *metadata.level(),
        target: metadata.target(),
        message,
        fields: line.0,
        time: SystemTime::now(),
        place: metadata.file().zip(metadata.line()),
    }
}

#[cfg(test)]
mod tests;
