//! What a process does with the checkpoint that it finds.

use super::{Checkpoint, CheckpointStore, Identity, conflict};
use crate::error::CheckpointError;
use crate::event::Position;

/// A checkpoint taken over from the process before.
#[derive(Clone, Debug, PartialEq)]
pub struct TakenOver {
    /// Where the stream goes on; `None` where there is no checkpoint yet.
    pub position: Option<Position>,
    /// Epoch of this process: one above the stored one, 1 for the first. It counts from the first
    /// store with it.
    pub epoch: u64,
}

/// Takes over the checkpoint of the stream `identity`.
///
/// With `accept_lane_change` a checkpoint that was stored with another ordering is taken over too.
///
/// # Errors
/// Those of the store, and `Conflict` where the checkpoint belongs to another stream, scope,
/// replica set or ordering: the server does not notice a foreign token.
pub async fn take_over(
    store: &dyn CheckpointStore,
    identity: &Identity,
    accept_lane_change: bool,
) -> Result<TakenOver, CheckpointError> {
    let Some(Checkpoint { identity: stored, epoch, position, .. }) = store.load().await? else {
        return Ok(TakenOver { position: None, epoch: 1 });
    };
    check_field("stream", &stored.stream, &identity.stream)?;
    check_field("scope", &stored.scope, &identity.scope)?;
    check_field("replica_set", &stored.replica_set, &identity.replica_set)?;
    if !accept_lane_change {
        check_field("ordering", &stored.ordering, &identity.ordering).map_err(lane_change)?;
    }
    Ok(TakenOver { position: Some(position), epoch: epoch.saturating_add(1) })
}

fn check_field(field: &str, stored: &str, configured: &str) -> Result<(), CheckpointError> {
    if stored == configured {
        return Ok(());
    }
    Err(conflict(format!(
        "the checkpoint belongs to another set-up: its `{field}` is `{stored}`, configured is `{configured}`"
    )))
}

/// A document's events would go on under another ordering key, so that nothing keeps them behind
/// those already sent.
fn lane_change(mut error: CheckpointError) -> CheckpointError {
    error.message.push_str(
        "; `--accept-lane-change` goes on with it, but a document's events before and after the change may then be delivered out of order",
    );
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::MemoryStore;
    use crate::checkpoint::batches::position;
    use crate::error::CheckpointErrorKind;

    fn identity() -> Identity {
        Identity {
            stream: "main.orders".into(),
            scope: "collection shop.orders".into(),
            replica_set: "rs0".into(),
            ordering: "lanes 64 xxh3-64".into(),
        }
    }

    async fn store() -> MemoryStore {
        let store = MemoryStore::default();
        store.store(&Checkpoint::new(identity(), 4, 17, position(9))).await.unwrap();
        store
    }

    #[tokio::test]
    async fn the_epoch_grows_with_each_process() {
        let empty = take_over(&MemoryStore::default(), &identity(), false).await;
        assert_eq!(empty, Ok(TakenOver { position: None, epoch: 1 }));
        let taken = take_over(&store().await, &identity(), false).await;
        assert_eq!(taken, Ok(TakenOver { position: Some(position(9)), epoch: 5 }));
    }

    #[tokio::test]
    async fn a_foreign_checkpoint_is_refused_with_both_values() {
        let other = || "database other".to_owned();
        for (field, identity) in [
            ("stream", Identity { stream: other(), ..identity() }),
            ("scope", Identity { scope: other(), ..identity() }),
            ("replica_set", Identity { replica_set: other(), ..identity() }),
        ] {
            let error = take_over(&store().await, &identity, true).await.unwrap_err();
            assert_eq!(error.kind, CheckpointErrorKind::Conflict);
            assert!(error.message.contains(&format!("`{field}`")), "{error}");
            assert!(error.message.contains("`database other`"), "{error}");
        }
    }

    #[tokio::test]
    async fn another_ordering_is_taken_over_only_if_accepted() {
        let identity = Identity { ordering: "lanes 256 xxh3-64".into(), ..identity() };
        let error = take_over(&store().await, &identity, false).await.unwrap_err();
        assert_eq!(error.kind, CheckpointErrorKind::Conflict);
        for part in ["`lanes 64 xxh3-64`", "`lanes 256 xxh3-64`", "--accept-lane-change"] {
            assert!(error.message.contains(part), "{error}");
        }
        let taken = take_over(&store().await, &identity, true).await.unwrap();
        assert_eq!(taken.position, Some(position(9)));
    }
}
