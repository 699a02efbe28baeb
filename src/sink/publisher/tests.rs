use std::collections::HashSet;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tonic::Code;

use super::*;
use crate::emulator::{Emulator, Fault};

mod properties;

const TOPIC: &str = "projects/p/topics/orders";
const SUBSCRIPTION: &str = "projects/p/subscriptions/orders";
const LONG: Duration = Duration::from_secs(30);

struct Scene {
    emulator: Emulator,
    publisher: Publisher,
}

impl Scene {
    async fn with(rules: PublisherRules) -> Self {
        let emulator = Emulator::start(0).await.unwrap();
        emulator.create_topic(TOPIC).unwrap();
        emulator.create_subscription(SUBSCRIPTION, TOPIC, true).unwrap();
        let publisher = Publisher::new(&connection(&emulator), TOPIC.into(), &rules);
        Self { emulator, publisher }
    }

    async fn new() -> Self {
        let backoff = BackoffPolicy::new(1.0, Duration::from_millis(5));
        Self::with(PublisherRules { backoff, ..PublisherRules::default() }).await
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> Vec<Result<String, PublishError>> {
        self.publisher.publish(messages, LONG, false).wait().await
    }

    /// All messages that have arrived, as key and data.
    async fn arrived(&self) -> Vec<(String, String)> {
        let mut arrived = Vec::new();
        loop {
            let more = self.emulator.pull(SUBSCRIPTION, 1000, Duration::ZERO).await.unwrap();
            if more.is_empty() {
                return arrived;
            }
            arrived.extend(more.into_iter().map(|message| {
                (message.ordering_key, String::from_utf8(message.data.into()).unwrap())
            }));
        }
    }
}

fn connection(emulator: &Emulator) -> Connection {
    let endpoint = format!("http://{}", emulator.address());
    Connection::open_at(Some(&endpoint), None).unwrap()
}

fn message(key: &str, number: usize) -> Outgoing {
    Outgoing::new(number.to_string().into(), HashMap::new(), key)
}

fn kinds(receipts: &[Result<String, PublishError>]) -> Vec<Option<PublishErrorKind>> {
    receipts.iter().map(|receipt| receipt.as_ref().err().map(|error| error.kind)).collect()
}

/// The first occurrences of the messages of a key.
fn of_key<'a>(arrived: &'a [(String, String)], key: &str) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    let of_key = arrived.iter().filter(|(found, _)| found == key);
    of_key.map(|(_, data)| data.as_str()).filter(|data| seen.insert(*data)).collect()
}

#[tokio::test]
async fn every_message_gets_an_id_of_its_own_and_full_requests_are_sent() {
    let scene = Scene::new().await;
    let messages = (0..2500).map(|number| message("", number)).collect();
    let receipts = scene.publish(messages).await;
    let ids: HashSet<_> = receipts.into_iter().map(Result::unwrap).collect();
    assert_eq!(ids.len(), 2500);
    assert_eq!(scene.emulator.statistics().requests, 3);
    assert_eq!(scene.arrived().await.len(), 2500);
}

#[tokio::test]
async fn a_key_keeps_the_order_of_calls_and_messages_whatever_fails() {
    let scene = Scene::new().await;
    for nth in [1, 3, 6] {
        let fault = Fault::status(Code::Unavailable).of_key("a");
        scene.emulator.fault(fault.from_request(nth));
        scene.emulator.fault(Fault::lose_response(Code::Internal).of_key("b").from_request(nth));
    }
    let calls: Vec<Receipts> = (0..40)
        .map(|call| {
            let numbers = [2 * call, 2 * call + 1];
            let messages = numbers.iter().flat_map(|n| [message("a", *n), message("b", *n)]);
            scene.publisher.publish(messages.collect(), LONG, false)
        })
        .collect();
    for receipts in join_all(calls.into_iter().map(Receipts::wait)).await {
        assert_eq!(kinds(&receipts), [None; 4]);
    }
    let arrived = scene.arrived().await;
    let expected: Vec<String> = (0..80).map(|number| number.to_string()).collect();
    assert_eq!(of_key(&arrived, "a"), expected);
    assert_eq!(of_key(&arrived, "b"), expected);
    assert!(arrived.len() > 160, "a lost response repeats its request");
}

