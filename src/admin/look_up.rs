//! Whether topics exist, for who is about to publish to them.

use std::time::Duration;

use futures_util::future::join_all;
use tonic::Code;

use super::control::Control;
use crate::flow::BackoffPolicy;
use crate::sink::Connection;

/// What is known of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookUp {
    /// It exists.
    Exists,
    /// It does not exist.
    Missing,
    /// The account may not look: the role that publishing needs does not include it.
    NotAllowed,
    /// Nobody could tell, for this reason.
    Failed(String),
}

/// Looks topics up by their full names, `projects/…/topics/…`, side by side and each within
/// `patience`.
pub async fn look_up(
    connection: &Connection,
    topics: &[String],
    patience: Duration,
) -> Vec<LookUp> {
    let backoff = BackoffPolicy::new(2.0, Duration::from_secs(2));
    let control = Control::new(connection.clone(), backoff, patience);
    let look_ups = topics.iter().map(|topic| async {
        match control.topic(topic).await {
            Ok(Some(_)) => LookUp::Exists,
            Ok(None) => LookUp::Missing,
            Err(refusal) if refusal.code == Code::PermissionDenied => LookUp::NotAllowed,
            Err(refusal) => LookUp::Failed(refusal.message),
        }
    });
    join_all(look_ups).await
}
