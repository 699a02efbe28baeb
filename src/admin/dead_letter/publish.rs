//! Publishes a few messages and waits until they are safe.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::config::Config;
use crate::error::{Error, PublishError};
use crate::event::{Message, Receipt};
use crate::flow::BackoffPolicy;
use crate::sink::{ClaimStore, Connection, Publishing, Sink as _, Topics};

/// Receipts that may wait.
const RECEIPTS: usize = 16;

/// Publishes `messages` as a stream would; what is refused for good is an error.
pub(super) async fn publish(
    config: &Config,
    connection: &Connection,
    claims: Option<Arc<ClaimStore>>,
    messages: Vec<Message>,
) -> Result<Result<(), PublishError>, Error> {
    let (sender, mut receipts) = mpsc::channel(RECEIPTS);
    let mut topics = Topics::new(Publishing {
        connection: connection.clone(),
        pubsub: config.require_run()?.pubsub.clone(),
        backoff: BackoffPolicy::from(&config.error_handling),
        receipts: sender,
        statistics: Arc::default(),
        dead_letters: None,
        claims,
    });
    let sent = async {
        topics.publish(messages, true).await?;
        topics.flush().await
    };
    tokio::pin!(sent);
    loop {
        tokio::select! {
            biased;
            Some(receipt) = receipts.recv() => if let Receipt::Failed(error) = receipt {
                return Ok(Err(error));
            },
            sent = &mut sent => return Ok(sent),
        }
    }
}
