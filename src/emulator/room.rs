//! The shared state behind one lock, and what waits for it to change.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    PublishRequest, PublishResponse, PubsubMessage, ReceivedMessage,
};
use prost::Message as _;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::backlog::{AckId, Consumer, Delivery, Demand};
use super::faults::{self, Action, Faults, Strike};
use super::limits;
use super::statistics::Statistics;
use super::store::Store;
use super::topics::Topics;

/// No lock is held while anything waits.
#[derive(Debug)]
pub(super) struct Room {
    state: Mutex<State>,
    store: Arc<Store>,
    /// Something may have become deliverable, or a subscription is gone.
    changed: Notify,
    /// A counter has moved.
    counted: Notify,
    /// Ends the streams.
    pub(super) closing: CancellationToken,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) topics: Topics,
    pub(super) faults: Faults,
    statistics: Statistics,
    last_consumer: Consumer,
}

impl Room {
    pub(super) fn new(max_bytes: usize) -> Self {
        let store = Store::new(max_bytes);
        let state = State {
            topics: Topics::new(Arc::clone(&store)),
            faults: Faults::default(),
            statistics: Statistics::default(),
            last_consumer: 0,
        };
        let (changed, counted) = (Notify::new(), Notify::new());
        let closing = CancellationToken::new();
        Self { state: Mutex::new(state), store, changed, counted, closing }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic in another thread left the maps intact: no change to them is done in halves.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn delete_subscription(&self, name: &str) -> Result<(), Status> {
        self.state().topics.delete_subscription(name)?;
        self.changed.notify_waiters();
        Ok(())
    }

    pub(super) async fn publish(
        self: Arc<Self>,
        request: PublishRequest,
    ) -> Result<PublishResponse, Status> {
        let Some(strike) = self.admit(&request)? else {
            return self.commit(request);
        };
        // A task of its own: what it commits is committed, even if the caller is gone by then.
        let struck = tokio::spawn(async move { self.suffer(&strike, request).await });
        struck.await.unwrap_or_else(|_| Err(Status::unavailable("stopped")))
    }

    /// Counts a request, refuses it where the service would, and looks what happens to it.
    fn admit(&self, request: &PublishRequest) -> Result<Option<Strike>, Status> {
        let mut state = self.state();
        state.statistics.attempts += 1;
        let found = state.topics.topic(&request.topic);
        let strike = match found.and_then(|_| limits::check_publish(request)) {
            Ok(()) => Ok(state.faults.next(request)),
            Err(refusal) => Err(refusal),
        };
        match &strike {
            Err(_) => state.statistics.refused += 1,
            Ok(Some(_)) => state.statistics.faults += 1,
            Ok(None) => {}
        }
        drop(state);
        self.counted.notify_waiters();
        strike
    }

    async fn suffer(
        &self,
        strike: &Strike,
        request: PublishRequest,
    ) -> Result<PublishResponse, Status> {
        match strike.action {
            Action::Refuse(code) => {
                strike.wait().await;
                Err(faults::status(code))
            }
            Action::Delay => {
                strike.wait().await;
                self.commit(request)
            }
            Action::LoseResponse(code) => {
                self.commit(request)?;
                strike.wait().await;
                Err(faults::status(code))
            }
        }
    }

    fn commit(&self, request: PublishRequest) -> Result<PublishResponse, Status> {
        let bytes = count(request.encoded_len());
        let mut state = self.state();
        let published = state.topics.publish(request);
        match &published {
            Ok(ids) => {
                state.statistics.requests += 1;
                state.statistics.messages += count(ids.len());
                state.statistics.bytes += bytes;
            }
            Err(_) => state.statistics.refused += 1,
        }
        drop(state);
        self.changed.notify_waiters();
        self.counted.notify_waiters();
        Ok(PublishResponse { message_ids: published? })
    }

    /// Forgets delivered messages.
    pub(super) fn acknowledge(&self, subscription: &str, ids: &[String]) -> Result<(), Status> {
        let ids = parse(ids)?;
        let mut state = self.state();
        let backlog = &mut state.topics.subscribed(subscription)?.backlog;
        let acknowledged = ids.into_iter().filter(|id| backlog.acknowledge(*id)).count();
        state.statistics.acknowledged += count(acknowledged);
        drop(state);
        self.changed.notify_waiters();
        self.counted.notify_waiters();
        Ok(())
    }

    /// Gives delivered messages other deadlines from now on; zero refuses one.
    pub(super) fn modify(
        &self,
        subscription: &str,
        ids: &[String],
        deadlines: impl IntoIterator<Item = Duration>,
    ) -> Result<(), Status> {
        let ids = parse(ids)?;
        let now = Instant::now();
        let mut state = self.state();
        let backlog = &mut state.topics.subscribed(subscription)?.backlog;
        for (id, deadline) in ids.into_iter().zip(deadlines) {
            backlog.modify(id, deadline, now);
        }
        state.topics.forward_dead_letters();
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    /// A new number for one who gets messages.
    pub(super) fn consumer(&self) -> Consumer {
        let mut state = self.state();
        state.last_consumer += 1;
        state.last_consumer
    }

    /// This consumer is gone.
    pub(super) fn release(&self, subscription: &str, consumer: Consumer) {
        if let Ok(subscribed) = self.state().topics.subscribed(subscription) {
            subscribed.backlog.release(consumer);
        }
    }

    /// What the consumer may get, as soon as that is something; nothing is delivered to a call
    /// that is dropped, because nothing waits between delivering and returning.
    pub(super) async fn deliver(
        &self,
        subscription: &str,
        demand: &Demand,
    ) -> Result<Vec<ReceivedMessage>, Status> {
        self.when_some(|state, now| {
            let subscribed = state.topics.subscribed(subscription)?;
            let counts_attempts = subscribed.dead_letter_topic().is_some();
            let delivered = subscribed.backlog.lease(demand, now);
            state.statistics.delivered += count(delivered.len());
            Ok(delivered.into_iter().map(|delivery| received(&delivery, counts_attempts)).collect())
        })
        .await
    }

    /// One Pull: up to `max` messages, or none after `wait`.
    pub(super) async fn pull(
        &self,
        subscription: &str,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<ReceivedMessage>, Status> {
        let consumer = self.consumer();
        let pulled = self.when_some(|state, now| {
            let subscribed = state.topics.subscribed(subscription)?;
            let counts_attempts = subscribed.dead_letter_topic().is_some();
            let demand = demand_of_pull(consumer, max, subscribed.ack_deadline());
            let delivered = subscribed.backlog.lease(&demand, now);
            subscribed.backlog.release_after(&delivered);
            state.statistics.delivered += count(delivered.len());
            Ok(delivered.into_iter().map(|delivery| received(&delivery, counts_attempts)).collect())
        });
        timeout(wait, pulled).await.unwrap_or_else(|_elapsed| Ok(Vec::new()))
    }

    /// Up to `max` messages for good, or none after `wait`.
    pub(super) async fn take(
        &self,
        subscription: &str,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<PubsubMessage>, Status> {
        let consumer = self.consumer();
        let taken = self.when_some(|state, now| {
            let subscribed = state.topics.subscribed(subscription)?;
            let demand = demand_of_pull(consumer, max, subscribed.ack_deadline());
            let delivered = subscribed.backlog.lease(&demand, now);
            for delivery in &delivered {
                subscribed.backlog.acknowledge(delivery.ack_id);
            }
            state.statistics.delivered += count(delivered.len());
            state.statistics.acknowledged += count(delivered.len());
            Ok(delivered.into_iter().map(|delivery| delivery.stored.message().clone()).collect())
        });
        timeout(wait, taken).await.unwrap_or_else(|_elapsed| Ok(Vec::new()))
    }

    /// The counters, as soon as they are as wanted.
    pub(super) async fn reached(&self, goal: impl Fn(&Statistics) -> bool) -> Statistics {
        loop {
            let counted = self.counted.notified();
            let statistics = self.statistics();
            if goal(&statistics) {
                return statistics;
            }
            counted.await;
        }
    }

    pub(super) fn statistics(&self) -> Statistics {
        let state = self.state();
        // Under the lock: what the other counters say has happened is done with.
        let kept_bytes = count(self.store.kept_bytes());
        Statistics { kept_bytes, ..state.statistics }
    }

    /// What `choose` returns, as soon as that is something.
    async fn when_some<T>(
        &self,
        choose: impl Fn(&mut State, Instant) -> Result<Vec<T>, Status>,
    ) -> Result<Vec<T>, Status> {
        loop {
            // Created before the look at the state, so that no change goes unseen.
            let changed = self.changed.notified();
            let next_expiry = {
                let now = Instant::now();
                let mut state = self.state();
                let next_expiry = state.topics.expire(now);
                let chosen = choose(&mut state, now)?;
                if !chosen.is_empty() {
                    drop(state);
                    self.counted.notify_waiters();
                    return Ok(chosen);
                }
                next_expiry
            };
            match next_expiry {
                Some(expiry) => timeout_at(expiry, changed).await.unwrap_or_default(),
                None => changed.await,
            }
        }
    }
}

fn demand_of_pull(consumer: Consumer, messages: usize, ack_deadline: Duration) -> Demand {
    let (max_outstanding_messages, max_outstanding_bytes) = (usize::MAX, usize::MAX);
    Demand { consumer, messages, max_outstanding_messages, max_outstanding_bytes, ack_deadline }
}

/// Attempts are only counted for a subscription with a dead letter policy (protocol comments).
fn received(delivery: &Delivery, counts_attempts: bool) -> ReceivedMessage {
    let attempt = i32::try_from(delivery.attempt).unwrap_or(i32::MAX);
    ReceivedMessage {
        ack_id: delivery.ack_id.to_string(),
        message: Some(delivery.stored.message().clone()),
        delivery_attempt: if counts_attempts { attempt } else { 0 },
    }
}

fn parse(ids: &[String]) -> Result<Vec<AckId>, Status> {
    let parsed: Result<Vec<AckId>, ()> = ids.iter().map(|id| id.parse()).collect();
    parsed.map_err(|()| Status::invalid_argument("an acknowledgement id is not one of ours"))
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
