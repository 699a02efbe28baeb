//! When a stream has seen everything up to a moment.

use mongodb::bson::{RawDocument, Timestamp};

use crate::event::token::resume_token;
use crate::event::{Batch, Position, token_time};

/// Tells when a stream has passed an operation time, also on an idle or filtered stream.
#[derive(Clone, Debug)]
pub struct CaughtUp {
    target: Timestamp,
}

impl CaughtUp {
    /// Waits for everything committed at or before `target`, the operation time of a ping.
    #[must_use]
    pub fn new(target: Timestamp) -> Self {
        Self { target }
    }

    /// True when nothing up to the target can follow `batch`.
    ///
    /// The post-batch time of a reply with events proves nothing: all events of a transaction
    /// share one cluster time, so the first of several replies with them already shows the last
    /// one's time. An event after the target does, and so does an empty reply at the target.
    #[must_use]
    pub fn observe(&self, batch: &Batch) -> bool {
        match batch.events().last() {
            Some(event) => event_time(event).is_some_and(|time| time > self.target),
            None => batch
                .post_batch
                .as_ref()
                .and_then(Position::cluster_time)
                .is_some_and(|time| time >= self.target),
        }
    }
}

/// The cluster time of a raw change event. Its token comes first: a pipeline may drop or change
/// every other field.
pub(crate) fn event_time(event: &[u8]) -> Option<Timestamp> {
    let token = resume_token(event).and_then(token_time);
    token.or_else(|| RawDocument::from_bytes(event).ok()?.get_timestamp("clusterTime").ok())
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Document, RawDocumentBuf, doc};

    use super::*;
    use crate::source::reply::Reply;

    fn token(time: u32) -> Document {
        doc! { "_data": format!("82{time:08x}000000012B04") }
    }

    fn batch(events: &[u32], post_batch: u32) -> Batch {
        let events: Vec<Document> = events
            .iter()
            .map(|time| doc! { "_id": token(*time), "operationType": "insert" })
            .collect();
        let cursor = doc! { "id": 1_i64, "ns": "a.b", "nextBatch": events,
        "postBatchResumeToken": token(post_batch) };
        let reply = RawDocumentBuf::try_from(&doc! { "cursor": cursor, "ok": 1.0 }).unwrap();
        Reply::read(reply.into_bytes().into(), 1000).unwrap().batch
    }

    #[test]
    fn an_empty_reply_counts_from_the_target_on() {
        let caught_up = CaughtUp::new(Timestamp { time: 100, increment: 1 });
        assert!(!caught_up.observe(&batch(&[], 99)));
        assert!(caught_up.observe(&batch(&[], 100)));
    }

    #[test]
    fn an_event_counts_only_after_the_target_whatever_the_post_batch_time() {
        let caught_up = CaughtUp::new(Timestamp { time: 100, increment: 1 });
        assert!(!caught_up.observe(&batch(&[99, 100], 100)));
        assert!(!caught_up.observe(&batch(&[99], 200)));
        assert!(caught_up.observe(&batch(&[99, 101], 101)));
    }

    #[test]
    fn a_dropped_cluster_time_does_not_matter_and_a_strange_token_falls_back_to_it() {
        let time = Timestamp { time: 7, increment: 3 };
        let strange = doc! { "_id": { "_data": "zz" }, "clusterTime": time };
        let strange = RawDocumentBuf::try_from(&strange).unwrap();
        assert_eq!(event_time(strange.as_bytes()), Some(time));
        assert_eq!(event_time(b"not BSON"), None);
    }
}
