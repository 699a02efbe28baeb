//! A Pub/Sub whose every answer the test gives, and a sink that talks to it.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    PublishRequest, PublishResponse, PubsubMessage,
};
use mongo_gcp_stream::config::{GcpConfig, Millis, PubSubConfig};
use mongo_gcp_stream::error::PublishError;
use mongo_gcp_stream::event::{Destination, Lane, Message, Receipt};
use mongo_gcp_stream::flow::BackoffPolicy;
use mongo_gcp_stream::sink::{Connection, PubSubSink};
use mongo_gcp_stream::telemetry::StreamStatistics;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::server::UnaryService;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

pub const TOPIC: &str = "projects/p/topics/orders";

/// A request that waits for its answer. Dropping it loses the response: the client's attempt ends
/// at its deadline.
pub struct Arrival {
    pub request: PublishRequest,
    answer: oneshot::Sender<Result<(), Status>>,
}

impl Arrival {
    /// The ordering key that all messages carry; fails when they carry several.
    pub fn key(&self) -> &str {
        let key = &self.request.messages[0].ordering_key;
        assert!(self.request.messages.iter().all(|message| message.ordering_key == *key));
        key
    }

    /// The sequence numbers of the messages, in their order.
    pub fn sequences(&self) -> Vec<u64> {
        self.request.messages.iter().map(sequence).collect()
    }

    pub fn accept(self) {
        self.answer.send(Ok(())).ok();
    }

    pub fn refuse(self, status: Status) {
        self.answer.send(Err(status)).ok();
    }
}

fn sequence(message: &PubsubMessage) -> u64 {
    u64::from_be_bytes(message.data[..8].try_into().unwrap())
}

/// A message of `bytes` of data that begins with its sequence number.
pub fn message(sequence: u64, lane: Lane, bytes: usize) -> Message {
    let mut data = vec![0; bytes.max(8)];
    data[..8].copy_from_slice(&sequence.to_be_bytes());
    let ordering_key = match lane {
        Lane::Key(key) => format!("main.orders/{key}"),
        Lane::Unordered => String::new(),
        Lane::Barrier => "main.orders/barrier".to_owned(),
    };
    let message = PubsubMessage { data: data.into(), ordering_key, ..Default::default() };
    Message {
        sequence,
        to: Destination::Topic("t".into()),
        lane,
        body: message.encode_to_vec().into(),
        claim: None,
    }
}

/// Small messages of one key.
pub fn keyed(key: u64, sequences: impl IntoIterator<Item = u64>) -> Vec<Message> {
    sequences.into_iter().map(|sequence| message(sequence, Lane::Key(key), 8)).collect()
}

#[derive(Clone)]
struct Publisher(mpsc::UnboundedSender<Arrival>);

impl UnaryService<PublishRequest> for Publisher {
    type Response = PublishResponse;
    type Future = BoxFuture<'static, Result<Response<PublishResponse>, Status>>;

    fn call(&mut self, request: Request<PublishRequest>) -> Self::Future {
        let (answer, answered) = oneshot::channel();
        let request = request.into_inner();
        let message_ids = request.messages.iter().map(|m| sequence(m).to_string()).collect();
        self.0.send(Arrival { request, answer }).ok();
        Box::pin(async move {
            match answered.await {
                Ok(verdict) => verdict.map(|()| Response::new(PublishResponse { message_ids })),
                Err(_) => pending().await,
            }
        })
    }
}

impl tower::Service<http::Request<tonic::body::Body>> for Publisher {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        assert_eq!(request.uri().path(), "/google.pubsub.v1.Publisher/Publish");
        let service = self.clone();
        Box::pin(async move {
            let codec = ProstCodec::<PublishResponse, PublishRequest>::default();
            let mut grpc = tonic::server::Grpc::new(codec).max_decoding_message_size(20_000_000);
            Ok(grpc.unary(service, request).await)
        })
    }
}

/// The server.
pub struct Scripted {
    pub port: u16,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    _server: AbortOnDropHandle<()>,
}

