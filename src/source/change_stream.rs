//! A MongoDB change stream, kept open across whatever can be waited out.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use futures_util::future::BoxFuture;
use mongodb::Client;
use mongodb::bson::{Document, Timestamp, doc};
use tokio::time::Sleep;

use super::errors::Fault;
use super::fragments::Fragments;
use super::query::{Opened, Query};
use super::reply::Reply;
use super::too_large::Care;
use super::{Cluster, Source, StartAt};
use crate::config::{Capture, OnEventTooLarge, SourceConfig};
use crate::error::{ConfigError, SourceError, SourceErrorKind};
use crate::event::{Batch, Position};
use crate::flow::{Backoff, BackoffPolicy};
use crate::telemetry::{Part, StreamStatistics};

/// A change stream of a collection, a database or a deployment.
pub struct ChangeStream {
    query: Arc<Query>,
    backoff: Backoff,
    statistics: Arc<StreamStatistics>,
    /// After the last reply that was handed out; `None` before [`Source::open`].
    position: Option<Position>,
    /// What has been read of an event that comes in fragments.
    fragments: Fragments,
    /// Whether an event that the server cannot return is passed over, and how far that is.
    skips: bool,
    care: Care,
    state: State,
}

/// Whatever is under way lives here and not in a future of `next_batch`, which may be dropped at
/// any time.
enum State {
    /// Nothing: the next call opens at the position.
    Closed,
    /// Letting time pass after a failure.
    Waiting(Pin<Box<Sleep>>),
    Opening(BoxFuture<'static, Result<Opened, Fault>>),
    Reading(Box<Opened>),
}

impl ChangeStream {
    /// A stream of `capture` with the options of `source`; nothing is sent yet. `excluded` is a
    /// namespace (database, collection) whose events the server never sends: that of a checkpoint
    /// store in the same deployment, with which the stream would feed itself.
    ///
    /// # Errors
    /// A pipeline stage that is not Extended JSON, with a path below the source.
    pub fn new(
        client: Client,
        capture: Capture,
        source: &SourceConfig,
        excluded: Option<(String, String)>,
        backoff: &BackoffPolicy,
        statistics: Arc<StreamStatistics>,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            query: Arc::new(Query::new(client, capture, source, excluded)?),
            backoff: backoff.start(),
            statistics,
            position: None,
            fragments: Fragments::default(),
            skips: source.on_event_too_large == OnEventTooLarge::Skip,
            care: Care::None,
            state: State::Closed,
        })
    }

    /// Takes note of a failure: lets time pass, or gives up.
    fn failed(&mut self, fault: Fault) -> Result<(), SourceError> {
        self.state = State::Closed;
        self.fragments.clear();
        if fault.error.kind == SourceErrorKind::Oversize && self.looks_closer() {
            return Ok(());
        }
        if !fault.transient || self.backoff.is_exhausted() {
            return Err(fault.error);
        }
        self.wait();
        self.statistics.retries.fetch_add(1, Relaxed);
        self.statistics.interrupted(Part::Source, &fault.error);
        let attempts = self.backoff.attempts();
        // The first, the second, the fourth …: hours of outage take a dozen lines.
        if attempts.is_power_of_two() {
            let Query { capture, .. } = self.query.as_ref();
            tracing::warn!(%capture, attempts, error = %fault.error, "reading is interrupted, trying again");
        }
        Ok(())
    }

    /// Reads more closely after an event that the server cannot return. False where that is not
    /// wanted, or of no use.
    fn looks_closer(&mut self) -> bool {
        let more = self.care.more(self.query.batch_size).filter(|_| self.skips);
        let Some(care) = more else { return false };
        self.care = care;
        if care == Care::Bare {
            let Query { capture, .. } = self.query.as_ref();
            tracing::warn!(%capture, "the server cannot return an event for its size; it is passed over");
        }
        true
    }

    fn recovered(&mut self) {
        if self.backoff.attempts() > 0 {
            let Query { capture, .. } = self.query.as_ref();
            tracing::info!(%capture, attempts = self.backoff.attempts(), "reading goes on");
            self.backoff.reset();
            self.statistics.recovered(Part::Source);
        }
    }

    /// Moves the position past `reply`.
    fn hand_out(&mut self, mut reply: Reply) -> Result<Batch, SourceError> {
        self.statistics.replied(reply.operation_time);
        reply.batch = self.fragments.join(reply.batch)?;
        let care = self.care;
        self.care = care.after(&reply.batch);
        let position = reply.position();
        let moved = position.is_some() && position != self.position;
        self.position = position.or_else(|| self.position.take());
        match reply.cursor_id {
            // Invalidated: what comes next comes from a new stream that begins after this reply.
            0 if moved => self.state = State::Closed,
            // One that ends without having moved is not opened again and again at full speed.
            0 => self.wait(),
            // From here on in whole replies again.
            _ if care != Care::None && self.care == Care::None => self.state = State::Closed,
            _ => {}
        }
        Ok(reply.batch)
    }

    fn wait(&mut self) {
        let delay = self.backoff.next_delay();
        self.state = State::Waiting(Box::pin(tokio::time::sleep(delay)));
    }

    /// What is asked of the server now.
    fn query(&self) -> Arc<Query> {
        match self.care {
            Care::None => Arc::clone(&self.query),
            Care::OneByOne(_) => Arc::new(self.query.one_by_one()),
            Care::Bare => Arc::new(self.query.without_documents()),
        }
    }

    fn reopen(&self) -> BoxFuture<'static, Result<Opened, Fault>> {
        let (query, position) = (self.query(), self.position.clone());
        Box::pin(async move { query.open(position.as_ref()).await })
    }
}

