//! Dead letters that are pulled from a subscription.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    AcknowledgeRequest, ModifyAckDeadlineRequest, PullRequest, PullResponse, ReceivedMessage,
};
use tonic::{Code, Status};

use super::place::{Found, Handle};
use super::{Letter, Selection};
use crate::config::Config;
use crate::error::{Error, PublishError, PublishErrorKind};
use crate::sink::{Connection, code_name};

const PULL: &str = "/google.pubsub.v1.Subscriber/Pull";
const ACKNOWLEDGE: &str = "/google.pubsub.v1.Subscriber/Acknowledge";
const MODIFY_ACK_DEADLINE: &str = "/google.pubsub.v1.Subscriber/ModifyAckDeadline";

/// A subscription without messages answers late or not at all.
const PULL_TIMEOUT: Duration = Duration::from_secs(5);

/// Most time for any other call.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Most messages of a pull.
const MOST_AT_ONCE: i32 = 100;

/// Most messages that are held at a time, those of other streams included.
const MOST_HELD: usize = 10_000;

/// How long what was pulled is ours: the longest that Pub/Sub grants.
const LEASE_SECONDS: i32 = 600;

/// Most ids in a request, to stay below its limit of 512 KB.
const IDS: usize = 1000;

/// A subscription with dead letters.
pub(super) struct Subscription {
    connection: Connection,
    name: String,
    /// What was pulled and is not acknowledged.
    held: Mutex<Vec<String>>,
}

impl Subscription {
    pub fn new(config: &Config, name: &str) -> Result<Self, Error> {
        let sections = config.require_run()?;
        let connection = Connection::open(sections.gcp, sections.pubsub)?;
        let name = format!("projects/{}/subscriptions/{name}", sections.gcp.project_id);
        Ok(Self { connection, name, held: Mutex::default() })
    }

    /// Shows `take` each dead letter of `selection` until no more come.
    pub async fn pull(
        &self,
        selection: &Selection,
        take: &mut impl FnMut(Found),
    ) -> Result<(), Error> {
        let (mut taken, mut pulled) = (0, 0);
        while taken < selection.limit && pulled < MOST_HELD {
            let received = self.next().await?;
            if received.is_empty() {
                return Ok(());
            }
            pulled += received.len();
            let ids: Vec<String> = received.iter().map(|message| message.ack_id.clone()).collect();
            self.held.lock().unwrap_or_else(PoisonError::into_inner).extend(ids.iter().cloned());
            self.lease(ids, LEASE_SECONDS).await?;
            for ReceivedMessage { ack_id, message, .. } in received {
                let letter = message.and_then(|message| Letter::read(&message.data));
                let Some(letter) = letter.filter(|letter| selection.takes(letter)) else {
                    continue;
                };
                if taken < selection.limit {
                    taken += 1;
                    take(Found { letter, handle: Handle::Ack(ack_id) });
                }
            }
        }
        Ok(())
    }

    async fn next(&self) -> Result<Vec<ReceivedMessage>, Error> {
        let subscription = self.name.clone();
        let request =
            PullRequest { subscription, max_messages: MOST_AT_ONCE, ..PullRequest::default() };
        let routing = ("subscription", self.name.as_str());
        let pulled: Result<PullResponse, Status> =
            self.connection.call(PULL, routing, request, PULL_TIMEOUT).await;
        match pulled {
            Ok(response) => Ok(response.received_messages),
            Err(status) if status.code() == Code::DeadlineExceeded => Ok(Vec::new()),
            Err(status) => Err(self.refused(&status)),
        }
    }

    /// Takes out what is done.
    pub async fn acknowledge(&self, done: Vec<String>) -> Result<(), Error> {
        for ids in done.chunks(IDS) {
            let subscription = self.name.clone();
            let request = AcknowledgeRequest { subscription, ack_ids: ids.to_vec() };
            self.call(ACKNOWLEDGE, request).await?;
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|id| !done.contains(id));
        Ok(())
    }

    /// Gives back what is held; what cannot be given back comes again when its lease ends.
    pub async fn release(&self) {
        let held = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        for ids in held.chunks(IDS) {
            if let Err(error) = self.lease(ids.to_vec(), 0).await {
                tracing::debug!(%error, "dead letters come again only when their lease ends");
            }
        }
    }

    async fn lease(&self, ack_ids: Vec<String>, ack_deadline_seconds: i32) -> Result<(), Error> {
        let subscription = self.name.clone();
        let request = ModifyAckDeadlineRequest { subscription, ack_ids, ack_deadline_seconds };
        self.call(MODIFY_ACK_DEADLINE, request).await
    }

    async fn call(
        &self,
        method: &'static str,
        request: impl prost::Message + 'static,
    ) -> Result<(), Error> {
        let routing = ("subscription", self.name.as_str());
        // `google.protobuf.Empty`.
        let answer: Result<(), Status> =
            self.connection.call(method, routing, request, TIMEOUT).await;
        answer.map_err(|status| self.refused(&status))
    }

    fn refused(&self, status: &Status) -> Error {
        let kind = match status.code() {
            Code::PermissionDenied | Code::Unauthenticated => PublishErrorKind::Auth,
            _ => PublishErrorKind::Unavailable,
        };
        let message = format!("{}: {}: {}", self.name, code_name(status.code()), status.message());
        Error::Publish(PublishError { kind, message, sequence: None })
    }
}
