//! Which lane an event travels in.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::config::Ordering;
use crate::error::ConfigError;
use crate::event::elements::Elements;
use crate::event::{ChangeEvent, FieldPath, Lane, StreamId};
use crate::limits::MAX_ORDERING_KEY;

/// Name of the pinned hash, stored in checkpoints: another hash would send the next change of a
/// document down another lane than the one before it.
pub const HASH_NAME: &str = "xxh3-64";

/// The choice of lanes of one stream.
#[derive(Debug)]
pub(super) struct LaneChoice {
    order: Order,
    /// Mixed into every hash; 0 where document keys are no secret.
    seed: u64,
    /// `"<stream>/"`, what every ordering key begins with.
    prefix: String,
}

/// What is kept in order.
#[derive(Debug)]
enum Order {
    /// The events of a document, documents spread over so many lanes.
    Lanes(u64),
    /// The events of a document, each on a lane of its own.
    Document,
    /// The events with the same value of a field, values spread over so many lanes.
    Field(FieldPath, u64),
    /// Nothing.
    None,
}

impl LaneChoice {
    /// With `seed`, a secret, nobody can tell from a lane which document key it belongs to.
    pub fn compile(
        stream: &StreamId,
        ordering: &Ordering,
        lanes: u32,
        seed: Option<u64>,
    ) -> Result<Self, ConfigError> {
        let prefix = format!("{stream}/");
        // The longest suffix is a 64-bit hash in hex.
        if *ordering != Ordering::None && prefix.len() + 16 > MAX_ORDERING_KEY {
            return Err(ConfigError {
                path: "mongodb.connections".into(),
                message: format!(
                    "the stream name of {} bytes makes an ordering key of more than {MAX_ORDERING_KEY} bytes",
                    prefix.len() - 1
                ),
            });
        }
        let lanes = u64::from(lanes.max(1));
        let order = match ordering {
            Ordering::Lanes => Order::Lanes(lanes),
            Ordering::Document => Order::Document,
            Ordering::Field(field) => Order::Field(field.0.clone(), lanes),
            Ordering::None => Order::None,
        };
        Ok(Self { order, seed: seed.unwrap_or_default(), prefix })
    }

    /// The lane of an event, or why it has none.
    pub fn of(&self, change: &ChangeEvent<'_>) -> Result<Lane, String> {
        match &self.order {
            Order::Lanes(lanes) => self.of_document(change, |hash| hash % lanes),
            Order::Document => self.of_document(change, |hash| hash),
            Order::Field(path, lanes) => self.of_field(change, path, *lanes),
            Order::None => Ok(Lane::Unordered),
        }
    }

    fn of_document(
        &self,
        change: &ChangeEvent<'_>,
        lane: impl FnOnce(u64) -> u64,
    ) -> Result<Lane, String> {
        let Some(key) = change.document_key else {
            return if is_about_a_document(change.operation) {
                Err("the event has no `documentKey`: keep it in the source's `pipeline`, or set `pubsub.ordering: none`".into())
            } else {
                Ok(Lane::Barrier)
            };
        };
        let id = id_element(key).ok_or("`documentKey` has no `_id`")?;
        Ok(Lane::Key(lane(xxh3_64_with_seed(id, self.namespace_hash(change)))))
    }

    /// The lane of the field's value, in whichever collection. A document that does not have the
    /// field has its own lane; where the event does not tell the document, the event is a barrier:
    /// whichever value the document had, order is kept.
    fn of_field(
        &self,
        change: &ChangeEvent<'_>,
        path: &FieldPath,
        lanes: u64,
    ) -> Result<Lane, String> {
        let image = change.full_document.document().or(change.before_change.document());
        let found = [image, change.document_key].into_iter().flatten();
        if let Some(element) = found.into_iter().find_map(|document| path.find(document)) {
            return Ok(Lane::Key(xxh3_64_with_seed(element.whole, self.seed) % lanes));
        }
        match image {
            Some(_) => self.of_document(change, |hash| hash % lanes),
            None => Ok(Lane::Barrier),
        }
    }

    /// Hands the ordering key of `lane` to `write`, if it has one: `<stream>/<lane>`.
    pub fn with_ordering_key(&self, lane: Lane, write: impl FnOnce(&[&str])) {
        match (lane, &self.order) {
            (Lane::Unordered, _) => {}
            (Lane::Barrier, _) => write(&[&self.prefix, "barrier"]),
            (Lane::Key(key), Order::Document) => write(&[&self.prefix, &format!("{key:016x}")]),
            (Lane::Key(key), _) => write(&[&self.prefix, itoa::Buffer::new().format(key)]),
        }
    }

    /// Hash of `database.collection`.
    fn namespace_hash(&self, change: &ChangeEvent<'_>) -> u64 {
        let database = change.database.unwrap_or_default().as_bytes();
        let database = xxh3_64_with_seed(database, self.seed);
        xxh3_64_with_seed(change.collection.unwrap_or_default().as_bytes(), database)
    }
}

fn is_about_a_document(operation: Option<&str>) -> bool {
    matches!(operation, None | Some("insert" | "update" | "replace" | "delete"))
}

/// The raw BSON element `_id` of a document key: type, name and value. After the shard key, if
/// there is one; the lane must not change when a collection is sharded.
fn id_element(key: &[u8]) -> Option<&[u8]> {
    Elements::of(key)?.find(b"_id").map(|element| element.whole)
}

#[cfg(test)]
mod tests;
