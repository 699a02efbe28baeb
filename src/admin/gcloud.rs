//! The `gcloud` commands that do what `setup` does.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::config::SubscriptionConfig;

/// Creates a topic.
pub(super) fn create_topic(project: &str, topic: &str) -> String {
    format!("gcloud pubsub topics create {topic} --project={}", quoted(project))
}

/// Creates a subscription with its settings.
pub(super) fn create_subscription(
    project: &str,
    topic: &str,
    name: &str,
    wanted: &SubscriptionConfig,
) -> String {
    let mut command = format!(
        "gcloud pubsub subscriptions create {name} --project={} --topic={topic}",
        quoted(project)
    );
    if wanted.ordering {
        command.push_str(" --enable-message-ordering");
    }
    command + &settings(wanted)
}

/// Changes what may be changed of a subscription.
pub(super) fn update_subscription(
    project: &str,
    name: &str,
    wanted: &SubscriptionConfig,
) -> String {
    format!("gcloud pubsub subscriptions update {name} --project={}", quoted(project))
        + &settings(wanted)
}

/// Deletes and creates a subscription, for what is fixed when it is created.
pub(super) fn recreate_subscription(
    project: &str,
    topic: &str,
    name: &str,
    wanted: &SubscriptionConfig,
) -> String {
    let create = create_subscription(project, topic, name, wanted);
    format!("gcloud pubsub subscriptions delete {name} --project={} && {create}", quoted(project))
}

/// Gives the caller of a topic the permission to publish.
pub(super) fn grant_publisher(project: &str, topic: &str) -> String {
    format!(
        "gcloud pubsub topics add-iam-policy-binding {topic} --project={} \
         --member=serviceAccount:ACCOUNT_EMAIL --role=roles/pubsub.publisher",
        quoted(project)
    )
}

/// Lets Pub/Sub itself move messages from a subscription to its dead-letter topic.
pub(super) fn grant_dead_letters(project: &str, subscription: &str, topic: &str) -> String {
    let project = quoted(project);
    let member =
        "--member=serviceAccount:service-PROJECT_NUMBER@gcp-sa-pubsub.iam.gserviceaccount.com";
    format!(
        "gcloud pubsub topics add-iam-policy-binding {topic} --project={project} {member} \
         --role=roles/pubsub.publisher && gcloud pubsub subscriptions add-iam-policy-binding \
         {subscription} --project={project} {member} --role=roles/pubsub.subscriber"
    )
}

/// What is given of the settings that can be changed later.
fn settings(wanted: &SubscriptionConfig) -> String {
    let mut flags = String::new();
    // Writing to a string never fails.
    if let Some(time) = wanted.ack_deadline {
        write!(flags, " --ack-deadline={}", time.duration().as_secs()).ok();
    }
    if let Some(time) = wanted.retention {
        write!(flags, " --message-retention-duration={}s", time.duration().as_secs()).ok();
    }
    if let Some(topic) = &wanted.dead_letter_topic {
        write!(flags, " --dead-letter-topic={topic}").ok();
    }
    flags
}

/// For a shell. Names of topics and subscriptions need no quotes; a project may be any text.
pub(super) fn quoted(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if text.chars().all(plain) {
        text.into()
    } else {
        format!("'{}'", text.replace('\'', r"'\''")).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Seconds;

    #[test]
    fn a_command_has_the_settings_that_are_given() {
        let mut wanted = SubscriptionConfig {
            ordering: true,
            ack_deadline: None,
            dead_letter_topic: None,
            retention: None,
            bigquery: false,
        };
        assert_eq!(
            create_subscription("p", "t", "s", &wanted),
            "gcloud pubsub subscriptions create s --project=p --topic=t --enable-message-ordering"
        );
        wanted.ordering = false;
        wanted.ack_deadline = Some(Seconds::from_secs(60));
        wanted.retention = Some(Seconds::from_secs(3600));
        wanted.dead_letter_topic = Some("dead".into());
        let flags = "--ack-deadline=60 --message-retention-duration=3600s --dead-letter-topic=dead";
        assert_eq!(
            recreate_subscription("p", "t", "s", &wanted),
            format!(
                "gcloud pubsub subscriptions delete s --project=p && gcloud pubsub subscriptions \
                 create s --project=p --topic=t {flags}"
            )
        );
    }

    #[test]
    fn a_project_cannot_end_its_argument() {
        assert_eq!(quoted("example.com:shop-1"), "example.com:shop-1");
        assert_eq!(quoted("a'; rm b"), r"'a'\''; rm b'");
    }
}
