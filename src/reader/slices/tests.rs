use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use proptest::prelude::*;

use super::*;
use crate::source::{Cluster, StartAt};

/// Gives replies with events at these cluster times (seconds and ordinals), then waits for ever; and
/// how many are left.
struct Replies(VecDeque<Reply>, Arc<AtomicUsize>);

impl From<Vec<Reply>> for Replies {
    fn from(replies: Vec<Reply>) -> Self {
        Self(replies.into(), Arc::default())
    }
}

#[derive(Clone, Debug)]
struct Reply {
    events: Vec<(u32, u32)>,
    post_batch: Option<(u32, u32)>,
}

fn token((seconds, ordinal): (u32, u32)) -> Document {
    doc! { "_data": format!("82{seconds:08x}{ordinal:08x}2B04") }
}

fn position(time: (u32, u32)) -> Position {
    Position::Token(RawDocumentBuf::try_from(&token(time)).unwrap())
}

const OPENING: Position = Position::OperationTime(Timestamp { time: 1, increment: 1 });

impl Source for Replies {
    async fn connect(&mut self) -> Result<Cluster, SourceError> {
        unreachable!("it is given open")
    }

    async fn open(&mut self, _start: StartAt) -> Result<Position, SourceError> {
        unreachable!("it is given open")
    }

    async fn next_batch(&mut self) -> Result<Batch, SourceError> {
        let Some(reply) = self.0.pop_front() else { return std::future::pending().await };
        self.1.store(self.0.len(), Relaxed);
        let mut bytes = Vec::new();
        let events = reply.events.iter().map(|time| {
            let event = RawDocumentBuf::try_from(&doc! { "_id": token(*time) }).unwrap();
            let start = bytes.len();
            bytes.extend_from_slice(event.as_bytes());
            start..bytes.len()
        });
        let events = events.collect();
        let post_batch = reply.post_batch.map(position);
        Ok(Batch::new(Bytes::from(bytes), events, post_batch, false))
    }
}

fn budget() -> Budget {
    Budget::new(1 << 20, 1000)
}

fn slices(replies: &[Reply], until: Option<(u32, u32)>) -> Slices {
    let source = Replies::from(replies.to_vec());
    let until = until.map(|(time, increment)| Timestamp { time, increment });
    Slices::start(async { Ok(Opened { position: OPENING, source, bound: None }) }, until, budget())
}

fn reply(events: &[(u32, u32)], post_batch: Option<(u32, u32)>) -> Reply {
    Reply { events: events.to_vec(), post_batch }
}

/// All slices there are, without the first, which tells where the stream opened.
async fn all(slices: &mut Slices, most: usize) -> Vec<Slice> {
    let mut found = vec![];
    while let Ok(slice) = tokio::time::timeout(WAIT, slices.next(most)).await {
        let slice = slice.unwrap();
        let done = slice.done;
        found.push(slice);
        if done {
            break;
        }
    }
    assert_eq!(found.remove(0).position, OPENING);
    found
}

/// Virtual time: over as soon as nothing else can happen.
const WAIT: std::time::Duration = std::time::Duration::from_secs(1);

fn times(slice: &Slice) -> Vec<(u32, u32)> {
    let times = slice.batch.events().map(|event| event_time(event).unwrap());
    times.map(|time| (time.time, time.increment)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_slice_never_crosses_a_second_and_tells_where_to_go_on() {
    let replies = [
        reply(&[(5, 1), (5, 2), (6, 1), (8, 1)], Some((9, 4))),
        reply(&[], None),
        reply(&[], Some((10, 1))),
        reply(&[(11, 1)], None),
    ];
    let found = all(&mut slices(&replies, None), 100).await;
    let events: Vec<_> = found.iter().map(times).collect();
    assert_eq!(events, [&[(5, 1), (5, 2)][..], &[(6, 1)], &[(8, 1)], &[], &[(11, 1)]]);
    let ends = [(5, 2), (6, 1), (9, 4), (10, 1), (11, 1)].map(position);
    assert_eq!(found.iter().map(|slice| slice.position.clone()).collect::<Vec<_>>(), ends);
    let seconds: Vec<_> = found.iter().map(|slice| slice.time.unwrap().time).collect();
    assert_eq!(seconds, [5, 6, 8, 10, 11], "no event to come lies before it");
}

#[tokio::test(start_paused = true)]
async fn an_end_is_inclusive_and_reached_by_an_event_after_it_or_an_empty_reply() {
    let events = reply(&[(5, 1), (5, 2), (5, 3)], Some((5, 3)));
    let found = all(&mut slices(std::slice::from_ref(&events), Some((5, 2))), 100).await;
    assert_eq!(times(&found[0]), [(5, 1), (5, 2)]);
    assert_eq!((found[1].done, &found[1].position), (true, &position((5, 2))));

    // More of a transaction may follow a full reply: only an empty one shows that it is over.
    let replies = [events.clone(), events, reply(&[], Some((5, 3)))];
    let found = all(&mut slices(&replies, Some((5, 3))), 100).await;
    assert_eq!(found.iter().map(|slice| slice.batch.len()).collect::<Vec<_>>(), [3, 3, 0]);
    assert_eq!(found.iter().map(|slice| slice.done).collect::<Vec<_>>(), [false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn it_reads_ahead_as_far_as_the_budget_lets_it_and_then_goes_on() {
    let replies: Vec<_> = (0..20).map(|second| reply(&[(second + 5, 1)], None)).collect();
    let source = Replies::from(replies);
    let left = Arc::clone(&source.1);
    let opened = async { Ok(Opened { position: OPENING, source, bound: None }) };
    let mut slices = Slices::start(opened, None, Budget::new(1 << 20, 3));
    tokio::time::sleep(WAIT).await;
    assert_eq!(left.load(Relaxed), 16, "three wait, and one more is read");
    assert_eq!(all(&mut slices, 1).await.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_told_after_what_came_before_it() {
    let failing: Result<Opened<Replies>, Error> = Err(ended());
    let mut slices = Slices::start(async { failing }, None, budget());
    assert_eq!(slices.next(1).await.unwrap_err().to_string(), "the stream has ended");
}

proptest! {
    /// However the replies are cut, every event comes once and in order, a slice has as many as it
    /// may, and the position after a slice is that of its last event or of its reply.
    #[test]
    fn nothing_is_lost_between_slices(
        gaps in prop::collection::vec(prop::collection::vec(0_u32..3, 0..12), 0..6),
        most in 1_usize..14,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let (mut seconds, mut ordinal) = (10, 0);
        let mut next = |gap: &u32| {
            seconds += gap;
            ordinal += 1;
            (seconds, ordinal)
        };
        let replies: Vec<Reply> =
            gaps.iter().map(|gaps| reply(&gaps.iter().map(&mut next).collect::<Vec<_>>(), None)).collect();
        let found = runtime.block_on(async { all(&mut slices(&replies, None), most).await });
        let events: Vec<_> = replies.iter().flat_map(|reply| reply.events.clone()).collect();
        prop_assert_eq!(found.iter().flat_map(times).collect::<Vec<_>>(), events);
        let seconds = replies.iter().flat_map(|reply| reply.events.chunk_by(|one, next| one.0 == next.0));
        prop_assert_eq!(found.len(), seconds.map(|second| second.len().div_ceil(most)).sum::<usize>());
        for slice in &found {
            let times = times(slice);
            prop_assert!(!times.is_empty() && times.len() <= most);
            prop_assert!(times.iter().all(|time| time.0 == times[0].0));
            prop_assert_eq!(&slice.position, &position(*times.last().unwrap()));
        }
    }
}
