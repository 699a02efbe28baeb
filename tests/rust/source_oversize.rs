//! Events that the server cannot return, with a real mongod that cannot split them.

use mongo_gcp_stream::error::SourceErrorKind;
use mongo_gcp_stream::event::ChangeEvent;
use mongo_gcp_stream::source::{Source, StartAt};
use mongodb::bson::doc;
use serde_json::json;

use crate::{Bench, events, ids, read_ids};

/// Most bytes of text in a document of which two do not fit into an event.
const TEXT: usize = 10 << 20;

impl Bench {
    /// Makes events of 1, 2, 3: the second is an update with an image before and one after it.
    async fn write_around_a_large_event(&self) {
        let create =
            doc! { "create": "orders", "changeStreamPreAndPostImages": { "enabled": true } };
        self.database.run_command(create).await.unwrap();
        self.orders.insert_one(doc! { "_id": 2, "text": "x".repeat(TEXT) }).await.unwrap();
    }

    async fn change(&self) {
        self.insert(1..2).await;
        let update = doc! { "$set": { "n": 1 } };
        self.orders.update_one(doc! { "_id": 2 }, update).await.unwrap();
        self.insert(3..6).await;
    }
}

const IMAGES: &str = "when_available";

#[tokio::test]
async fn a_stream_ends_before_an_event_that_is_too_large() {
    let bench = Bench::new().await;
    bench.write_around_a_large_event().await;
    let mut stream = bench.latest(json!({ "full_document_before_change": IMAGES })).await;
    bench.change().await;
    let error = loop {
        if let Err(error) = stream.next_batch().await {
            break error;
        }
    };
    assert_eq!((error.kind, error.code), (SourceErrorKind::Oversize, Some(10334)));
}

#[tokio::test]
async fn an_event_that_is_too_large_is_passed_over() {
    let bench = Bench::new().await;
    bench.write_around_a_large_event().await;
    let keys = json!({ "full_document_before_change": IMAGES, "on_event_too_large": "skip" });
    let mut stream = bench.stream(keys.clone());
    let start = stream.open(StartAt::Latest).await.unwrap();
    bench.change().await;
    // Also where a stream begins anew before it.
    let mut again = bench.stream(keys);
    again.open(StartAt::Position(start)).await.unwrap();
    for stream in [&mut stream, &mut again] {
        let (mut seen, mut gaps) = (Vec::new(), Vec::new());
        while seen.len() < 5 {
            let batch = stream.next_batch().await.unwrap();
            let of_batch = ids(&events(&batch));
            if batch.events().any(|event| ChangeEvent::decode(event).unwrap().documents_omitted) {
                assert!(batch.bytes() < 1000, "{batch:?}");
                gaps.extend(of_batch.clone());
            }
            seen.extend(of_batch);
        }
        assert_eq!((seen, gaps), (vec![1, 2, 3, 4, 5], vec![2]));
    }
    assert_eq!(bench.retries(), 0);
    bench.insert(6..9).await;
    assert_eq!(read_ids(&mut stream, 3).await, [6, 7, 8]);
}
