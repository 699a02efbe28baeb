//! `pubsub.topics.*.subscriptions`: what `setup` creates.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::validate::{error, expect, is_resource_id};
use super::{Seconds, TopicConfig};
use crate::error::ConfigError;

/// Bounds of `Subscription.ack_deadline_seconds` (Pub/Sub's API reference).
const ACK_DEADLINE: [u64; 2] = [10, 600];

/// Bounds of `Subscription.message_retention_duration`: 10 minutes to 31 days (quota page,
/// "Resource limits").
const RETENTION: [u64; 2] = [600, 31 * 24 * 3600];

/// A subscription of a topic.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionConfig {
    /// Deliver the messages of one ordering key in the order of their publication. Fixed when the
    /// subscription is created. Default: `true`.
    #[serde(default = "default_ordering")]
    pub ordering: bool,
    /// How long a subscriber may take to acknowledge a message before it comes again, 10s to 10m.
    /// A bare number is in seconds. Default: Pub/Sub's own, 10s; what exists keeps its own.
    #[schemars(example = &"60s")]
    pub ack_deadline: Option<Seconds>,
    /// Name of the topic, without `projects/…/topics/`, that takes what could not be delivered
    /// after five attempts. Default: none; what exists keeps its own.
    #[schemars(example = &"shop-changes-undeliverable")]
    pub dead_letter_topic: Option<String>,
    /// How long messages that nobody acknowledges are kept, 10m to 744h (31 days). A bare number is
    /// in seconds. Default: Pub/Sub's own, 168h (7 days); what exists keeps its own.
    #[schemars(example = &"168h")]
    pub retention: Option<Seconds>,
    /// Pub/Sub writes the messages into the table that the topic's `bigquery` names, and nobody
    /// else can receive them. Default: `false`.
    #[serde(default)]
    pub bigquery: bool,
}

fn default_ordering() -> bool {
    true
}

impl Default for SubscriptionConfig {
    fn default() -> Self {
        Self {
            ordering: default_ordering(),
            ack_deadline: None,
            dead_letter_topic: None,
            retention: None,
            bigquery: false,
        }
    }
}

/// Names, bounds, and that no two topics claim one subscription.
pub(super) fn check(topics: &BTreeMap<String, TopicConfig>) -> Result<(), ConfigError> {
    let mut topic_of = HashMap::new();
    for (key, topic) in topics {
        for (name, subscription) in &topic.subscriptions {
            let path = format!("pubsub.topics.{key}.subscriptions.{name}");
            expect(
                is_resource_id(name),
                &path,
                "expected a subscription's name without `projects/…/subscriptions/`: 3 to 255 \
                 letters, digits and - . _ ~ + %, the first a letter, not beginning with `goog`",
            )?;
            if let Some(other) = topic_of.insert(name, key) {
                let message = format!("`pubsub.topics.{other}` has a subscription of this name");
                return Err(error(&path, message));
            }
            check_one(subscription, &topic.name, &path)?;
        }
    }
    Ok(())
}

fn check_one(
    subscription: &SubscriptionConfig,
    topic: &str,
    path: &str,
) -> Result<(), ConfigError> {
    let SubscriptionConfig { ack_deadline, dead_letter_topic, retention, .. } = subscription;
    check_time(*ack_deadline, ACK_DEADLINE, &format!("{path}.ack_deadline"), "10s to 10m")?;
    check_time(*retention, RETENTION, &format!("{path}.retention"), "10m to 744h (31 days)")?;
    let Some(dead_letter_topic) = dead_letter_topic else { return Ok(()) };
    let path = format!("{path}.dead_letter_topic");
    expect(is_resource_id(dead_letter_topic), &path, "expected a topic's name, as in `name`")?;
    expect(dead_letter_topic != topic, &path, "is the topic of the subscription itself")
}

fn check_time(
    time: Option<Seconds>,
    [least, most]: [u64; 2],
    path: &str,
    bounds: &str,
) -> Result<(), ConfigError> {
    let Some(time) = time.map(Seconds::duration) else { return Ok(()) };
    let whole = time.subsec_millis() == 0;
    let within = time >= Duration::from_secs(least) && time <= Duration::from_secs(most);
    expect(whole && within, path, &format!("expected whole seconds, {bounds}"))
}
