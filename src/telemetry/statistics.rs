//! Counters of one stream, written by its parts and read by whoever shows them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of one stream.
#[derive(Debug, Default)]
pub struct StreamStatistics {
    /// Events read.
    pub read: AtomicU64,
    /// Bytes of BSON read.
    pub bytes: AtomicU64,
    /// Events whose receipt has come back.
    pub published: AtomicU64,
    /// Attempts after the first, of reads and publishes.
    pub retries: AtomicU64,
    /// Publish requests that were acknowledged.
    pub requests: AtomicU64,
    /// Cluster time, in seconds since the epoch, of the last position seen.
    pub cluster_time: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatisticsSnapshot {
    /// Events read.
    pub read: u64,
    /// Bytes of BSON read.
    pub bytes: u64,
    /// Events whose receipt has come back.
    pub published: u64,
    /// Attempts after the first, of reads and publishes.
    pub retries: u64,
    /// Publish requests that were acknowledged.
    pub requests: u64,
    /// Cluster time, in seconds since the epoch, of the last position seen; 0 before the first.
    pub cluster_time: u64,
}

impl StreamStatistics {
    /// The counters now.
    #[must_use]
    pub fn snapshot(&self) -> StatisticsSnapshot {
        StatisticsSnapshot {
            read: self.read.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            published: self.published.load(Relaxed),
            retries: self.retries.load(Relaxed),
            requests: self.requests.load(Relaxed),
            cluster_time: self.cluster_time.load(Relaxed),
        }
    }
}

impl StatisticsSnapshot {
    /// The counters by name.
    #[must_use]
    pub fn named(&self) -> std::collections::BTreeMap<&'static str, u64> {
        [
            ("read", self.read),
            ("bytes", self.bytes),
            ("published", self.published),
            ("retries", self.retries),
            ("requests", self.requests),
            ("cluster_time", self.cluster_time),
        ]
        .into()
    }
}
