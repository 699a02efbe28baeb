//! Answers that fake-gcs-server does not give: failures, and one that is lost. What it does give is
//! tested end to end.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::checkpoint::Identity;
use crate::checkpoint::batches::position;
use crate::error::CheckpointErrorKind::{Conflict, Unreachable};

fn checkpoint(epoch: u64, sequence: u64) -> Checkpoint {
    let identity = Identity {
        stream: "main.orders".into(),
        scope: "database shop".into(),
        replica_set: "rs0".into(),
        ordering: "none".into(),
    };
    Checkpoint::new(identity, epoch, sequence, position(9))
}

/// What the service does with one request.
enum Answer {
    /// Sends this status and body.
    Says(u16, Vec<u8>),
    /// Sends the object that the last upload held, as of this generation.
    Holds(u64),
    /// Closes the connection without a word.
    Silence,
}

/// An upload that succeeds.
fn stored(generation: u64) -> Answer {
    Answer::Says(200, format!("{{\"generation\": \"{generation}\"}}").into_bytes())
}

fn says(status: u16) -> Answer {
    Answer::Says(status, Vec::new())
}

/// A store whose service gives these answers in turn, and then the request lines that it got.
async fn scripted(answers: Vec<Answer>) -> (GcsStore, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let served = tokio::spawn(async move {
        let (mut lines, mut stored) = (Vec::new(), Vec::new());
        for answer in answers {
            let (mut connection, _) = listener.accept().await.unwrap();
            let (line, body) = request(&mut connection).await;
            if line.starts_with("POST") {
                stored = object(&body);
            }
            lines.push(line);
            let (status, generation, body) = match answer {
                Answer::Silence => continue,
                Answer::Says(status, body) => (status, 0, body),
                Answer::Holds(generation) => (200, generation, stored.clone()),
            };
            let head = format!(
                "HTTP/1.1 {status} x\r\nconnection: close\r\nx-goog-generation: {generation}\r\n\
                 content-length: {}\r\n\r\n",
                body.len()
            );
            connection.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
        }
        lines
    });
    let bucket = Bucket::open("some-bucket", Some(&address)).unwrap();
    (GcsStore::new(&bucket, "a/b/", "main.orders"), served)
}

/// Reads one request: its first line without the protocol, and its body.
async fn request(connection: &mut TcpStream) -> (String, Vec<u8>) {
    let mut read = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let size = connection.read(&mut chunk).await.unwrap();
        assert!(size > 0, "the request is not whole");
        read.extend_from_slice(&chunk[..size]);
        let Some(end) = read.windows(4).position(|part| part == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(read[..end].to_vec()).unwrap();
        assert!(!head.to_lowercase().contains("authorization"));
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let body = &read[end + 4..];
        if body.len() == length.map_or(0, |length| length.parse().unwrap()) {
            let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1");
            return (line.to_owned(), body.to_vec());
        }
    }
}