#[tokio::test]
async fn one_request_of_a_key_is_in_flight_and_other_keys_go_on() {
    let scene = Scene::new().await;
    scene.emulator.fault(Fault::delay(LONG).of_key("slow"));
    let first = scene.publisher.publish(vec![message("slow", 0)], LONG, false);
    scene.emulator.reached(|counted| counted.attempts == 1).await;
    let second = scene.publisher.publish(vec![message("slow", 1)], LONG, false);
    let beside = scene.publish(vec![message("fast", 0)]).await;
    assert_eq!(kinds(&beside), [None]);
    assert_eq!(scene.emulator.statistics().attempts, 2);
    scene.emulator.clear_faults();
    assert_eq!(kinds(&first.wait().await), [None]);
    assert_eq!(kinds(&second.wait().await), [None]);
    assert_eq!(of_key(&scene.arrived().await, "slow"), ["0", "1"]);
}

#[tokio::test]
async fn what_is_refused_fails_alone_and_its_key_goes_on() {
    let scene = Scene::new().await;
    // All eight, their first half, its first half, and the first message.
    scene.emulator.fault(Fault::status(Code::InvalidArgument).of_key("a").times(4));
    let mut messages: Vec<Outgoing> = (0..8).map(|number| message("a", number)).collect();
    messages.push(Outgoing::new(vec![0; 10_000_000].into(), HashMap::new(), "a"));
    messages.push(Outgoing::new(Bytes::new(), HashMap::new(), "a"));
    messages.push(message("a", 8));
    let receipts = scene.publish(messages).await;
    let mut expected = [None; 11];
    expected[0] = Some(PublishErrorKind::Rejected);
    expected[8] = Some(PublishErrorKind::TooLarge);
    expected[9] = Some(PublishErrorKind::Rejected);
    assert_eq!(kinds(&receipts), expected);
    let arrived = scene.arrived().await;
    assert_eq!(of_key(&arrived, "a"), ["1", "2", "3", "4", "5", "6", "7", "8"]);
}

