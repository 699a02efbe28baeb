//! The stores on real parts: files and processes here, a mongod in `checkpoint_mongodb`.

mod checkpoint_mongodb;
mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use futures_util::FutureExt;
use mongo_gcp_stream::checkpoint::{Checkpoint, CheckpointStore, FileStore, Identity, take_over};
use mongo_gcp_stream::error::CheckpointErrorKind::{Conflict, Corrupt, Unreachable};
use mongo_gcp_stream::event::Position;
use mongodb::bson::{Timestamp, rawdoc};
use tempfile::TempDir;

const STREAM: &str = "main.orders";

fn identity() -> Identity {
    Identity {
        stream: STREAM.into(),
        scope: "collection shop.orders".into(),
        replica_set: "rs0".into(),
        ordering: "lanes 64 xxh3-64".into(),
    }
}

fn checkpoint(epoch: u64, sequence: u64) -> Checkpoint {
    let token = rawdoc! { "_data": format!("8266F0C0DE{sequence:08X}2B042C0100296E5A1004") };
    Checkpoint::new(identity(), epoch, sequence, Position::Token(token))
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("main.orders.json")
}

#[tokio::test]
async fn a_checkpoint_survives_its_process() {
    let folder = TempDir::new().unwrap();
    let nested = folder.path().join("state/of/streams");
    let store = FileStore::open(&nested, STREAM).unwrap();
    assert_eq!(store.load().await, Ok(None));
    for checkpoint in [
        checkpoint(1, 7),
        Checkpoint::new(
            identity(),
            1,
            8,
            Position::OperationTime(Timestamp { time: 1_727_054_046, increment: 3 }),
        ),
    ] {
        store.store(&checkpoint).await.unwrap();
        assert_eq!(store.load().await, Ok(Some(checkpoint)));
    }
    drop(store);

    let store = FileStore::open(&nested, STREAM).unwrap();
    assert_eq!(store.load().await.unwrap().unwrap().sequence, 8);
    assert_eq!(take_over(&store, &identity(), false).await.unwrap().epoch, 2);
    store.clear().await.unwrap();
    store.clear().await.unwrap();
    assert_eq!(store.load().await, Ok(None));
    let names: Vec<_> = fs::read_dir(&nested).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(names, ["main.orders.lock"]);
}

#[tokio::test]
async fn epoch_and_sequence_never_go_backwards() {
    let folder = TempDir::new().unwrap();
    let store = FileStore::open(folder.path(), STREAM).unwrap();
    store.store(&checkpoint(2, 10)).await.unwrap();
    for older in [checkpoint(2, 9), checkpoint(1, 11)] {
        let error = store.store(&older).await.unwrap_err();
        assert_eq!(error.kind, Conflict);
        assert!(error.message.contains("epoch 2, sequence 10"), "{error}");
    }
    assert_eq!(store.load().await, Ok(Some(checkpoint(2, 10))));
    // An idle stream moves its position without an event.
    let idle = Checkpoint { position: checkpoint(2, 11).position, ..checkpoint(2, 10) };
    store.store(&idle).await.unwrap();
    store.store(&checkpoint(3, 0)).await.unwrap();
    assert_eq!(store.load().await, Ok(Some(checkpoint(3, 0))));
}

#[tokio::test]
async fn what_cannot_be_understood_is_corrupt_and_stays_as_it_is() {
    let folder = TempDir::new().unwrap();
    let store = FileStore::open(folder.path(), STREAM).unwrap();
    store.store(&checkpoint(1, 1)).await.unwrap();
    let good = fs::read_to_string(file(&folder)).unwrap();
    for (text, named) in [
        (String::new(), "not a valid JSON object"),
        (good[..good.len() / 2].into(), "not a valid JSON object"),
        ("{}".into(), "format_version: missing"),
        (good.replace("\"format_version\": 1", "\"format_version\": 2"), "format_version: 2"),
        (good.replace("\"epoch\": 1", "\"epoch\": \"one\""), "epoch: expected"),
        (good.replace("replica_set", "replicaset"), "replica_set: missing"),
        (good.replace("\"token\"", "\"tokens\""), "position: expected"),
    ] {
        assert_ne!(text, good, "nothing was changed for `{named}`");
        fs::write(file(&folder), &text).unwrap();
        let refused = [
            store.load().await.unwrap_err(),
            store.store(&checkpoint(1, 2)).await.unwrap_err(),
            take_over(&store, &identity(), true).await.unwrap_err(),
        ];
        for error in refused {
            assert_eq!(error.kind, Corrupt);
            assert!(error.message.contains(named), "{error}");
            assert!(error.message.contains(file(&folder).to_str().unwrap()), "{error}");
            assert!(!error.message.contains("66F0C0DE"), "a token in an error: {error}");
        }
        assert_eq!(fs::read_to_string(file(&folder)).unwrap(), text);
    }
}

#[tokio::test]
async fn a_crash_between_writing_and_renaming_leaves_the_old_checkpoint() {
    let folder = TempDir::new().unwrap();
    let temporary = folder.path().join("main.orders.json.tmp");
    let store = FileStore::open(folder.path(), STREAM).unwrap();
    store.store(&checkpoint(1, 1)).await.unwrap();
    drop(store);
    fs::write(&temporary, "{\"format_version\": 1, \"stream\": \"mai").unwrap();

    let store = FileStore::open(folder.path(), STREAM).unwrap();
    assert!(!temporary.exists());
    assert_eq!(store.load().await, Ok(Some(checkpoint(1, 1))));
    store.store(&checkpoint(2, 0)).await.unwrap();
    assert_eq!(store.load().await, Ok(Some(checkpoint(2, 0))));
}

