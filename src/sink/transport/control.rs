//! Calls of Pub/Sub's control plane, over the connection that publishes: endpoint, TLS and
//! credentials are found in one place only.

use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use tonic::client::Grpc;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::super::codes::{Failure, Fate};
use super::{Connection, root_cause, routing};

impl Connection {
    /// One attempt of one call that ends within `timeout`. `resource` is the name, and its field in
    /// the request, by which Google routes it.
    ///
    /// # Errors
    /// The server's status; `UNAVAILABLE` where no server answers or no token is to be had now,
    /// `UNAUTHENTICATED` without usable credentials, `DEADLINE_EXCEEDED` after `timeout`.
    pub(crate) async fn call<Q, A>(
        &self,
        method: &'static str,
        (key, resource): (&str, &str),
        message: Q,
        timeout: Duration,
    ) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let attempt = async {
            let mut request = Request::new(message);
            self.authorise(&mut request, routing(key, resource)).await.map_err(refused)?;
            request.set_timeout(timeout);
            let mut grpc = Grpc::new(self.channel.clone());
            let unreachable = |error| Status::unavailable(root_cause(&error));
            grpc.ready().await.map_err(unreachable)?;
            let codec = ProstCodec::<Q, A>::default();
            let answer = grpc.unary(request, PathAndQuery::from_static(method), codec).await;
            answer.map(tonic::Response::into_inner).map_err(|status| plain(&status))
        };
        let passed = || Status::deadline_exceeded("no answer in time");
        tokio::time::timeout(timeout, attempt).await.unwrap_or_else(|_| Err(passed()))
    }
}

/// Credentials that cannot be used, as the server would say it.
fn refused(failure: Failure) -> Status {
    match failure.fate {
        Fate::Stop(_) => Status::unauthenticated(failure.reason),
        _ => Status::unavailable(failure.reason),
    }
}

/// Tonic says "transport error" and keeps the reason below.
fn plain(status: &Status) -> Status {
    match std::error::Error::source(status) {
        Some(cause) => Status::new(status.code(), root_cause(cause)),
        None => Status::new(status.code(), status.message()),
    }
}
