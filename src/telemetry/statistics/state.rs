//! The states of a stream and how it got there.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

use tokio::time::Instant;

/// Transitions that are kept, the oldest are forgotten.
const KEPT_TRANSITIONS: usize = 20;

/// What a stream is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StreamState {
    /// It connects and opens, for the first time or after a pause.
    #[default]
    Starting,
    /// It reads and publishes, or waits for the next change.
    Streaming,
    /// Something failed and is tried again after a wait.
    BackingOff,
    /// It was paused: drained, its position kept, until it is resumed.
    Paused,
    /// It failed for good.
    Failed,
    /// It was stopped, or had caught up.
    Stopped,
}

impl StreamState {
    /// The state's name in logs and in Python: `backing_off`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Streaming => "streaming",
            Self::BackingOff => "backing_off",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }

    /// Whether no line runs, and none is about to.
    pub(super) fn is_rest(self) -> bool {
        matches!(self, Self::Paused | Self::Failed | Self::Stopped)
    }
}

impl FromStr for StreamState {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        use StreamState::{BackingOff, Failed, Paused, Starting, Stopped, Streaming};
        let all = [Starting, Streaming, BackingOff, Paused, Failed, Stopped];
        all.into_iter().find(|state| state.name() == name).ok_or(())
    }
}

impl fmt::Display for StreamState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A part of a line that waits out failures by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Reads from MongoDB.
    Source,
    /// Publishes to Pub/Sub.
    Sink,
}

/// The last error of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LastError {
    pub message: String,
    /// In seconds since the epoch.
    pub at: f64,
}

/// What happens rarely, behind one lock: states and failures.
#[derive(Debug, Default)]
pub(super) struct Life {
    pub state: StreamState,
    /// The last transitions, oldest first: seconds since the epoch and the state entered.
    pub transitions: VecDeque<(f64, StreamState)>,
    /// When the state was entered.
    pub since: Option<Instant>,
    /// Parts that are waiting out a failure.
    failing: Vec<Part>,
    /// Failures since the stream last was in order.
    pub failures_in_a_row: u32,
    pub total_errors: u64,
    pub last_error: Option<LastError>,
    /// When the stream was last in order, in seconds since the epoch; kept while it is not.
    pub last_healthy: Option<f64>,
    /// How often the stream was opened in this process.
    pub openings: u64,
}

impl Life {
    /// Enters `state` at `at` (seconds since the epoch); false where it is in it already.
    pub fn enter(&mut self, state: StreamState, at: f64) -> bool {
        if state != StreamState::BackingOff {
            self.failing.clear();
        }
        if state == StreamState::Streaming {
            self.failures_in_a_row = 0;
        }
        if self.state == state && !self.transitions.is_empty() {
            return false;
        }
        if self.transitions.len() == KEPT_TRANSITIONS {
            self.transitions.pop_front();
        }
        self.state = state;
        self.since = Some(Instant::now());
        self.transitions.push_back((at, state));
        true
    }

    /// Counts one failure.
    pub fn count(&mut self, message: String, at: f64) {
        self.total_errors += 1;
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.last_error = Some(LastError { message, at });
    }

    /// Notes that `part` waits out a failure.
    pub fn fails(&mut self, part: Part) {
        if !self.failing.contains(&part) {
            self.failing.push(part);
        }
    }

    /// Notes that `part` works again; true where it was the last one that did not.
    pub fn works(&mut self, part: Part) -> bool {
        let before = self.failing.len();
        self.failing.retain(|failing| *failing != part);
        before > 0 && self.failing.is_empty()
    }
}
