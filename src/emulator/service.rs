//! gRPC: one service that routes calls to the room by their path.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    AcknowledgeRequest, DeleteSubscriptionRequest, DeleteTopicRequest, GetSubscriptionRequest,
    GetTopicRequest, ListSubscriptionsRequest, ListSubscriptionsResponse,
    ListTopicSubscriptionsRequest, ListTopicSubscriptionsResponse, ListTopicsRequest,
    ListTopicsResponse, ModifyAckDeadlineRequest, PullRequest, PullResponse, Subscription,
};
use tonic::Status;
use tonic::body::Body;

use super::grpc::{streaming_pull, unary};
use super::iam::{TestIamPermissionsRequest, TestIamPermissionsResponse};
use super::room::Room;
use super::subscriptions::extension;

/// How long a Pull waits for a message before it answers with none.
const PULL_WAIT: Duration = Duration::from_secs(1);

/// Publisher and Subscriber of `google.pubsub.v1`, and what of `google.iam.v1` a set-up asks.
#[derive(Debug, Clone)]
pub(super) struct PubsubService {
    room: Arc<Room>,
}

impl PubsubService {
    pub(super) fn new(room: Arc<Room>) -> Self {
        Self { room }
    }
}

impl tower::Service<http::Request<Body>> for PubsubService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let room = Arc::clone(&self.room);
        Box::pin(async move { Ok(route(room, request).await) })
    }
}

async fn route(room: Arc<Room>, call: http::Request<Body>) -> http::Response<Body> {
    let path = call.uri().path().trim_start_matches('/').to_owned();
    match path.split_once('/') {
        Some(("google.pubsub.v1.Publisher", method)) => publisher(room, method, call).await,
        Some(("google.pubsub.v1.Subscriber", method)) => subscriber(room, method, call).await,
        Some(("google.iam.v1.IAMPolicy", "TestIamPermissions")) => {
            unary(call, |r| ready(Ok(test_permissions(&room, r)))).await
        }
        _ => unserved(&path),
    }
}

async fn publisher(
    room: Arc<Room>,
    method: &str,
    call: http::Request<Body>,
) -> http::Response<Body> {
    match method {
        "Publish" => unary(call, |r| Arc::clone(&room).publish(r)).await,
        "CreateTopic" => unary(call, |r| ready(room.state().topics.create_topic(r))).await,
        "UpdateTopic" => unary(call, |r| ready(room.state().topics.update_topic(r))).await,
        "GetTopic" => {
            unary(call, |r: GetTopicRequest| ready(room.state().topics.topic(&r.topic))).await
        }
        "ListTopics" => unary(call, |r| ready(Ok(list_topics(&room, &r)))).await,
        "ListTopicSubscriptions" => {
            unary(call, |r| ready(list_topic_subscriptions(&room, &r))).await
        }
        "DeleteTopic" => {
            let delete = |r: DeleteTopicRequest| ready(room.state().topics.delete_topic(&r.topic));
            unary(call, delete).await
        }
        _ => unserved(&format!("Publisher.{method}")),
    }
}

async fn subscriber(
    room: Arc<Room>,
    method: &str,
    call: http::Request<Body>,
) -> http::Response<Body> {
    match method {
        "StreamingPull" => streaming_pull(room, call).await,
        "Pull" => unary(call, |r| pull(&room, r)).await,
        "Acknowledge" => unary(call, |r| ready(acknowledge(&room, &r))).await,
        "ModifyAckDeadline" => unary(call, |r| ready(modify_ack_deadline(&room, &r))).await,
        "CreateSubscription" => {
            unary(call, |r| ready(room.state().topics.create_subscription(r))).await
        }
        "UpdateSubscription" => {
            unary(call, |r| ready(room.state().topics.update_subscription(r))).await
        }
        "GetSubscription" => unary(call, |r| ready(subscription(&room, &r))).await,
        "ListSubscriptions" => unary(call, |r| ready(Ok(list_subscriptions(&room, &r)))).await,
        "DeleteSubscription" => {
            let delete =
                |r: DeleteSubscriptionRequest| ready(room.delete_subscription(&r.subscription));
            unary(call, delete).await
        }
        _ => unserved(&format!("Subscriber.{method}")),
    }
}

fn unserved(method: &str) -> http::Response<Body> {
    Status::unimplemented(format!("{method} is not part of the embedded Pub/Sub")).into_http()
}

/// All topics of a project: page sizes are not kept.
fn list_topics(room: &Room, request: &ListTopicsRequest) -> ListTopicsResponse {
    let topics = room.state().topics.list_topics(&request.project);
    ListTopicsResponse { topics, next_page_token: String::new() }
}

fn list_topic_subscriptions(
    room: &Room,
    request: &ListTopicSubscriptionsRequest,
) -> Result<ListTopicSubscriptionsResponse, Status> {
    let subscriptions = room.state().topics.subscriptions_of(&request.topic)?;
    Ok(ListTopicSubscriptionsResponse { subscriptions, next_page_token: String::new() })
}

async fn pull(room: &Room, request: PullRequest) -> Result<PullResponse, Status> {
    let max = usize::try_from(request.max_messages).unwrap_or_default();
    if max == 0 {
        return Err(Status::invalid_argument("max_messages must be at least 1"));
    }
    #[expect(deprecated, reason = "tests that must not wait still use it")]
    let wait = if request.return_immediately { Duration::ZERO } else { PULL_WAIT };
    let received_messages = room.pull(&request.subscription, max, wait).await?;
    Ok(PullResponse { received_messages })
}

fn acknowledge(room: &Room, request: &AcknowledgeRequest) -> Result<(), Status> {
    some_of(&request.ack_ids)?;
    room.acknowledge(&request.subscription, &request.ack_ids)
}

fn modify_ack_deadline(room: &Room, request: &ModifyAckDeadlineRequest) -> Result<(), Status> {
    some_of(&request.ack_ids)?;
    let deadline = extension(request.ack_deadline_seconds)?;
    room.modify(&request.subscription, &request.ack_ids, std::iter::repeat(deadline))
}

fn some_of(ack_ids: &[String]) -> Result<(), Status> {
    if ack_ids.is_empty() {
        return Err(Status::invalid_argument("ack_ids must not be empty"));
    }
    Ok(())
}

fn subscription(room: &Room, request: &GetSubscriptionRequest) -> Result<Subscription, Status> {
    Ok(room.state().topics.subscribed(&request.subscription)?.settings.clone())
}

/// All subscriptions of a project: page sizes are not kept.
fn list_subscriptions(
    room: &Room,
    request: &ListSubscriptionsRequest,
) -> ListSubscriptionsResponse {
    let subscriptions = room.state().topics.list_subscriptions(&request.project);
    ListSubscriptionsResponse { subscriptions, next_page_token: String::new() }
}

/// There is no one to be refused; of what does not exist nobody has a permission, as with the
/// service.
fn test_permissions(room: &Room, request: TestIamPermissionsRequest) -> TestIamPermissionsResponse {
    let exists = room.state().topics.has(&request.resource);
    let permissions = if exists { request.permissions } else { Vec::new() };
    TestIamPermissionsResponse { permissions }
}
