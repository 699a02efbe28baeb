//! The sink for Pub/Sub: a handle with a short channel to one task that owns all lanes.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::Sink;
use super::batcher::Limits;
use super::claim_check::{ClaimStore, store};
use super::codes::Failure;
use super::culprit::Culprit;
use super::dead_letter::DeadLetters;
use super::lane::LaneId;
use super::lanes::{Halt, Lanes, Request, Rules, Settled};
use super::transport::{Connection, Topic};
use crate::config::PubSubConfig;
use crate::error::{PublishError, PublishErrorKind};
use crate::event::{Message, Receipt};
use crate::flow::BackoffPolicy;
use crate::telemetry::{Part, StreamStatistics};

/// Calls of `publish` that may wait for the task. What waits in the lanes is bounded by the budget
/// upstream.
const CHANNEL_CAPACITY: usize = 2;

/// Publishes to one topic. Dropping it stops its task; what is in flight then may or may not
/// arrive.
///
/// Receipts must be read while `publish` and `flush` are waited for: a flush is over when they
/// have all been handed over.
#[derive(Debug)]
pub struct PubSubSink {
    input: mpsc::Sender<Command>,
    failure: Arc<OnceLock<PublishError>>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug)]
enum Command {
    Publish { messages: Vec<Message>, urgent: bool },
    Flush(oneshot::Sender<()>),
}

/// How a sink deals with what becomes of its messages.
#[derive(Debug)]
pub(super) struct Outcomes {
    /// How failures are waited out.
    pub backoff: BackoffPolicy,
    /// Who is told.
    pub receipts: mpsc::Sender<Receipt>,
    /// What is told about it.
    pub statistics: Arc<StreamStatistics>,
    /// Takes what is refused for good; without it everything ends before such a message.
    pub dead_letters: Option<DeadLetters>,
    /// Where what messages only refer to is stored, before they are sent.
    pub claims: Option<Arc<ClaimStore>>,
}

impl PubSubSink {
    /// Starts the sink of `topic` (`projects/…/topics/…`) on the Tokio runtime of the caller. An
    /// unreachable Pub/Sub is waited out.
    ///
    /// A request that succeeds gives one [`Receipt::Published`] (several share one while
    /// `receipts` is full); what cannot be waited out gives one [`Receipt::Failed`], the last.
    /// When a message is refused for good, all that precede it are published first; until then
    /// `publish` and `flush` wait.
    #[must_use]
    pub fn start(
        connection: &Connection,
        topic: String,
        pubsub: &PubSubConfig,
        backoff: BackoffPolicy,
        receipts: mpsc::Sender<Receipt>,
        statistics: Arc<StreamStatistics>,
    ) -> Self {
        let outcomes = Outcomes { backoff, receipts, statistics, dead_letters: None, claims: None };
        Self::publish_to(connection, topic, pubsub, outcomes)
    }

    /// Starts the sink of `topic`. With dead letters a refused message goes there, and no other is
    /// held up; its receipt comes from there.
    pub(super) fn publish_to(
        connection: &Connection,
        topic: String,
        pubsub: &PubSubConfig,
        outcomes: Outcomes,
    ) -> Self {
        let topic = Arc::new(Topic::new(topic));
        let batch = &pubsub.batch;
        let limits = Limits {
            messages: batch.max_messages as usize,
            bytes: usize::try_from(batch.max_bytes.bytes()).unwrap_or(usize::MAX),
            overhead: topic.field.len(),
        };
        let (input, commands) = mpsc::channel(CHANNEL_CAPACITY);
        let failure = Arc::new(OnceLock::new());
        let task = Task {
            connection: connection.clone(),
            claims: outcomes.claims,
            topic,
            timeout: batch.request_timeout.duration(),
            delay: batch.max_delay.duration(),
            delay_catching_up: batch.max_delay_catching_up.duration(),
            lanes: Lanes::new(Rules {
                limits,
                slots: pubsub.slots.max(1) as usize,
                backoff: outcomes.backoff,
                held_bytes: usize::try_from(batch.max_held.bytes()).unwrap_or(usize::MAX),
                dead_letters: outcomes.dead_letters.is_some(),
            }),
            commands,
            attempts: FuturesUnordered::new(),
            dead_letters: outcomes.dead_letters,
            letters: FuturesUnordered::new(),
            receipts: outcomes.receipts,
            acknowledged: Vec::new(),
            flushes: Vec::new(),
            statistics: outcomes.statistics,
            failure: Arc::clone(&failure),
        };
        let task = AbortOnDropHandle::new(tokio::spawn(task.run().in_current_span()));
        Self { input, failure, _task: task }
    }

