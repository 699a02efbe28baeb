//! Messages of one stream, published for a caller who waits for all of them at once.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::Mutex;

use super::build::Builder;
use super::in_flight::{InFlight, first_piece};
use super::no_stream;
use crate::config::{ByteSize, Config, Millis};
use crate::error::Error;
use crate::event::{Destination, Message};
use crate::flow::Budget;
use crate::sink::{Asked, DeadLetterPlaces, Sink as _, Topics};
use crate::telemetry::StreamStatistics;

/// Bytes in flight at the most, as a multiple of `flow.bytes_in_flight`: so much may wait for the end
/// of a bundle.
const BUNDLE: u64 = 4;

/// How long messages wait for it: longer than a bundle of our own reader takes.
const HELD_FOR: Millis = Millis::from_millis(750);

/// Requests in flight at the most, where `pubsub.slots` does not allow more: a bundle ends when all
/// are answered, and every lane has one to send.
const SLOTS: u32 = 32;

/// Publishes what a [`Transform`](crate::transform::Transform) has made, in order for each lane.
pub struct Writer {
    sink: Mutex<Topics>,
    in_flight: Arc<InFlight>,
    statistics: Arc<StreamStatistics>,
    letters: Option<Asked>,
}

impl Writer {
    /// Publishes for `stream` as `config` says; connected with the first message. With
    /// `keep_letters` its dead letters wait for [`letters`](Self::letters), wherever `config` would
    /// send them. Needs a Tokio runtime.
    ///
    /// # Errors
    /// A [`ConfigError`](crate::error::ConfigError) for what publishing needs and the configuration
    /// does not have; [`Error::Publish`] where there are no credentials.
    pub fn new(config: &Config, stream: &str, keep_letters: bool) -> Result<Self, Error> {
        let streams = config.streams()?;
        let found = streams.iter().find(|known| known.id.to_string() == stream);
        let found = found.ok_or_else(|| no_stream(stream))?;
        let statistics = Arc::new(StreamStatistics::new(&found.id));
        let config = &for_bundles(config);
        let builder = Builder::new(config, &[])?;
        let letters = keep_letters.then(Asked::default);
        let (sink, mut receipts) = match &letters {
            Some(asked) => {
                let stream = found.id.to_string().into();
                let asked = Some(asked.clone());
                let places = DeadLetterPlaces { stream, file: None, topic: None, asked };
                builder.sink_with(found, &statistics, Some(places))?
            }
            None => builder.sink(found, &statistics)?,
        };
        let in_flight = Arc::new(InFlight::new(Budget::of_one(&config.flow, streams.len())));
        let told = Arc::clone(&in_flight);
        tokio::spawn(async move {
            while let Some(receipt) = receipts.recv().await {
                told.take(receipt);
            }
        });
        Ok(Self { sink: Mutex::new(sink), in_flight, statistics, letters })
    }

    /// Hands messages over, in order; those for topics to `topic` instead, where it is given. Waits
    /// while there is too much in flight: four times what `flow` says, since messages are held until
    /// the flush. One message always gets through.
    ///
    /// # Errors
    /// Why the sink has given up; from then on it takes nothing.
    pub async fn publish(
        &self,
        messages: &[Message],
        topic: Option<&Destination>,
    ) -> Result<(), Error> {
        let mut sink = self.sink.lock().await;
        let mut rest = messages;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(first_piece(rest));
            rest = after;
            let mut messages: Vec<_> =
                piece.iter().map(|message| towards(message, topic)).collect();
            // Urgent where the next one waits for it; else the flush that follows sends what is
            // held back for fuller requests.
            let urgent = self.in_flight.begin(&mut messages).await?;
            sink.publish(messages, urgent).await?;
        }
        Ok(())
    }

    /// Waits until everything handed over is published, or kept as a dead letter.
    ///
    /// # Errors
    /// Why the sink has given up: some of what was handed over may be published.
    pub async fn flush(&self) -> Result<(), Error> {
        Ok(self.sink.lock().await.flush().await?)
    }

    /// The dead letters that have come since they were asked for the last time; all of them after
    /// a flush. None where they go elsewhere.
    #[must_use]
    pub fn letters(&self) -> Vec<Message> {
        self.letters.as_ref().map(Asked::take).unwrap_or_default()
    }

    /// Publish requests acknowledged, attempts after the first, and dead letters kept so far.
    #[must_use]
    pub fn counts(&self) -> (u64, u64, u64) {
        let counts = &self.statistics;
        (
            counts.requests.load(Relaxed),
            counts.retries.load(Relaxed),
            counts.dead_lettered.load(Relaxed),
        )
    }
}

fn towards(message: &Message, topic: Option<&Destination>) -> Message {
    let to = topic.filter(|_| message.to != Destination::DeadLetter).unwrap_or(&message.to);
    Message { to: to.clone(), ..message.clone() }
}

/// What is published is waited for at the end of a bundle: held until then it makes the fullest
/// requests, and many of them at once shorten the wait.
fn for_bundles(config: &Config) -> Config {
    let mut config = config.clone();
    let limit = &mut config.flow.bytes_in_flight;
    *limit = ByteSize::from_bytes(limit.bytes().saturating_mul(BUNDLE));
    let held = *limit;
    if let Some(pubsub) = &mut config.pubsub {
        pubsub.slots = pubsub.slots.max(SLOTS);
        pubsub.batch.max_held = held;
        pubsub.batch.max_delay_catching_up = HELD_FOR;
    }
    config
}
