//! The sink of one stream: a publisher for each topic that its messages go to.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::Sink;
use super::claim_check::ClaimStore;
use super::dead_letter::{DeadLetterPlaces, DeadLetters};
use super::pubsub::{Outcomes, PubSubSink};
use super::transport::Connection;
use crate::config::PubSubConfig;
use crate::error::{PublishError, PublishErrorKind};
use crate::event::{Destination, Lane, Message, Receipt};
use crate::flow::BackoffPolicy;
use crate::telemetry::StreamStatistics;

/// What the publishers of one stream share.
#[derive(Debug)]
pub struct Publishing {
    /// The connection to Pub/Sub.
    pub connection: Connection,
    /// Batching, slots and lanes, for each topic.
    pub pubsub: PubSubConfig,
    /// How failures are waited out.
    pub backoff: BackoffPolicy,
    /// What becomes of the messages.
    pub receipts: mpsc::Sender<Receipt>,
    /// What is told about it.
    pub statistics: Arc<StreamStatistics>,
    /// Where dead letters go. Without it a message that is refused for good ends the stream.
    pub dead_letters: Option<DeadLetterPlaces>,
    /// Where the data of large messages goes.
    pub claims: Option<Arc<ClaimStore>>,
}

impl Publishing {
    /// Starts the publisher of `topic`.
    pub(super) fn publisher(
        &self,
        topic: &str,
        receipts: mpsc::Sender<Receipt>,
        dead_letters: Option<DeadLetters>,
    ) -> PubSubSink {
        let statistics = Arc::clone(&self.statistics);
        let (backoff, claims) = (self.backoff.clone(), self.claims.clone());
        PubSubSink::publish_to(
            &self.connection,
            topic.to_owned(),
            &self.pubsub,
            Outcomes { backoff, receipts, statistics, dead_letters, claims },
        )
    }
}

/// Publishers that are kept at the most: the names that a template makes may have no end.
const MOST_PUBLISHERS: usize = 1000;

/// Sends the messages of one stream to their topics. Order is kept in each topic; a topic's
/// publisher starts with its first message.
#[derive(Debug)]
pub struct Topics {
    shared: Publishing,
    /// Few, as a rule: found by looking at each.
    publishers: Vec<(Destination, PubSubSink)>,
    dead_letters: Option<DeadLetters>,
    /// A dead letter has been handed over since the last flush.
    letters_on_their_way: bool,
    /// A barrier has been handed to its topic alone since the last flush.
    barrier_on_its_way: bool,
}

impl Topics {
    /// No publisher yet; they are started on the Tokio runtime of the caller.
    #[must_use]
    pub fn new(shared: Publishing) -> Self {
        let places = shared.dead_letters.clone();
        let dead_letters = places.map(|places| DeadLetters::start(places, &shared));
        Self {
            shared,
            publishers: Vec::new(),
            dead_letters,
            letters_on_their_way: false,
            barrier_on_its_way: false,
        }
    }

    async fn publisher(&mut self, to: &Destination) -> Result<&mut PubSubSink, PublishError> {
        let known = self.publishers.iter().position(|(known, _)| known == to);
        let index = if let Some(index) = known {
            index
        } else {
            if self.publishers.len() >= MOST_PUBLISHERS {
                // With nothing under way, new ones go on in order.
                self.flush().await?;
                self.publishers.clear();
            }
            let publisher = self.start(to)?;
            self.publishers.push((to.clone(), publisher));
            self.publishers.len() - 1
        };
        Ok(&mut self.publishers[index].1)
    }

    fn start(&self, to: &Destination) -> Result<PubSubSink, PublishError> {
        let Destination::Topic(topic) = to else {
            return Err(no_place());
        };
        let dead_letters = self.dead_letters.clone();
        Ok(self.shared.publisher(topic, self.shared.receipts.clone(), dead_letters))
    }

    /// Hands messages that go to one place over.
    async fn hand_over(
        &mut self,
        to: &Destination,
        messages: Vec<Message>,
        urgent: bool,
    ) -> Result<(), PublishError> {
        if *to == Destination::DeadLetter {
            self.letters_on_their_way = true;
            return self.dead_letters.as_ref().ok_or_else(no_place)?.keep(messages);
        }
        self.publisher(to).await?.publish(messages, urgent).await
    }

    /// Sends `messages` to their topics, in order for each.
    async fn spread(&mut self, messages: Vec<Message>, urgent: bool) -> Result<(), PublishError> {
        for (to, messages) in by_destination(messages) {
            self.hand_over(&to, messages, urgent).await?;
        }
        Ok(())
    }

    /// Sends messages with a barrier among them: the barrier of one topic is one for all.
    async fn spread_around_barriers(
        &mut self,
        messages: Vec<Message>,
        urgent: bool,
    ) -> Result<(), PublishError> {
        let mut before = Vec::new();
        let mut messages = messages.into_iter().peekable();
        while let Some(message) = messages.next() {
            let barrier = message.lane == Lane::Barrier;
            if barrier {
                self.spread(std::mem::take(&mut before), urgent).await?;
                self.flush().await?;
            }
            let sequence = message.sequence;
            before.push(message);
            // The copies of a barrier for several topics go out together.
            let ends = messages.peek().is_none_or(|next| next.sequence != sequence);
            if barrier && ends {
                self.spread(std::mem::take(&mut before), urgent).await?;
                self.flush().await?;
            }
        }
        self.spread(before, urgent).await
    }
}

impl Sink for Topics {
    async fn publish(&mut self, messages: Vec<Message>, urgent: bool) -> Result<(), PublishError> {
        let Some(first) = messages.first() else { return Ok(()) };
        let to = first.to.clone();
        let one = !self.letters_on_their_way
            && self.publishers.iter().all(|(known, _)| *known == to)
            && messages.iter().all(|message| message.to == to);
        let barrier = messages.iter().any(|message| message.lane == Lane::Barrier);
        if one {
            // A publisher keeps its own barriers.
            self.barrier_on_its_way |= barrier;
            return self.hand_over(&to, messages, urgent).await;
        }
        if self.barrier_on_its_way {
            self.flush().await?;
        }
        if barrier {
            self.spread_around_barriers(messages, urgent).await
        } else {
            self.spread(messages, urgent).await
        }
    }

    async fn flush(&mut self) -> Result<(), PublishError> {
        // All of them, also after one has failed: what can be published is.
        let flushes = self.publishers.iter_mut().map(|(_, publisher)| publisher.flush());
        let published: Result<(), PublishError> = join_all(flushes).await.into_iter().collect();
        self.barrier_on_its_way = false;
        // Dead letters after the topics, which may still make some.
        if let Some(dead_letters) = &self.dead_letters {
            let kept = dead_letters.flush().await;
            self.letters_on_their_way = false;
            return published.and(kept);
        }
        published
    }
}

fn no_place() -> PublishError {
    PublishError {
        kind: PublishErrorKind::DeadLetter,
        message: "there is no place for dead letters".into(),
        sequence: None,
    }
}

/// The messages of each destination, in their order.
fn by_destination(messages: Vec<Message>) -> Vec<(Destination, Vec<Message>)> {
    let mut parts: Vec<(Destination, Vec<Message>)> = Vec::new();
    for message in messages {
        match parts.iter_mut().find(|(to, _)| *to == message.to) {
            Some((_, part)) => part.push(message),
            None => parts.push((message.to.clone(), vec![message])),
        }
    }
    parts
}
