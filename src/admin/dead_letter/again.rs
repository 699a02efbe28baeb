//! Delivers a dead letter: reads its event again, so that what the configuration says now is
//! applied to true data, and falls back on the message that was kept.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mongodb::bson::Timestamp;
use prost::Message as _;
use tokio::time::timeout;

use super::publish::publish;
use super::{Letter, Outcome};
use crate::checkpoint::{open_client, open_source};
use crate::config::{Config, OnEventTooLarge, StreamConfig};
use crate::error::{Error, PublishErrorKind, SourceErrorKind};
use crate::event::{Batch, ChangeEvent, Destination, Lane, Message, Position};
use crate::sink::{ClaimStore, Connection};
use crate::source::{self, Source, StartAt};
use crate::transform::{Context, Transform};

/// What a redrive needs for each dead letter.
pub(super) struct Redrive<'a> {
    config: &'a Config,
    streams: Vec<StreamConfig>,
    connection: Connection,
    timeout: Duration,
}

/// What became of the search for an event.
enum Read {
    Event(Vec<u8>),
    /// It cannot be found any more.
    Lost(&'static str),
    /// It is not where it was, or what comes after it has been reached without it.
    Passed,
}

type Delivered = (Outcome, String);

impl<'a> Redrive<'a> {
    pub fn new(config: &'a Config, timeout: Duration) -> Result<Self, Error> {
        let sections = config.require_run()?;
        let connection = Connection::open(sections.gcp, sections.pubsub)?;
        Ok(Self { config, streams: config.streams()?, connection, timeout })
    }

    /// Delivers one dead letter. An error is about more than this one.
    pub async fn deliver(&self, letter: &Letter) -> Result<Delivered, Error> {
        match timeout(self.timeout, self.attempt(letter)).await {
            Ok(delivered) => delivered,
            Err(_) => Ok(left("it was not read and published in time")),
        }
    }

    async fn attempt(&self, letter: &Letter) -> Result<Delivered, Error> {
        let named = |stream: &&StreamConfig| stream.id.to_string() == letter.stream;
        let Some(stream) = self.streams.iter().find(named) else {
            return Ok(left("the configuration has no stream of this name"));
        };
        let stream = &*self.with_own_schema(stream).await?;
        let transform = Transform::compile(self.config, stream)?;
        match self.read(stream, &transform, letter).await? {
            Read::Event(event) => self.apply(stream, &transform, &event, letter).await,
            Read::Lost(why) => self.resume(letter, why).await,
            Read::Passed => Ok(left("its stream does not show the event any more")),
        }
    }

    /// The stream with the schema of its collection, where that is what documents are held against.
    async fn with_own_schema<'s>(
        &self,
        stream: &'s StreamConfig,
    ) -> Result<Cow<'s, StreamConfig>, Error> {
        if !stream.source.validation.json_schema.is_unread() {
            return Ok(Cow::Borrowed(stream));
        }
        let client = open_client(self.config, stream).await?;
        let known = source::with_own_schema(&client, stream).await;
        client.shutdown().await;
        known
    }

    /// Reads the event of `letter` again.
    async fn read(
        &self,
        stream: &StreamConfig,
        transform: &Transform,
        letter: &Letter,
    ) -> Result<Read, Error> {
        let (Some(at), Some(id)) = (letter.operation_time(), &letter.event_id) else {
            return Ok(Read::Lost("it does not tell its event's id and time"));
        };
        let checkpoint = self.config.require_run()?.checkpoint;
        // An event before it that the server cannot return is no reason to give up.
        let mut reading = stream.clone();
        reading.source.on_event_too_large = OnEventTooLarge::Skip;
        let mut source = open_source(self.config, checkpoint, &reading).await?;
        match source.open(StartAt::Position(Position::OperationTime(at))).await {
            Err(error) if error.kind == SourceErrorKind::HistoryLost => {
                return Ok(Read::Lost("the oplog no longer holds its event"));
            }
            opened => opened?,
        };
        loop {
            let batch = source.next_batch().await?;
            if let Some(read) = look(&batch, transform, id, at) {
                return Ok(read);
            }
        }
    }

    async fn apply(
        &self,
        stream: &StreamConfig,
        transform: &Transform,
        event: &[u8],
        letter: &Letter,
    ) -> Result<Delivered, Error> {
        let context = Context { redriven: true, ..Context::now() };
        let mut messages = match transform.apply(0, event, &context) {
            Ok(messages) => messages,
            Err(refused) => return Ok(left(&refused.to_string())),
        };
        // A message that another topic took is not sent there once more.
        let refused_by = letter.message.as_ref().map(|message| message.topic.as_str());
        let is_one = |message: &Message| goes_to(message, refused_by);
        if messages.iter().any(is_one) {
            messages.retain(is_one);
        }
        if messages.is_empty() {
            return Ok((Outcome::Skipped, String::new()));
        }
        self.send(ClaimStore::open(&stream.source)?, messages, Outcome::Redriven).await
    }

    /// Goes on behind the stage that the event had come to.
    async fn resume(&self, letter: &Letter, why: &str) -> Result<Delivered, Error> {
        let stored = letter.message.as_ref().filter(|_| letter.stage == "publish");
        let message = stored.and_then(|stored| Some((stored.message()?, &stored.topic)));
        let Some((body, topic)) = message else { return Ok(left(why)) };
        let lane = if body.ordering_key.is_empty() { Lane::Unordered } else { Lane::Key(0) };
        let (to, body) = (Destination::Topic(topic.as_str().into()), body.encode_to_vec());
        let message = Message { sequence: 0, to, lane, body: Bytes::from(body), claim: None };
        self.send(None, vec![message], Outcome::Stored).await
    }

    async fn send(
        &self,
        claims: Option<Arc<ClaimStore>>,
        messages: Vec<Message>,
        outcome: Outcome,
    ) -> Result<Delivered, Error> {
        use PublishErrorKind::{Rejected, TooLarge};
        match publish(self.config, &self.connection, claims, messages).await? {
            Ok(()) => Ok((outcome, String::new())),
            Err(error) if matches!(error.kind, Rejected | TooLarge) => Ok(left(&error.to_string())),
            Err(error) => Err(error.into()),
        }
    }
}

/// Looks for the event `id`, which is at `at`, in a reply; `None` where it may be in a later one.
fn look(batch: &Batch, transform: &Transform, id: &str, at: Timestamp) -> Option<Read> {
    for event in batch.events() {
        let Ok(read) = ChangeEvent::decode(event) else { continue };
        if transform.event_id(&read).as_bytes() == id.as_bytes() {
            return Some(Read::Event(event.to_vec()));
        }
        if read.time().is_some_and(|time| time > at) {
            return Some(Read::Passed);
        }
    }
    let reached = batch.post_batch.as_ref().and_then(Position::cluster_time);
    reached.is_some_and(|time| time > at).then_some(Read::Passed)
}

fn goes_to(message: &Message, topic: Option<&str>) -> bool {
    matches!(&message.to, Destination::Topic(to) if Some(&**to) == topic)
}

fn left(why: &str) -> Delivered {
    (Outcome::Left, why.to_owned())
}
