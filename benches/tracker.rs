//! What the tracker costs: 1,000-event replies whose receipts come back lane by lane.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mongo_gcp_stream::checkpoint::Tracker;
use mongo_gcp_stream::event::{Batch, Position};
use mongodb::bson::{RawArrayBuf, RawDocumentBuf, Timestamp, rawdoc};

const EVENTS: u64 = 1_000;
/// Replies under way at once: the 12 MB of the default budget hold about 9.
const REPLIES: u64 = 9;
const LANES: u64 = 64;
/// The slowest lanes have `REPLIES - 1` replies outstanding, of which they hold the first back from
/// event number 8 on (the first event of lane 8).
const PENDING: u64 = (REPLIES - 1) * EVENTS - (REPLIES - 1);

/// A reply of events of about 1.3 KB with a token as long as the server's.
fn reply() -> Batch {
    let mut array = RawArrayBuf::new();
    for event in 0..EVENTS {
        array.push(rawdoc! {
            "_id": { "_data": format!("8266F0C0DE{event:08X}{}", "2B042C0100296E5A1004".repeat(6)) },
            "operationType": "insert",
            "fullDocument": { "_id": "x".repeat(24), "text": "y".repeat(1_000) },
        });
    }
    let reply = rawdoc! { "nextBatch": array };
    let start = reply.as_bytes().as_ptr().addr();
    let events = reply.get_array("nextBatch").unwrap().into_iter().map(|event| {
        let event = event.unwrap().as_document().unwrap().as_bytes();
        let offset = event.as_ptr().addr() - start;
        offset..offset + event.len()
    });
    let events = events.collect();
    let post_batch: RawDocumentBuf = rawdoc! { "_data": "8266F0C0DFFFFFFFFF2B0429296E1404" };
    Batch::new(reply.into_bytes().into(), events, Some(Position::Token(post_batch)), true)
}

/// A tracker in full flow: a reply comes, and from each lane the receipt of one of the last replies.
struct Flow {
    reply: Batch,
    tracker: Tracker,
    /// First sequence number of the newest reply.
    first: u64,
}

impl Flow {
    fn new() -> Self {
        let opening = Position::OperationTime(Timestamp { time: 1, increment: 1 });
        let mut flow = Self { reply: reply(), tracker: Tracker::new(opening), first: 0 };
        for _ in 0..REPLIES {
            flow.begin();
            flow.complete();
        }
        flow
    }

    fn begin(&mut self) {
        self.first = self.tracker.begin(&self.reply).unwrap();
    }

    /// Lanes are behind by 0 to `REPLIES - 1` replies.
    fn complete(&mut self) {
        for lane in 0..LANES {
            let behind = lane % REPLIES * EVENTS;
            let Some(first) = self.first.checked_sub(behind) else { continue };
            let receipt: Vec<u64> = (lane..EVENTS).step_by(64).map(|event| first + event).collect();
            black_box(self.tracker.complete(&receipt));
        }
    }
}

fn bench(criterion: &mut Criterion) {
    let mut flow = Flow::new();
    let mut group = criterion.benchmark_group("tracker");
    group.throughput(Throughput::Elements(EVENTS));
    group.bench_function("begin and complete", |bencher| {
        bencher.iter(|| {
            flow.begin();
            flow.complete();
        });
    });
    assert_eq!(flow.tracker.pending(), PENDING);
    group.throughput(Throughput::Elements(1));
    group.bench_function("committable", |bencher| {
        bencher.iter(|| black_box(flow.tracker.committable()));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
