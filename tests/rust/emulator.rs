//! The embedded Pub/Sub as a client sees it, over gRPC on a loopback port.

#[path = "emulator/admin.rs"]
mod admin;
#[path = "emulator/streaming.rs"]
mod streaming;

use std::time::Duration;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::publisher_client::PublisherClient;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::subscriber_client::SubscriberClient;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    AcknowledgeRequest, DeleteSubscriptionRequest, DeleteTopicRequest, DetachSubscriptionRequest,
    GetSubscriptionRequest, GetTopicRequest, ListTopicsRequest, PublishRequest, PubsubMessage,
    PullRequest, ReceivedMessage, Subscription, Topic,
};
use mongo_gcp_stream::emulator::Emulator;
use tonic::transport::Channel;
use tonic::{Code, Status};

const TOPIC: &str = "projects/demo/topics/orders";
const SUBSCRIPTION: &str = "projects/demo/subscriptions/orders";

struct Client {
    emulator: Emulator,
    publisher: PublisherClient<Channel>,
    subscriber: SubscriberClient<Channel>,
}

impl Client {
    /// A server with one topic and one ordered subscription.
    async fn start() -> Self {
        let emulator = Emulator::start(0).await.unwrap();
        emulator.create_topic(TOPIC).unwrap();
        emulator.create_subscription(SUBSCRIPTION, TOPIC, true).unwrap();
        let endpoint = Channel::from_shared(format!("http://{}", emulator.address())).unwrap();
        let channel = endpoint.connect().await.unwrap();
        let publisher = PublisherClient::new(channel.clone());
        Self { emulator, publisher, subscriber: SubscriberClient::new(channel) }
    }

    async fn publish(&mut self, messages: Vec<PubsubMessage>) -> Result<Vec<String>, Status> {
        let request = PublishRequest { topic: TOPIC.to_owned(), messages };
        Ok(self.publisher.publish(request).await?.into_inner().message_ids)
    }

    async fn pull(&mut self, max_messages: i32) -> Vec<ReceivedMessage> {
        #[expect(deprecated, reason = "a test must not wait")]
        let request = PullRequest {
            subscription: SUBSCRIPTION.to_owned(),
            return_immediately: true,
            max_messages,
        };
        self.subscriber.pull(request).await.unwrap().into_inner().received_messages
    }

    async fn acknowledge(&mut self, received: &[ReceivedMessage]) {
        let ack_ids = received.iter().map(|message| message.ack_id.clone()).collect();
        let request = AcknowledgeRequest { subscription: SUBSCRIPTION.to_owned(), ack_ids };
        self.subscriber.acknowledge(request).await.unwrap();
    }
}

fn message(key: &str, data: &str) -> PubsubMessage {
    PubsubMessage {
        data: data.to_owned().into(),
        ordering_key: key.to_owned(),
        attributes: [("event_id".to_owned(), data.to_owned())].into(),
        ..PubsubMessage::default()
    }
}

fn data(received: &[ReceivedMessage]) -> Vec<String> {
    let messages = received.iter().filter_map(|received| received.message.as_ref());
    messages.map(|message| String::from_utf8(message.data.to_vec()).unwrap()).collect()
}

#[tokio::test]
async fn published_messages_come_back_complete_and_in_order() {
    let mut client = Client::start().await;
    let ids = client.publish(vec![message("a", "1"), message("a", "2")]).await.unwrap();
    client.publish(vec![message("b", "3")]).await.unwrap();
    let received = client.pull(10).await;
    assert_eq!(data(&received), ["1", "2", "3"]);
    let first = received[0].message.clone().unwrap();
    assert_eq!((first.message_id.as_str(), first.ordering_key.as_str()), (ids[0].as_str(), "a"));
    assert_eq!(first.attributes["event_id"], "1");
    assert!(first.publish_time.is_some());
    client.acknowledge(&received).await;
    assert!(client.pull(10).await.is_empty());
}

#[tokio::test]
async fn an_ordered_key_goes_on_after_its_acknowledgement() {
    let mut client = Client::start().await;
    client.publish(vec![message("a", "1"), message("a", "2")]).await.unwrap();
    let first = client.pull(1).await;
    assert_eq!(data(&first), ["1"]);
    assert!(client.pull(10).await.is_empty());
    client.acknowledge(&first).await;
    assert_eq!(data(&client.pull(10).await), ["2"]);
}

#[tokio::test]
async fn a_waiting_pull_gets_what_is_published_meanwhile() {
    let mut client = Client::start().await;
    let (pulled, published) = tokio::join!(
        client.emulator.pull(SUBSCRIPTION, 10, Duration::from_mins(1)),
        client
            .publisher
            .publish(PublishRequest { topic: TOPIC.to_owned(), messages: vec![message("a", "1")] }),
    );
    published.unwrap();
    assert_eq!(&pulled.unwrap()[0].data[..], b"1");
    assert!(client.pull(10).await.is_empty());
}

