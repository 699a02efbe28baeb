//! All state of the embedded Pub/Sub: topics, and subscriptions with their backlogs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    PublishRequest, PubsubMessage, Subscription, Topic, subscription, topic,
};
use tonic::Status;

use super::backlog::Backlog;
use super::limits;

/// Acknowledgement deadline of a subscription that sets none, in seconds (protocol comments).
const DEFAULT_ACK_DEADLINE: i32 = 10;
/// What the service accepts as a deadline, in seconds (protocol comments).
const ACK_DEADLINES: std::ops::RangeInclusive<i32> = 10..=600;
/// What the service shows as the topic of a subscription that outlived it.
const DELETED_TOPIC: &str = "_deleted-topic_";

#[derive(Debug, Default)]
#[expect(clippy::struct_field_names, reason = "`topics` is what they are called")]
pub(super) struct Topics {
    topics: BTreeMap<String, Topic>,
    subscriptions: BTreeMap<String, Subscribed>,
    last_message_id: u64,
}

#[derive(Debug)]
struct Subscribed {
    settings: Subscription,
    backlog: Backlog,
}

impl Topics {
    pub(super) fn create_topic(&mut self, mut topic: Topic) -> Result<Topic, Status> {
        check_name(&topic.name, "topics")?;
        if self.topics.contains_key(&topic.name) {
            return Err(already_exists("topic", &topic.name));
        }
        topic.state = topic::State::Active.into();
        self.topics.insert(topic.name.clone(), topic.clone());
        Ok(topic)
    }

    pub(super) fn topic(&self, name: &str) -> Result<Topic, Status> {
        self.topics.get(name).cloned().ok_or_else(|| not_found("topic", name))
    }

    /// The topics of `project`, such as `projects/demo`.
    pub(super) fn list_topics(&self, project: &str) -> Vec<Topic> {
        let prefix = format!("{project}/topics/");
        self.topics.values().filter(|topic| topic.name.starts_with(&prefix)).cloned().collect()
    }

    /// Its subscriptions stay, with what they hold.
    pub(super) fn delete_topic(&mut self, name: &str) -> Result<(), Status> {
        self.topics.remove(name).ok_or_else(|| not_found("topic", name))?;
        for subscribed in self.subscriptions.values_mut() {
            if subscribed.settings.topic == name {
                DELETED_TOPIC.clone_into(&mut subscribed.settings.topic);
            }
        }
        Ok(())
    }

    pub(super) fn create_subscription(
        &mut self,
        mut settings: Subscription,
    ) -> Result<Subscription, Status> {
        check_name(&settings.name, "subscriptions")?;
        check_name(&settings.topic, "topics")?;
        refuse_unserved(&settings)?;
        if settings.ack_deadline_seconds == 0 {
            settings.ack_deadline_seconds = DEFAULT_ACK_DEADLINE;
        }
        let ack_deadline = ack_deadline(settings.ack_deadline_seconds)?;
        if self.subscriptions.contains_key(&settings.name) {
            return Err(already_exists("subscription", &settings.name));
        }
        self.topic(&settings.topic)?;
        settings.state = subscription::State::Active.into();
        let backlog = Backlog::new(settings.enable_message_ordering, ack_deadline);
        let subscribed = Subscribed { settings: settings.clone(), backlog };
        self.subscriptions.insert(settings.name.clone(), subscribed);
        Ok(settings)
    }

    pub(super) fn subscription(&self, name: &str) -> Result<Subscription, Status> {
        let subscribed = self.subscriptions.get(name);
        Ok(subscribed.ok_or_else(|| not_found("subscription", name))?.settings.clone())
    }

    /// The subscriptions of `project`, such as `projects/demo`.
    pub(super) fn list_subscriptions(&self, project: &str) -> Vec<Subscription> {
        let prefix = format!("{project}/subscriptions/");
        let all = self.subscriptions.values().map(|subscribed| &subscribed.settings);
        all.filter(|settings| settings.name.starts_with(&prefix)).cloned().collect()
    }

    pub(super) fn delete_subscription(&mut self, name: &str) -> Result<(), Status> {
        self.subscriptions.remove(name).map(drop).ok_or_else(|| not_found("subscription", name))
    }

    pub(super) fn backlog(&mut self, name: &str) -> Result<&mut Backlog, Status> {
        let subscribed = self.subscriptions.get_mut(name);
        Ok(&mut subscribed.ok_or_else(|| not_found("subscription", name))?.backlog)
    }

    /// Hands the messages to the topic's subscriptions, all or none, and returns their ids.
    pub(super) fn publish(&mut self, request: PublishRequest) -> Result<Vec<String>, Status> {
        if !self.topics.contains_key(&request.topic) {
            return Err(not_found("topic", &request.topic));
        }
        limits::check_publish(&request)?;
        let mut backlogs: Vec<&mut Backlog> = self
            .subscriptions
            .values_mut()
            .filter(|subscribed| subscribed.settings.topic == request.topic)
            .map(|subscribed| &mut subscribed.backlog)
            .collect();
        let publish_time = Some(SystemTime::now().into());
        let mut ids = Vec::with_capacity(request.messages.len());
        for message in request.messages {
            self.last_message_id += 1;
            let message_id = self.last_message_id.to_string();
            ids.push(message_id.clone());
            let message = Arc::new(PubsubMessage { message_id, publish_time, ..message });
            for backlog in &mut backlogs {
                backlog.push(Arc::clone(&message));
            }
        }
        Ok(ids)
    }
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
        ("dead_letter_policy", settings.dead_letter_policy.is_some()),
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

fn ack_deadline(seconds: i32) -> Result<Duration, Status> {
    match u64::try_from(seconds) {
        Ok(whole) if ACK_DEADLINES.contains(&seconds) => Ok(Duration::from_secs(whole)),
        _ => Err(Status::invalid_argument(format!(
            "ack_deadline_seconds is {seconds}, it must be from 10 to 600"
        ))),
    }
}

/// Refuses a name that is not of the form `projects/PROJECT/<collection>/ID`.
fn check_name(name: &str, collection: &str) -> Result<(), Status> {
    let parts: Vec<&str> = name.split('/').collect();
    match parts[..] {
        ["projects", project, kind, id]
            if kind == collection && !project.is_empty() && !id.is_empty() =>
        {
            Ok(())
        }
        _ => Err(Status::invalid_argument(format!(
            "\"{name}\" is not of the form projects/PROJECT/{collection}/ID"
        ))),
    }
}

fn not_found(what: &str, name: &str) -> Status {
    Status::not_found(format!("{what} {name} does not exist"))
}

fn already_exists(what: &str, name: &str) -> Status {
    Status::already_exists(format!("{what} {name} exists already"))
}