    /// Why the task takes nothing any more.
    fn failure(&self) -> PublishError {
        self.failure.get().cloned().unwrap_or_else(|| PublishError {
            kind: PublishErrorKind::Shutdown,
            message: "the sink was stopped".to_owned(),
            sequence: None,
        })
    }
}

impl Sink for PubSubSink {
    /// When the returned future is dropped before it ends, the messages are lost.
    async fn publish(&mut self, messages: Vec<Message>, urgent: bool) -> Result<(), PublishError> {
        if self.input.send(Command::Publish { messages, urgent }).await.is_err() {
            return Err(self.failure());
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), PublishError> {
        let (done, flushed) = oneshot::channel();
        if self.input.send(Command::Flush(done)).await.is_err() {
            return Err(self.failure());
        }
        flushed.await.map_err(|_| self.failure())
    }
}

type Attempt = BoxFuture<'static, (LaneId, Result<(), Failure>)>;

/// What runs behind the handle.
struct Task {
    connection: Connection,
    /// Where the data of large messages goes first.
    claims: Option<Arc<ClaimStore>>,
    topic: Arc<Topic>,
    timeout: Duration,
    delay: Duration,
    delay_catching_up: Duration,
    lanes: Lanes,
    commands: mpsc::Receiver<Command>,
    attempts: FuturesUnordered<Attempt>,
    dead_letters: Option<DeadLetters>,
    /// Dead letters that are not safe yet.
    letters: FuturesUnordered<oneshot::Receiver<()>>,
    receipts: mpsc::Sender<Receipt>,
    /// Published, not yet in a receipt.
    acknowledged: Vec<u64>,
    flushes: Vec<oneshot::Sender<()>>,
    statistics: Arc<StreamStatistics>,
    failure: Arc<OnceLock<PublishError>>,
}

impl Task {
    async fn run(mut self) {
        let Err(halt) = self.serve().await else { return };
        // What is in flight may still arrive, and then it counts; until then the handle waits.
        // After a refused message nothing is in flight any more.
        while let Some((lane, outcome)) = self.attempts.next().await {
            if outcome.is_ok() {
                self.settle(lane, outcome).ok();
            }
        }
        // Without a receiver nobody wants to know.
        if !self.acknowledged.is_empty() {
            self.receipts.send(Receipt::Published(self.acknowledged)).await.ok();
        }
        let error = explain(&halt, &self.topic.name);
        // Set before the channel closes: whoever finds it closed finds the reason.
        self.failure.get_or_init(|| error.clone());
        self.commands.close();
        self.flushes.clear();
        self.receipts.send(Receipt::Failed(error)).await.ok();
    }

    /// Serves the handle until it is gone, or nothing more may be sent.
    async fn serve(&mut self) -> Result<(), Halt> {
        let timer = sleep_until(Instant::now());
        tokio::pin!(timer);
        loop {
            while let Some(request) = self.lanes.next_request(Instant::now())? {
                self.send(request);
            }
            self.bury();
            if !self.hand_over() {
                return Ok(());
            }
            let wake = self.lanes.wake_at();
            if let Some(at) = wake
                && timer.deadline() != at
            {
                timer.as_mut().reset(at);
            }
            tokio::select! {
                biased;
                // Used by `hand_over`: a permit kept here would borrow the task.
                _ = async { self.receipts.reserve().await.is_ok() }, if !self.acknowledged.is_empty() => {}
                Some((lane, outcome)) = self.attempts.next() => self.settle(lane, outcome)?,
                Some(safe) = self.letters.next() => match safe {
                    Ok(()) => self.lanes.letter_is_safe(),
                    Err(_) => return Err(unkept()),
                },
                command = self.commands.recv(), if self.lanes.has_room() => match command {
                    Some(command) => self.take(command),
                    None => return Ok(()),
                },
                () = &mut timer, if wake.is_some() => {}
            }
        }
    }

