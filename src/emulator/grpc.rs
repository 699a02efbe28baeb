//! From HTTP/2 calls to functions over plain messages: the messages crate has no server traits, and
//! two dozen methods need none.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    StreamingPullRequest, StreamingPullResponse,
};
use prost::Message;
use tonic::body::Body;
use tonic::server::{Grpc, StreamingService, UnaryService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::room::Room;
use super::stream::{self, Responses};

/// A request of 10,000,000 bytes and a little more must reach the check that refuses it by name.
const MAX_DECODED_BYTES: usize = 12 << 20;

/// Decodes the call's request, answers it and encodes the reply.
pub(super) async fn unary<Q, P, F>(
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

/// `StreamingPull`, the only method of which both sides are streams.
pub(super) async fn streaming_pull(
    room: Arc<Room>,
    call: http::Request<Body>,
) -> http::Response<Body> {
    Grpc::new(ProstCodec::<StreamingPullResponse, StreamingPullRequest>::default())
        .max_decoding_message_size(MAX_DECODED_BYTES)
        .streaming(StreamingMethod(room), call)
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

struct StreamingMethod(Arc<Room>);

impl StreamingService<StreamingPullRequest> for StreamingMethod {
    type Response = StreamingPullResponse;
    type ResponseStream = Responses;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Responses>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<StreamingPullRequest>>) -> Self::Future {
        let opening = stream::open(Arc::clone(&self.0), request.into_inner());
        Box::pin(async move { opening.await.map(Response::new) })
    }
}
