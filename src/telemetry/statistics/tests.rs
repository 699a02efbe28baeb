use super::*;

const MINUTE: Timestamp = Timestamp { time: 60, increment: 1 };

fn at(time: u32) -> Timestamp {
    Timestamp { time, increment: 1 }
}

fn names(statistics: &StreamStatistics) -> Vec<&'static str> {
    statistics.snapshot().transitions.iter().map(|(_, state)| state.name()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_failure_counts_once_and_recovery_ends_the_row() {
    let statistics = StreamStatistics::default();
    statistics.enter(StreamState::Starting);
    statistics.opened();
    statistics.interrupted(Part::Source, &"no primary");
    statistics.interrupted(Part::Source, &"no primary yet");
    let now = statistics.snapshot();
    assert_eq!((now.total_errors, now.retry_count), (2, 2));
    assert_eq!(now.last_error.as_deref(), Some("no primary yet"));
    assert!(!now.active() && now.last_error_time.is_some());
    statistics.recovered(Part::Source);
    let now = statistics.snapshot();
    assert!(now.active());
    assert_eq!((now.total_errors, now.retry_count), (2, 0));
    assert_eq!(names(&statistics), ["starting", "streaming", "backing_off", "streaming"]);
}

#[tokio::test(start_paused = true)]
async fn it_streams_again_only_when_no_part_fails() {
    let statistics = StreamStatistics::default();
    statistics.opened();
    statistics.interrupted(Part::Source, &"a");
    statistics.interrupted(Part::Sink, &"b");
    statistics.recovered(Part::Source);
    assert_eq!(statistics.snapshot().state, StreamState::BackingOff);
    statistics.recovered(Part::Sink);
    assert!(statistics.snapshot().active());
    // What never failed does not make a stream that ended stream again.
    statistics.enter(StreamState::Failed);
    statistics.recovered(Part::Sink);
    assert_eq!(statistics.snapshot().state, StreamState::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_stream_at_rest_stays_there() {
    for rest in [StreamState::Paused, StreamState::Failed, StreamState::Stopped] {
        let statistics = StreamStatistics::default();
        statistics.opened();
        statistics.enter(rest);
        statistics.interrupted(Part::Sink, &"a callback returned late");
        statistics.recovered(Part::Sink);
        let now = statistics.snapshot();
        assert_eq!((now.state, now.total_errors), (rest, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_transitions_are_kept_and_told() {
    let statistics = StreamStatistics::default();
    let mut states = statistics.watch();
    for _ in 0..15 {
        statistics.enter(StreamState::Streaming);
        statistics.enter(StreamState::Paused);
    }
    assert_eq!(names(&statistics).len(), 20);
    assert_eq!(*states.borrow_and_update(), StreamState::Paused);
    assert!(statistics.snapshot().transitions.is_sorted_by(|a, b| a.0 <= b.0));
}

#[tokio::test(start_paused = true)]
async fn rates_are_means_of_ten_seconds_and_zero_after_them() {
    let statistics = StreamStatistics::default();
    for _ in 0..20 {
        statistics.sample();
        statistics.published.fetch_add(50, Relaxed);
        statistics.bytes.fetch_add(1000, Relaxed);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let now = statistics.snapshot();
    assert!((now.events_per_second - 50.0).abs() < 1e-9, "{}", now.events_per_second);
    assert!((now.bytes_per_second - 1000.0).abs() < 1e-9, "{}", now.bytes_per_second);
    for _ in 0..11 {
        statistics.sample();
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let now = statistics.snapshot();
    assert!(now.events_per_second.abs() + now.bytes_per_second.abs() < f64::MIN_POSITIVE);
}

#[tokio::test(start_paused = true)]
async fn lag_is_cluster_time_against_cluster_time_and_grows_without_replies() {
    let statistics = StreamStatistics::default();
    assert_eq!(statistics.snapshot().lag, None);
    tokio::time::advance(Duration::from_millis(5)).await;
    statistics.replied(Some(at(90)));
    statistics.passed_time(MINUTE);
    assert_eq!(statistics.snapshot().lag, Some(30.0));
    statistics.passed_time(at(90));
    assert_eq!(statistics.snapshot().lag, Some(0.0));
    tokio::time::advance(Duration::from_secs(7)).await;
    assert_eq!(statistics.snapshot().lag, Some(7.0));
}

#[tokio::test(start_paused = true)]
async fn headroom_is_known_only_where_the_oplog_may_be_read() {
    let statistics = StreamStatistics::default();
    statistics.passed_time(at(100));
    assert_eq!(statistics.snapshot().oplog_headroom, None);
    statistics.oplog_starts(Some(MINUTE));
    assert_eq!(statistics.snapshot().oplog_headroom, Some(40.0));
    statistics.oplog_starts(None);
    assert_eq!(statistics.snapshot().oplog_headroom, None);
}

#[tokio::test(start_paused = true)]
async fn what_a_line_had_in_flight_ends_with_it() {
    let statistics = StreamStatistics::default();
    statistics.opened();
    statistics.read.fetch_add(10, Relaxed);
    statistics.published.fetch_add(4, Relaxed);
    assert_eq!(statistics.snapshot().in_flight, 6);
    statistics.failed(&"the topic is gone");
    assert_eq!(statistics.snapshot().in_flight, 0);
    statistics.opened();
    statistics.read.fetch_add(6, Relaxed);
    assert_eq!(statistics.snapshot().in_flight, 6);
    statistics.published.fetch_add(6, Relaxed);
    assert_eq!(statistics.snapshot().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn last_healthy_stands_still_while_something_fails() {
    let statistics = StreamStatistics::default();
    assert_eq!(statistics.snapshot().last_healthy, None);
    statistics.opened();
    tokio::time::advance(Duration::from_millis(5)).await;
    statistics.replied(None);
    statistics.interrupted(Part::Sink, &"unavailable");
    let healthy = statistics.snapshot().last_healthy;
    assert!(healthy.is_some());
    tokio::time::advance(Duration::from_mins(1)).await;
    statistics.replied(None);
    assert_eq!(statistics.snapshot().last_healthy, healthy);
}
