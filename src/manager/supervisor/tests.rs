use std::sync::Mutex;

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::*;
use crate::error::{
    PublishError, PublishErrorKind, RecordError, RecordErrorKind, SourceError, SourceErrorKind,
};

fn source(kind: SourceErrorKind) -> Error {
    SourceError { kind, message: "no".into(), code: None }.into()
}

fn publish(kind: PublishErrorKind) -> Error {
    PublishError { kind, message: "no".into(), sequence: None }.into()
}

fn connect() -> Error {
    source(SourceErrorKind::Connect)
}

/// A stream whose line is played by the test.
struct Stage {
    statistics: Arc<StreamStatistics>,
    paused: watch::Sender<bool>,
    stop: CancellationToken,
    /// When each line was started.
    starts: Arc<Mutex<Vec<Instant>>>,
}

impl Stage {
    fn new() -> Self {
        Self {
            statistics: Arc::default(),
            paused: watch::Sender::new(false),
            stop: CancellationToken::new(),
            starts: Arc::default(),
        }
    }

    fn supervisor(&self, max_retries: Option<u32>) -> Supervisor {
        let max = Duration::from_secs(30);
        let backoff = BackoffPolicy::new(2.0, max).with_max_retries(max_retries);
        let policy = RestartPolicy { backoff, healthy_after: max };
        let (statistics, stop) = (Arc::clone(&self.statistics), self.stop.clone());
        Supervisor::new(&policy, statistics, self.paused.subscribe(), stop)
    }

    /// Runs under a limit; `line` plays the attempt with this number, from 0 on.
    async fn play(
        &self,
        max_retries: Option<u32>,
        line: impl Fn(usize, &StreamStatistics) -> Option<Result<Ended, Error>> + Send,
    ) -> Result<Ended, Error> {
        let (starts, statistics) = (Arc::clone(&self.starts), Arc::clone(&self.statistics));
        let run = self.supervisor(max_retries).run(move |halt| {
            let attempt = starts.lock().unwrap().len();
            starts.lock().unwrap().push(Instant::now());
            match line(attempt, &statistics) {
                Some(ended) => std::future::ready(ended).boxed(),
                // Runs until it is to drain.
                None => async move {
                    halt.cancelled().await;
                    Ok(Ended::Stopped)
                }
                .boxed(),
            }
        });
        run.await
    }

    fn starts(&self) -> usize {
        self.starts.lock().unwrap().len()
    }

