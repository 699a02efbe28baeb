//! How long to wait before the next attempt.

use std::time::Duration;

use crate::config::ErrorHandlingConfig;

/// First wait's upper bound; the waits after it grow by the policy's factor.
const BASE: Duration = Duration::from_millis(100);

/// Exponential backoff with full jitter: the `n`th wait is random between zero and
/// `min(max, base · factor^n)`.
#[derive(Clone, Debug)]
pub struct BackoffPolicy {
    factor: f64,
    max: Duration,
    max_retries: Option<u32>,
}

impl BackoffPolicy {
    /// Policy with growth `factor` (at least 1) and the longest wait `max`.
    #[must_use]
    pub fn new(factor: f64, max: Duration) -> Self {
        Self { factor: factor.max(1.0), max, max_retries: None }
    }

    /// The same with another limit of retries in a row; `None` is for ever. Only who asks
    /// [`Backoff::is_exhausted`] obeys it.
    #[must_use]
    pub fn with_max_retries(self, max_retries: Option<u32>) -> Self {
        Self { max_retries, ..self }
    }

    /// Starts counting attempts.
    #[must_use]
    pub fn start(&self) -> Backoff {
        Backoff { policy: self.clone(), attempts: 0 }
    }

    /// Upper bound of the wait after `attempts` failures.
    fn ceiling(&self, attempts: u32) -> Duration {
        let exponent = i32::try_from(attempts).unwrap_or(i32::MAX);
        let seconds = BASE.as_secs_f64() * self.factor.powi(exponent);
        // `min` also takes care of infinity: no finite cap is below it.
        Duration::from_secs_f64(seconds.min(self.max.as_secs_f64()))
    }
}

impl From<&ErrorHandlingConfig> for BackoffPolicy {
    fn from(config: &ErrorHandlingConfig) -> Self {
        Self::new(config.backoff_factor, config.max_backoff.duration())
            .with_max_retries(config.max_retries)
    }
}

/// The failures in a row so far.
#[derive(Clone, Debug)]
pub struct Backoff {
    policy: BackoffPolicy,
    attempts: u32,
}

impl Backoff {
    /// The wait before the next attempt; counts one more failure.
    pub fn next_delay(&mut self) -> Duration {
        let ceiling = self.policy.ceiling(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        ceiling.mul_f64(rand::random::<f64>())
    }

    /// True once as many retries have failed in a row as the policy allows.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.policy.max_retries.is_some_and(|max| self.attempts >= max)
    }

    /// Failures in a row.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// After health: the next wait is short again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceiling_doubles_up_to_the_cap() {
        let policy = BackoffPolicy::new(2.0, Duration::from_secs(1));
        let ceilings: Vec<u128> = (0..6).map(|n| policy.ceiling(n).as_millis()).collect();
        assert_eq!(ceilings, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(policy.ceiling(u32::MAX), Duration::from_secs(1));
    }

    #[test]
    fn delays_stay_below_the_ceiling_and_reset_starts_over() {
        let policy = BackoffPolicy::new(2.0, Duration::from_secs(1));
        let mut backoff = policy.start();
        for attempt in 0..20 {
            assert!(backoff.next_delay() <= policy.ceiling(attempt));
        }
        backoff.reset();
        assert!(backoff.next_delay() <= policy.ceiling(0));
        assert_eq!(backoff.attempts(), 1);
    }

    #[test]
    fn a_limit_is_reached_after_as_many_retries_and_lifted_by_health() {
        let policy = BackoffPolicy::new(2.0, Duration::from_secs(1));
        assert!(!Backoff { policy: policy.clone(), attempts: u32::MAX }.is_exhausted());
        assert!(policy.clone().with_max_retries(Some(0)).start().is_exhausted());
        let mut backoff = policy.with_max_retries(Some(2)).start();
        backoff.next_delay();
        assert!(!backoff.is_exhausted());
        backoff.next_delay();
        assert!(backoff.is_exhausted());
        backoff.reset();
        assert!(!backoff.is_exhausted());
    }

    #[test]
    fn jitter_spreads_the_delays() {
        let mut backoff = BackoffPolicy::new(1.0, Duration::from_secs(1)).start();
        let delays: std::collections::HashSet<Duration> =
            (0..50).map(|_| backoff.next_delay()).collect();
        assert!(delays.len() > 10, "50 jittered delays took only {} values", delays.len());
    }
}
