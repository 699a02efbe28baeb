//! gRPC: one service that routes `google.pubsub.v1` calls to the room by their path. The messages
//! crate has no server traits, and a dozen methods need none.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    AcknowledgeRequest, DeleteSubscriptionRequest, DeleteTopicRequest, GetSubscriptionRequest,
    GetTopicRequest, ListSubscriptionsRequest, ListSubscriptionsResponse, ListTopicsRequest,
    ListTopicsResponse, PublishRequest, PublishResponse, PullRequest, PullResponse, Subscription,
    Topic,
};
use prost::Message;
use tonic::body::Body;
use tonic::server::{Grpc, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::room::Room;

/// A request of 10,000,000 bytes and a little more must reach the check that refuses it by name.
const MAX_DECODED_BYTES: usize = 12 << 20;
/// How long a Pull waits for a message before it answers with none.
const PULL_WAIT: Duration = Duration::from_secs(1);

/// Publisher and Subscriber of `google.pubsub.v1`.
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
    match call.uri().path() {
        "/google.pubsub.v1.Publisher/Publish" => unary(call, |r| ready(publish(&room, r))).await,
        "/google.pubsub.v1.Publisher/CreateTopic" => {
            unary(call, |topic: Topic| ready(room.create_topic(topic))).await
        }
        "/google.pubsub.v1.Publisher/GetTopic" => {
            unary(call, |r: GetTopicRequest| ready(room.topics().topic(&r.topic))).await
        }
        "/google.pubsub.v1.Publisher/ListTopics" => {
            unary(call, |r| ready(list_topics(&room, &r))).await
        }
        "/google.pubsub.v1.Publisher/DeleteTopic" => {
            unary(call, |r: DeleteTopicRequest| ready(room.topics().delete_topic(&r.topic))).await
        }
        "/google.pubsub.v1.Subscriber/Pull" => unary(call, |r| pull(&room, r)).await,
        "/google.pubsub.v1.Subscriber/Acknowledge" => {
            unary(call, |r| ready(acknowledge(&room, &r))).await
        }
        "/google.pubsub.v1.Subscriber/CreateSubscription" => {
            unary(call, |wanted: Subscription| ready(room.create_subscription(wanted))).await
        }
        "/google.pubsub.v1.Subscriber/GetSubscription" => {
            unary(call, |r| ready(subscription(&room, &r))).await
        }
        "/google.pubsub.v1.Subscriber/ListSubscriptions" => {
            unary(call, |r| ready(list_subscriptions(&room, &r))).await
        }
        "/google.pubsub.v1.Subscriber/DeleteSubscription" => {
            unary(call, |r| ready(delete_subscription(&room, &r))).await
        }
        path => {
            let method = path.trim_start_matches("/google.pubsub.v1.").replace('/', ".");
            Status::unimplemented(format!("{method} is not part of the embedded Pub/Sub"))
                .into_http()
        }
    }
}

fn publish(room: &Room, request: PublishRequest) -> Result<PublishResponse, Status> {
    Ok(PublishResponse { message_ids: room.publish(request)? })
}

/// All topics of a project: page sizes are not kept.
#[expect(clippy::unnecessary_wraps, reason = "the shape of every method")]
fn list_topics(room: &Room, request: &ListTopicsRequest) -> Result<ListTopicsResponse, Status> {
    let topics = room.topics().list_topics(&request.project);
    Ok(ListTopicsResponse { topics, next_page_token: String::new() })
}

async fn pull(room: &Room, request: PullRequest) -> Result<PullResponse, Status> {
    let max = usize::try_from(request.max_messages).unwrap_or_default();
    if max == 0 {
        return Err(Status::invalid_argument("max_messages must be at least 1"));
    }
    #[expect(deprecated, reason = "tests that must not wait still use it")]
    let wait = if request.return_immediately { Duration::ZERO } else { PULL_WAIT };
    let received_messages = room.lease(&request.subscription, max, wait).await?;
    Ok(PullResponse { received_messages })
}

fn acknowledge(room: &Room, request: &AcknowledgeRequest) -> Result<(), Status> {
    room.acknowledge(&request.subscription, &request.ack_ids)
}

fn subscription(room: &Room, request: &GetSubscriptionRequest) -> Result<Subscription, Status> {
    room.topics().subscription(&request.subscription)
}

/// All subscriptions of a project: page sizes are not kept.
#[expect(clippy::unnecessary_wraps, reason = "the shape of every method")]
fn list_subscriptions(
    room: &Room,
    request: &ListSubscriptionsRequest,
) -> Result<ListSubscriptionsResponse, Status> {
    let subscriptions = room.topics().list_subscriptions(&request.project);
    Ok(ListSubscriptionsResponse { subscriptions, next_page_token: String::new() })
}

fn delete_subscription(room: &Room, request: &DeleteSubscriptionRequest) -> Result<(), Status> {
    room.delete_subscription(&request.subscription)
}

/// Decodes the call's request, answers it and encodes the reply.
async fn unary<Q, P, F>(
    call: http::Request<Body>,
    answer: impl FnMut(Q) -> F,
) -> http::Response<Body>
where
    Q: Message + Default + 'static,
    P: Message + 'static,
    F: Future<Output = Result<P, Status>>,
{
    Grpc::new(ProstCodec::<P, Q>::default())
        .max_decoding_message_size(MAX_DECODED_BYTES)
        .unary(Method(answer), call)
        .await
}

/// Lets a closure over plain messages answer a call.
struct Method<A>(A);

impl<A, Q, P, F> UnaryService<Q> for Method<A>
where
    A: FnMut(Q) -> F,
    F: Future<Output = Result<P, Status>>,
{
    type Response = P;
    type Future = Reply<F>;

    fn call(&mut self, request: Request<Q>) -> Reply<F> {
        Reply(Box::pin(self.0(request.into_inner())))
    }
}

/// A plain message on its way to becoming a response.
struct Reply<F>(Pin<Box<F>>);

impl<P, F: Future<Output = Result<P, Status>>> Future for Reply<F> {
    type Output = Result<Response<P>, Status>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context).map_ok(Response::new)
    }
}
