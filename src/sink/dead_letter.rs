//! Where dead letters go: into a file, to a topic, or both, or to who asks for them; one task a
//! stream.
//!
//! A dead letter is a [`Message`] like any other and gives one receipt, once it is safe wherever it
//! is to go: first in the file, then at the topic.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::Sink as _;
use super::lanes::Refused;
use super::pubsub::PubSubSink;
use super::topics::Publishing;
use crate::error::{PublishError, PublishErrorKind};
use crate::event::{Lane, Message, Receipt};
use crate::telemetry::StreamStatistics;

pub(crate) mod file;
mod refused;

pub use file::DeadLetterFile;

/// Dead letters that are written, and synced, together.
const MOST_AT_ONCE: usize = 256;

/// Receipts of the topic that may wait.
const RECEIPTS: usize = 16;

/// Where the dead letters of a stream go.
#[derive(Clone, Debug)]
pub struct DeadLetterPlaces {
    /// The stream, `<connection id>.<source name>`.
    pub stream: Arc<str>,
    /// The file, shared by the streams.
    pub file: Option<Arc<DeadLetterFile>>,
    /// The topic, `projects/…/topics/…`.
    pub topic: Option<Arc<str>>,
    /// Who asks for them instead: the caller of a sink that lives as long as a bundle.
    pub asked: Option<Asked>,
}

/// Dead letters until somebody takes them. Cheap to clone: all clones are one. Who uses it bounds
/// what is in it, by taking.
#[derive(Clone, Debug, Default)]
pub struct Asked(Arc<Mutex<Vec<Message>>>);

impl Asked {
    /// What has come since it was asked the last time.
    #[must_use]
    pub fn take(&self) -> Vec<Message> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, messages: &[Message]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(messages);
    }
}

/// Takes the dead letters of one stream. Cheap to clone; when the last handle is dropped, its task
/// stops.
#[derive(Clone, Debug)]
pub(super) struct DeadLetters {
    stream: Arc<str>,
    /// What waits is bounded by the budget upstream, which gets back what has its receipt.
    input: mpsc::UnboundedSender<Command>,
    failure: Arc<OnceLock<PublishError>>,
    _task: Arc<AbortOnDropHandle<()>>,
}

#[derive(Debug)]
enum Command {
    /// A dead letter, and who wants to know that it is safe.
    Keep(Message, Option<oneshot::Sender<()>>),
    Flush(oneshot::Sender<()>),
}

impl DeadLetters {
    /// Starts the task on the Tokio runtime of the caller.
    pub fn start(places: DeadLetterPlaces, shared: &Publishing) -> Self {
        let (input, commands) = mpsc::unbounded_channel();
        let (accept, accepted) = mpsc::channel(RECEIPTS);
        let failure = Arc::new(OnceLock::new());
        let task = Task {
            commands,
            file: places.file,
            topic: places.topic.map(|topic| shared.publisher(&topic, accept, None)),
            asked: places.asked,
            accepted,
            receipts: shared.receipts.clone(),
            waiting: HashMap::new(),
            left: 0,
            flushes: Vec::new(),
            statistics: Arc::clone(&shared.statistics),
        };
        let told = Arc::clone(&failure);
        let task = tokio::spawn(task.run(told).in_current_span());
        let task = Arc::new(AbortOnDropHandle::new(task));
        Self { stream: places.stream, input, failure, _task: task }
    }

    /// Takes over dead letters that are messages already.
    pub fn keep(&self, messages: Vec<Message>) -> Result<(), PublishError> {
        messages
            .into_iter()
            .try_for_each(|message| self.input.send(Command::Keep(message, None)))
            .map_err(|_| self.failure())
    }

    /// Makes a dead letter of a message that `topic` refuses. What comes back tells that it is
    /// safe; it is cancelled where it never will be.
    pub fn bury(&self, topic: &str, refused: &Refused) -> oneshot::Receiver<()> {
        let (safe, told) = oneshot::channel();
        let message = refused::dead_letter(&self.stream, topic, refused);
        // Where the task has ended, `safe` is dropped with the command.
        self.input.send(Command::Keep(message, Some(safe))).ok();
        told
    }

    /// Waits until all that was taken over before is safe.
    pub async fn flush(&self) -> Result<(), PublishError> {
        let (done, flushed) = oneshot::channel();
        self.input.send(Command::Flush(done)).map_err(|_| self.failure())?;
        flushed.await.map_err(|_| self.failure())
    }

    /// Why nothing is taken any more.
    fn failure(&self) -> PublishError {
        self.failure.get().cloned().unwrap_or_else(|| PublishError {
            kind: PublishErrorKind::Shutdown,
            message: "the sink was stopped".to_owned(),
            sequence: None,
        })
    }
}