impl Source for ChangeStream {
    async fn connect(&mut self) -> Result<Cluster, SourceError> {
        describe(&self.query.client).await.map_err(|fault| fault.error)
    }

    async fn open(&mut self, start: StartAt) -> Result<Position, SourceError> {
        loop {
            match self.query().open_at(&start).await {
                Ok((position, opened)) => {
                    self.position = Some(position.clone());
                    self.state = State::Reading(Box::new(opened));
                    return Ok(position);
                }
                Err(fault) => self.failed(fault)?,
            }
            if let State::Waiting(sleep) = &mut self.state {
                sleep.await;
            }
        }
    }

    async fn next_batch(&mut self) -> Result<Batch, SourceError> {
        loop {
            match &mut self.state {
                State::Closed => self.state = State::Opening(self.reopen()),
                State::Waiting(sleep) => {
                    sleep.await;
                    self.state = State::Closed;
                }
                State::Opening(opening) => match opening.await {
                    Ok(opened) => self.state = State::Reading(Box::new(opened)),
                    Err(fault) => self.failed(fault)?,
                },
                State::Reading(opened) => {
                    if let Some(first) = opened.first.take() {
                        return self.hand_out(first);
                    }
                    match opened.next_reply(self.query.batch_size).await {
                        Ok(reply) => {
                            self.recovered();
                            return self.hand_out(reply);
                        }
                        Err(fault) => self.failed(fault)?,
                    }
                }
            }
        }
    }
}

/// Asks the server who it is and how late it is there.
async fn describe(client: &Client) -> Result<Cluster, Fault> {
    let admin = client.database("admin");
    let run = async |command: Document| {
        admin.run_command(command).await.map_err(|error| Fault::of(&error))
    };
    let hello = run(doc! { "hello": 1 }).await?;
    let replica_set = match (hello.get_str("setName"), hello.get_str("msg")) {
        (Ok(name), _) => name.to_owned(),
        (_, Ok("isdbgrid")) => "sharded".to_owned(),
        _ => {
            let message = "the server is not part of a replica set";
            return Err(Fault::fatal(SourceErrorKind::NotReplicaSet, message));
        }
    };
    let operation_time = operation_time(&run(doc! { "ping": 1 }).await?)?;
    Ok(Cluster { replica_set, operation_time })
}

fn operation_time(ping: &Document) -> Result<Timestamp, Fault> {
    ping.get_timestamp("operationTime").map_err(|_| {
        Fault::fatal(SourceErrorKind::Query, "the server's reply shows no operation time")
    })
}
