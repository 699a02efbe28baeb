//! Making sure of one subscription: create it, or compare and change what may be changed.

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    BigQueryConfig as Delivery, DeadLetterPolicy, Subscription,
};
use tonic::Code;

use super::{Action, Step, Wanted, bigquery};
use crate::admin::control::{Control, Refusal};
use crate::admin::gcloud;
use crate::config::{BigQueryConfig, Seconds, SubscriptionConfig};

/// Without it messages stay in the subscription however often they fail.
pub(super) const DEAD_LETTERS_NEED: &str =
    "Pub/Sub's own account must be allowed to move messages to the dead-letter topic";

impl Wanted<'_> {
    pub(super) async fn ensure_subscription(
        &self,
        control: &Control,
        project: &str,
    ) -> Result<Vec<Step>, Refusal> {
        let Self::Subscription { topic, name, settings, table } = self else {
            return Ok(Vec::new());
        };
        let mut wanted = desired(project, topic, name, settings);
        wanted.bigquery_config = table.map(|table| delivery(table, project));
        if let Some(existing) = control.subscription(&wanted.name).await? {
            return self.compare(control, project, existing, &wanted).await;
        }
        match control.create_subscription(wanted.clone()).await {
            Ok(()) => {
                let command = gcloud::create_subscription(project, topic, name, settings)
                    + &self.bigquery_flags(project);
                let mut steps = vec![self.step(Action::Created, "", command)];
                steps.extend(self.grant(project));
                Ok(steps)
            }
            // The first answer of a repeated attempt was lost.
            Err(refusal) if refusal.code == Code::AlreadyExists => {
                Ok(vec![self.step(Action::Created, "", String::new())])
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Leaves alone what the configuration does not mention.
    async fn compare(
        &self,
        control: &Control,
        project: &str,
        existing: Subscription,
        wanted: &Subscription,
    ) -> Result<Vec<Step>, Refusal> {
        let Self::Subscription { topic, name, settings, .. } = self else { return Ok(Vec::new()) };
        if let Some(what) = fixed_difference(&existing, wanted) {
            let command = gcloud::recreate_subscription(project, topic, name, settings)
                + &self.bigquery_flags(project);
            return Ok(vec![self.step(Action::Conflict, &what, command)]);
        }
        let fields = differences(&existing, wanted, settings);
        if fields.is_empty() {
            return Ok(vec![self.step(Action::Unchanged, "", String::new())]);
        }
        let dead_letters = fields.contains(&"dead_letter_policy");
        control.update_subscription(changed(existing, wanted), &fields).await?;
        let command =
            gcloud::update_subscription(project, name, settings) + &self.bigquery_flags(project);
        let mut steps = vec![self.step(Action::Updated, &fields.join(", "), command)];
        steps.extend(self.grant(project).filter(|_| dead_letters));
        Ok(steps)
    }

    fn grant(&self, project: &str) -> Option<Step> {
        let Self::Subscription { name, settings, .. } = self else { return None };
        let topic = settings.dead_letter_topic.as_ref()?;
        let command = gcloud::grant_dead_letters(project, name, topic);
        Some(self.step(Action::Note, DEAD_LETTERS_NEED, command))
    }
}

/// How Pub/Sub writes the rows: fields to the columns of their names, no metadata beside them.
fn delivery(table: &BigQueryConfig, project: &str) -> Delivery {
    Delivery {
        table: bigquery::name(table, project, '.'),
        use_table_schema: true,
        drop_unknown_fields: table.drop_unknown_fields,
        ..Delivery::default()
    }
}

fn desired(project: &str, topic: &str, name: &str, settings: &SubscriptionConfig) -> Subscription {
    let dead_letters = |topic: &String| DeadLetterPolicy {
        dead_letter_topic: format!("projects/{project}/topics/{topic}"),
        ..DeadLetterPolicy::default()
    };
    let retention = settings.retention.map(Seconds::duration);
    Subscription {
        name: format!("projects/{project}/subscriptions/{name}"),
        topic: format!("projects/{project}/topics/{topic}"),
        enable_message_ordering: settings.ordering,
        // 0 means Pub/Sub's own; the configuration has checked that it fits.
        ack_deadline_seconds: settings
            .ack_deadline
            .and_then(|time| i32::try_from(time.duration().as_secs()).ok())
            .unwrap_or_default(),
        message_retention_duration: retention.and_then(|time| time.try_into().ok()),
        dead_letter_policy: settings.dead_letter_topic.as_ref().map(dead_letters),
        ..Subscription::default()
    }
}

/// What differs and is fixed when a subscription is created.
fn fixed_difference(existing: &Subscription, wanted: &Subscription) -> Option<String> {
    if existing.topic != wanted.topic {
        return Some(format!("belongs to {}, which cannot be changed", existing.topic));
    }
    if existing.bigquery_config.is_some() && wanted.bigquery_config.is_none() {
        return Some("writes to BigQuery, and `bigquery` is not set".to_owned());
    }
    if existing.enable_message_ordering != wanted.enable_message_ordering {
        let is = if existing.enable_message_ordering { "on" } else { "off" };
        return Some(format!(
            "message ordering is {is}, which cannot be changed: the command recreates the \
             subscription and loses what is still in it"
        ));
    }
    None
}

/// The fields that the configuration sets, that differ, and that may be changed.
fn differences(
    existing: &Subscription,
    wanted: &Subscription,
    settings: &SubscriptionConfig,
) -> Vec<&'static str> {
    let dead_letters = |subscription: &Subscription| {
        subscription.dead_letter_policy.as_ref().map(|policy| policy.dead_letter_topic.clone())
    };
    let rows = |subscription: &Subscription| {
        let delivery = subscription.bigquery_config.as_ref()?;
        let Delivery { table, use_table_schema, drop_unknown_fields, .. } = delivery;
        // The service may give the name with a colon.
        Some((table.replace(':', "."), *use_table_schema, *drop_unknown_fields))
    };
    let differs = [
        (
            "ack_deadline_seconds",
            settings.ack_deadline.is_some()
                && existing.ack_deadline_seconds != wanted.ack_deadline_seconds,
        ),
        (
            "message_retention_duration",
            settings.retention.is_some()
                && existing.message_retention_duration != wanted.message_retention_duration,
        ),
        (
            "dead_letter_policy",
            settings.dead_letter_topic.is_some() && dead_letters(existing) != dead_letters(wanted),
        ),
        ("bigquery_config", wanted.bigquery_config.is_some() && rows(existing) != rows(wanted)),
    ];
    differs.into_iter().filter_map(|(field, differs)| differs.then_some(field)).collect()
}

/// What exists with the new values of what may be changed.
fn changed(existing: Subscription, wanted: &Subscription) -> Subscription {
    let mut changed = existing;
    changed.ack_deadline_seconds = wanted.ack_deadline_seconds;
    changed.message_retention_duration = wanted.message_retention_duration;
    if wanted.bigquery_config.is_some() {
        changed.bigquery_config.clone_from(&wanted.bigquery_config);
    }
    if let Some(policy) = &wanted.dead_letter_policy {
        // The number of attempts is not ours.
        let kept = changed.dead_letter_policy.get_or_insert_default();
        kept.dead_letter_topic.clone_from(&policy.dead_letter_topic);
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> SubscriptionConfig {
        SubscriptionConfig {
            ordering: true,
            ack_deadline: Some(Seconds::from_secs(60)),
            dead_letter_topic: Some("dead".into()),
            retention: Some(Seconds::from_secs(3600)),
            bigquery: false,
        }
    }

    #[test]
    fn only_what_is_configured_and_differs_is_changed() {
        let settings = settings();
        let wanted = desired("p", "t", "s", &settings);
        assert!(differences(&wanted, &wanted, &settings).is_empty());
        let mut existing = wanted.clone();
        existing.ack_deadline_seconds = 10;
        existing.dead_letter_policy.as_mut().unwrap().max_delivery_attempts = 9;
        assert_eq!(differences(&existing, &wanted, &settings), ["ack_deadline_seconds"]);
        let silent = SubscriptionConfig { ack_deadline: None, ..settings };
        assert!(differences(&existing, &wanted, &silent).is_empty());
        let changed = changed(existing, &wanted);
        assert_eq!(changed.ack_deadline_seconds, 60);
        assert_eq!(changed.dead_letter_policy.unwrap().max_delivery_attempts, 9);
    }

    #[test]
    fn what_is_fixed_is_told() {
        let wanted = desired("p", "t", "s", &settings());
        assert_eq!(fixed_difference(&wanted, &wanted), None);
        let unordered = Subscription { enable_message_ordering: false, ..wanted.clone() };
        assert!(fixed_difference(&unordered, &wanted).unwrap().contains("ordering is off"));
        let elsewhere = Subscription { topic: "projects/p/topics/u".into(), ..wanted.clone() };
        assert!(fixed_difference(&elsewhere, &wanted).unwrap().contains("projects/p/topics/u"));
    }
}
