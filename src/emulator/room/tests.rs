use std::collections::HashMap;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    DeadLetterPolicy, Subscription, Topic,
};
use tonic::Code;

use super::super::faults::Fault;
use super::*;

const TOPIC: &str = "projects/demo/topics/orders";
const DEAD: &str = "projects/demo/topics/dead";
const SUBSCRIPTION: &str = "projects/demo/subscriptions/orders";
const DEAD_SUBSCRIPTION: &str = "projects/demo/subscriptions/dead";
const MINUTE: Duration = Duration::from_mins(1);

/// Two topics with an ordered subscription each; dead letters of the first go to the second.
fn room(max_bytes: usize) -> Arc<Room> {
    let room = Room::new(max_bytes);
    for (topic, name, policy) in [
        (DEAD, DEAD_SUBSCRIPTION, None),
        (
            TOPIC,
            SUBSCRIPTION,
            Some(DeadLetterPolicy { dead_letter_topic: DEAD.to_owned(), max_delivery_attempts: 5 }),
        ),
    ] {
        let topics = &mut room.state().topics;
        topics.create_topic(Topic { name: topic.to_owned(), ..Topic::default() }).unwrap();
        let subscription = Subscription {
            name: name.to_owned(),
            topic: topic.to_owned(),
            enable_message_ordering: true,
            dead_letter_policy: policy,
            ..Subscription::default()
        };
        topics.create_subscription(subscription).unwrap();
    }
    Arc::new(room)
}

fn request(topic: &str, key: &str, data: &[&'static str]) -> PublishRequest {
    let message = |data: &&'static str| PubsubMessage {
        ordering_key: key.to_owned(),
        data: (*data).into(),
        ..PubsubMessage::default()
    };
    PublishRequest { topic: topic.to_owned(), messages: data.iter().map(message).collect() }
}

