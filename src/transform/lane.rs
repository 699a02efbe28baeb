//! Which lane an event travels in.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::config::Ordering;
use crate::error::ConfigError;
use crate::event::elements::Elements;
use crate::event::{ChangeEvent, Lane, StreamId};
use crate::limits::MAX_ORDERING_KEY;

/// Name of the pinned hash, stored in checkpoints: another hash would send the next change of a
/// document down another lane than the one before it.
pub const HASH_NAME: &str = "xxh3-64";

/// The choice of lanes of one stream.
#[derive(Debug)]
pub(super) struct LaneChoice {
    ordering: Ordering,
    lanes: u64,
    /// `"<stream>/"`, what every ordering key begins with.
    prefix: String,
    /// What the hash of a namespace begins with: a secret where the document key is protected.
    seed: u64,
}

impl LaneChoice {
    pub fn compile(
        stream: &StreamId,
        ordering: Ordering,
        lanes: u32,
        seed: Option<u64>,
    ) -> Result<Self, ConfigError> {
        let prefix = format!("{stream}/");
        // The longest suffix is a 64-bit hash in hex.
        if ordering != Ordering::None && prefix.len() + 16 > MAX_ORDERING_KEY {
            return Err(ConfigError {
                path: "mongodb.connections".into(),
                message: format!(
                    "the stream name of {} bytes makes an ordering key of more than {MAX_ORDERING_KEY} bytes",
                    prefix.len() - 1
                ),
            });
        }
        Ok(Self { ordering, lanes: u64::from(lanes.max(1)), prefix, seed: seed.unwrap_or(0) })
    }

    /// The lane of an event, or why it has none.
    pub fn of(&self, change: &ChangeEvent<'_>) -> Result<Lane, String> {
        if self.ordering == Ordering::None {
            return Ok(Lane::Unordered);
        }
        let Some(key) = change.document_key else {
            return if is_about_a_document(change.operation) {
                Err("the event has no `documentKey`: keep it in the source's `pipeline`, or set `pubsub.ordering: none`".into())
            } else {
                Ok(Lane::Barrier)
            };
        };
        let id = id_element(key).ok_or("`documentKey` has no `_id`")?;
        let hash = xxh3_64_with_seed(id, namespace_hash(change, self.seed));
        Ok(Lane::Key(if self.ordering == Ordering::Document { hash } else { hash % self.lanes }))
    }

    /// Hands the ordering key of `lane` to `write`, if it has one: `<stream>/<lane>`.
    pub fn with_ordering_key(&self, lane: Lane, write: impl FnOnce(&[&str])) {
        match lane {
            Lane::Unordered => {}
            Lane::Barrier => write(&[&self.prefix, "barrier"]),
            Lane::Key(key) if self.ordering == Ordering::Document => {
                write(&[&self.prefix, &format!("{key:016x}")]);
            }
            Lane::Key(key) => write(&[&self.prefix, itoa::Buffer::new().format(key)]),
        }
    }
}

fn is_about_a_document(operation: Option<&str>) -> bool {
    matches!(operation, None | Some("insert" | "update" | "replace" | "delete"))
}

/// Hash of `database.collection`.
fn namespace_hash(change: &ChangeEvent<'_>, seed: u64) -> u64 {
    let database = xxh3_64_with_seed(change.database.unwrap_or_default().as_bytes(), seed);
    xxh3_64_with_seed(change.collection.unwrap_or_default().as_bytes(), database)
}

/// The raw BSON element `_id` of a document key: type, name and value. After the shard key, if
/// there is one; the lane must not change when a collection is sharded.
fn id_element(key: &[u8]) -> Option<&[u8]> {
    Elements::of(key)?.find(b"_id").map(|element| element.whole)
}