/// What runs behind the handles.
struct Task {
    commands: mpsc::UnboundedReceiver<Command>,
    file: Option<Arc<DeadLetterFile>>,
    topic: Option<PubSubSink>,
    asked: Option<Asked>,
    /// Receipts of the topic.
    accepted: mpsc::Receiver<Receipt>,
    /// Receipts of the dead letters that are safe everywhere.
    receipts: mpsc::Sender<Receipt>,
    /// Who waits for which number; several dead letters of a change have the same.
    waiting: HashMap<u64, Vec<oneshot::Sender<()>>>,
    /// Dead letters taken over that are not safe yet.
    left: usize,
    flushes: Vec<oneshot::Sender<()>>,
    statistics: Arc<StreamStatistics>,
}

impl Task {
    async fn run(mut self, failure: Arc<OnceLock<PublishError>>) {
        let Err(error) = self.serve().await else { return };
        tracing::debug!(%error, "dead letters cannot be kept");
        failure.get_or_init(|| error.clone());
        // Before whoever waits finds that it waits for nothing: the first failure told is the cause.
        self.receipts.send(Receipt::Failed(error)).await.ok();
    }

    async fn serve(&mut self) -> Result<(), PublishError> {
        let mut commands = Vec::new();
        loop {
            tokio::select! {
                biased;
                Some(receipt) = self.accepted.recv() => self.accept(receipt).await?,
                count = self.commands.recv_many(&mut commands, MOST_AT_ONCE) => {
                    if count == 0 {
                        return Ok(());
                    }
                    let messages = self.sort(commands.drain(..));
                    self.keep(messages).await?;
                }
            }
            if self.left == 0 {
                for done in self.flushes.drain(..) {
                    done.send(()).ok();
                }
            }
        }
    }

    /// Notes who waits for what.
    fn sort(&mut self, commands: impl Iterator<Item = Command>) -> Vec<Message> {
        let mut messages = Vec::new();
        for command in commands {
            match command {
                Command::Keep(mut message, safe) => {
                    self.waiting.entry(message.sequence).or_default().extend(safe);
                    message.lane = Lane::Unordered;
                    messages.push(message);
                }
                Command::Flush(done) => self.flushes.push(done),
            }
        }
        self.left += messages.len();
        messages
    }

    /// Writes dead letters to the file, then hands them to the topic.
    async fn keep(&mut self, messages: Vec<Message>) -> Result<(), PublishError> {
        if messages.is_empty() {
            return Ok(());
        }
        let sequences: Vec<u64> = messages.iter().map(|message| message.sequence).collect();
        if let Some(file) = &self.file {
            let (file, lines) = (Arc::clone(file), messages.iter().map(line).collect());
            append(file, lines).await?;
        }
        if let Some(asked) = &self.asked {
            asked.put(&messages);
        }
        let Some(mut topic) = self.topic.take() else {
            return self.safe(sequences).await;
        };
        let published = self.publish(&mut topic, messages).await;
        self.topic = Some(topic);
        published
    }

    /// Receipts are taken in meanwhile: a topic that is at its end waits for that.
    async fn publish(
        &mut self,
        topic: &mut PubSubSink,
        messages: Vec<Message>,
    ) -> Result<(), PublishError> {
        let publish = topic.publish(messages, true);
        tokio::pin!(publish);
        loop {
            tokio::select! {
                biased;
                Some(receipt) = self.accepted.recv() => self.accept(receipt).await?,
                published = &mut publish => return published,
            }
        }
    }

    async fn accept(&mut self, receipt: Receipt) -> Result<(), PublishError> {
        match receipt {
            Receipt::Published(sequences) => self.safe(sequences).await,
            Receipt::Failed(error) => Err(error),
        }
    }

    /// These dead letters are wherever they are to be.
    async fn safe(&mut self, sequences: Vec<u64>) -> Result<(), PublishError> {
        self.left -= sequences.len();
        self.statistics.dead_lettered.fetch_add(sequences.len() as u64, Relaxed);
        let waiting: Vec<_> =
            sequences.iter().filter_map(|sequence| self.next_waiting(*sequence)).collect();
        // Without a receiver nobody wants to know.
        self.receipts.send(Receipt::Published(sequences)).await.ok();
        for safe in waiting {
            safe.send(()).ok();
        }
        Ok(())
    }

    fn next_waiting(&mut self, sequence: u64) -> Option<oneshot::Sender<()>> {
        let waiting = self.waiting.get_mut(&sequence)?;
        let next = waiting.pop();
        if waiting.is_empty() {
            self.waiting.remove(&sequence);
        }
        next
    }
}

/// The data of a dead letter, one line of a file.
fn line(message: &Message) -> Bytes {
    PubsubMessage::decode(message.body.clone()).unwrap_or_default().data
}

async fn append(file: Arc<DeadLetterFile>, lines: Vec<Bytes>) -> Result<(), PublishError> {
    let path = file.path().display().to_string();
    let written = spawn_blocking(move || file.append(&lines)).await;
    written.unwrap_or_else(|lost| Err(io::Error::other(lost))).map_err(|error| PublishError {
        kind: PublishErrorKind::DeadLetter,
        message: format!("dead letters cannot be written to {path}: {error}"),
        sequence: None,
    })
}

#[cfg(test)]
mod tests;
