//! How a run ended.

use tokio::task::JoinError;

use super::RunOptions;
use crate::error::Error;
use crate::pipeline;
use crate::recovery;

/// What became of a stream whose task gave no result. The log has the place of a panic; its text
/// could hold a value.
pub(super) fn lost(error: &JoinError) -> Error {
    let what = if error.is_panic() { "panicked" } else { "was cancelled" };
    Error::Internal(format!("a stream's task {what}"))
}

/// How a run ended, worst last; the number is the process's exit code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All streams were stopped, or had caught up where they were to; everything handed to Pub/Sub
    /// was acknowledged.
    #[default]
    Clean,
    /// The run was to end once every stream had caught up, and ended before.
    NotCaughtUp,
    /// A drain was over its deadline with events unpublished; the next run publishes them.
    DrainTimedOut,
    /// A stream ended in an error.
    Failed,
}

impl Exit {
    /// The process's exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Failed => 1,
            Self::DrainTimedOut => 3,
            Self::NotCaughtUp => 4,
        }
    }
}

/// Why a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The stream, `<connection id>.<source name>`.
    pub stream: String,
    /// What happened.
    pub message: String,
    /// What the operator can do.
    pub hint: String,
}

/// How a run ended.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The worst end of any stream.
    pub exit: Exit,
    /// The streams that ended in an error.
    pub failures: Vec<Failure>,
    /// A stream that is stopped before it has caught up ended too early.
    until_caught_up: bool,
}

impl Report {
    /// Of a run in which no stream has ended yet.
    pub(super) fn new(options: RunOptions) -> Self {
        Self { until_caught_up: options.until_caught_up, ..Self::default() }
    }

    /// Takes in the end of one stream.
    pub(super) fn ended(&mut self, stream: String, ended: Result<pipeline::Ended, Error>) {
        match ended {
            Ok(pipeline::Ended::Stopped) if self.until_caught_up => {
                tracing::warn!(stream, "the stream was stopped before it had caught up");
                self.exit = self.exit.max(Exit::NotCaughtUp);
            }
            Ok(pipeline::Ended::CaughtUp | pipeline::Ended::Stopped) => {}
            Ok(pipeline::Ended::DrainTimedOut) => {
                tracing::warn!(
                    stream,
                    "the drain was over its deadline with events unpublished; the next run publishes them"
                );
                self.exit = self.exit.max(Exit::DrainTimedOut);
            }
            Err(error) => self.failed(stream, &error),
        }
    }

    /// Notes that `stream` ended in `error`.
    pub(super) fn failed(&mut self, stream: String, error: &Error) {
        let failure = Failure { stream, message: error.to_string(), hint: recovery::advice(error) };
        tracing::error!(stream = failure.stream, hint = failure.hint, "{}", failure.message);
        self.exit = Exit::Failed;
        self.failures.push(failure);
    }

    /// Notes that the timeout is over.
    pub(super) fn timed_out(&mut self) {
        tracing::warn!("the timeout is over; draining");
        self.exit = self.exit.max(Exit::NotCaughtUp);
    }
}
