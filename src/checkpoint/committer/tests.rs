use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;
use crate::checkpoint::batches::{batch, event, position};
use crate::checkpoint::{MemoryStore, Stored, Tracker, take_over, unreachable};
use crate::event::Position;

/// A memory store that remembers what was stored when, and that can be out of reach.
struct Recorder {
    memory: MemoryStore,
    started: Instant,
    stored: Mutex<Vec<(u64, u64, Position)>>,
    away: AtomicBool,
}

impl CheckpointStore for Recorder {
    fn read(&self) -> BoxFuture<'_, Result<Option<Stored>, CheckpointError>> {
        self.memory.read()
    }

    fn store<'a>(&'a self, next: &'a Checkpoint) -> BoxFuture<'a, Result<(), CheckpointError>> {
        Box::pin(async {
            if self.away.load(Relaxed) {
                return Err(unreachable("the store is away".into()));
            }
            self.memory.store(next).await?;
            let at = self.started.elapsed().as_secs();
            self.stored.lock().unwrap().push((at, next.sequence, next.position.clone()));
            Ok(())
        })
    }

    fn clear(&self) -> BoxFuture<'_, Result<(), CheckpointError>> {
        self.memory.clear()
    }
}

/// A stream opened at position 0 whose committer runs with an interval of 1 s, idle 30 s.
struct Running {
    store: Arc<Recorder>,
    tracker: Arc<Mutex<Tracker>>,
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<(), CheckpointError>>,
}

fn identity() -> Identity {
    Identity {
        stream: "main.orders".into(),
        scope: "collection shop.orders".into(),
        replica_set: "rs0".into(),
        ordering: "none".into(),
    }
}

async fn start() -> Running {
    let store = Arc::new(Recorder {
        memory: MemoryStore::default(),
        started: Instant::now(),
        stored: Mutex::default(),
        away: AtomicBool::new(false),
    });
    store.store(&Checkpoint::new(identity(), 1, 0, position(0))).await.unwrap();
    let intervals =
        Intervals { interval: Duration::from_secs(1), idle_interval: Duration::from_secs(30) };
    let mut committer = Committer::new(store.clone(), identity(), 1, intervals);
    let tracker = Arc::new(Mutex::new(Tracker::new(position(0))));
    let (stop, stopped) = oneshot::channel();
    let run = tokio::spawn({
        let tracker = Arc::clone(&tracker);
        async move {
            let committable = || tracker.lock().unwrap().committable();
            tokio::select! {
                error = committer.run(committable) => Err(error),
                _ = stopped => committer.finish(committable(), Instant::now()).await,
            }
        }
    });
    Running { store, tracker, stop, run }
}

impl Running {
    /// Reads and finishes one event that ends at position `ordinal`.
    fn event(&self, ordinal: u32) {
        let mut tracker = self.tracker.lock().unwrap();
        let sequence = tracker.begin(&batch(vec![event(ordinal, 0)], None)).unwrap();
        tracker.complete(&[sequence]);
    }

    /// Reads an empty reply at position `ordinal`.
    fn idle(&self, ordinal: u32) {
        self.tracker.lock().unwrap().begin(&batch(vec![], Some(position(ordinal)))).unwrap();
    }

    /// What was stored until now: second, sequence number, position.
    fn stored(&self) -> Vec<(u64, u64, Position)> {
        self.store.stored.lock().unwrap().clone()
    }

    async fn finish(self) -> (Vec<(u64, u64, Position)>, Result<(), CheckpointError>) {
        self.stop.send(()).unwrap();
        let result = self.run.await.unwrap();
        let stored = self.store.stored.lock().unwrap().clone();
        (stored, result)
    }
}

/// Time between ticks, so that nothing happens in the same moment as a tick.
const BETWEEN: Duration = Duration::from_millis(500);

#[tokio::test(start_paused = true)]
async fn the_opening_position_is_stored_at_once_and_nothing_while_nothing_moves() {
    let running = start().await;
    sleep(Duration::from_secs(100)).await;
    assert_eq!(running.stored(), [(0, 0, position(0))]);
    let (stored, result) = running.finish().await;
    assert_eq!((stored.len(), result), (1, Ok(())));
}

#[tokio::test(start_paused = true)]
async fn events_are_stored_at_the_interval() {
    let running = start().await;
    sleep(BETWEEN).await;
    for ordinal in 1..=3 {
        running.event(ordinal);
    }
    sleep(Duration::from_secs(2)).await;
    running.event(4);
    sleep(Duration::from_secs(10)).await;
    let expected = [(0, 0, position(0)), (1, 3, position(3)), (3, 4, position(4))];
    assert_eq!(running.stored(), expected);
}

#[tokio::test(start_paused = true)]
async fn idle_replies_are_stored_at_the_idle_interval() {
    let running = start().await;
    sleep(BETWEEN).await;
    for ordinal in 1..=65 {
        running.idle(ordinal);
        sleep(Duration::from_secs(1)).await;
    }
    let expected = [(0, 0, position(0)), (30, 0, position(30)), (60, 0, position(60))];
    assert_eq!(running.stored(), expected);
    // An event is not held back by the idle interval, what follows it is.
    running.event(100);
    sleep(Duration::from_secs(1)).await;
    running.idle(101);
    sleep(Duration::from_secs(20)).await;
    assert_eq!(running.stored()[3..], [(66, 1, position(100))]);
    let (stored, result) = running.finish().await;
    assert_eq!(stored[4..], [(86, 1, position(101))]);
    assert_eq!(result, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_store_out_of_reach_is_tried_again_and_an_error_at_the_end() {
    let running = start().await;
    running.store.away.store(true, Relaxed);
    running.event(1);
    sleep(Duration::from_secs(5) + BETWEEN).await;
    assert_eq!(running.stored().len(), 1);
    running.store.away.store(false, Relaxed);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(running.stored()[1..], [(6, 1, position(1))]);

    running.store.away.store(true, Relaxed);
    running.event(2);
    let (_, result) = running.finish().await;
    assert_eq!(result.unwrap_err().kind, CheckpointErrorKind::Unreachable);
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_another_process_took_over_ends_the_run() {
    let running = start().await;
    let taken = take_over(&*running.store, &identity(), false).await.unwrap();
    let taken = Checkpoint::new(identity(), taken.epoch, 0, taken.position.unwrap());
    running.store.store(&taken).await.unwrap();
    running.event(1);
    let result = running.run.await.unwrap();
    assert_eq!(result.unwrap_err().kind, CheckpointErrorKind::Conflict);
    assert_eq!(running.store.load().await, Ok(Some(taken)));
}
