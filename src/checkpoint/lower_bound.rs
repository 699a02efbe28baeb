//! A checkpoint behind what a runner has committed: where a new pipeline goes on after the old one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Checkpoint, CheckpointStore, Identity, Intervals, conflict, take_over};
use crate::error::{CheckpointError, CheckpointErrorKind};
use crate::event::Position;

/// What a new pipeline makes of the checkpoint of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Goes on there; where there is none, begins as `startup` says.
    OrNew,
    /// Goes on there, and fails where there is none.
    OrFail,
    /// Fails where there is one.
    FailIfExists,
}

impl Resume {
    /// That of a name; `None` for another.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "RESUME_OR_NEW" => Some(Self::OrNew),
            "RESUME_OR_FAIL" => Some(Self::OrFail),
            "FAIL_IF_EXISTS" => Some(Self::FailIfExists),
            _ => None,
        }
    }
}

/// How soon a position is to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Nothing comes after it, or nothing may be read before it is safe.
    AtOnce,
    /// Events moved it: `checkpoint.interval`.
    Events,
    /// Empty replies alone moved it: `checkpoint.idle_interval`.
    Idle,
}

/// The checkpoint of one stream, moved by whichever worker has its bundles.
///
/// The runner's own checkpoint is the truth while the pipeline lives; this one follows it. Workers
/// may change, and one that is given up may come late: who finds that another has moved the
/// checkpoint takes it over again, and only forwards.
pub struct LowerBound {
    store: Arc<dyn CheckpointStore>,
    identity: Identity,
    intervals: Intervals,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None` before this worker has taken the checkpoint over.
    epoch: Option<u64>,
    sequence: u64,
    stored: Option<(Position, Instant)>,
    /// Events have moved the position since it was stored.
    moved: bool,
}

impl LowerBound {
    /// That of `identity` in `store`, not looked at yet.
    #[must_use]
    pub fn new(store: Arc<dyn CheckpointStore>, identity: Identity, intervals: Intervals) -> Self {
        Self { store, identity, intervals, state: Mutex::default() }
    }

    /// Where a new pipeline begins; `None` where nothing is stored.
    ///
    /// # Errors
    /// `Conflict` where `resume` wants it otherwise, or the checkpoint belongs to another set-up.
    pub async fn begin(&self, resume: Resume) -> Result<Option<Position>, CheckpointError> {
        let taken = take_over(&*self.store, &self.identity, true).await?;
        let stream = &self.identity.stream;
        match (resume, &taken.position) {
            (Resume::OrFail, None) => Err(conflict(format!(
                "RESUME_OR_FAIL: stream {stream} has no checkpoint to go on from"
            ))),
            (Resume::FailIfExists, Some(_)) => Err(conflict(format!(
                "FAIL_IF_EXISTS: stream {stream} has a checkpoint, of a pipeline before this one"
            ))),
            _ => {
                let mut state = self.state.lock().await;
                // Whatever an earlier pipeline of this process has stored: this one begins here.
                *state = State { epoch: Some(taken.epoch), ..State::default() };
                Ok(taken.position)
            }
        }
    }

    /// Stores `position`, if that is due, and later than what is stored; true where it was.
    ///
    /// # Errors
    /// Those of the store; the next call tries again.
    pub async fn keep(&self, position: &Position, pace: Pace) -> Result<bool, CheckpointError> {
        let mut state = self.state.lock().await;
        state.moved |= pace == Pace::Events;
        if !self.is_due(&state, position, pace) {
            return Ok(false);
        }
        let epoch = if let Some(epoch) = state.epoch {
            epoch
        } else {
            let taken = take_over(&*self.store, &self.identity, true).await?;
            if taken.position.as_ref().is_some_and(|stored| is_later(stored, position)) {
                return Ok(false);
            }
            taken.epoch
        };
        let sequence = state.sequence + 1;
        let next = Checkpoint::new(self.identity.clone(), epoch, sequence, position.clone());
        let stored = self.store.store(&next).await;
        let lost = matches!(&stored, Err(error) if error.kind == CheckpointErrorKind::Conflict);
        state.epoch = (!lost).then_some(epoch);
        stored?;
        state.sequence = sequence;
        state.stored = Some((position.clone(), Instant::now()));
        state.moved = false;
        Ok(true)
    }

    fn is_due(&self, state: &State, position: &Position, pace: Pace) -> bool {
        let Some((stored, at)) = &state.stored else { return true };
        let wait = match pace {
            Pace::AtOnce => Duration::ZERO,
            // What an earlier bundle has moved waits no longer for the idle ones after it.
            Pace::Events | Pace::Idle if state.moved => self.intervals.interval,
            Pace::Events | Pace::Idle => self.intervals.idle_interval,
        };
        stored != position && !is_later(stored, position) && at.elapsed() >= wait
    }
}

/// By cluster time, and within a transaction, whose events share theirs, by the index in it.
fn is_later(stored: &Position, position: &Position) -> bool {
    let times = stored.cluster_time().zip(position.cluster_time());
    times.is_some_and(|(stored_at, own_at)| {
        let indices = stored.index_in_cluster_time().zip(position.index_in_cluster_time());
        let later_within = || indices.is_some_and(|(stored, own)| stored > own);
        stored_at > own_at || (stored_at == own_at && later_within())
    })
}

#[cfg(test)]
mod tests {
    use mongodb::bson::rawdoc;

    use super::*;
    use crate::checkpoint::MemoryStore;
    use crate::checkpoint::batches::position;

    const INTERVALS: Intervals =
        Intervals { interval: Duration::from_secs(1), idle_interval: Duration::from_secs(10) };

    fn worker(store: &Arc<MemoryStore>) -> LowerBound {
        let identity = Identity {
            stream: "main.orders".into(),
            scope: "collection shop.orders".into(),
            replica_set: "rs0".into(),
            ordering: "reader".into(),
        };
        LowerBound::new(Arc::clone(store) as Arc<dyn CheckpointStore>, identity, INTERVALS)
    }

    async fn stored(store: &MemoryStore) -> Option<Position> {
        store.load().await.unwrap().map(|checkpoint| checkpoint.position)
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_stored_when_it_is_due_and_has_moved() {
        let store = Arc::<MemoryStore>::default();
        let worker = worker(&store);
        assert_eq!(worker.begin(Resume::OrNew).await, Ok(None));
        assert_eq!(worker.keep(&position(1), Pace::Idle).await, Ok(true), "the first at once");
        assert_eq!(worker.keep(&position(2), Pace::Events).await, Ok(false), "not yet");
        tokio::time::advance(INTERVALS.interval).await;
        assert_eq!(worker.keep(&position(3), Pace::Idle).await, Ok(true), "2 has waited for it");
        tokio::time::advance(INTERVALS.interval).await;
        assert_eq!(worker.keep(&position(4), Pace::Idle).await, Ok(false), "idle");
        assert_eq!(worker.keep(&position(4), Pace::Events).await, Ok(true));
        tokio::time::advance(INTERVALS.idle_interval).await;
        assert_eq!(worker.keep(&position(4), Pace::Events).await, Ok(false), "where it was");
        assert_eq!(worker.keep(&position(2), Pace::Events).await, Ok(false), "before that");
        assert_eq!(stored(&store).await, Some(position(4)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_position_waits_for_nothing() {
        let store = Arc::<MemoryStore>::default();
        let worker = worker(&store);
        worker.begin(Resume::OrNew).await.unwrap();
        worker.keep(&position(1), Pace::AtOnce).await.unwrap();
        assert_eq!(worker.keep(&position(2), Pace::Events).await, Ok(false), "not yet");
        assert_eq!(worker.keep(&position(2), Pace::AtOnce).await, Ok(true));
        assert_eq!(stored(&store).await, Some(position(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_comes_late_moves_nothing_back() {
        let store = Arc::<MemoryStore>::default();
        let (first, second) = (worker(&store), worker(&store));
        first.begin(Resume::OrNew).await.unwrap();
        first.keep(&position(5), Pace::Events).await.unwrap();
        assert_eq!(
            second.keep(&position(9), Pace::Events).await,
            Ok(true),
            "the stream has moved here"
        );
        tokio::time::advance(INTERVALS.interval).await;
        let late = first.keep(&position(6), Pace::Events).await.unwrap_err();
        assert_eq!(late.kind, CheckpointErrorKind::Conflict);
        assert_eq!(
            first.keep(&position(7), Pace::Events).await,
            Ok(false),
            "it looks, and leaves it"
        );
        assert_eq!(stored(&store).await, Some(position(9)));
        assert_eq!(
            first.keep(&position(12), Pace::Events).await,
            Ok(true),
            "the stream has come back"
        );
        assert_eq!(stored(&store).await, Some(position(12)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_comes_late_moves_nothing_back_within_a_transaction() {
        let within = |index: &str| {
            let data = format!("8266F0C0DE000000052B022C0100{index}6E04");
            Position::Token(rawdoc! { "_data": data })
        };
        let (second, third, last) = (within("2B02"), within("2B04"), within("2C0258"));
        let store = Arc::<MemoryStore>::default();
        let (early, late) = (worker(&store), worker(&store));
        late.begin(Resume::OrNew).await.unwrap();
        late.keep(&within("29"), Pace::AtOnce).await.unwrap();
        early.keep(&third, Pace::AtOnce).await.unwrap();
        late.keep(&second, Pace::AtOnce).await.unwrap_err();
        assert_eq!(late.keep(&second, Pace::AtOnce).await, Ok(false), "it looks, and leaves it");
        assert_eq!(stored(&store).await, Some(third.clone()));
        assert_eq!(late.keep(&last, Pace::AtOnce).await, Ok(true));
        assert_eq!(late.keep(&third, Pace::AtOnce).await, Ok(false), "before that");
        assert_eq!(stored(&store).await, Some(last));
    }

    #[tokio::test]
    async fn a_new_pipeline_begins_as_it_was_told() {
        let store = Arc::<MemoryStore>::default();
        let error = worker(&store).begin(Resume::OrFail).await.unwrap_err();
        assert!(error.message.starts_with("RESUME_OR_FAIL: stream main.orders"), "{error}");
        assert_eq!(worker(&store).begin(Resume::FailIfExists).await, Ok(None));
        worker(&store).keep(&position(5), Pace::Events).await.unwrap();
        for resume in ["RESUME_OR_NEW", "RESUME_OR_FAIL"].map(|name| Resume::of_name(name).unwrap())
        {
            assert_eq!(worker(&store).begin(resume).await, Ok(Some(position(5))));
        }
        let error = worker(&store).begin(Resume::FailIfExists).await.unwrap_err();
        assert!(error.message.starts_with("FAIL_IF_EXISTS: stream main.orders"), "{error}");
    }
}
