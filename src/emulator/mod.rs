//! An embedded Pub/Sub on the loopback interface, for the demo, for users' tests and for ours. It
//! is a guest room: nothing in the line knows it, and the line reaches it like the real service.
//!
//! It speaks gRPC without TLS and without credentials, as Google's emulator does
//! (`PUBSUB_EMULATOR_HOST`), keeps a bounded number of bytes in memory and refuses what the service
//! refuses: an unknown topic, two ordering keys in one request, too many or too large messages and
//! attributes. Methods that it lacks answer `UNIMPLEMENTED` with their name.
//!
//! - `limits` checks a Publish request as the service does, `names` a name.
//! - `store` keeps messages and counts their bytes.
//! - `backlog` is one subscription: what waits, what is out on a lease, what may be delivered next.
//! - `subscriptions` and `topics` are what there is, and how it is made and changed.
//! - `faults` is what goes wrong on demand, `statistics` what happened.
//! - `room` shares all that and wakes what waits for it.
//! - `service` routes gRPC calls to the room, `stream` is `StreamingPull`.

mod backlog;
mod faults;
mod grpc;
mod iam;
mod limits;
mod names;
mod room;
mod service;
mod statistics;
mod store;
mod stream;
mod subscriptions;
mod topics;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{PubsubMessage, Subscription, Topic};
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

pub use self::faults::Fault;
use self::room::Room;
use self::service::PubsubService;
pub use self::statistics::Statistics;

/// How long [`Emulator::stop`] lets calls that are under way finish.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// HTTP/2 flow control: requests of up to 10 MB should not wait for window updates.
const WINDOW: u32 = 16 << 20;

/// Bytes of messages that are kept unless something else is asked for.
pub const DEFAULT_MAX_BYTES: usize = 256_000_000;

/// A Pub/Sub server inside this process. Dropping it closes the port and forgets all messages.
///
/// Topics and subscriptions have full names, `projects/PROJECT/topics/TOPIC` and
/// `projects/PROJECT/subscriptions/SUBSCRIPTION`. Messages wait in memory until they are
/// acknowledged; when they take [`DEFAULT_MAX_BYTES`], Publish answers `RESOURCE_EXHAUSTED`. A topic
/// without a subscription drops them, as the service does.
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    room: Arc<Room>,
    server: Option<JoinHandle<Result<(), tonic::transport::Error>>>,
}

impl Emulator {
    /// Starts to listen on 127.0.0.1 at `port`, or at a free port if it is 0. Must be called
    /// inside a tokio runtime, on which the server then runs.
    ///
    /// # Errors
    /// The port is taken or may not be bound.
    pub async fn start(port: u16) -> io::Result<Self> {
        Self::start_bounded(port, DEFAULT_MAX_BYTES).await
    }

    /// The same with another limit for what messages take in memory: their encoded size and 512
    /// bytes each.
    ///
    /// # Errors
    /// The port is taken or may not be bound.
    pub async fn start_bounded(port: u16, max_bytes: usize) -> io::Result<Self> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let room = Arc::new(Room::new(max_bytes));
        let server = tokio::spawn(
            Server::builder()
                .initial_stream_window_size(WINDOW)
                .initial_connection_window_size(WINDOW)
                .serve_with_incoming_shutdown(
                    PubsubService::new(Arc::clone(&room)),
                    TcpIncoming::from(listener).with_nodelay(Some(true)),
                    room.closing.clone().cancelled_owned(),
                ),
        );
        Ok(Self { address, room, server: Some(server) })
    }

    /// Where it listens; `PUBSUB_EMULATOR_HOST` is its text form.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for a malformed name, `ALREADY_EXISTS`.
    pub fn create_topic(&self, name: &str) -> Result<(), Status> {
        let topic = Topic { name: name.to_owned(), ..Topic::default() };
        self.room.state().topics.create_topic(topic).map(drop)
    }

    /// Creates a subscription that gets what is published from now on; an `ordered` one delivers
    /// the messages of an ordering key in the order in which they were published.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for a malformed name, `NOT_FOUND` for an unknown topic,
    /// `ALREADY_EXISTS`.
    pub fn create_subscription(
        &self,
        name: &str,
        topic: &str,
        ordered: bool,
    ) -> Result<(), Status> {
        let subscription = Subscription {
            name: name.to_owned(),
            topic: topic.to_owned(),
            enable_message_ordering: ordered,
            ..Subscription::default()
        };
        self.room.state().topics.create_subscription(subscription).map(drop)
    }

    /// Takes up to `max_messages` messages for good, without an acknowledgement to follow. Waits
    /// up to `wait` for the first one; empty if none came. A dropped call loses nothing.
    ///
    /// # Errors
    /// `NOT_FOUND` for an unknown subscription.
    pub async fn pull(
        &self,
        subscription: &str,
        max_messages: usize,
        wait: Duration,
    ) -> Result<Vec<PubsubMessage>, Status> {
        self.room.take(subscription, max_messages, wait).await
    }

    /// Lets something go wrong with Publish requests from now on. Of several faults that concern a
    /// request, the one that was set first and has times left strikes.
    pub fn fault(&self, fault: Fault) {
        self.room.state().faults.add(fault);
    }

    /// Forgets all faults, and ends the delays under way.
    pub fn clear_faults(&self) {
        self.room.state().faults.clear();
    }

    /// The counters.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.room.statistics()
    }

    /// The counters as soon as `goal` holds for them.
    pub async fn reached(&self, goal: impl Fn(&Statistics) -> bool) -> Statistics {
        self.room.reached(goal).await
    }

    /// Closes the port and waits for the calls that are under way, two seconds at most.
    pub async fn stop(mut self) {
        self.clear_faults();
        self.room.closing.cancel();
        if let Some(mut server) = self.server.take()
            && tokio::time::timeout(STOP_GRACE, &mut server).await.is_err()
        {
            server.abort();
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.room.closing.cancel();
    }
}