async fn publish(room: &Arc<Room>, key: &str, data: &[&'static str]) -> Result<(), Status> {
    Arc::clone(room).publish(request(TOPIC, key, data)).await.map(drop)
}

async fn code(room: &Arc<Room>, request: PublishRequest) -> Code {
    Arc::clone(room).publish(request).await.map_or_else(|status| status.code(), |_| Code::Ok)
}

fn data(received: &[ReceivedMessage]) -> Vec<&str> {
    let messages = received.iter().filter_map(|received| received.message.as_ref());
    messages.map(|message| std::str::from_utf8(&message.data).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_not_acknowledged_comes_again_after_its_deadline() {
    let room = room(1_000_000);
    publish(&room, "a", &["1", "2"]).await.unwrap();
    let first = room.pull(SUBSCRIPTION, 10, MINUTE).await.unwrap();
    assert_eq!((data(&first), first[0].delivery_attempt), (vec!["1", "2"], 1));
    let begun = Instant::now();
    let again = room.pull(SUBSCRIPTION, 10, MINUTE).await.unwrap();
    assert_eq!((data(&again), again[0].delivery_attempt), (vec!["1", "2"], 2));
    assert_eq!(begun.elapsed().as_secs(), 10, "the subscription's deadline, in virtual time");
}

#[tokio::test(start_paused = true)]
async fn a_longer_deadline_is_waited_for() {
    let room = room(1_000_000);
    publish(&room, "a", &["1"]).await.unwrap();
    let first = room.pull(SUBSCRIPTION, 10, MINUTE).await.unwrap();
    let id = [first[0].ack_id.clone()];
    room.modify(SUBSCRIPTION, &id, [Duration::from_secs(40)]).unwrap();
    let begun = Instant::now();
    assert_eq!(data(&room.pull(SUBSCRIPTION, 10, MINUTE).await.unwrap()), ["1"]);
    assert_eq!(begun.elapsed().as_secs(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_pull_with_nothing_to_get_ends_when_it_said() {
    let room = room(1_000_000);
    let begun = Instant::now();
    assert!(room.pull(SUBSCRIPTION, 10, MINUTE).await.unwrap().is_empty());
    assert_eq!(begun.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_reaches_one_who_waits_for_it() {
    let room = room(1_000_000);
    publish(&room, "a", &["bad", "good"]).await.unwrap();
    for _ in 0..4 {
        let received = room.pull(SUBSCRIPTION, 1, MINUTE).await.unwrap();
        room.modify(SUBSCRIPTION, &[received[0].ack_id.clone()], [Duration::ZERO]).unwrap();
    }
    let last = room.pull(SUBSCRIPTION, 1, MINUTE).await.unwrap();
    assert_eq!((data(&last), last[0].delivery_attempt), (vec!["bad"], 5));
    // Nobody touches its subscription any more: its deadline makes it a dead letter.
    let dead = room.take(DEAD_SUBSCRIPTION, 10, MINUTE).await.unwrap();
    assert_eq!(
        (dead.len(), &dead[0].data[..], dead[0].ordering_key.as_str()),
        (1, &b"bad"[..], "a")
    );
    let expected = [
        ("CloudPubSubDeadLetterSourceSubscriptionProject", "demo"),
        ("CloudPubSubDeadLetterSourceSubscription", "orders"),
        ("CloudPubSubDeadLetterSourceDeliveryCount", "5"),
    ];
    let expected: HashMap<_, _> =
        expected.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    assert_eq!(dead[0].attributes, expected);
    assert_eq!(data(&room.pull(SUBSCRIPTION, 10, MINUTE).await.unwrap()), ["good"]);
}

#[tokio::test]
async fn memory_is_bounded_and_given_back() {
    // Room for two messages of 512 bytes and a little, not for three.
    let room = room(1_200);
    publish(&room, "a", &["1", "2"]).await.unwrap();
    let kept = room.statistics().kept_bytes;
    assert!((1_024..1_200).contains(&kept), "{kept}");
    let refusal = publish(&room, "a", &["3"]).await.unwrap_err();
    assert_eq!(refusal.code(), Code::ResourceExhausted);
    assert!(refusal.message().contains("max_bytes"), "{refusal}");
    let received = room.pull(SUBSCRIPTION, 1, MINUTE).await.unwrap();
    room.acknowledge(SUBSCRIPTION, &[received[0].ack_id.clone()]).unwrap();
    publish(&room, "a", &["3"]).await.unwrap();
    room.delete_subscription(SUBSCRIPTION).unwrap();
    assert_eq!(room.statistics().kept_bytes, 0);
}

#[tokio::test]
async fn a_message_of_several_subscriptions_is_kept_once() {
    let room = room(1_000_000);
    let second = Subscription {
        name: "projects/demo/subscriptions/second".to_owned(),
        topic: TOPIC.to_owned(),
        ..Subscription::default()
    };
    let second = room.state().topics.create_subscription(second).unwrap();
    publish(&room, "a", &["1"]).await.unwrap();
    let kept = room.statistics().kept_bytes;
    assert!((512..1_024).contains(&kept), "{kept}");
    room.take(SUBSCRIPTION, 1, MINUTE).await.unwrap();
    assert_eq!(room.statistics().kept_bytes, kept);
    room.take(&second.name, 1, MINUTE).await.unwrap();
    assert_eq!(room.statistics().kept_bytes, 0);
}

#[tokio::test]
async fn a_topic_without_a_subscription_keeps_nothing() {
    let room = room(1);
    room.delete_subscription(SUBSCRIPTION).unwrap();
    publish(&room, "a", &["1", "2"]).await.unwrap();
    let statistics = room.statistics();
    assert_eq!((statistics.messages, statistics.kept_bytes), (2, 0));
}

#[tokio::test]
async fn a_fault_strikes_the_requests_that_it_is_for() {
    let room = room(1_000_000);
    let fault = Fault::status(Code::Aborted).of_topic(TOPIC).of_key("a").from_request(2).times(2);
    room.state().faults.add(fault);
    let mut codes = Vec::new();
    for key in ["a", "b", "a", "b", "a", "a"] {
        codes.push(code(&room, request(TOPIC, key, &["1"])).await);
        assert_eq!(code(&room, request(DEAD, key, &["1"])).await, Code::Ok);
    }
    let [ok, aborted] = [Code::Ok, Code::Aborted];
    assert_eq!(codes, [ok, ok, aborted, ok, aborted, ok]);
    let statistics = room.statistics();
    assert_eq!((statistics.attempts, statistics.requests, statistics.faults), (12, 10, 2));
}

#[tokio::test]
async fn a_refused_request_is_no_occasion_for_a_fault() {
    let room = room(1_000_000);
    room.state().faults.add(Fault::status(Code::Unavailable));
    assert_eq!(code(&room, request(TOPIC, "a", &[])).await, Code::InvalidArgument);
    let missing = request("projects/demo/topics/missing", "a", &["1"]);
    assert_eq!(code(&room, missing).await, Code::NotFound);
    assert_eq!(code(&room, request(TOPIC, "a", &["1"])).await, Code::Unavailable);
    assert_eq!(room.statistics().refused, 2);
}

#[tokio::test]
async fn a_lost_response_was_committed() {
    let room = room(1_000_000);
    room.state().faults.add(Fault::lose_response(Code::DeadlineExceeded));
    let lost = publish(&room, "a", &["1"]).await.unwrap_err();
    assert_eq!(lost.code(), Code::DeadlineExceeded);
    publish(&room, "a", &["1"]).await.unwrap();
    let received = room.take(SUBSCRIPTION, 10, MINUTE).await.unwrap();
    assert_eq!(received.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_request_is_committed_without_its_caller() {
    let room = room(1_000_000);
    let begun = Instant::now();
    room.state().faults.add(Fault::delay(Duration::from_secs(30)));
    let impatient = timeout(Duration::from_secs(5), publish(&room, "a", &["1"])).await;
    assert!(impatient.is_err());
    assert_eq!(room.statistics().requests, 0);
    assert_eq!(room.take(SUBSCRIPTION, 1, MINUTE).await.unwrap().len(), 1);
    assert_eq!(begun.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn clearing_the_faults_ends_delays_and_what_lasts_for_ever() {
    let room = room(1_000_000);
    room.state().faults.add(Fault::status(Code::Unavailable).after(MINUTE).for_ever());
    let begun = Instant::now();
    let publishing = tokio::spawn({
        let room = Arc::clone(&room);
        async move { publish(&room, "a", &["1"]).await }
    });
    room.reached(|statistics| statistics.faults == 1).await;
    room.state().faults.clear();
    assert_eq!(publishing.await.unwrap().unwrap_err().code(), Code::Unavailable);
    publish(&room, "a", &["1"]).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 0);
}

#[tokio::test]
async fn counters_can_be_waited_for() {
    let room = room(1_000_000);
    let (reached, published) =
        tokio::join!(room.reached(|statistics| statistics.acknowledged == 2), async {
            publish(&room, "a", &["1", "2"]).await?;
            room.take(SUBSCRIPTION, 10, MINUTE).await
        });
    assert_eq!(published.unwrap().len(), 2);
    assert_eq!((reached.messages, reached.delivered, reached.kept_bytes), (2, 2, 0));
}
