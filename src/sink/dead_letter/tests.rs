use std::time::Duration;

use super::*;
use crate::config::{ByteSize, DeadLetterFileConfig};
use crate::event::Destination;

fn refused(sequence: u64, kind: PublishErrorKind, data: &'static [u8]) -> Refused {
    let attributes = [("event_id", "0a1b"), ("cluster_time", "7.3"), ("namespace", "a.b")];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let body = PubsubMessage {
        data: Bytes::from_static(data),
        attributes: attributes.into(),
        ordering_key: "main.orders/7".into(),
        ..Default::default()
    };
    let body = body.encode_to_vec().into();
    let (to, lane) = (Destination::Topic("t".into()), Lane::Key(7));
    Refused {
        message: Message { sequence, to, lane, body, claim: None },
        kind,
        reason: "TEST".into(),
    }
}

fn written(refused: &Refused) -> (PubsubMessage, serde_json::Value) {
    let message = refused::dead_letter("main.orders", "projects/p/topics/t", refused);
    assert_eq!((message.sequence, message.lane), (refused.message.sequence, Lane::Unordered));
    let message = PubsubMessage::decode(message.body).unwrap();
    let json = serde_json::from_slice(&message.data).unwrap();
    (message, json)
}

#[test]
fn a_refused_message_is_kept_whole() {
    let (message, json) = written(&refused(3, PublishErrorKind::Rejected, b"{\"a\":1.0}"));
    let expected = serde_json::json!({
        "stream": "main.orders", "stage": "publish", "reason": "rejected: TEST",
        "event_id": "0a1b", "namespace": "a.b",
        "position": {"operation_time": {"t": 7, "i": 3}}, "attempt": 1,
        "message": {
            "topic": "projects/p/topics/t", "size": json["message"]["size"],
            "ordering_key": "main.orders/7",
            "attributes": {"cluster_time": "7.3", "event_id": "0a1b", "namespace": "a.b"},
            "data": "{\"a\":1.0}",
        },
    });
    assert_eq!(json, expected);
    assert_eq!(message.attributes["reason_kind"], "rejected");
    assert_eq!(message.attributes["event_id"], "0a1b");
    assert!(!message.data.contains(&b'\n') && message.ordering_key.is_empty());
    let (_, json) = written(&refused(3, PublishErrorKind::Rejected, b"\xff"));
    assert_eq!(json["message"]["data_base64"], "/w==");
}

#[test]
fn of_one_that_is_too_large_the_size_is_kept() {
    static LARGE: [u8; 11_000_000] = [b' '; 11_000_000];
    let (message, json) = written(&refused(3, PublishErrorKind::TooLarge, &LARGE));
    assert!(json["message"]["size"].as_u64().unwrap() > 11_000_000);
    assert!(json["message"].get("data").is_none() && message.data.len() < 1000);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_ends_it_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let max_size = ByteSize::from_bytes(1000);
    let path = folder.path().to_owned();
    let file = DeadLetterFile::new(&DeadLetterFileConfig { path, max_size, keep: 1 });
    let (receipts, mut told) = mpsc::channel(1);
    let (letters, mut waits) = start(Some(file), receipts);
    let error = match told.recv().await {
        Some(Receipt::Failed(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(error.kind, PublishErrorKind::DeadLetter);
    assert!(waits.remove(0).await.is_err());
    assert_eq!(letters.flush().await, Err(error));
}

#[tokio::test]
async fn each_dead_letter_gives_one_receipt_once_it_is_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let max_size = ByteSize::from_bytes(1000);
    let path = folder.path().join("dead.jsonl");
    let config = DeadLetterFileConfig { path, max_size, keep: 1 };
    let (receipts, mut told) = mpsc::channel(9);
    let (letters, waits) = start(Some(DeadLetterFile::new(&config)), receipts);
    tokio::time::timeout(Duration::from_secs(20), letters.flush()).await.unwrap().unwrap();
    for safe in waits {
        safe.await.unwrap();
    }
    drop(letters);
    let mut sequences = Vec::new();
    while let Some(Receipt::Published(more)) = told.recv().await {
        sequences.extend(more);
    }
    assert_eq!(sequences, [1, 2]);
    let mut lines = 0;
    let count = |_: &[u8]| {
        lines += 1;
        true
    };
    DeadLetterFile::new(&config).read(count).unwrap();
    assert_eq!(lines, 2);
}

/// The task with two dead letters on their way.
fn start(
    file: Option<DeadLetterFile>,
    receipts: mpsc::Sender<Receipt>,
) -> (DeadLetters, Vec<oneshot::Receiver<()>>) {
    let (input, commands) = mpsc::unbounded_channel();
    let failure = Arc::new(OnceLock::new());
    let task = Task {
        commands,
        file: file.map(Arc::new),
        topic: None,
        asked: None,
        accepted: mpsc::channel(1).1,
        receipts,
        waiting: HashMap::new(),
        left: 0,
        flushes: Vec::new(),
        statistics: Arc::default(),
    };
    let task = AbortOnDropHandle::new(tokio::spawn(task.run(Arc::clone(&failure))));
    let stream = "main.orders".into();
    let letters = DeadLetters { stream, input, failure, _task: Arc::new(task) };
    let waits = [1, 2].map(|sequence| {
        letters.bury("projects/p/topics/t", &refused(sequence, PublishErrorKind::Rejected, b"{}"))
    });
    (letters, waits.into())
}

#[test]
fn who_asks_gets_what_has_come_since_the_last_time() {
    let asked = Asked::default();
    let message = |sequence| refused(sequence, PublishErrorKind::Rejected, b"{}").message;
    asked.clone().put(&[message(1), message(2)]);
    let sequences = |taken: Vec<Message>| -> Vec<u64> {
        taken.iter().map(|message| message.sequence).collect()
    };
    assert_eq!(sequences(asked.take()), [1, 2]);
    asked.put(&[message(3)]);
    assert_eq!(sequences(asked.take()), [3]);
    assert!(asked.take().is_empty());
}
