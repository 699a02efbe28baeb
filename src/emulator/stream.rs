//! `StreamingPull`: messages to the client, acknowledgements and deadlines from it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, stream};
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::streaming_pull_response::SubscriptionProperties;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    ReceivedMessage, StreamingPullRequest, StreamingPullResponse,
};
use tonic::{Status, Streaming};

use super::backlog::Demand;
use super::room::Room;
use super::subscriptions::{extension, stream_deadline};

/// Most messages in one response; the service sends at most a thousand.
const MAX_MESSAGES: usize = 1_000;

pub(super) type Responses =
    Pin<Box<dyn Stream<Item = Result<StreamingPullResponse, Status>> + Send>>;

/// One `StreamingPull`. Messages that it has when it ends stay out until their deadlines.
#[derive(Debug)]
struct StreamingPull {
    room: Arc<Room>,
    subscription: String,
    demand: Demand,
    /// The client expects an answer to its pings (`protocol_version` 1 and above).
    answers_pings: bool,
}

/// Reads the first request, which must name the subscription.
pub(super) async fn open(
    room: Arc<Room>,
    mut requests: Streaming<StreamingPullRequest>,
) -> Result<Responses, Status> {
    let first = requests.message().await?;
    let first = first.ok_or_else(|| Status::invalid_argument("the stream holds no request"))?;
    let pull = StreamingPull::begin(room, &first)?;
    Ok(Box::pin(stream::try_unfold((pull, requests), next)))
}

type Ends = (StreamingPull, Streaming<StreamingPullRequest>);

/// The next response; none once the client has said its last.
async fn next(
    (mut pull, mut requests): Ends,
) -> Result<Option<(StreamingPullResponse, Ends)>, Status> {
    let closing = pull.room.closing.clone();
    loop {
        let messages = tokio::select! {
            biased;
            request = requests.message() => match request? {
                Some(request) => match pull.apply(&request)? {
                    Pong::Expected => Vec::new(),
                    Pong::None => continue,
                },
                None => return Ok(None),
            },
            () = closing.cancelled() => {
                return Err(Status::unavailable("the embedded Pub/Sub stops"));
            }
            messages = pull.room.deliver(&pull.subscription, &pull.demand) => messages?,
        };
        let response = pull.response(messages)?;
        return Ok(Some((response, (pull, requests))));
    }
}

enum Pong {
    Expected,
    None,
}

impl StreamingPull {
    fn begin(room: Arc<Room>, first: &StreamingPullRequest) -> Result<Self, Status> {
        room.state().topics.subscribed(&first.subscription)?;
        let demand = Demand {
            consumer: room.consumer(),
            messages: MAX_MESSAGES,
            max_outstanding_messages: limit(first.max_outstanding_messages),
            max_outstanding_bytes: limit(first.max_outstanding_bytes),
            ack_deadline: stream_deadline(first.stream_ack_deadline_seconds)?,
        };
        let answers_pings = first.protocol_version >= 1;
        let subscription = first.subscription.clone();
        let pull = Self { room, subscription, demand, answers_pings };
        pull.settle(first)?;
        Ok(pull)
    }

    /// A request after the first one.
    fn apply(&mut self, request: &StreamingPullRequest) -> Result<Pong, Status> {
        let only_first = !request.subscription.is_empty()
            || request.max_outstanding_messages != 0
            || request.max_outstanding_bytes != 0
            || request.protocol_version != 0;
        if only_first {
            return Err(Status::invalid_argument(
                "subscription, limits and protocol version belong in the first request",
            ));
        }
        if request.stream_ack_deadline_seconds != 0 {
            self.demand.ack_deadline = stream_deadline(request.stream_ack_deadline_seconds)?;
        }
        self.settle(request)?;
        let pings = request.ack_ids.is_empty() && request.modify_deadline_ack_ids.is_empty();
        Ok(if pings && self.answers_pings { Pong::Expected } else { Pong::None })
    }

    /// What a request says about messages.
    fn settle(&self, request: &StreamingPullRequest) -> Result<(), Status> {
        let (ids, seconds) = (&request.modify_deadline_ack_ids, &request.modify_deadline_seconds);
        if ids.len() != seconds.len() {
            return Err(Status::invalid_argument(
                "modify_deadline_seconds and modify_deadline_ack_ids differ in length",
            ));
        }
        let deadlines: Vec<Duration> =
            seconds.iter().map(|seconds| extension(*seconds)).collect::<Result<_, _>>()?;
        if !ids.is_empty() {
            self.room.modify(&self.subscription, ids, deadlines)?;
        }
        if !request.ack_ids.is_empty() {
            self.room.acknowledge(&self.subscription, &request.ack_ids)?;
        }
        Ok(())
    }

    fn response(
        &self,
        received_messages: Vec<ReceivedMessage>,
    ) -> Result<StreamingPullResponse, Status> {
        let mut state = self.room.state();
        let settings = &state.topics.subscribed(&self.subscription)?.settings;
        let properties = SubscriptionProperties {
            exactly_once_delivery_enabled: settings.enable_exactly_once_delivery,
            message_ordering_enabled: settings.enable_message_ordering,
        };
        Ok(StreamingPullResponse {
            received_messages,
            subscription_properties: Some(properties),
            ..StreamingPullResponse::default()
        })
    }
}

impl Drop for StreamingPull {
    fn drop(&mut self) {
        self.room.release(&self.subscription, self.demand.consumer);
    }
}

/// Zero and less mean no limit (protocol comments).
fn limit(asked: i64) -> usize {
    if asked <= 0 { usize::MAX } else { usize::try_from(asked).unwrap_or(usize::MAX) }
}