#[tokio::test]
async fn with_fail_fast_nothing_is_sent_after_a_failure() {
    let rules = PublisherRules { max_messages: 2, ..PublisherRules::default() };
    let scene = Scene::with(rules).await;
    scene.emulator.fault(Fault::status(Code::PermissionDenied).from_request(2));
    let messages = (0..8).map(|number| message("a", number)).collect();
    let receipts = scene.publisher.publish(messages, LONG, true).wait().await;
    let (auth, shutdown) = (Some(PublishErrorKind::Auth), Some(PublishErrorKind::Shutdown));
    assert_eq!(kinds(&receipts), [None, None, auth, auth, shutdown, shutdown, shutdown, shutdown]);
    assert_eq!(scene.emulator.statistics().attempts, 2);
    // The key is free for the next call.
    assert_eq!(kinds(&scene.publish(vec![message("a", 9)]).await), [None]);
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_and_what_is_behind_it_goes_on() {
    let scene = Scene::new().await;
    scene.emulator.fault(Fault::status(Code::Unavailable).of_key("a").for_ever());
    let short = Duration::from_millis(50);
    let late = scene.publisher.publish(vec![message("a", 0)], short, false);
    let behind = scene.publisher.publish(vec![message("a", 1)], LONG, false);
    let receipts = late.wait().await;
    assert_eq!(kinds(&receipts), [Some(PublishErrorKind::Timeout)]);
    let error = receipts[0].as_ref().unwrap_err().to_string();
    assert_eq!(error, "no acknowledgement within 50ms: UNAVAILABLE");
    scene.emulator.clear_faults();
    assert_eq!(kinds(&behind.wait().await), [None]);
    assert_eq!(of_key(&scene.arrived().await, "a"), ["1"]);
}

#[tokio::test]
async fn a_call_that_is_given_up_is_not_sent_any_more_and_holds_no_flush_up() {
    let scene = Scene::new().await;
    scene.emulator.fault(Fault::delay(LONG).of_key("a"));
    let first = scene.publisher.publish(vec![message("a", 0)], LONG, false);
    scene.emulator.reached(|counted| counted.attempts == 1).await;
    drop(scene.publisher.publish(vec![message("a", 1)], LONG, false));
    let third = scene.publisher.publish(vec![message("a", 2)], LONG, false);
    assert!(scene.publisher.flush().now_or_never().is_none());
    drop(first);
    assert_eq!(kinds(&third.wait().await), [None]);
    scene.publisher.flush().await;
    assert!(!of_key(&scene.arrived().await, "a").contains(&"1"));
}

#[tokio::test]
async fn a_call_is_given_up_at_once_also_while_its_receipts_are_held() {
    let scene = Scene::new().await;
    scene.emulator.fault(Fault::delay(LONG).of_key("a"));
    let first = scene.publisher.publish(vec![message("a", 0)], LONG, false);
    scene.emulator.reached(|counted| counted.attempts == 1).await;
    let second = scene.publisher.publish(vec![message("a", 1)], LONG, false);
    let third = scene.publisher.publish(vec![message("a", 2)], LONG, false);
    second.given_up().cancel();
    scene.emulator.clear_faults();
    assert_eq!(kinds(&first.wait().await), [None]);
    assert_eq!(kinds(&third.wait().await), [None]);
    assert_eq!(of_key(&scene.arrived().await, "a"), ["0", "2"]);
    drop(second);
}

#[tokio::test]
async fn a_flush_does_not_wait_for_what_comes_after_it() {
    let scene = Scene::new().await;
    let before = scene.publisher.publish(vec![message("a", 0)], LONG, false);
    let flush = scene.publisher.flush();
    tokio::pin!(flush);
    assert!(flush.as_mut().now_or_never().is_none());
    scene.emulator.fault(Fault::delay(LONG).of_key("b"));
    let _after = scene.publisher.publish(vec![message("b", 0)], LONG, false);
    flush.await;
    assert_eq!(kinds(&before.wait().now_or_never().unwrap()), [None]);
}

#[tokio::test]
async fn a_missing_topic_is_told_and_a_later_one_is_found() {
    let scene = Scene::new().await;
    let missing = "projects/p/topics/later";
    let connection = connection(&scene.emulator);
    let publisher = Publisher::new(&connection, missing.into(), &PublisherRules::default());
    let publish = async || publisher.publish(vec![message("a", 0)], LONG, false).wait().await;
    assert_eq!(kinds(&publish().await), [Some(PublishErrorKind::TopicMissing)]);
    scene.emulator.create_topic(missing).unwrap();
    assert_eq!(kinds(&publish().await), [None]);
}

#[test]
fn a_limit_is_told_before_anything_is_sent_and_without_a_value() {
    let broken = |attributes: &[(&str, &str)], key: &str| {
        let attributes = attributes.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        Outgoing::new("x".into(), attributes, key).broken.unwrap_or_default()
    };
    let long = "s".repeat(1025);
    assert_eq!(broken(&[("a", &long[1..])], &long[1..]), "");
    assert_eq!(broken(&[("a", &long)], ""), "its attribute `a` has more than 1024 bytes");
    assert_eq!(broken(&[], &long), "its ordering key has more than 1024 bytes");
    for key in ["", "googclient_x", &long[..257]] {
        assert!(broken(&[(key, "x")], "").starts_with("the key of an attribute"), "{key}");
    }
    let many: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|key| (key.as_str(), "")).collect();
    assert_eq!(broken(&many, ""), "it has more than 100 attributes");
}
