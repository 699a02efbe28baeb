//! All topics and subscriptions of the embedded Pub/Sub, and what their messages go through.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    PublishRequest, PubsubMessage, Subscription, Topic, UpdateSubscriptionRequest,
    UpdateTopicRequest, topic,
};
use tokio::time::Instant;
use tonic::Status;

use super::names::{self, already_exists, not_found};
use super::store::{Store, Stored};
use super::subscriptions::Subscribed;

/// What the service shows as the topic of a subscription that outlived it.
const DELETED_TOPIC: &str = "_deleted-topic_";

#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "`topics` is what they are called")]
pub(super) struct Topics {
    topics: BTreeMap<String, Topic>,
    subscriptions: BTreeMap<String, Subscribed>,
    store: Arc<Store>,
    last_message_id: u64,
}

impl Topics {
    pub(super) fn new(store: Arc<Store>) -> Self {
        let (topics, subscriptions) = (BTreeMap::new(), BTreeMap::new());
        Self { topics, subscriptions, store, last_message_id: 0 }
    }

    pub(super) fn create_topic(&mut self, mut topic: Topic) -> Result<Topic, Status> {
        names::check(&topic.name, "topics")?;
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

    pub(super) fn update_topic(&mut self, update: UpdateTopicRequest) -> Result<Topic, Status> {
        let wanted = update.topic.unwrap_or_default();
        let paths = update.update_mask.unwrap_or_default().paths;
        if paths.is_empty() {
            return Err(Status::invalid_argument("update_mask must name at least one field"));
        }
        let mut topic = self.topic(&wanted.name)?;
        for path in &paths {
            copy(path, &wanted, &mut topic)?;
        }
        self.topics.insert(topic.name.clone(), topic.clone());
        Ok(topic)
    }

    /// The topics of `project`, such as `projects/demo`.
    pub(super) fn list_topics(&self, project: &str) -> Vec<Topic> {
        let prefix = format!("{project}/topics/");
        self.topics.values().filter(|topic| topic.name.starts_with(&prefix)).cloned().collect()
    }

    /// The names of a topic's subscriptions.
    pub(super) fn subscriptions_of(&self, topic: &str) -> Result<Vec<String>, Status> {
        self.topic(topic)?;
        let all = self.subscriptions.values().map(|subscribed| &subscribed.settings);
        Ok(all.filter(|settings| settings.topic == topic).map(|s| s.name.clone()).collect())
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
        settings: Subscription,
    ) -> Result<Subscription, Status> {
        let subscribed = Subscribed::new(settings)?;
        let settings = subscribed.settings.clone();
        if self.subscriptions.contains_key(&settings.name) {
            return Err(already_exists("subscription", &settings.name));
        }
        self.topic(&settings.topic)?;
        self.check_dead_letter_topic(&settings)?;
        self.subscriptions.insert(settings.name.clone(), subscribed);
        Ok(settings)
    }

    pub(super) fn update_subscription(
        &mut self,
        update: UpdateSubscriptionRequest,
    ) -> Result<Subscription, Status> {
        let name = update.subscription.as_ref().map(|wanted| wanted.name.clone());
        let name = name.unwrap_or_default();
        let settings = self.subscribed(&name)?.updated(update)?;
        self.check_dead_letter_topic(&settings)?;
        self.subscribed(&name)?.settle(settings.clone());
        Ok(settings)
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

    pub(super) fn subscribed(&mut self, name: &str) -> Result<&mut Subscribed, Status> {
        self.subscriptions.get_mut(name).ok_or_else(|| not_found("subscription", name))
    }

    /// Whether there is a topic or a subscription of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.topics.contains_key(name) || self.subscriptions.contains_key(name)
    }

    /// Hands the messages to the topic's subscriptions, all or none, and returns their ids. A topic
    /// without a subscription keeps nothing.
    pub(super) fn publish(&mut self, request: PublishRequest) -> Result<Vec<String>, Status> {
        self.topic(&request.topic)?;
        if self.subscriptions.values().any(|s| s.settings.topic == request.topic) {
            self.store.admit(&request.messages)?;
        }
        let publish_time = Some(SystemTime::now().into());
        let mut ids = Vec::with_capacity(request.messages.len());
        for message in request.messages {
            self.last_message_id += 1;
            let message_id = self.last_message_id.to_string();
            ids.push(message_id.clone());
            let message = PubsubMessage { message_id, publish_time, ..message };
            self.hand_out(&request.topic, message);
        }
        Ok(ids)
    }

    /// Takes back all messages that were not acknowledged in time, and returns when the next ones
    /// will be.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Instant> {
        for subscribed in self.subscriptions.values_mut() {
            subscribed.backlog.expire(now);
        }
        self.forward_dead_letters();
        self.subscriptions.values().filter_map(|s| s.backlog.next_expiry()).min()
    }

    /// Publishes what has become a dead letter; without a topic for it, it is gone.
    pub(super) fn forward_dead_letters(&mut self) {
        let mut letters: Vec<(String, PubsubMessage)> = Vec::new();
        for (name, subscribed) in &mut self.subscriptions {
            let dead = subscribed.backlog.take_dead();
            let Some(topic) = subscribed.dead_letter_topic() else { continue };
            letters.extend(dead.into_iter().map(|letter| {
                (topic.to_owned(), letter.stored.as_dead_letter(name, letter.attempts))
            }));
        }
        for (topic, message) in letters {
            self.last_message_id += 1;
            let message_id = self.last_message_id.to_string();
            let publish_time = Some(SystemTime::now().into());
            self.hand_out(&topic, PubsubMessage { message_id, publish_time, ..message });
        }
    }

    fn hand_out(&mut self, topic: &str, message: PubsubMessage) {
        let mut subscribed =
            self.subscriptions.values_mut().filter(|s| s.settings.topic == topic).peekable();
        if subscribed.peek().is_none() {
            return;
        }
        let stored: Arc<Stored> = self.store.keep(message);
        for subscribed in subscribed {
            subscribed.backlog.push(Arc::clone(&stored));
        }
    }

    fn check_dead_letter_topic(&self, settings: &Subscription) -> Result<(), Status> {
        match &settings.dead_letter_policy {
            Some(policy) => self.topic(&policy.dead_letter_topic).map(drop),
            None => Ok(()),
        }
    }
}

fn copy(path: &str, from: &Topic, to: &mut Topic) -> Result<(), Status> {
    match path {
        "labels" => to.labels.clone_from(&from.labels),
        "message_retention_duration" => {
            to.message_retention_duration = from.message_retention_duration;
        }
        "message_storage_policy" => {
            to.message_storage_policy.clone_from(&from.message_storage_policy);
        }
        _ => {
            return Err(Status::invalid_argument(format!("a topic's {path} cannot be changed")));
        }
    }
    Ok(())
}
