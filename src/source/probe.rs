//! Opening a stream to see whether it opens.

use mongodb::Client;

use super::StartAt;
use super::errors::Fault;
use super::query::{Opened, Query};
use crate::config::{Capture, SourceConfig};
use crate::error::{Error, SourceError};

/// An open change stream that nobody reads; it closes when this is dropped.
pub struct Probe {
    _opened: Opened,
}

impl Probe {
    /// Opens the stream of `capture` with the options of `source` at `start`, in one attempt.
    ///
    /// # Errors
    /// What [`super::ChangeStream`] would end with, and what it would wait out.
    pub async fn open(
        client: Client,
        capture: Capture,
        source: &SourceConfig,
        start: &StartAt,
    ) -> Result<Self, Error> {
        let mut query = Query::new(client, capture, source, None)?;
        query.batch_size = 1;
        let (_, opened) = query.open_at(start).await.map_err(|fault| fault.error)?;
        Ok(Self { _opened: opened })
    }
}

/// What an error of the driver means.
#[must_use]
pub fn meaning(error: &mongodb::error::Error) -> SourceError {
    Fault::of(error).error
}
