//! Subscriptions: what may be asked of one, and what may be changed later.

use std::time::Duration;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    DeadLetterPolicy, Subscription, UpdateSubscriptionRequest, subscription,
};
use tonic::Status;

use super::backlog::Backlog;
use super::names;

/// Acknowledgement deadline of a subscription that sets none, in seconds (protocol comments).
const DEFAULT_ACK_DEADLINE: i32 = 10;
/// What the service accepts as a deadline, in seconds (protocol comments).
const ACK_DEADLINES: std::ops::RangeInclusive<i32> = 10..=600;
/// The longest that one delivery's deadline can be set to, in seconds (protocol comments).
const MAX_EXTENSION: i32 = 600;
/// How long messages are kept unless it is set: 7 days, in seconds (protocol comments). It is shown
/// and checked; nothing runs long enough here for it to matter.
const DEFAULT_RETENTION: i64 = 7 * 86_400;
/// What the service accepts: 10 minutes to 31 days, in seconds (protocol comments).
const RETENTIONS: std::ops::RangeInclusive<i64> = 600..=31 * 86_400;
/// Deliveries of a dead letter unless it is set (protocol comments).
const DEFAULT_DELIVERY_ATTEMPTS: i32 = 5;
/// What the service accepts (protocol comments).
const DELIVERY_ATTEMPTS: std::ops::RangeInclusive<i32> = 5..=100;

/// A subscription and its messages.
#[derive(Debug)]
pub(super) struct Subscribed {
    pub(super) settings: Subscription,
    pub(super) backlog: Backlog,
}

impl Subscribed {
    /// Checks and completes the settings, all but whether its topics exist.
    pub(super) fn new(mut settings: Subscription) -> Result<Self, Status> {
        names::check(&settings.name, "subscriptions")?;
        names::check(&settings.topic, "topics")?;
        refuse_unserved(&settings)?;
        complete(&mut settings)?;
        settings.state = subscription::State::Active.into();
        let mut backlog = Backlog::new(settings.enable_message_ordering);
        backlog.set_max_attempts(max_attempts(&settings));
        Ok(Self { settings, backlog })
    }

    /// The settings as an update would leave them.
    pub(super) fn updated(
        &self,
        update: UpdateSubscriptionRequest,
    ) -> Result<Subscription, Status> {
        let wanted = update.subscription.unwrap_or_default();
        let paths = update.update_mask.unwrap_or_default().paths;
        if paths.is_empty() {
            return Err(Status::invalid_argument("update_mask must name at least one field"));
        }
        let mut settings = self.settings.clone();
        for path in &paths {
            copy(path, &wanted, &mut settings)?;
        }
        refuse_unserved(&settings)?;
        complete(&mut settings)?;
        Ok(settings)
    }

    /// Takes on settings that [`Subscribed::updated`] gave.
    pub(super) fn settle(&mut self, settings: Subscription) {
        self.backlog.set_max_attempts(max_attempts(&settings));
        self.settings = settings;
    }

    pub(super) fn ack_deadline(&self) -> Duration {
        let seconds = u64::try_from(self.settings.ack_deadline_seconds);
        Duration::from_secs(seconds.unwrap_or_default())
    }

    /// Where its dead letters go.
    pub(super) fn dead_letter_topic(&self) -> Option<&str> {
        self.settings.dead_letter_policy.as_ref().map(|policy| policy.dead_letter_topic.as_str())
    }
}

/// A stream's acknowledgement deadline.
pub(super) fn stream_deadline(seconds: i32) -> Result<Duration, Status> {
    match u64::try_from(seconds) {
        Ok(whole) if ACK_DEADLINES.contains(&seconds) => Ok(Duration::from_secs(whole)),
        _ => Err(Status::invalid_argument(format!(
            "the acknowledgement deadline is {seconds} s, it must be from 10 to 600"
        ))),
    }
}

