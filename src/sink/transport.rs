//! The connection to Pub/Sub: endpoint, TLS, credentials, and one attempt of one request.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use tonic::Request;
use tonic::client::Grpc;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::transport::{Channel, ClientTlsConfig};

use super::batcher::Batch;
use super::codec::{MessageIds, PublishCodec, PublishFrame, topic_field};
use super::codes::{Failure, Fate};
use crate::config::{Endpoint, GcpConfig, PubSubConfig};
use crate::error::{ConfigError, Error, PublishError, PublishErrorKind};
use crate::gcp::Credentials;

mod control;

const PUBLISH: &str = "/google.pubsub.v1.Publisher/Publish";
/// What Google's own clients use (`grpc.keepalive_time_ms` of the generated Python publisher).
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to Pub/Sub that any number of sinks share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connection {
    channel: Channel,
    credentials: Option<Arc<Credentials>>,
}

/// A topic, prepared for requests.
#[derive(Clone, Debug)]
pub struct Topic {
    /// `projects/…/topics/…`.
    pub name: String,
    /// The field that opens every request.
    pub field: Bytes,
    /// Value of `x-goog-request-params`, by which Google routes a request.
    routing: AsciiMetadataValue,
}

impl Topic {
    /// Prepares `projects/…/topics/…`.
    #[must_use]
    pub fn new(name: String) -> Self {
        Self { field: topic_field(&name), routing: routing("topic", &name), name }
    }
}

/// Value of `x-goog-request-params` for a call whose field `key` names the resource `name`.
fn routing(key: &str, name: &str) -> AsciiMetadataValue {
    let routing = format!("{key}={}", percent_encoded(name));
    routing.parse().expect("percent-encoded text is a header value")
}

/// `text` with all but RFC 3986's unreserved characters escaped, as <https://google.aip.dev/4222>
/// asks for.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len() + 8), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string never fails.
            write!(encoded, "%{byte:02X}").ok();
        }
        encoded
    })
}

impl Connection {
    /// Prepares the connection; it is made with the first request, and made again whenever it
    /// breaks. In this order it goes to `PUBSUB_EMULATOR_HOST`, to `pubsub.endpoint`, to the
    /// endpoint of `gcp.region`, to the service's own. Needs a Tokio runtime.
    ///
    /// # Errors
    /// [`Error::Config`] for an unusable `pubsub.endpoint`; [`Error::Publish`], `Auth` when there
    /// are no credentials, `Unavailable` when `PUBSUB_EMULATOR_HOST` is no address.
    pub fn open(gcp: &GcpConfig, pubsub: &PubSubConfig) -> Result<Self, Error> {
        Self::open_at(pubsub.endpoint.as_deref(), gcp.region.as_deref())
    }

    /// [`open`](Self::open) without the rest of the configuration.
    ///
    /// # Errors
    /// As `open`.
    pub(crate) fn open_at(configured: Option<&str>, region: Option<&str>) -> Result<Self, Error> {
        let emulator = std::env::var("PUBSUB_EMULATOR_HOST").ok().filter(|host| !host.is_empty());
        match endpoint(emulator.as_deref(), configured, region)? {
            Endpoint::Plain(uri) => {
                Ok(Self { channel: transport(&uri)?.connect_lazy(), credentials: None })
            }
            Endpoint::Secure(uri) => {
                let tls = ClientTlsConfig::new().with_native_roots().timeout(CONNECT_TIMEOUT);
                let channel = transport(&uri)?
                    .tls_config(tls)
                    .map_err(|error| unusable(&uri, &root_cause(&error)))?
                    .connect_lazy();
                let credentials = Credentials::find().map_err(PublishError::from)?;
                Ok(Self { channel, credentials: Some(Arc::new(credentials)) })
            }
        }
    }

    /// Adds credentials and routing to a request; returns the generation of the credentials.
    async fn authorise<T>(
        &self,
        request: &mut Request<T>,
        routing: AsciiMetadataValue,
    ) -> Result<u64, Failure> {
        let mut generation = 0;
        if let Some(credentials) = &self.credentials {
            let headers;
            (generation, headers) = credentials.headers().await?;
            *request.metadata_mut() = MetadataMap::from_headers(headers);
        }
        request.metadata_mut().insert("x-goog-request-params", routing);
        Ok(generation)
    }

