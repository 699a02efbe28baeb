//! Where messages lie until they are safe.

use bytes::{Bytes, BytesMut};

use crate::event::Lane;

/// Chunks that are filled at the same time.
const CHUNKS: u64 = 64;

/// Largest chunk, unless a message is larger: some five messages of a kilobyte and a half.
const CHUNK_BYTES: usize = 8192;

/// Memory for the messages of one reply. Those of a lane lie side by side in chunks, so that few
/// pieces are allocated and a request is copied out in one go; a chunk is freed with the last of
/// its messages, and those of a lane become safe together.
pub(super) struct LaneMemory {
    chunks: Vec<BytesMut>,
    chunk_bytes: usize,
}

impl LaneMemory {
    /// Memory for a reply of `bytes`: small chunks for a small one.
    pub fn new(bytes: usize) -> Self {
        let spread = bytes / usize::try_from(CHUNKS).unwrap_or(1);
        Self { chunks: Vec::new(), chunk_bytes: spread.min(CHUNK_BYTES) }
    }

    /// Copies a message of `lane`.
    pub fn keep(&mut self, lane: Lane, message: &[u8]) -> Bytes {
        let index = match lane {
            // Less than CHUNKS, so that nothing is cut off.
            Lane::Key(key) => (key % CHUNKS) as usize,
            Lane::Unordered | Lane::Barrier => 0,
        };
        if self.chunks.len() <= index {
            self.chunks.resize_with(index + 1, BytesMut::new);
        }
        let chunk = &mut self.chunks[index];
        if chunk.capacity() < message.len() {
            *chunk = BytesMut::with_capacity(self.chunk_bytes.max(message.len()));
        }
        chunk.extend_from_slice(message);
        chunk.split().freeze()
    }
}
