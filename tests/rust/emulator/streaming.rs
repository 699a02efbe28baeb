//! `StreamingPull`: what a client receives, and what it may say.

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    DeleteSubscriptionRequest, ReceivedMessage, StreamingPullRequest, StreamingPullResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::{Client, SUBSCRIPTION, TOPIC, data, message};

/// One stream, from the client's side.
struct Stream {
    requests: mpsc::Sender<StreamingPullRequest>,
    responses: Streaming<StreamingPullResponse>,
}

fn first() -> StreamingPullRequest {
    StreamingPullRequest {
        subscription: SUBSCRIPTION.to_owned(),
        stream_ack_deadline_seconds: 60,
        ..StreamingPullRequest::default()
    }
}

impl Client {
    async fn stream(&self, first: StreamingPullRequest) -> Result<Stream, Status> {
        let (requests, to_send) = mpsc::channel(8);
        requests.send(first).await.unwrap();
        let mut subscriber = self.subscriber.clone();
        let responses = subscriber.streaming_pull(ReceiverStream::new(to_send)).await?;
        Ok(Stream { requests, responses: responses.into_inner() })
    }
}

impl Stream {
    async fn receive(&mut self) -> Vec<ReceivedMessage> {
        self.responses.message().await.unwrap().expect("the stream goes on").received_messages
    }

    async fn acknowledge(&self, received: &[&ReceivedMessage]) {
        let ack_ids = received.iter().map(|message| message.ack_id.clone()).collect();
        self.send(StreamingPullRequest { ack_ids, ..StreamingPullRequest::default() }).await;
    }

    async fn refuse(&self, received: &ReceivedMessage) {
        let request = StreamingPullRequest {
            modify_deadline_ack_ids: vec![received.ack_id.clone()],
            modify_deadline_seconds: vec![0],
            ..StreamingPullRequest::default()
        };
        self.send(request).await;
    }

    async fn send(&self, request: StreamingPullRequest) {
        self.requests.send(request).await.unwrap();
    }

    async fn end(&mut self) -> Code {
        self.responses.message().await.expect_err("the stream is aborted").code()
    }
}

#[tokio::test]
async fn messages_stream_as_they_are_published() {
    let mut client = Client::start().await;
    let mut stream = client.stream(first()).await.unwrap();
    for data in ["1", "2", "3"] {
        client.publish(vec![message("a", data)]).await.unwrap();
        // Nothing was acknowledged yet: the stream that has a key gets the rest of it.
        assert_eq!(super::data(&stream.receive().await), [data]);
    }
}

#[tokio::test]
async fn what_is_acknowledged_on_the_stream_is_gone() {
    let mut client = Client::start().await;
    client.publish(vec![message("a", "1"), message("a", "2")]).await.unwrap();
    let mut stream = client.stream(first()).await.unwrap();
    let response = stream.responses.message().await.unwrap().unwrap();
    assert!(response.subscription_properties.unwrap().message_ordering_enabled);
    let received = response.received_messages;
    assert_eq!(data(&received), ["1", "2"]);
    stream.acknowledge(&received.iter().collect::<Vec<_>>()).await;
    let counted = client.emulator.reached(|counted| counted.acknowledged == 2).await;
    assert_eq!((counted.delivered, counted.kept_bytes), (2, 0));
}

#[tokio::test]
async fn a_refused_message_comes_again_and_the_later_ones_of_its_key_after_it() {
    let mut client = Client::start().await;
    for (key, data) in [("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3")] {
        client.publish(vec![message(key, data)]).await.unwrap();
    }
    let mut stream = client.stream(first()).await.unwrap();
    let received = stream.receive().await;
    assert_eq!(data(&received), ["a1", "a2", "b1", "a3"]);
    stream.refuse(&received[1]).await;
    assert_eq!(data(&stream.receive().await), ["a2", "a3"]);
}

#[tokio::test]
async fn no_more_is_out_than_the_client_allows() {
    let mut client = Client::start().await;
    client.publish(["1", "2", "3", "4"].map(|data| message("", data)).to_vec()).await.unwrap();
    let limited = StreamingPullRequest { max_outstanding_messages: 3, ..first() };
    let mut stream = client.stream(limited).await.unwrap();
    let received = stream.receive().await;
    assert_eq!(data(&received), ["1", "2", "3"]);
    stream.acknowledge(&[&received[1]]).await;
    assert_eq!(data(&stream.receive().await), ["4"]);
}