impl Scripted {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve(listener)
    }

    pub fn serve(listener: TcpListener) -> Self {
        let port = listener.local_addr().unwrap().port();
        let (sender, arrivals) = mpsc::unbounded_channel();
        let server = tonic::transport::Server::builder()
            .serve_with_incoming(Publisher(sender), TcpListenerStream::new(listener));
        let server = AbortOnDropHandle::new(tokio::spawn(async move { server.await.unwrap() }));
        Self { port, arrivals, _server: server }
    }

    /// The next request.
    pub async fn next(&mut self) -> Arrival {
        self.arrivals.recv().await.unwrap()
    }

    /// The next `count` requests, all in flight at once.
    pub async fn next_all(&mut self, count: usize) -> Vec<Arrival> {
        let mut all = Vec::new();
        while all.len() < count {
            all.push(self.next().await);
        }
        all
    }

    /// True when no further request has arrived.
    pub fn is_quiet(&self) -> bool {
        self.arrivals.is_empty()
    }
}

/// What a test sets.
pub struct Setup {
    pub slots: u32,
    pub max_messages: u32,
    pub max_delay: Millis,
    pub request_timeout: Millis,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            slots: 8,
            max_messages: 1000,
            max_delay: Millis::from_millis(1),
            request_timeout: Millis::from_millis(60_000),
        }
    }
}

/// A sink and what comes out of it.
pub struct Rig {
    pub sink: PubSubSink,
    pub receipts: mpsc::Receiver<Receipt>,
    pub statistics: Arc<StreamStatistics>,
    connection: Connection,
}

impl Rig {
    pub fn new(port: u16, setup: &Setup) -> Self {
        let gcp: GcpConfig = serde_json::from_str(r#"{"project_id": "p"}"#).unwrap();
        let pubsub = config(port, setup);
        let connection = Connection::open(&gcp, &pubsub).unwrap();
        Self::over(connection, &pubsub)
    }

    /// Another sink over the same connection.
    pub fn beside(&self) -> Self {
        Self::over(self.connection.clone(), &config(0, &Setup::default()))
    }

    fn over(connection: Connection, pubsub: &PubSubConfig) -> Self {
        let (sender, receipts) = mpsc::channel(64);
        let statistics = Arc::new(StreamStatistics::default());
        let backoff = BackoffPolicy::new(1.0, Duration::from_millis(2));
        let topic = TOPIC.to_owned();
        let sink =
            PubSubSink::start(&connection, topic, pubsub, backoff, sender, statistics.clone());
        Self { sink, receipts, statistics, connection }
    }

    /// The sequence numbers of the next receipt, sorted.
    pub async fn published(&mut self) -> Vec<u64> {
        match self.receipts.recv().await {
            Some(Receipt::Published(mut sequences)) => {
                sequences.sort_unstable();
                sequences
            }
            other => panic!("{other:?}"),
        }
    }

    /// All that is receipted until the sink fails, sorted, and its error, which must be the last.
    pub async fn failed(&mut self) -> (Vec<u64>, PublishError) {
        let mut published = Vec::new();
        loop {
            match self.receipts.recv().await.unwrap() {
                Receipt::Published(sequences) => published.extend(sequences),
                Receipt::Failed(error) => {
                    assert!(self.receipts.recv().await.is_none());
                    published.sort_unstable();
                    return (published, error);
                }
            }
        }
    }
}

/// A section that leads to the server at `port`.
pub fn config(port: u16, setup: &Setup) -> PubSubConfig {
    let mut pubsub: PubSubConfig = serde_json::from_str(r#"{"topics": {}}"#).unwrap();
    pubsub.endpoint = Some(format!("http://127.0.0.1:{port}"));
    pubsub.slots = setup.slots;
    pubsub.batch.max_messages = setup.max_messages;
    pubsub.batch.max_delay = setup.max_delay;
    pubsub.batch.request_timeout = setup.request_timeout;
    pubsub
}
