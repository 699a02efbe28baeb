//! Data that does not fit into a message and is kept elsewhere.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;

/// The data of a message that only says where it is. It is stored before the message is published.
pub struct Claim {
    /// Its name at the place that the stream keeps such data in: the same for the same data.
    pub name: String,
    /// The data.
    pub payload: Bytes,
    stored: AtomicBool,
}

impl Claim {
    /// Data that is not stored yet.
    #[must_use]
    pub fn new(name: String, payload: Bytes) -> Self {
        Self { name, payload, stored: AtomicBool::new(false) }
    }

    /// Whether it has been stored by this process.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.stored.load(Relaxed)
    }

    /// Takes note that it has been stored.
    pub fn stored(&self) {
        self.stored.store(true, Relaxed);
    }
}

/// The payload holds the document, so it never shows: only its size does.
impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("name", &self.name)
            .field("bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}