#[tokio::test]
async fn what_the_service_refuses_is_refused() {
    let mut client = Client::start().await;
    let refusals = [
        (vec![message("a", "1"), message("b", "2")], "same ordering key"),
        (vec![message("", "1"); 1_001], "1001 messages"),
        (vec![message("", &"x".repeat(1_025))], "1025 bytes in an attribute's value"),
        (vec![PubsubMessage::default()], "data or at least one attribute"),
        (
            vec![PubsubMessage { data: vec![0; 10_000_000].into(), ..PubsubMessage::default() }],
            "bytes in one request",
        ),
    ];
    for (messages, reason) in refusals {
        let refusal = client.publish(messages).await.unwrap_err();
        assert_eq!(refusal.code(), Code::InvalidArgument);
        assert!(refusal.message().contains(reason), "{}", refusal.message());
    }
    assert!(client.pull(10).await.is_empty());
}

#[tokio::test]
async fn topics_and_subscriptions_are_kept_by_name() {
    let mut client = Client::start().await;
    let topic = Topic { name: TOPIC.to_owned(), ..Topic::default() };
    let again = client.publisher.create_topic(topic).await.unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists);
    let malformed = Topic { name: "orders".to_owned(), ..Topic::default() };
    let malformed = client.publisher.create_topic(malformed).await.unwrap_err();
    assert_eq!(malformed.code(), Code::InvalidArgument);
    let list = ListTopicsRequest { project: "projects/demo".to_owned(), ..Default::default() };
    let topics = client.publisher.list_topics(list).await.unwrap().into_inner().topics;
    assert_eq!(topics.iter().map(|topic| topic.name.as_str()).collect::<Vec<_>>(), [TOPIC]);

    let get = GetSubscriptionRequest { subscription: SUBSCRIPTION.to_owned() };
    let subscription = client.subscriber.get_subscription(get).await.unwrap().into_inner();
    assert_eq!((subscription.topic.as_str(), subscription.ack_deadline_seconds), (TOPIC, 10));
    assert!(subscription.enable_message_ordering);
}

#[tokio::test]
async fn a_deleted_topic_is_not_found() {
    let mut client = Client::start().await;
    client.publish(vec![message("a", "1")]).await.unwrap();
    let delete = DeleteTopicRequest { topic: TOPIC.to_owned() };
    client.publisher.delete_topic(delete).await.unwrap();
    let missing = client.publish(vec![message("a", "2")]).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    let get = GetTopicRequest { topic: TOPIC.to_owned() };
    assert_eq!(client.publisher.get_topic(get).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(data(&client.pull(10).await), ["1"]);
}

#[tokio::test]
async fn a_waiting_pull_ends_when_its_subscription_is_deleted() {
    let mut client = Client::start().await;
    let (pulled, deleted) = tokio::join!(
        client.emulator.pull(SUBSCRIPTION, 10, Duration::from_mins(1)),
        client.subscriber.delete_subscription(DeleteSubscriptionRequest {
            subscription: SUBSCRIPTION.to_owned(),
        }),
    );
    deleted.unwrap();
    assert_eq!(pulled.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn what_is_not_served_is_named() {
    let mut client = Client::start().await;
    let detach = DetachSubscriptionRequest { subscription: SUBSCRIPTION.to_owned() };
    let refusal = client.publisher.detach_subscription(detach).await.unwrap_err();
    assert_eq!(refusal.code(), Code::Unimplemented);
    assert!(refusal.message().starts_with("Publisher.DetachSubscription"));
    let filtered = Subscription {
        name: "projects/demo/subscriptions/filtered".to_owned(),
        topic: TOPIC.to_owned(),
        filter: "attributes.operation = \"insert\"".to_owned(),
        ..Subscription::default()
    };
    let refusal = client.subscriber.create_subscription(filtered).await.unwrap_err();
    assert_eq!(refusal.code(), Code::Unimplemented);
    assert!(refusal.message().contains("filter"));
}

#[tokio::test]
async fn a_stopped_server_gives_its_port_back() {
    let client = Client::start().await;
    let address = client.emulator.address();
    client.emulator.stop().await;
    let again = Emulator::start(address.port()).await.unwrap();
    assert_eq!(again.address(), address);
}

#[tokio::test]
async fn a_taken_port_is_an_error() {
    let emulator = Emulator::start(0).await.unwrap();
    let taken = Emulator::start(emulator.address().port()).await.unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
}
