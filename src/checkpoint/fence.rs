//! Who may move a checkpoint that several processes can reach at once.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Checkpoint, Stored, check_advance, conflict};
use crate::error::CheckpointError;

/// One writer's side of the rule: the first checkpoint of an epoch *claims* it, which needs a
/// stored epoch below it or none; from then on the writer moves only what is its own. So whoever
/// claims a newer epoch ends the older writer, and of two that claim the same one, one.
#[derive(Debug)]
pub(super) struct Fence {
    /// A random name, stored with each checkpoint.
    owner: String,
    /// The last claimed epoch; 0, which no process has, before the first.
    claimed: AtomicU64,
}

impl Fence {
    pub fn new() -> Self {
        Self { owner: format!("{:032x}", rand::random::<u128>()), claimed: AtomicU64::new(0) }
    }

    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Whether storing `next` claims its epoch.
    pub fn claims(&self, next: &Checkpoint) -> bool {
        self.claimed.load(Relaxed) != next.epoch
    }

    /// Whether `next` may follow what is stored.
    pub fn check(&self, stored: Option<&Stored>, next: &Checkpoint) -> Result<(), CheckpointError> {
        let claims = self.claims(next);
        match stored {
            None if claims => Ok(()),
            None => Err(conflict(format!(
                "the checkpoint of stream {} was removed while this process moved it",
                next.identity.stream
            ))),
            // Also the claim again whose answer was lost.
            Some(stored) if self.owns(stored, next) => {
                check_advance(Some(&stored.checkpoint), next)
            }
            Some(stored) if claims && stored.checkpoint.epoch < next.epoch => Ok(()),
            Some(stored) => Err(taken(&stored.checkpoint, next)),
        }
    }

    /// Takes note that `next` was stored.
    pub fn stored(&self, next: &Checkpoint) {
        self.claimed.store(next.epoch, Relaxed);
    }

    fn owns(&self, stored: &Stored, next: &Checkpoint) -> bool {
        stored.checkpoint.epoch == next.epoch && stored.owner.as_ref() == Some(&self.owner)
    }
}

fn taken(stored: &Checkpoint, next: &Checkpoint) -> CheckpointError {
    conflict(format!(
        "another process has taken over the checkpoint of stream {}: it is at epoch {}, sequence {}, this process at epoch {}, sequence {}",
        next.identity.stream, stored.epoch, stored.sequence, next.epoch, next.sequence
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Identity;
    use crate::checkpoint::batches::position;
    use crate::error::CheckpointErrorKind::Conflict;

    fn checkpoint(epoch: u64, sequence: u64) -> Checkpoint {
        let identity = Identity {
            stream: "main.orders".into(),
            scope: "database shop".into(),
            replica_set: "rs0".into(),
            ordering: "none".into(),
        };
        Checkpoint::new(identity, epoch, sequence, position(9))
    }

    fn by(fence: &Fence, epoch: u64, sequence: u64) -> Stored {
        let owner = Some(fence.owner().to_owned());
        Stored { checkpoint: checkpoint(epoch, sequence), stored_at: None, owner }
    }

    fn refused(fence: &Fence, stored: Option<&Stored>, epoch: u64, sequence: u64) -> bool {
        match fence.check(stored, &checkpoint(epoch, sequence)) {
            Ok(()) => false,
            Err(error) => {
                assert_eq!(error.kind, Conflict);
                true
            }
        }
    }

    #[test]
    fn an_epoch_is_claimed_from_an_older_one_or_none() {
        let (fence, other) = (Fence::new(), Fence::new());
        assert!(!refused(&fence, None, 1, 0));
        assert!(!refused(&fence, Some(&by(&other, 4, 900)), 5, 0));
        for newer in [by(&other, 5, 0), by(&other, 6, 0)] {
            assert!(refused(&fence, Some(&newer), 5, 0));
        }
        // Nobody owns it: stored by a version without owners.
        let nobody = Stored { owner: None, ..by(&other, 5, 0) };
        assert!(refused(&fence, Some(&nobody), 5, 0));
    }

    #[test]
    fn a_claim_whose_answer_was_lost_is_made_again() {
        let fence = Fence::new();
        assert!(!refused(&fence, Some(&by(&fence, 5, 0)), 5, 0));
    }

    #[test]
    fn a_claimed_epoch_moves_forward_and_only_for_its_owner() {
        let (fence, other) = (Fence::new(), Fence::new());
        fence.stored(&checkpoint(5, 0));
        for (sequence, backwards) in [(7, true), (8, false), (9, false)] {
            assert_eq!(refused(&fence, Some(&by(&fence, 5, 8)), 5, sequence), backwards);
        }
        // Even where the other one lags behind.
        for other in [by(&other, 5, 0), by(&other, 4, 0), by(&other, 6, 0)] {
            assert!(refused(&fence, Some(&other), 5, 8));
        }
        assert!(refused(&fence, None, 5, 8), "removed meanwhile");
        assert!(!refused(&fence, Some(&by(&fence, 5, 8)), 6, 0), "the next epoch");
    }
}
