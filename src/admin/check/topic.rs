//! One topic: whether it exists, may be published to, and is read in order.

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::Subscription;
use tonic::Code;

use crate::admin::control::{Control, Refusal};
use crate::admin::finding::{Finding, Group, Severity};
use crate::admin::gcloud;
use crate::config::{Ordering, RunSections, SubscriptionConfig, TopicConfig};

/// All checks of a topic.
pub(super) const ALL: [&str; 3] = ["topic", "publish", "subscriptions"];

const PUBLISH: &str = "pubsub.topics.publish";
const VIEWER: &str = "Give the account roles/pubsub.viewer where this should be checked.";

pub(super) async fn check(
    sections: RunSections<'_>,
    control: &Control,
    topic: &TopicConfig,
    group: &mut Group,
) {
    let project = &sections.gcp.project_id;
    let full = format!("projects/{project}/topics/{}", topic.name);
    match control.topic(&full).await {
        Ok(Some(found)) => {
            group.ok("topic", "it exists");
            if found.schema_settings.is_some_and(|schema| !schema.schema.is_empty()) {
                let what = "it has a schema: a message that does not fit it stops its stream";
                group.add(Severity::Note, "topic", what, "");
            }
        }
        Ok(None) => {
            let fix = gcloud::create_topic(project, &topic.name);
            let fix = format!("{fix}   (or mongo-gcp-stream setup)");
            group.add(Severity::Error, "topic", "it does not exist", fix);
            return group.skipped(&ALL[1..], "the topic does not exist");
        }
        // The role that publishing needs does not include looking.
        Err(refusal) if refusal.code == Code::PermissionDenied => {
            let what = "whether it exists could not be checked: the account may not look";
            group.add(Severity::Note, "topic", what, VIEWER);
        }
        Err(refusal) => {
            group.add(Severity::Error, "topic", &refusal.message, reach(refusal.code));
            return group.skipped(&ALL[1..], "the topic could not be looked up");
        }
    }
    check_permission(control, project, topic, &full, group).await;
    check_subscriptions(sections, control, topic, &full, group).await;
}

/// What can be said of topics that each event names.
pub(super) fn told(template: &str) -> Vec<Finding> {
    let mut group = Group::new(format!("topic {template}"));
    let what = "each event names its topic: whether they exist could not be checked";
    let fix = "Create them before their first event: one that is missing holds its stream up.";
    group.add(Severity::Note, "topic", what, fix);
    group.skipped(&ALL[1..], "the topics are not known");
    group.into_findings()
}

fn reach(code: Code) -> &'static str {
    match code {
        Code::Unauthenticated => {
            "Set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`."
        }
        // Credentials that nobody answers for take longer than a look-up may.
        Code::DeadlineExceeded => {
            "Check network access to Pub/Sub; without a credentials file also run `gcloud auth \
             application-default login`."
        }
        _ => "Check network access to Pub/Sub, `pubsub.endpoint` and PUBSUB_EMULATOR_HOST.",
    }
}

async fn check_permission(
    control: &Control,
    project: &str,
    topic: &TopicConfig,
    full: &str,
    group: &mut Group,
) {
    match control.may(PUBLISH, full).await {
        Ok(true) => group.ok("publish", "the account may publish"),
        Ok(false) => {
            let fix = gcloud::grant_publisher(project, &topic.name);
            group.add(Severity::Error, "publish", "the account may not publish", fix);
        }
        Err(refusal) => {
            let why = match refusal.code {
                Code::Unimplemented => "this Pub/Sub has no permissions (an emulator)".to_owned(),
                _ => refusal.message,
            };
            let what = format!("could not be checked: {why}");
            group.add(Severity::Note, "publish", what, "");
        }
    }
}

async fn check_subscriptions(
    sections: RunSections<'_>,
    control: &Control,
    topic: &TopicConfig,
    full: &str,
    group: &mut Group,
) {
    let prefix = format!("projects/{}/subscriptions/", sections.gcp.project_id);
    let mut names = match control.subscriptions(full).await {
        Ok(names) => names,
        Err(refusal) => return not_looked_at(&refusal, group),
    };
    let configured = topic.subscriptions.keys().map(|name| format!("{prefix}{name}"));
    names.extend(configured);
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        let what = "nobody subscribes: what is published before somebody does is lost";
        let fix = "Name one below `pubsub.topics.….subscriptions` and run mongo-gcp-stream setup.";
        return group.add(Severity::Warning, "subscriptions", what, fix);
    }
    for name in names {
        let short = name.strip_prefix(&prefix).unwrap_or(&name);
        match control.subscription(&name).await {
            Ok(found) => {
                let about = About { sections, topic, name: short, full_topic: full };
                about.report(found.as_ref(), group);
            }
            Err(refusal) => not_looked_at(&refusal, group),
        }
    }
}

fn not_looked_at(refusal: &Refusal, group: &mut Group) {
    let what = format!("could not be checked: {}", refusal.message);
    let fix = if refusal.code == Code::PermissionDenied { VIEWER } else { "" };
    group.add(Severity::Note, "subscriptions", what, fix);
}

/// One subscription of a topic, or one that should be.
struct About<'a> {
    sections: RunSections<'a>,
    topic: &'a TopicConfig,
    name: &'a str,
    full_topic: &'a str,
}

impl About<'_> {
    fn report(&self, found: Option<&Subscription>, group: &mut Group) {
        let Self { sections, topic, name, full_topic } = self;
        let project = &sections.gcp.project_id;
        let configured = topic.subscriptions.get(*name);
        // What nobody configured is to be as `setup` would make it.
        let otherwise = SubscriptionConfig::default();
        let wanted = configured.unwrap_or(&otherwise);
        let recreate = || gcloud::recreate_subscription(project, &topic.name, name, wanted);
        let Some(found) = found else {
            let create = gcloud::create_subscription(project, &topic.name, name, wanted);
            let what = format!("{name} does not exist: what is published before it does is lost");
            let fix = format!("{create}   (or mongo-gcp-stream setup)");
            return group.add(Severity::Error, "subscriptions", what, fix);
        };
        if found.topic != *full_topic {
            let what = format!("{name} belongs to {}", found.topic);
            return group.add(Severity::Error, "subscriptions", what, recreate());
        }
        let promised = sections.pubsub.ordering != Ordering::None;
        match (found.enable_message_ordering, promised && wanted.ordering) {
            (false, true) => {
                let what = format!(
                    "{name} has no message ordering: it may deliver the changes of a document out \
                     of order, and that is fixed when it is created"
                );
                group.add(Severity::Warning, "subscriptions", what, recreate());
            }
            (false, false) => group.ok("subscriptions", format!("{name} exists, without ordering")),
            (true, _) => group.ok("subscriptions", format!("{name} exists, with ordering")),
        }
    }
}
