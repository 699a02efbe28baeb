//! A stream's sink with dead letters: a file, a topic beside the stream's own, and barriers. And one
//! of very many topics.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::FutureExt as _;
use mongo_gcp_stream::config::{DeadLetterFileConfig, GcpConfig};
use mongo_gcp_stream::event::{Destination, Lane, Message, Receipt};
use mongo_gcp_stream::flow::BackoffPolicy;
use mongo_gcp_stream::sink::{
    Connection, DeadLetterFile, DeadLetterPlaces, Publishing, Sink as _, Topics,
};
use mongo_gcp_stream::telemetry::StreamStatistics;
use tokio::sync::mpsc;
use tonic::Status;

use super::scripted::{Scripted, Setup, TOPIC, config, message};

const DEAD: &str = "projects/p/topics/dead";

struct Rig {
    topics: Topics,
    receipts: mpsc::Receiver<Receipt>,
    statistics: Arc<StreamStatistics>,
    folder: tempfile::TempDir,
}

impl Rig {
    fn new(port: u16) -> Self {
        let gcp: GcpConfig = serde_json::from_str(r#"{"project_id": "p"}"#).unwrap();
        let pubsub = config(port, &Setup::default());
        let (sender, receipts) = mpsc::channel(64);
        let statistics = Arc::new(StreamStatistics::default());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.jsonl");
        let file =
            DeadLetterFile::new(&DeadLetterFileConfig { path, ..DeadLetterFileConfig::default() });
        let topics = Topics::new(Publishing {
            connection: Connection::open(&gcp, &pubsub).unwrap(),
            pubsub,
            backoff: BackoffPolicy::new(1.0, Duration::from_millis(2)),
            receipts: sender,
            statistics: Arc::clone(&statistics),
            dead_letters: Some(DeadLetterPlaces {
                stream: "main.orders".into(),
                file: Some(Arc::new(file)),
                topic: Some(DEAD.into()),
                asked: None,
            }),
            claims: None,
        });
        Self { topics, receipts, statistics, folder }
    }

    /// Lines in the file so far.
    fn lines(&self) -> usize {
        let text = std::fs::read_to_string(self.folder.path().join("dead.jsonl"));
        text.map_or(0, |text| text.lines().count())
    }

    /// Flushes; every receipt that came until then, sorted.
    async fn flush(mut self) -> Vec<u64> {
        self.topics.flush().await.unwrap();
        drop(self.topics);
        let mut all = Vec::new();
        while let Some(Receipt::Published(sequences)) = self.receipts.recv().await {
            all.extend(sequences);
        }
        all.sort_unstable();
        all
    }
}

fn to_topic(sequence: u64, lane: Lane) -> Message {
    Message { to: Destination::Topic(TOPIC.into()), ..message(sequence, lane, 8) }
}

fn dead(sequence: u64) -> Message {
    Message { to: Destination::DeadLetter, ..message(sequence, Lane::Unordered, 8) }
}

#[tokio::test]
async fn a_barrier_waits_for_the_dead_letters_before_it() {
    let mut server = Scripted::start().await;
    let mut rig = Rig::new(server.port);
    let messages = vec![
        to_topic(1, Lane::Key(1)),
        dead(2),
        to_topic(3, Lane::Barrier),
        dead(4),
        to_topic(5, Lane::Key(1)),
    ];
    let publish = rig.topics.publish(messages, true);
    let serve = async {
        let mut topics = Vec::new();
        for arrival in server.next_all(2).await {
            topics.push(arrival.request.topic.clone());
            assert!(server.is_quiet(), "the barrier waits for both");
            arrival.accept();
        }
        topics.sort();
        assert_eq!(topics, [DEAD, TOPIC]);
        let barrier = server.next().await;
        assert_eq!(barrier.sequences(), [3]);
        assert!(server.is_quiet());
        barrier.accept();
        let mut last: Vec<Vec<u64>> = Vec::new();
        for arrival in server.next_all(2).await {
            last.push(arrival.sequences());
            arrival.accept();
        }
        last.sort();
        assert_eq!(last, [[4], [5]]);
    };
    let (published, ()) = futures_util::join!(publish, serve);
    published.unwrap();
    assert_eq!(rig.lines(), 2);
    let statistics = Arc::clone(&rig.statistics);
    assert_eq!(rig.flush().await, [1, 2, 3, 4, 5]);
    assert_eq!(statistics.dead_lettered.load(Relaxed), 2);
}

#[tokio::test]
async fn a_refused_message_is_in_the_file_before_it_is_at_the_topic_and_counts_once() {
    let mut server = Scripted::start().await;
    let mut rig = Rig::new(server.port);
    let messages = (1..=2).map(|sequence| to_topic(sequence, Lane::Key(1))).collect();
    rig.topics.publish(messages, true).await.unwrap();
    let both = server.next().await;
    assert_eq!(both.sequences(), [1, 2]);
    both.refuse(Status::invalid_argument("no"));
    let first = server.next().await;
    assert_eq!(first.sequences(), [1]);
    first.refuse(Status::invalid_argument("no"));
    // The lane goes on, whatever becomes of the dead letter.
    let mut arrivals = server.next_all(2).await;
    arrivals.sort_by_key(|arrival| arrival.request.topic.clone());
    assert_eq!(rig.lines(), 1);
    let (letter, second) = (arrivals.remove(0), arrivals.remove(0));
    assert_eq!((letter.request.topic.as_str(), second.sequences()), (DEAD, vec![2]));
    second.accept();
    letter.refuse(Status::unavailable("later"));
    let again = server.next().await;
    assert_eq!(again.request.topic, DEAD);
    again.accept();
    assert_eq!(rig.flush().await, [1, 2]);
}

#[tokio::test]
async fn publishers_do_not_pile_up_however_many_topics_there_are() {
    const MOST: u64 = 1000;
    let mut server = Scripted::start().await;
    let mut rig = Rig::new(server.port);
    let topic = |sequence: u64| format!("{TOPIC}-{sequence}");
    let of = |sequence| Message {
        to: Destination::Topic(topic(sequence).into()),
        ..message(sequence, Lane::Key(1), 8)
    };
    let publish = rig.topics.publish((0..=MOST).map(of).collect(), true);
    let serve = async {
        let held = server.next().await;
        for _ in 1..MOST {
            let other = server.next().await;
            assert_ne!(other.request.topic, topic(MOST));
            other.accept();
        }
        assert!(server.is_quiet(), "the last waits until one publisher may end");
        held.accept();
        let last = server.next().await;
        assert_eq!(last.request.topic, topic(MOST));
        last.accept();
    };
    let receive = async {
        let mut received = 0;
        while received <= MOST {
            match rig.receipts.recv().await {
                Some(Receipt::Published(sequences)) => received += sequences.len() as u64,
                other => panic!("{other:?}"),
            }
        }
    };
    let (published, (), ()) = futures_util::join!(publish, serve, receive);
    published.unwrap();
}

#[tokio::test]
async fn a_barrier_of_the_only_topic_so_far_is_one_for_the_next_topic() {
    let mut server = Scripted::start().await;
    let mut rig = Rig::new(server.port);
    rig.topics.publish(vec![to_topic(1, Lane::Barrier)], true).await.unwrap();
    let barrier = server.next().await;
    let other = Destination::Topic("projects/p/topics/other".into());
    let after = Message { to: other, ..message(2, Lane::Key(1), 8) };
    let mut publish = Box::pin(rig.topics.publish(vec![after], true));
    assert!((&mut publish).now_or_never().is_none(), "it is not sent before the barrier is safe");
    assert!(server.is_quiet());
    barrier.accept();
    publish.await.unwrap();
    let after = server.next().await;
    assert_eq!(after.sequences(), [2]);
    after.accept();
    assert_eq!(rig.flush().await, [1, 2]);
}