    /// One attempt to publish `batch`, which ends within `timeout`.
    pub(super) async fn publish<I: MessageIds>(
        &self,
        topic: &Topic,
        batch: Arc<Batch>,
        timeout: Duration,
    ) -> Result<I, Failure> {
        tokio::time::timeout(timeout, self.attempt(topic, batch, timeout))
            .await
            .unwrap_or_else(|_| Err(Failure::unknown("DEADLINE_EXCEEDED")))
    }

    async fn attempt<I: MessageIds>(
        &self,
        topic: &Topic,
        batch: Arc<Batch>,
        timeout: Duration,
    ) -> Result<I, Failure> {
        let sent = batch.messages.len();
        let frame = PublishFrame { topic: topic.field.clone(), batch };
        let codec = PublishCodec::<I>::new(&frame);
        let mut request = Request::new(frame);
        let generation = self.authorise(&mut request, topic.routing.clone()).await?;
        request.set_timeout(timeout);
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|_| Failure::unknown("UNAVAILABLE"))?;
        match grpc.unary(request, PathAndQuery::from_static(PUBLISH), codec).await {
            Ok(response) if response.get_ref().count() == sent => Ok(response.into_inner()),
            Ok(_) => Err(Failure::unknown("another number of message ids than of messages")),
            Err(status) => {
                let failure = Failure::from(&status);
                if failure.fate == Fate::Renew
                    && let Some(credentials) = &self.credentials
                {
                    credentials.renew(generation)?;
                }
                Err(failure)
            }
        }
    }
}

fn transport(uri: &str) -> Result<tonic::transport::Endpoint, PublishError> {
    let endpoint = tonic::transport::Endpoint::from_shared(uri.to_owned())
        .and_then(|endpoint| {
            endpoint.user_agent(concat!("mongo-gcp-stream/", env!("CARGO_PKG_VERSION")))
        })
        .map_err(|error| unusable(uri, &root_cause(&error)))?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true))
}

fn endpoint(
    emulator: Option<&str>,
    configured: Option<&str>,
    region: Option<&str>,
) -> Result<Endpoint, ConfigError> {
    if let Some(host) = emulator {
        let host = host.trim_start_matches("http://").trim_end_matches('/');
        return Ok(Endpoint::Plain(format!("http://{host}")));
    }
    if let Some(configured) = configured {
        return Endpoint::parse(configured);
    }
    let host = region.map_or_else(
        || "pubsub.googleapis.com".to_owned(),
        |region| format!("{region}-pubsub.googleapis.com"),
    );
    Ok(Endpoint::Secure(format!("https://{host}")))
}

fn unusable(endpoint: &str, reason: &str) -> PublishError {
    PublishError {
        kind: PublishErrorKind::Unavailable,
        message: format!("the Pub/Sub endpoint {endpoint:?} cannot be used: {reason}"),
        sequence: None,
    }
}

/// The innermost error: tonic's outer ones only say "transport error".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(uri: &str) -> Endpoint {
        Endpoint::Plain(uri.into())
    }

    fn secure(uri: &str) -> Endpoint {
        Endpoint::Secure(uri.into())
    }

    #[test]
    fn the_emulator_goes_before_all_else() {
        for host in ["localhost:8085", "http://localhost:8085", "http://localhost:8085/"] {
            let given = endpoint(Some(host), Some("https://other"), Some("europe-west1"));
            assert_eq!(given, Ok(plain("http://localhost:8085")));
        }
    }

    #[test]
    fn the_endpoint_is_that_of_the_configuration_or_the_region_or_the_service() {
        let given = |configured, region| endpoint(None, configured, region).unwrap();
        let region = Some("europe-west1");
        assert_eq!(given(Some("https://x.test"), region), secure("https://x.test"));
        assert_eq!(given(Some("https://x.test:443"), None), secure("https://x.test:443"));
        assert_eq!(given(None, region), secure("https://europe-west1-pubsub.googleapis.com"));
        assert_eq!(given(None, None), secure("https://pubsub.googleapis.com"));
    }

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear() {
        for uri in ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"] {
            assert_eq!(endpoint(None, Some(uri), None), Ok(plain(uri)));
        }
        for uri in ["http://pubsub.googleapis.com", "http://10.0.0.1:1", "ftp://localhost", "a b"] {
            let error = endpoint(None, Some(uri), None).unwrap_err();
            assert_eq!(error.path, "pubsub.endpoint", "{uri}");
        }
    }

    #[test]
    fn the_routing_header_is_escaped() {
        let topic = Topic::new("projects/p/topics/a+b%c\n".into());
        assert_eq!(topic.routing, "topic=projects%2Fp%2Ftopics%2Fa%2Bb%25c%0A");
    }
}