/// The new deadline of one delivery; 0 refuses it.
pub(super) fn extension(seconds: i32) -> Result<Duration, Status> {
    match u64::try_from(seconds) {
        Ok(whole) if seconds <= MAX_EXTENSION => Ok(Duration::from_secs(whole)),
        _ => Err(Status::invalid_argument(format!(
            "an acknowledgement deadline of {seconds} s was asked for, it must be from 0 to 600"
        ))),
    }
}

fn copy(path: &str, from: &Subscription, to: &mut Subscription) -> Result<(), Status> {
    match path {
        "ack_deadline_seconds" => to.ack_deadline_seconds = from.ack_deadline_seconds,
        "labels" => to.labels.clone_from(&from.labels),
        "retain_acked_messages" => to.retain_acked_messages = from.retain_acked_messages,
        "message_retention_duration" => {
            to.message_retention_duration = from.message_retention_duration;
        }
        "expiration_policy" => to.expiration_policy = from.expiration_policy,
        "dead_letter_policy" => to.dead_letter_policy.clone_from(&from.dead_letter_policy),
        "retry_policy" => to.retry_policy = from.retry_policy,
        "enable_exactly_once_delivery" => {
            to.enable_exactly_once_delivery = from.enable_exactly_once_delivery;
        }
        "push_config" => to.push_config.clone_from(&from.push_config),
        _ => {
            return Err(Status::invalid_argument(format!(
                "a subscription's {path} cannot be changed"
            )));
        }
    }
    Ok(())
}

/// Puts defaults where nothing is set, and refuses what is out of range.
fn complete(settings: &mut Subscription) -> Result<(), Status> {
    if settings.ack_deadline_seconds == 0 {
        settings.ack_deadline_seconds = DEFAULT_ACK_DEADLINE;
    }
    stream_deadline(settings.ack_deadline_seconds)?;
    if settings.message_retention_duration.is_none() {
        settings.message_retention_duration.get_or_insert_default().seconds = DEFAULT_RETENTION;
    }
    let retention = settings.message_retention_duration.map_or(0, |duration| duration.seconds);
    if !RETENTIONS.contains(&retention) {
        return Err(Status::invalid_argument(format!(
            "message_retention_duration is {retention} s, it must be from 10 minutes to 31 days"
        )));
    }
    settings.dead_letter_policy.as_mut().map_or(Ok(()), complete_policy)
}

fn complete_policy(policy: &mut DeadLetterPolicy) -> Result<(), Status> {
    names::check(&policy.dead_letter_topic, "topics")?;
    if policy.max_delivery_attempts == 0 {
        policy.max_delivery_attempts = DEFAULT_DELIVERY_ATTEMPTS;
    }
    if DELIVERY_ATTEMPTS.contains(&policy.max_delivery_attempts) {
        return Ok(());
    }
    Err(Status::invalid_argument(format!(
        "max_delivery_attempts is {}, it must be from 5 to 100",
        policy.max_delivery_attempts
    )))
}

fn max_attempts(settings: &Subscription) -> Option<u32> {
    let policy = settings.dead_letter_policy.as_ref()?;
    u32::try_from(policy.max_delivery_attempts).ok()
}

/// Refuses settings that would be silently ignored.
fn refuse_unserved(settings: &Subscription) -> Result<(), Status> {
    let pushes = settings.push_config.as_ref().is_some_and(|push| !push.push_endpoint.is_empty());
    let unserved = [
        ("push_config", pushes),
        ("bigquery_config", settings.bigquery_config.is_some()),
        ("bigtable_config", settings.bigtable_config.is_some()),
        ("cloud_storage_config", settings.cloud_storage_config.is_some()),
        ("filter", !settings.filter.is_empty()),
        ("enable_exactly_once_delivery", settings.enable_exactly_once_delivery),
        ("message_transforms", !settings.message_transforms.is_empty()),
    ];
    match unserved.iter().find(|(_, asked)| *asked) {
        Some((name, _)) => Err(Status::unimplemented(format!(
            "a subscription's {name} is not part of the embedded Pub/Sub"
        ))),
        None => Ok(()),
    }
}
