//! What happened so far.

/// Counters since the start, for a test to wait on ([`super::Emulator::reached`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Publish requests that arrived.
    pub attempts: u64,
    /// Publish requests refused for a limit, a missing topic, or for want of memory.
    pub refused: u64,
    /// Publish requests that suffered a [`super::Fault`].
    pub faults: u64,
    /// Publish requests that were committed.
    pub requests: u64,
    /// Messages committed, with or without a subscription to keep them.
    pub messages: u64,
    /// Encoded size of the committed requests.
    pub bytes: u64,
    /// Messages delivered, by every subscription and each time.
    pub delivered: u64,
    /// Messages acknowledged, by every subscription.
    pub acknowledged: u64,
    /// Bytes that kept messages take now; at most `max_bytes`, dead letters apart.
    pub kept_bytes: u64,
}
