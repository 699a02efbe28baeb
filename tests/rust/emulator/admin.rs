//! Topics, subscriptions and permissions: making, changing, listing, and what is refused.

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    DeadLetterPolicy, GetSubscriptionRequest, GetTopicRequest, ListTopicSubscriptionsRequest,
    ModifyAckDeadlineRequest, Subscription, Topic, UpdateSubscriptionRequest, UpdateTopicRequest,
};
use tonic::Code;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

use super::{Client, SUBSCRIPTION, TOPIC, data, message};

/// As in `google/iam/v1/iam_policy.proto`.
#[derive(Clone, PartialEq, prost::Message)]
struct TestIamPermissionsRequest {
    #[prost(string, tag = "1")]
    resource: String,
    #[prost(string, repeated, tag = "2")]
    permissions: Vec<String>,
}

/// The same.
#[derive(Clone, PartialEq, prost::Message)]
struct TestIamPermissionsResponse {
    #[prost(string, repeated, tag = "1")]
    permissions: Vec<String>,
}

impl Client {
    async fn permissions(&self, resource: &str) -> Vec<String> {
        let endpoint = format!("http://{}", self.emulator.address());
        let channel = Channel::from_shared(endpoint).unwrap().connect().await.unwrap();
        let mut grpc = Grpc::new(channel);
        grpc.ready().await.unwrap();
        let request = TestIamPermissionsRequest {
            resource: resource.to_owned(),
            permissions: vec!["pubsub.topics.publish".to_owned()],
        };
        let path = "/google.iam.v1.IAMPolicy/TestIamPermissions".parse().unwrap();
        let codec = ProstCodec::<TestIamPermissionsRequest, TestIamPermissionsResponse>::default();
        let response = grpc.unary(tonic::Request::new(request), path, codec).await.unwrap();
        response.into_inner().permissions
    }

    async fn update(&mut self, wanted: Subscription, paths: &[&str]) -> Result<Subscription, Code> {
        let mut update = UpdateSubscriptionRequest {
            subscription: Some(Subscription { name: SUBSCRIPTION.to_owned(), ..wanted }),
            ..UpdateSubscriptionRequest::default()
        };
        let mask = update.update_mask.get_or_insert_default();
        mask.paths = paths.iter().map(|path| (*path).to_owned()).collect();
        let updated = self.subscriber.update_subscription(update).await;
        updated.map(tonic::Response::into_inner).map_err(|status| status.code())
    }

    async fn create(&mut self, wanted: Subscription) -> Result<Subscription, Code> {
        let created = self.subscriber.create_subscription(wanted).await;
        created.map(tonic::Response::into_inner).map_err(|status| status.code())
    }
}

fn second() -> Subscription {
    Subscription {
        name: "projects/demo/subscriptions/second".to_owned(),
        topic: TOPIC.to_owned(),
        ..Subscription::default()
    }
}

fn dead_letters_to(topic: &str, max_delivery_attempts: i32) -> DeadLetterPolicy {
    DeadLetterPolicy { dead_letter_topic: topic.to_owned(), max_delivery_attempts }
}

#[tokio::test]
async fn permissions_are_granted_on_what_exists() {
    let client = Client::start().await;
    assert_eq!(client.permissions(TOPIC).await, ["pubsub.topics.publish"]);
    assert_eq!(client.permissions(SUBSCRIPTION).await, ["pubsub.topics.publish"]);
    assert!(client.permissions("projects/demo/topics/missing").await.is_empty());
}

#[tokio::test]
async fn a_topic_lists_its_subscriptions() {
    let mut client = Client::start().await;
    client.create(second()).await.unwrap();
    let list = |topic: &str| ListTopicSubscriptionsRequest {
        topic: topic.to_owned(),
        ..ListTopicSubscriptionsRequest::default()
    };
    let listed = client.publisher.list_topic_subscriptions(list(TOPIC)).await.unwrap();
    assert_eq!(listed.into_inner().subscriptions, [SUBSCRIPTION, &second().name]);
    let missing = list("projects/demo/topics/missing");
    let missing = client.publisher.list_topic_subscriptions(missing).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
}