    fn states(&self) -> Vec<&'static str> {
        self.statistics.snapshot().transitions.iter().map(|(_, state)| state.name()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_server_is_tried_for_ever_with_growing_waits() {
    let stage = Stage::new();
    let ended = stage
        .play(None, |attempt, _| {
            Some(if attempt < 200 { Err(connect()) } else { Ok(Ended::CaughtUp) })
        })
        .await;
    assert!(matches!(ended, Ok(Ended::CaughtUp)));
    let starts = stage.starts.lock().unwrap().clone();
    let waits: Vec<Duration> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (attempt, wait) in (0..).zip(&waits) {
        let ceiling = Duration::from_millis(100) * 2_u32.saturating_pow(attempt);
        // A timer has the granularity of a millisecond.
        assert!(*wait <= ceiling.min(Duration::from_secs(30)) + Duration::from_millis(1));
    }
    // Full jitter: half the ceiling on average.
    let mean = waits[20..].iter().sum::<Duration>() / 180;
    assert!((Duration::from_secs(10)..Duration::from_secs(20)).contains(&mean), "{mean:?}");
    let now = stage.statistics.snapshot();
    assert_eq!((now.total_errors, now.retry_count), (200, 200));
    assert_eq!(stage.states(), ["starting", "backing_off", "stopped"]);
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_of_restarts_in_a_row() {
    for max_retries in [0, 1, 3] {
        let stage = Stage::new();
        let ended = stage.play(Some(max_retries), |_, _| Some(Err(connect()))).await;
        assert!(matches!(ended, Err(Error::Source(_))));
        assert_eq!(stage.starts(), max_retries as usize + 1);
        assert_eq!(stage.statistics.snapshot().state, StreamState::Failed);
    }
}

#[tokio::test(start_paused = true)]
async fn progress_starts_the_count_over() {
    let stage = Stage::new();
    let ended = stage
        .play(Some(1), |attempt, statistics| {
            statistics.opened();
            if attempt < 20 {
                statistics.passed.fetch_add(1, Relaxed);
            }
            Some(Err(connect()))
        })
        .await;
    assert!(ended.is_err());
    assert_eq!(stage.starts(), 21);
}

/// With several topics, one that fails holds the position, and what is behind it is published to
/// the others again and again.
#[tokio::test(start_paused = true)]
async fn what_is_published_past_a_stuck_position_is_no_progress() {
    let stage = Stage::new();
    let ended = stage
        .play(Some(1), |_, statistics| {
            statistics.opened();
            statistics.published.fetch_add(1, Relaxed);
            Some(Err(connect()))
        })
        .await;
    assert!(ended.is_err());
    assert_eq!(stage.starts(), 2);
}

#[tokio::test(start_paused = true)]
async fn time_without_a_failure_starts_the_count_over() {
    let stage = Stage::new();
    let (statistics, starts) = (Arc::clone(&stage.statistics), Arc::clone(&stage.starts));
    let run = stage.supervisor(Some(1)).run(move |_| {
        let statistics = Arc::clone(&statistics);
        starts.lock().unwrap().push(Instant::now());
        let lasts = if starts.lock().unwrap().len() <= 10 { 60 } else { 5 };
        Box::pin(async move {
            statistics.opened();
            tokio::time::sleep(Duration::from_secs(lasts)).await;
            Err(connect())
        })
    });
    assert!(run.await.is_err());
    assert_eq!(stage.starts(), 11);
}

#[tokio::test(start_paused = true)]
async fn what_a_restart_meets_again_fails_at_once() {
    let record = RecordError {
        kind: RecordErrorKind::Decode,
        message: "no".into(),
        namespace: None,
        event_id: None,
    };
    for error in [
        record.into(),
        publish(PublishErrorKind::Rejected),
        source(SourceErrorKind::HistoryLost),
        source(SourceErrorKind::InvalidPosition),
        source(SourceErrorKind::Query),
    ] {
        let stage = Stage::new();
        let error = Mutex::new(Some(error));
        let ended = stage
            .play(None, |_, statistics| {
                statistics.opened();
                statistics.published.fetch_add(1, Relaxed);
                error.lock().unwrap().take().map(Err)
            })
            .await;
        assert_eq!(stage.starts(), 1, "{ended:?}");
        assert!(recovery::advice(&ended.unwrap_err()).contains("meets the same error"));
        assert_eq!(stage.states(), ["starting", "streaming", "failed"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_set_up_fails_at_once_and_a_changed_one_is_waited_out() {
    for error in [|| source(SourceErrorKind::Auth), || publish(PublishErrorKind::TopicMissing)] {
        let stage = Stage::new();
        assert!(stage.play(None, |_, _| Some(Err(error()))).await.is_err());
        assert_eq!(stage.starts(), 1);

        let stage = Stage::new();
        let ended = stage
            .play(None, |attempt, statistics| {
                if attempt == 0 {
                    statistics.opened();
                    statistics.published.fetch_add(1, Relaxed);
                }
                Some(if attempt < 10 { Err(error()) } else { Ok(Ended::CaughtUp) })
            })
            .await;
        assert!(matches!(ended, Ok(Ended::CaughtUp)));
        assert_eq!(stage.starts(), 11);
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_stream_drains_waits_and_starts_again() {
    let stage = Arc::new(Stage::new());
    let mut states = stage.statistics.watch();
    let run = tokio::spawn({
        let stage = Arc::clone(&stage);
        async move {
            stage
                .play(None, |_, statistics| {
                    statistics.opened();
                    None
                })
                .await
        }
    });
    for _ in 0..2 {
        states.wait_for(|state| *state == StreamState::Streaming).await.unwrap();
        stage.paused.send_replace(true);
        states.wait_for(|state| *state == StreamState::Paused).await.unwrap();
        stage.paused.send_replace(false);
    }
    states.wait_for(|state| *state == StreamState::Streaming).await.unwrap();
    stage.stop.cancel();
    assert!(matches!(run.await.unwrap(), Ok(Ended::Stopped)));
    assert_eq!(stage.starts(), 3);
    let round = ["starting", "streaming", "paused"];
    assert_eq!(
        stage.states(),
        [&round[..], &round, &["starting", "streaming", "stopped"]].concat()
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_pause_at_once() {
    let stage = Stage::new();
    stage.paused.send_replace(true);
    let stop = stage.stop.clone();
    let (ended, ()) = tokio::join!(stage.play(None, |_, _| None), async {
        tokio::task::yield_now().await;
        stop.cancel();
    });
    assert!(matches!(ended, Ok(Ended::Stopped)));
    assert_eq!((stage.starts(), stage.states()), (0, vec!["starting", "paused", "stopped"]));
}

/// Plays `line` and stops the stream once it is in the state `wanted`.
async fn stopped_when(
    stage: &Stage,
    wanted: StreamState,
    line: impl Fn(usize, &StreamStatistics) -> Option<Result<Ended, Error>> + Send,
) -> Result<Ended, Error> {
    let mut states = stage.statistics.watch();
    let stop = async {
        states.wait_for(|now| *now == wanted).await.unwrap();
        stage.stop.cancel();
    };
    tokio::join!(stage.play(None, line), stop).0
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_stopped_while_it_backs_off_has_failed() {
    let stage = Stage::new();
    let ended = stopped_when(&stage, StreamState::BackingOff, |_, _| Some(Err(connect()))).await;
    assert!(matches!(ended, Err(Error::Source(_))), "{ended:?}");
    assert_eq!(stage.starts(), 1);
    assert_eq!(stage.states(), ["starting", "backing_off", "failed"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_stopped_before_it_opens_again_has_failed() {
    let stage = Stage::new();
    let ended = stage
        .play(None, |attempt, statistics| {
            if attempt == 0 {
                statistics.opened();
                return Some(Err(connect()));
            }
            // While it connects.
            stage.stop.cancel();
            Some(Ok(Ended::Stopped))
        })
        .await;
    assert!(matches!(ended, Err(Error::Source(_))), "{ended:?}");
    assert_eq!(stage.states(), ["starting", "streaming", "backing_off", "failed"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_stopped_after_it_recovered_has_not_failed() {
    let stage = Stage::new();
    let ended = stopped_when(&stage, StreamState::Streaming, |attempt, statistics| {
        if attempt < 3 {
            return Some(Err(connect()));
        }
        statistics.opened();
        None
    })
    .await;
    assert!(matches!(ended, Ok(Ended::Stopped)), "{ended:?}");
    assert_eq!(stage.states(), ["starting", "backing_off", "streaming", "stopped"]);
}