/// The second part of an upload.
fn object(upload: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(upload.to_vec()).unwrap();
    let parts: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(parts[3], r#"{"name":"a/b/main.orders.json","contentType":"application/json"}"#);
    parts[7].as_bytes().to_vec()
}

const GET: &str = "GET /storage/v1/b/some-bucket/o/a%2Fb%2Fmain.orders.json?alt=media";

fn put(generation: u64) -> String {
    format!(
        "POST /upload/storage/v1/b/some-bucket/o?uploadType=multipart&ifGenerationMatch={generation}"
    )
}

#[tokio::test]
async fn a_store_replaces_the_generation_that_it_knows() {
    let (store, served) = scripted(vec![says(404), stored(11), stored(12), says(204)]).await;
    store.store(&checkpoint(1, 0)).await.unwrap();
    store.store(&checkpoint(1, 1)).await.unwrap();
    assert_eq!(store.store(&checkpoint(1, 0)).await.unwrap_err().kind, Conflict);
    store.clear().await.unwrap();
    let delete = GET.replace("GET", "DELETE").replace("?alt=media", "");
    assert_eq!(served.await.unwrap(), [GET.into(), put(0), put(11), delete]);
}

#[tokio::test]
async fn what_passes_is_unreachable_and_the_next_store_begins_with_a_look() {
    for failure in [says(429), says(500), says(503), Answer::Silence, stored(0)] {
        // An answer of another kind than expected is one of them.
        let failure = match failure {
            Answer::Says(200, _) => Answer::Says(200, b"<html>".to_vec()),
            failure => failure,
        };
        let answers = vec![says(404), stored(11), failure, Answer::Holds(11), stored(12)];
        let (store, served) = scripted(answers).await;
        store.store(&checkpoint(1, 0)).await.unwrap();
        assert_eq!(store.store(&checkpoint(1, 1)).await.unwrap_err().kind, Unreachable);
        store.store(&checkpoint(1, 2)).await.unwrap();
        let lines = served.await.unwrap();
        assert_eq!(lines, [GET.into(), put(0), put(11), GET.into(), put(11)]);
    }
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_found_to_be_our_own() {
    let answers = vec![says(404), Answer::Silence, Answer::Holds(11), stored(12)];
    let (store, served) = scripted(answers).await;
    assert_eq!(store.store(&checkpoint(1, 0)).await.unwrap_err().kind, Unreachable);
    store.store(&checkpoint(1, 0)).await.unwrap();
    assert_eq!(served.await.unwrap(), [GET.into(), put(0), GET.into(), put(11)]);
}

#[tokio::test]
async fn an_object_that_others_changed_is_judged_anew() {
    let other = json::encode(&checkpoint(2, 0), Some("other"), jiff::Timestamp::now()).unwrap();
    let answers = vec![says(404), stored(11), says(412), Answer::Says(200, other)];
    let (store, served) = scripted(answers).await;
    store.store(&checkpoint(1, 0)).await.unwrap();
    let error = store.store(&checkpoint(1, 1)).await.unwrap_err();
    assert_eq!(error.kind, Conflict);
    assert!(error.message.contains("epoch 2, sequence 0"), "{error}");
    assert_eq!(served.await.unwrap(), [GET.into(), put(0), put(11), GET.into()]);

    let (store, _served) = scripted(vec![says(404), stored(11), says(412), says(404)]).await;
    store.store(&checkpoint(1, 0)).await.unwrap();
    let error = store.store(&checkpoint(1, 1)).await.unwrap_err();
    assert_eq!(error.kind, Conflict);
    assert!(error.message.contains("removed"), "{error}");
}

#[tokio::test]
async fn an_object_that_never_holds_still_is_left_for_later() {
    let answers = (0..6).map(|attempt| says(if attempt % 2 == 0 { 404 } else { 412 })).collect();
    let (store, served) = scripted(answers).await;
    assert_eq!(store.store(&checkpoint(1, 0)).await.unwrap_err().kind, Unreachable);
    assert_eq!(served.await.unwrap().len(), 6);
}

#[tokio::test]
async fn what_a_person_must_change_is_named() {
    for (status, named) in [(403, "roles/storage.objectUser"), (404, "does the bucket exist?")] {
        let (store, _served) = scripted(vec![says(404), says(status)]).await;
        let error = store.store(&checkpoint(1, 0)).await.unwrap_err();
        assert_eq!(error.kind, Unreachable);
        assert!(error.message.contains(named), "{error}");
        assert!(error.message.contains("gs://some-bucket/a/b/main.orders.json"), "{error}");
    }
}

#[tokio::test]
async fn the_emulator_is_named_with_or_without_a_scheme() {
    for host in ["127.0.0.1:9", "http://127.0.0.1:9", "http://127.0.0.1:9/"] {
        let bucket = Bucket::open("some-bucket", Some(host)).unwrap();
        let error = bucket.get("x").await.unwrap_err();
        assert!(error.passing, "{host}: {}", error.message);
    }
    for host in ["ftp://127.0.0.1:9", "http://"] {
        assert!(Bucket::open("some-bucket", Some(host)).is_err(), "{host}");
    }
}
