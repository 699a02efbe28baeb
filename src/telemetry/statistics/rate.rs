//! Rates over the last seconds.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// What a rate is the mean of. A stream that has been idle for this long has a rate of zero.
const WINDOW: Duration = Duration::from_secs(10);

/// Two counters at one moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    events: u64,
    bytes: u64,
}

/// The counters of the last seconds, from which rates are made.
#[derive(Debug, Default)]
pub(super) struct Rates {
    samples: VecDeque<Sample>,
}

impl Rates {
    /// Takes a sample; to be called about once a second.
    pub fn sample(&mut self, events: u64, bytes: u64) {
        let at = Instant::now();
        self.samples.push_back(Sample { at, events, bytes });
        while self.samples.front().is_some_and(|oldest| at - oldest.at > WINDOW) {
            self.samples.pop_front();
        }
    }

    /// Events and bytes a second from the oldest sample of the window until now.
    pub fn now(&self, events: u64, bytes: u64) -> (f64, f64) {
        let now = Instant::now();
        let oldest = self.samples.iter().find(|sample| now - sample.at <= WINDOW);
        let Some(oldest) = oldest.filter(|oldest| oldest.at < now) else { return (0.0, 0.0) };
        let seconds = (now - oldest.at).as_secs_f64();
        let rate = |now: u64, then: u64| as_f64(now.saturating_sub(then)) / seconds;
        (rate(events, oldest.events), rate(bytes, oldest.bytes))
    }
}

/// Exact up to 2⁵³, which no counter reaches.
#[expect(clippy::cast_precision_loss, reason = "counters stay below 2^53")]
pub(super) fn as_f64(count: u64) -> f64 {
    count as f64
}