    /// Passes receipts on, as far as there is room, and ends flushes that have nothing left to
    /// wait for. False when nobody reads receipts any more.
    fn hand_over(&mut self) -> bool {
        if !self.acknowledged.is_empty() {
            match self.receipts.try_reserve() {
                Ok(permit) => {
                    permit.send(Receipt::Published(std::mem::take(&mut self.acknowledged)));
                }
                Err(TrySendError::Full(())) => {}
                Err(TrySendError::Closed(())) => return false,
            }
        }
        if self.lanes.is_idle() && self.acknowledged.is_empty() {
            for done in self.flushes.drain(..) {
                // A flush that nobody waits for any more is over as well.
                done.send(()).ok();
            }
        }
        true
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Publish { messages, urgent } => {
                let delay = if urgent { self.delay } else { self.delay_catching_up };
                self.lanes.accept(messages, Instant::now() + delay);
            }
            Command::Flush(done) => {
                self.lanes.flush();
                self.flushes.push(done);
            }
        }
    }

    fn send(&mut self, request: Request) {
        if request.retry {
            self.statistics.retries.fetch_add(1, Relaxed);
        }
        let connection = self.connection.clone();
        let topic = Arc::clone(&self.topic);
        let timeout = self.timeout;
        let claims = self.claims.clone();
        self.attempts.push(Box::pin(async move {
            if let Err(failure) = store(claims.as_deref(), &request.batch).await {
                return (request.lane, Err(failure));
            }
            let published = connection.publish::<usize>(&topic, request.batch, timeout).await;
            (request.lane, published.map(drop))
        }));
    }

    /// Makes dead letters of the messages that were refused.
    fn bury(&mut self) {
        let Some(dead_letters) = &self.dead_letters else { return };
        while let Some(refused) = self.lanes.next_letter() {
            let Culprit { name, bytes, .. } =
                Culprit::new(&refused.message, refused.message.body.len());
            let topic = self.topic.name.as_str();
            let reason = refused.reason.as_str();
            tracing::warn!(topic, reason, bytes, "the message for {name} becomes a dead letter");
            self.letters.push(dead_letters.bury(topic, &refused));
        }
    }

    fn settle(&mut self, lane: LaneId, outcome: Result<(), Failure>) -> Result<(), Halt> {
        let topic = self.topic.name.as_str();
        let settled = self.lanes.settle(lane, outcome, Instant::now());
        if let Settled::Again { attempts: 1.., reason, .. } = &settled {
            self.statistics.interrupted(Part::Sink, reason);
        }
        match settled {
            Settled::Published { batch, recovered } => {
                self.statistics.requests.fetch_add(1, Relaxed);
                self.acknowledged.extend(batch.messages.iter().map(|message| message.sequence));
                if recovered {
                    self.statistics.recovered(Part::Sink);
                    tracing::info!(topic, ?lane, "publishing works again");
                }
            }
            // One warning for an outage, not one for each lane and attempt.
            Settled::Again { attempts, first: true, reason } => {
                tracing::warn!(topic, ?lane, attempts, reason, "publishing failed, trying again");
            }
            Settled::Again { attempts, first: false, reason } => {
                tracing::debug!(topic, ?lane, attempts, reason, "publishing failed, trying again");
            }
            Settled::Refused { recovered: true } => self.statistics.recovered(Part::Sink),
            Settled::Refused { recovered: false } | Settled::Dropped => {}
            Settled::Halted(halt) => return Err(halt),
        }
        Ok(())
    }
}

/// The end where a refused message cannot become a dead letter. Why has been told already.
fn unkept() -> Halt {
    let reason = "a message is refused, and its dead letter cannot be kept".to_owned();
    Halt { kind: PublishErrorKind::DeadLetter, reason, culprit: None }
}

fn explain(halt: &Halt, topic: &str) -> PublishError {
    let reason = &halt.reason;
    let message = match (halt.kind, &halt.culprit) {
        (PublishErrorKind::TooLarge, Some(Culprit { bytes, name, .. })) => {
            format!("the message for {name} needs a request of {bytes} bytes to {topic}: {reason}")
        }
        (PublishErrorKind::Rejected, Some(Culprit { bytes, name, .. })) => {
            format!("Pub/Sub refuses the message of {bytes} bytes for {name} to {topic}: {reason}")
        }
        (PublishErrorKind::ClaimCheck, _) => {
            format!("the data of a large message cannot be stored: {reason}")
        }
        (PublishErrorKind::TopicMissing, _) => format!("{topic} does not exist: {reason}"),
        (PublishErrorKind::Auth, _) => format!("not allowed to publish to {topic}: {reason}"),
        (_, _) => format!("{topic} does not take messages: {reason}"),
    };
    let sequence = halt.culprit.as_ref().map(|culprit| culprit.sequence);
    PublishError { kind: halt.kind, message, sequence }
}
