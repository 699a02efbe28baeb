//! What becomes of a message that is larger than Pub/Sub takes. Pure: what must be stored elsewhere
//! is handed out as a [`Claim`].

mod claim;
mod truncate;

use std::io::Write as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::config::{OnEventTooLarge, OversizePolicy, StreamConfig};
use crate::error::ConfigError;
use crate::event::Claim;
use crate::format::{MessageWriter, Record, Refusal, Written};

use claim::ClaimWriter;
use truncate::Truncation;

/// The policy of one stream, compiled.
#[derive(Debug)]
pub(super) struct Oversize {
    limit: usize,
    means: Means,
    needs_dead_letter: bool,
}

#[derive(Debug)]
enum Means {
    /// Whatever it is, the sink judges it.
    Stop,
    DeadLetter,
    Compress,
    Truncate(Truncation),
    Claim(ClaimWriter),
}

/// What became of a message that was too large.
#[derive(Debug)]
pub(super) enum Shrunk {
    /// The writer holds one that fits.
    Fits,
    /// The writer holds a reference to this.
    Claim(Arc<Claim>),
    /// It cannot be sent: a dead letter, where there is a place for them.
    DeadLetter,
}

impl Oversize {
    /// Compiles the policy of `stream`.
    pub fn compile(stream: &StreamConfig) -> Result<Self, ConfigError> {
        let config = &stream.source.oversize;
        let limit = usize::try_from(config.limit.bytes()).unwrap_or(usize::MAX);
        let means = match config.policy {
            OversizePolicy::Stop => Means::Stop,
            OversizePolicy::DeadLetter => Means::DeadLetter,
            OversizePolicy::Compress => Means::Compress,
            OversizePolicy::TruncateFields => Means::Truncate(Truncation::compile(config)),
            OversizePolicy::ClaimCheck => match config.place()? {
                Some(place) => Means::Claim(ClaimWriter::new(&place.root(), &stream.id)),
                None => Means::Stop,
            },
        };
        let limit = if matches!(means, Means::Stop) { usize::MAX } else { limit };
        let needs_dead_letter = config.policy == OversizePolicy::DeadLetter
            || stream.source.on_event_too_large == OnEventTooLarge::Skip;
        Ok(Self { limit, means, needs_dead_letter })
    }

    /// Whether the stream cannot be run without a place for dead letters.
    pub fn needs_dead_letter(&self) -> bool {
        self.needs_dead_letter
    }

    /// Most bytes of a message.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Makes `message`, which was written from `record` and is too large, fit. `write` writes a
    /// message from a changed record in its place.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn shrink(
        &self,
        record: &Record<'_>,
        message: &mut MessageWriter,
        write: impl Fn(&Record<'_>, &mut MessageWriter) -> Result<Written, Refusal>,
    ) -> Result<Shrunk, Refusal> {
        let fits = match &self.means {
            Means::Stop | Means::DeadLetter => false,
            Means::Compress => self.compress(message),
            Means::Truncate(truncation) => truncation.apply(record, message, self.limit, write)?,
            Means::Claim(writer) => return Ok(Shrunk::Claim(writer.apply(record, message))),
        };
        Ok(if fits { Shrunk::Fits } else { Shrunk::DeadLetter })
    }

    fn compress(&self, message: &mut MessageWriter) -> bool {
        let data = message.payload();
        let around = message.message().len() - data.len() + "content_encoding gzip".len() + 16;
        let mut encoder = GzEncoder::new(Vec::with_capacity(data.len() / 4), Compression::fast());
        // Writing to memory never fails.
        let compressed = encoder.write_all(data).and_then(|()| encoder.finish());
        let Ok(compressed) = compressed else { return false };
        if compressed.len() + around > self.limit {
            return false;
        }
        message.replace_data(&compressed);
        message.attribute("content_encoding", &[b"gzip"]);
        true
    }
}

#[cfg(test)]
mod tests;