#[tokio::test]
async fn a_topics_labels_can_be_changed_and_its_name_cannot() {
    let mut client = Client::start().await;
    let update = |name: &str, path: &str| {
        let labels = [("team".to_owned(), "shop".to_owned())].into();
        let topic = Topic { name: name.to_owned(), labels, ..Topic::default() };
        let mut update = UpdateTopicRequest { topic: Some(topic), ..UpdateTopicRequest::default() };
        update.update_mask.get_or_insert_default().paths = vec![path.to_owned()];
        update
    };
    let updated = client.publisher.update_topic(update(TOPIC, "labels")).await.unwrap();
    assert_eq!(updated.into_inner().labels["team"], "shop");
    let get = GetTopicRequest { topic: TOPIC.to_owned() };
    let got = client.publisher.get_topic(get).await.unwrap().into_inner();
    assert_eq!(got.labels["team"], "shop");
    let refusal = client.publisher.update_topic(update(TOPIC, "name")).await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);
    let missing = update("projects/demo/topics/missing", "labels");
    assert_eq!(client.publisher.update_topic(missing).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_subscription_is_completed_as_the_service_does() {
    let mut client = Client::start().await;
    let policy = Some(dead_letters_to(TOPIC, 0));
    let created =
        client.create(Subscription { dead_letter_policy: policy, ..second() }).await.unwrap();
    assert_eq!(created.ack_deadline_seconds, 10);
    assert_eq!(created.message_retention_duration.unwrap().seconds, 7 * 86_400);
    assert_eq!(created.dead_letter_policy.unwrap().max_delivery_attempts, 5);
}

#[tokio::test]
async fn what_a_subscription_cannot_be_is_refused() {
    let mut client = Client::start().await;
    let missing = "projects/demo/topics/missing";
    let mut short_lived = second();
    short_lived.message_retention_duration.get_or_insert_default().seconds = 599;
    let cases = [
        (Subscription { name: SUBSCRIPTION.to_owned(), ..second() }, Code::AlreadyExists),
        (Subscription { topic: missing.to_owned(), ..second() }, Code::NotFound),
        (Subscription { name: "second".to_owned(), ..second() }, Code::InvalidArgument),
        (Subscription { ack_deadline_seconds: 601, ..second() }, Code::InvalidArgument),
        (Subscription { ack_deadline_seconds: 9, ..second() }, Code::InvalidArgument),
        (short_lived, Code::InvalidArgument),
        (
            Subscription { dead_letter_policy: Some(dead_letters_to(missing, 5)), ..second() },
            Code::NotFound,
        ),
        (
            Subscription { dead_letter_policy: Some(dead_letters_to(TOPIC, 4)), ..second() },
            Code::InvalidArgument,
        ),
    ];
    for (wanted, code) in cases {
        assert_eq!(client.create(wanted.clone()).await, Err(code), "{wanted:?}");
    }
}

#[tokio::test]
async fn only_what_may_change_is_changed_and_only_what_the_mask_names() {
    let mut client = Client::start().await;
    let wanted = Subscription {
        ack_deadline_seconds: 60,
        dead_letter_policy: Some(dead_letters_to(TOPIC, 7)),
        ..Subscription::default()
    };
    let updated = client.update(wanted.clone(), &["ack_deadline_seconds"]).await.unwrap();
    assert_eq!((updated.ack_deadline_seconds, updated.dead_letter_policy), (60, None));
    assert!(updated.enable_message_ordering);
    let updated = client.update(wanted.clone(), &["dead_letter_policy"]).await.unwrap();
    assert_eq!(updated.dead_letter_policy, wanted.dead_letter_policy);
    for refused in [&["topic"][..], &["enable_message_ordering"], &[]] {
        let code = client.update(wanted.clone(), refused).await;
        assert_eq!(code, Err(Code::InvalidArgument), "{refused:?}");
    }
    let late = Subscription { ack_deadline_seconds: 601, ..Subscription::default() };
    let code = client.update(late, &["ack_deadline_seconds"]).await;
    assert_eq!(code, Err(Code::InvalidArgument));
    let get = GetSubscriptionRequest { subscription: SUBSCRIPTION.to_owned() };
    let kept = client.subscriber.get_subscription(get).await.unwrap().into_inner();
    assert_eq!(kept.ack_deadline_seconds, 60, "a refused update changes nothing");
}

#[tokio::test]
async fn a_deadline_of_zero_brings_a_message_back() {
    let mut client = Client::start().await;
    client.publish(vec![message("a", "1"), message("a", "2")]).await.unwrap();
    let received = client.pull(10).await;
    let modify = |ack_deadline_seconds: i32, ack_ids: &[&str]| ModifyAckDeadlineRequest {
        subscription: SUBSCRIPTION.to_owned(),
        ack_ids: ack_ids.iter().map(|id| (*id).to_owned()).collect(),
        ack_deadline_seconds,
    };
    let id = received[0].ack_id.as_str();
    for bad in [modify(601, &[id]), modify(-1, &[id]), modify(0, &[]), modify(0, &["nonsense"])] {
        let refusal = client.subscriber.modify_ack_deadline(bad).await.unwrap_err();
        assert_eq!(refusal.code(), Code::InvalidArgument);
    }
    assert!(client.pull(10).await.is_empty());
    client.subscriber.modify_ack_deadline(modify(0, &[id])).await.unwrap();
    assert_eq!(data(&client.pull(10).await), ["1", "2"]);
}
