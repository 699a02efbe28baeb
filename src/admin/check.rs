//! Connects to everything that a run would connect to, and says what is missing.
//!
//! Nothing is changed: change streams are opened and not read, positions are read and not stored,
//! no message is published.

mod connection;
mod images;
mod oplog;
mod position;
mod privileges;
mod server;
mod streams;
mod topic;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use super::control::Control;
use super::finding::{Finding, Group, Severity};
use crate::config::{Config, StreamConfig, is_template};
use crate::error::{Error, PublishErrorKind};
use crate::flow::BackoffPolicy;
use crate::recovery::hint;
use crate::sink::Connection;

/// Checks every connection, its streams, and every topic, side by side. Ends within `timeout`; what
/// is not answered by then is an error.
///
/// The findings are grouped by subject: connections by their id, then topics by their key.
///
/// # Errors
/// [`Error::Config`] for what `run` would refuse, too.
pub async fn check(config: &Config, timeout: Duration) -> Result<Vec<Finding>, Error> {
    config.require_run()?;
    let streams = config.streams()?;
    let deadline = Instant::now() + timeout;
    let streams = streams.as_slice();
    let connections = config.mongodb.connections.keys().map(|id| async move {
        let mut group = Group::new(format!("connection {id}"));
        let streams: Vec<&StreamConfig> =
            streams.iter().filter(|stream| *stream.id.connection_id == **id).collect();
        let checked = timeout_at(deadline, connection::check(config, &streams, &mut group)).await;
        finish(group, checked.is_ok(), timeout)
    });
    let pubsub = check_pubsub(config, deadline, timeout);
    let (connections, topics) = futures_util::join!(join_all(connections), pubsub);
    Ok(connections.into_iter().flatten().chain(topics?).collect())
}

async fn check_pubsub(
    config: &Config,
    deadline: Instant,
    timeout: Duration,
) -> Result<Vec<Finding>, Error> {
    let sections = config.require_run()?;
    let connection = match Connection::open(sections.gcp, sections.pubsub) {
        Ok(connection) => connection,
        Err(Error::Config(error)) => return Err(error.into()),
        Err(error) => {
            let mut group = Group::new("Pub/Sub".into());
            let credentials =
                matches!(&error, Error::Publish(error) if error.kind == PublishErrorKind::Auth);
            let check = if credentials { "credentials" } else { "endpoint" };
            group.add(Severity::Error, check, error.to_string(), hint(&error));
            group.skipped(&topic::ALL, "Pub/Sub cannot be used");
            return Ok(group.into_findings());
        }
    };
    let backoff = BackoffPolicy::from(&config.error_handling);
    // A look-up that fails for longer than a connection may take is a finding.
    let patience = config.monitoring.connection_timeout.duration().min(timeout);
    let control = Control::new(connection, backoff, patience);
    let topics = sections.pubsub.topics.values().map(|topic| {
        let control = &control;
        async move {
            let mut group = Group::new(format!("topic {}", topic.name));
            let checked = timeout_at(deadline, topic::check(sections, control, topic, &mut group));
            let in_time = checked.await.is_ok();
            finish(group, in_time, timeout)
        }
    });
    let mut findings: Vec<Finding> = join_all(topics).await.into_iter().flatten().collect();
    findings.extend(templates(config)?.into_iter().flat_map(|name| topic::told(&name)));
    Ok(findings)
}

/// The templates that name topics.
fn templates(config: &Config) -> Result<BTreeSet<String>, Error> {
    let streams = config.streams()?;
    let of_rules = streams.iter().flat_map(|stream| config.routes_of(stream));
    let lists = of_rules.map(|route| route.topic);
    let lists = lists.chain(streams.iter().map(|stream| stream.source.topic.clone()));
    let topics = lists.flat_map(|list| list.names().map(str::to_owned).collect::<Vec<_>>());
    Ok(topics.filter(|topic| is_template(topic)).collect())
}

fn finish(mut group: Group, in_time: bool, timeout: Duration) -> Vec<Finding> {
    if !in_time {
        let what = format!("not everything was answered within {timeout:?}");
        let fix = "Check network access, or give it longer with --timeout.";
        group.add(Severity::Error, "timeout", what, fix);
    }
    group.into_findings()
}
