use std::thread;

use serde_json::json;

use super::*;

/// Records of a test's own, read from now on.
fn opened() -> &'static Records {
    let records: &'static Records = Box::leak(Box::new(Records::new()));
    records.lock().open = true;
    records
}

fn of(level: Level, message: &str) -> Record {
    Record {
        level,
        target: "mongo_gcp_stream::sink",
        message: message.into(),
        fields: Map::new(),
        time: SystemTime::UNIX_EPOCH,
        place: None,
    }
}

fn messages(taken: &Taken) -> Vec<&str> {
    taken.records.iter().map(|record| record.message.as_str()).collect()
}

#[test]
fn a_record_has_what_the_event_and_its_spans_tell() {
    static RECORDS: OnceLock<&'static Records> = OnceLock::new();
    let records = *RECORDS.get_or_init(opened);
    let subscriber = Registry::default().with(Recorder { records: || RECORDS.get().copied() });
    tracing::subscriber::with_default(subscriber, || {
        let span = tracing::error_span!("stream", stream = "main.orders", attempts = 9);
        span.in_scope(|| tracing::warn!(attempts = 3, reason = %"lost", "again"));
        tracing::info!(rate = 0.5, up = true, "5 of {}", 7);
        tracing::warn!(target: "hyper", "theirs");
        tracing::debug!(target: "hyper", "theirs, and nobody's promise");
    });
    let taken = records.take().unwrap();
    assert_eq!(messages(&taken), ["again", "5 of 7", "theirs"]);
    let first = &taken.records[0];
    assert_eq!((first.level, first.target), (Level::WARN, module_path!()));
    assert_eq!(first.place.map(|(file, _)| file), Some(file!()));
    let fields = [first, &taken.records[1]].map(|record| Value::Object(record.fields.clone()));
    let expected = [
        json!({"attempts": 3, "reason": "lost", "stream": "main.orders"}),
        json!({"rate": 0.5, "up": true}),
    ];
    assert_eq!(fields, expected);
}

#[test]
fn what_finds_no_room_is_counted_and_errors_always_find_some() {
    let records = opened();
    for _ in 0..CAPACITY + 3 {
        records.push(of(Level::WARN, "again"));
    }
    records.push(of(Level::ERROR, "failed"));
    records.push(of(Level::INFO, "goes on"));
    let taken = records.take().unwrap();
    assert_eq!((taken.records.len(), taken.dropped), (CAPACITY + 1, 4));
    assert_eq!(messages(&taken).last(), Some(&"failed"));
    records.push(of(Level::INFO, "goes on"));
    let taken = records.take().unwrap();
    assert_eq!((messages(&taken), taken.dropped), (vec!["goes on"], 0));
}

#[test]
fn closing_lets_the_reader_have_what_waits_and_then_go() {
    let records = opened();
    let reader = thread::spawn(|| {
        let mut read = Vec::new();
        while let Some(taken) = records.take() {
            read.extend(taken.records.into_iter().map(|record| record.message));
        }
        read
    });
    records.push(of(Level::INFO, "one"));
    records.push(of(Level::INFO, "two"));
    records.close();
    records.push(of(Level::ERROR, "too late"));
    assert_eq!(reader.join().unwrap(), ["one", "two"]);
    assert!(records.take().is_none());
}

#[test]
fn they_are_those_of_the_process() {
    let records = Records::open();
    assert!(std::ptr::eq(records, Records::of_process().unwrap()));
    assert!(std::ptr::eq(records, Records::open()));
    assert_eq!(records.process, process::id());
    records.close();
}