#[tokio::test]
async fn what_cannot_be_written_is_unreachable_and_the_old_checkpoint_stays() {
    let folder = TempDir::new().unwrap();
    let store = FileStore::open(folder.path(), STREAM).unwrap();
    store.store(&checkpoint(1, 1)).await.unwrap();
    // A folder in the temporary file's place keeps even root from writing.
    let temporary = folder.path().join("main.orders.json.tmp");
    fs::create_dir(&temporary).unwrap();
    let error = store.store(&checkpoint(1, 2)).await.unwrap_err();
    assert_eq!(error.kind, Unreachable);
    assert!(error.message.contains("main.orders.json"), "{error}");
    assert_eq!(store.load().await, Ok(Some(checkpoint(1, 1))));
    fs::remove_dir(&temporary).unwrap();
    store.store(&checkpoint(1, 2)).await.unwrap();

    // So does a file in the folder's place.
    let error = FileStore::open(&file(&folder), STREAM).unwrap_err();
    assert_eq!(error.kind, Unreachable);
    let below = file(&folder).join("state");
    let error = FileStore::open(&below, STREAM).unwrap_err();
    assert_eq!(error.kind, Unreachable);
    assert!(error.message.contains(file(&folder).to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn a_store_whose_caller_has_gone_never_comes_after_the_next() {
    let folder = TempDir::new().unwrap();
    let store = FileStore::open(folder.path(), STREAM).unwrap();
    for sequence in (0..100).step_by(2) {
        // Polled once and dropped: the write may be under way.
        let _ = store.store(&checkpoint(1, sequence)).now_or_never();
        store.store(&checkpoint(1, sequence + 1)).await.unwrap();
        assert_eq!(store.load().await, Ok(Some(checkpoint(1, sequence + 1))));
    }
}

#[tokio::test]
async fn streams_of_one_folder_do_not_meet() {
    let folder = TempDir::new().unwrap();
    let streams = ["main.orders", "main.items", "main.orders/items", "../main.orders"];
    let stores = streams.map(|stream| FileStore::open(folder.path(), stream).unwrap());
    for (sequence, store) in (0..).zip(&stores) {
        store.store(&checkpoint(1, sequence)).await.unwrap();
    }
    for (sequence, store) in (0..).zip(&stores) {
        assert_eq!(store.load().await, Ok(Some(checkpoint(1, sequence))));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2 * streams.len());
}

/// Name of the environment variable that hands a folder to [`another_process`].
const FOLDER: &str = "CHECKPOINT_TEST_FOLDER";

/// Not a test of its own: what the tests below run in a second process. Stores one checkpoint after
/// the other and tells each one that is safe.
#[tokio::test]
#[ignore = "runs in a process of its own"]
async fn another_process() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = FileStore::open(Path::new(&folder), STREAM).unwrap();
    let epoch = take_over(&store, &identity(), false).await.unwrap().epoch;
    for sequence in 0.. {
        store.store(&checkpoint(epoch, sequence)).await.unwrap();
        // Written directly, since the test harness would take in what is printed.
        writeln!(std::io::stderr(), "stored {sequence}").unwrap();
    }
}

/// Starts [`another_process`] and waits until it has stored checkpoint number `sequence`.
fn store_elsewhere_until(folder: &Path, sequence: u64) -> (Child, impl Iterator<Item = u64>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "another_process", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut stored = lines.filter_map(|line| line.strip_prefix("stored ")?.parse().ok());
    assert!(stored.any(|stored| stored == sequence), "the other process ended early");
    (child, stored)
}

#[tokio::test]
async fn a_second_process_on_the_same_checkpoint_is_refused() {
    let folder = TempDir::new().unwrap();
    let (mut child, _stored) = store_elsewhere_until(folder.path(), 0);
    let error = FileStore::open(folder.path(), STREAM).unwrap_err();
    assert_eq!(error.kind, Conflict);
    assert!(error.message.contains("another process"), "{error}");
    let lock = folder.path().join("main.orders.lock");
    assert!(error.message.contains(lock.to_str().unwrap()), "{error}");
    // Another stream is free.
    FileStore::open(folder.path(), "main.items").unwrap();
    // kill -9: the lock goes with the process.
    child.kill().unwrap();
    child.wait().unwrap();
    FileStore::open(folder.path(), STREAM).unwrap();
}

#[tokio::test]
async fn kill_9_at_any_moment_leaves_the_last_checkpoint_or_the_next() {
    let folder = TempDir::new().unwrap();
    for (round, sequence) in (1..).zip([0, 1, 2, 5, 13, 40, 3, 27, 11, 19]) {
        let (mut child, stored) = store_elsewhere_until(folder.path(), sequence);
        child.kill().unwrap();
        child.wait().unwrap();
        let last = stored.last().unwrap_or(sequence);
        let store = FileStore::open(folder.path(), STREAM).unwrap();
        let found = store.load().await.unwrap().unwrap();
        assert_eq!(found, checkpoint(round, found.sequence));
        assert!((last..=last + 1).contains(&found.sequence), "{} after {last}", found.sequence);
    }
}
