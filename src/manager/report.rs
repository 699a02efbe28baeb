//! How a run ended.

use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::pipeline;
use crate::recovery;

/// What a stream's task ends with: its name and how it ended.
pub(super) type Ended = (String, Result<pipeline::Ended, Error>);

/// How a run ended, worst last; the number is the process's exit code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All streams were stopped or had caught up, everything handed to Pub/Sub was acknowledged.
    #[default]
    Clean,
    /// The timeout was over before every stream had caught up.
    TimedOut,
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
            Self::TimedOut => 4,
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
}

impl Report {
    /// Takes in the end of one stream; an error makes the others drain.
    pub(super) fn ended(&mut self, ended: Result<Ended, JoinError>, stop: &CancellationToken) {
        match ended {
            Ok((_, Ok(pipeline::Ended::CaughtUp | pipeline::Ended::Stopped))) => {}
            Ok((stream, Ok(pipeline::Ended::DrainTimedOut))) => {
                tracing::warn!(
                    stream,
                    "the drain was over its deadline with events unpublished; the next run publishes them"
                );
                self.exit = self.exit.max(Exit::DrainTimedOut);
            }
            Ok((stream, Err(error))) => {
                self.failed(stream, &error);
                stop.cancel();
            }
            Err(error) => {
                // The log has the place; the text of a panic could hold a value.
                let what = if error.is_panic() {
                    "a stream's task panicked"
                } else {
                    "a stream's task was cancelled"
                };
                self.failed("unknown".into(), &Error::Internal(what.into()));
                stop.cancel();
            }
        }
    }

    /// Notes that `stream` ended in `error`.
    pub(super) fn failed(&mut self, stream: String, error: &Error) {
        let failure =
            Failure { stream, message: error.to_string(), hint: recovery::hint(error).into() };
        tracing::error!(stream = failure.stream, hint = failure.hint, "{}", failure.message);
        self.exit = Exit::Failed;
        self.failures.push(failure);
    }

    /// Notes that the timeout is over.
    pub(super) fn timed_out(&mut self) {
        tracing::warn!("the timeout is over; draining");
        self.exit = self.exit.max(Exit::TimedOut);
    }
}