#[tokio::test]
async fn bytes_that_are_out_are_limited_as_well() {
    let mut client = Client::start().await;
    client.publish(["1", "2"].map(|data| message("", data)).to_vec()).await.unwrap();
    let limited = StreamingPullRequest { max_outstanding_bytes: 1, ..first() };
    let mut stream = client.stream(limited).await.unwrap();
    let received = stream.receive().await;
    assert_eq!(data(&received), ["1"]);
    stream.acknowledge(&[&received[0]]).await;
    assert_eq!(data(&stream.receive().await), ["2"]);
}

#[tokio::test]
async fn two_streams_share_a_subscription_but_not_a_key() {
    let mut client = Client::start().await;
    client.publish(vec![message("a", "a1")]).await.unwrap();
    let two = StreamingPullRequest { max_outstanding_messages: 2, ..first() };
    let mut one = client.stream(two).await.unwrap();
    assert_eq!(data(&one.receive().await), ["a1"]);
    let mut other = client.stream(first()).await.unwrap();
    client.publish(vec![message("a", "a2")]).await.unwrap();
    assert_eq!(data(&one.receive().await), ["a2"]);
    // The first has as much as it allows: what it may not get, it does not hold up.
    client.publish(vec![message("a", "a3")]).await.unwrap();
    client.publish(vec![message("b", "b1")]).await.unwrap();
    assert_eq!(data(&other.receive().await), ["b1"]);
}

#[tokio::test]
async fn a_first_request_must_be_right() {
    let client = Client::start().await;
    let missing = "projects/demo/subscriptions/missing".to_owned();
    let cases = [
        (StreamingPullRequest { subscription: missing, ..first() }, Code::NotFound),
        (StreamingPullRequest { stream_ack_deadline_seconds: 9, ..first() }, Code::InvalidArgument),
        (
            StreamingPullRequest { modify_deadline_seconds: vec![10], ..first() },
            Code::InvalidArgument,
        ),
        (
            StreamingPullRequest { ack_ids: vec!["nonsense".to_owned()], ..first() },
            Code::InvalidArgument,
        ),
    ];
    for (request, code) in cases {
        let refusal = client.stream(request).await.err().expect("a refusal");
        assert_eq!(refusal.code(), code);
    }
}

#[tokio::test]
async fn what_belongs_in_the_first_request_aborts_the_stream_later() {
    let client = Client::start().await;
    let unset = StreamingPullRequest::default();
    let negative = StreamingPullRequest {
        modify_deadline_ack_ids: vec!["0-1".to_owned()],
        modify_deadline_seconds: vec![-1],
        ..unset.clone()
    };
    for request in [
        first(),
        StreamingPullRequest { max_outstanding_messages: 5, ..unset.clone() },
        StreamingPullRequest { stream_ack_deadline_seconds: 601, ..unset },
        negative,
    ] {
        let mut stream = client.stream(self::first()).await.unwrap();
        stream.send(request).await;
        assert_eq!(stream.end().await, Code::InvalidArgument);
    }
}

#[tokio::test]
async fn a_ping_is_answered_where_the_client_expects_it() {
    let client = Client::start().await;
    let pinging = StreamingPullRequest { protocol_version: 1, ..first() };
    let mut stream = client.stream(pinging).await.unwrap();
    stream.send(StreamingPullRequest::default()).await;
    assert!(stream.receive().await.is_empty());
}

#[tokio::test]
async fn a_stream_ends_with_the_client_its_subscription_or_the_server() {
    let mut client = Client::start().await;
    let mut stream = client.stream(first()).await.unwrap();
    drop(stream.requests);
    assert!(stream.responses.message().await.unwrap().is_none());

    stream = client.stream(first()).await.unwrap();
    let delete = DeleteSubscriptionRequest { subscription: SUBSCRIPTION.to_owned() };
    client.subscriber.delete_subscription(delete).await.unwrap();
    assert_eq!(stream.end().await, Code::NotFound);

    client.emulator.create_subscription(SUBSCRIPTION, TOPIC, true).unwrap();
    stream = client.stream(first()).await.unwrap();
    client.emulator.stop().await;
    assert_eq!(stream.end().await, Code::Unavailable);
}
