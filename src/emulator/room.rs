//! The shared state behind one lock, and the pulls that wait for it to change.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    PublishRequest, PubsubMessage, ReceivedMessage, Subscription, Topic,
};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::Status;

use super::backlog::{Backlog, Sequence};
use super::topics::Topics;

type Delivered = Vec<(Sequence, Arc<PubsubMessage>)>;

/// No lock is held while anything waits.
#[derive(Debug, Default)]
pub(super) struct Room {
    topics: Mutex<Topics>,
    /// Something may have become deliverable, or a subscription is gone.
    changed: Notify,
}

impl Room {
    pub(super) fn topics(&self) -> MutexGuard<'_, Topics> {
        // A panic in another thread left the maps intact: no change to them is done in halves.
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn create_topic(&self, topic: Topic) -> Result<Topic, Status> {
        self.topics().create_topic(topic)
    }

    pub(super) fn create_subscription(&self, wanted: Subscription) -> Result<Subscription, Status> {
        self.topics().create_subscription(wanted)
    }

    pub(super) fn delete_subscription(&self, name: &str) -> Result<(), Status> {
        self.topics().delete_subscription(name)?;
        self.changed.notify_waiters();
        Ok(())
    }

    pub(super) fn publish(&self, request: PublishRequest) -> Result<Vec<String>, Status> {
        let ids = self.topics().publish(request)?;
        self.changed.notify_waiters();
        Ok(ids)
    }

    /// Forgets delivered messages; the ids are those of [`Room::lease`].
    pub(super) fn acknowledge(&self, subscription: &str, ids: &[String]) -> Result<(), Status> {
        let sequences: Vec<Sequence> =
            ids.iter().map(|id| id.parse()).collect::<Result<_, _>>().map_err(|_| {
                Status::invalid_argument("an acknowledgement id is not one of ours")
            })?;
        let mut topics = self.topics();
        let backlog = topics.backlog(subscription)?;
        sequences.into_iter().for_each(|sequence| backlog.acknowledge(sequence));
        drop(topics);
        self.changed.notify_waiters();
        Ok(())
    }

    /// Delivers messages that are to be acknowledged.
    pub(super) async fn lease(
        &self,
        subscription: &str,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<ReceivedMessage>, Status> {
        let leased = self.deliver(subscription, wait, |backlog, now| backlog.lease(max, now));
        let received = |(sequence, message): (Sequence, Arc<PubsubMessage>)| ReceivedMessage {
            ack_id: sequence.to_string(),
            message: Some(Arc::unwrap_or_clone(message)),
            delivery_attempt: 0,
        };
        Ok(leased.await?.into_iter().map(received).collect())
    }

    /// Delivers messages for good.
    pub(super) async fn take(
        &self,
        subscription: &str,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Arc<PubsubMessage>>, Status> {
        let taken = self.deliver(subscription, wait, |backlog, now| backlog.take(max, now));
        Ok(taken.await?.into_iter().map(|(_, message)| message).collect())
    }

    /// What `choose` gets out of the backlog, as soon as that is something; nothing is taken out
    /// by a call that is dropped, because nothing waits between taking and returning.
    async fn deliver(
        &self,
        subscription: &str,
        wait: Duration,
        choose: impl Fn(&mut Backlog, Instant) -> Delivered,
    ) -> Result<Delivered, Status> {
        let delivery = async {
            loop {
                // Created before the look at the backlog, so that no change goes unseen.
                let changed = self.changed.notified();
                let next_expiry = {
                    let mut topics = self.topics();
                    let backlog = topics.backlog(subscription)?;
                    let delivered = choose(backlog, Instant::now());
                    if !delivered.is_empty() {
                        return Ok(delivered);
                    }
                    backlog.next_expiry()
                };
                match next_expiry {
                    Some(expiry) => timeout_at(expiry, changed).await.unwrap_or_default(),
                    None => changed.await,
                }
            }
        };
        timeout(wait, delivery).await.unwrap_or_else(|_elapsed| Ok(Delivered::new()))
    }
}
