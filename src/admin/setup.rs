//! Creates the topics and subscriptions that the configuration names. A second time there is
//! nothing to do.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tonic::Code;

use super::control::{Control, Refusal};
use super::gcloud;
use crate::config::{BigQueryConfig, Config, GcpConfig, PubSubConfig, SubscriptionConfig};
use crate::error::{ConfigError, Error};
use crate::flow::BackoffPolicy;
use crate::sink::Connection;

mod bigquery;
mod subscription;

/// What became of one topic or subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It would be made sure of: nothing was asked or done.
    Planned,
    /// It was not there and is now.
    Created,
    /// It was there and has changed.
    Updated,
    /// It is as it should be.
    Unchanged,
    /// Good to know; a person may have to do something.
    Note,
    /// It differs in what cannot be changed: a person has to decide.
    Conflict,
    /// It could not be done.
    Failed,
}

impl Action {
    /// As a word for people and machines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Note => "note",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
        }
    }
}

/// One topic or subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What became of it.
    pub action: Action,
    /// `topic shop-changes`, `subscription shop-worker`.
    pub resource: String,
    /// In one sentence; empty where `action` says it all.
    pub what: String,
    /// The `gcloud` command that does the same, or what is to be done by hand; empty where nothing
    /// is.
    pub command: String,
}

/// The commands that make everything, whatever exists. Pure.
///
/// # Errors
/// [`ConfigError`] where `gcp` or `pubsub` is missing.
pub fn plan(config: &Config) -> Result<Vec<Step>, ConfigError> {
    let (gcp, pubsub) = sections(config)?;
    let project = &gcp.project_id;
    let steps = wanted(pubsub).into_iter().flat_map(|wanted| {
        let resource = wanted.resource();
        let step = |(what, command): (&str, String)| Step {
            action: Action::Planned,
            resource: resource.clone(),
            what: what.to_owned(),
            command,
        };
        wanted.commands(project).into_iter().map(step).collect::<Vec<_>>()
    });
    Ok(steps.collect())
}

/// Makes sure of every topic and subscription, within `timeout`. What fails does not keep the
/// others from being made.
///
/// # Errors
/// [`Error::Config`] where `gcp` or `pubsub` is missing; [`Error::Publish`] without credentials.
pub async fn setup(config: &Config, timeout: Duration) -> Result<Vec<Step>, Error> {
    let (gcp, pubsub) = sections(config)?;
    let connection = Connection::open(gcp, pubsub)?;
    let backoff = BackoffPolicy::from(&config.error_handling);
    let control = Control::new(connection, backoff, timeout);
    let deadline = Instant::now() + timeout;
    let mut steps = Vec::new();
    for wanted in wanted(pubsub) {
        let made = timeout_at(deadline, Box::pin(wanted.ensure(&control, &gcp.project_id))).await;
        steps.extend(made.unwrap_or_else(|_| vec![wanted.failed("not done within the timeout")]));
    }
    Ok(steps)
}

fn sections(config: &Config) -> Result<(&GcpConfig, &PubSubConfig), ConfigError> {
    let missing = |path: &str, holds: &str| ConfigError {
        path: path.to_owned(),
        message: format!("missing: `setup` needs {holds}"),
    };
    let gcp = config.gcp.as_ref().ok_or_else(|| missing("gcp", "`gcp.project_id`"))?;
    let pubsub = config.pubsub.as_ref().ok_or_else(|| missing("pubsub", "`pubsub.topics`"))?;
    Ok((gcp, pubsub))
}

/// What has to be there.
enum Wanted<'a> {
    Topic(&'a str),
    Table(&'a BigQueryConfig),
    Subscription {
        topic: &'a str,
        name: &'a str,
        settings: &'a SubscriptionConfig,
        table: Option<&'a BigQueryConfig>,
    },
}

/// Topics and tables before subscriptions, dead-letter topics before those that use them.
fn wanted(pubsub: &PubSubConfig) -> Vec<Wanted<'_>> {
    let mut topics: Vec<&str> = Vec::new();
    let mut subscriptions = Vec::new();
    for topic in pubsub.topics.values() {
        topics.push(&topic.name);
        for (name, settings) in &topic.subscriptions {
            topics.extend(settings.dead_letter_topic.as_deref());
            let table = topic.bigquery.as_ref().filter(|_| settings.bigquery);
            subscriptions.push(Wanted::Subscription { topic: &topic.name, name, settings, table });
        }
    }
    topics.sort_unstable();
    topics.dedup();
    let tables = pubsub.topics.values().filter_map(|topic| topic.bigquery.as_ref());
    let tables = tables.map(Wanted::Table);
    topics.into_iter().map(Wanted::Topic).chain(tables).chain(subscriptions).collect()
}

impl Wanted<'_> {
    fn resource(&self) -> String {
        match self {
            Self::Topic(name) => format!("topic {name}"),
            Self::Table(table) => format!("table {}.{}", table.dataset, table.table),
            Self::Subscription { name, .. } => format!("subscription {name}"),
        }
    }

    fn step(&self, action: Action, what: &str, command: String) -> Step {
        Step { action, resource: self.resource(), what: what.to_owned(), command }
    }

    fn failed(&self, what: &str) -> Step {
        self.step(Action::Failed, what, String::new())
    }

    /// What is to be done, and the command that does it.
    fn commands(&self, project: &str) -> Vec<(&'static str, String)> {
        match self {
            Self::Topic(name) => vec![("", gcloud::create_topic(project, name))],
            Self::Table(table) => {
                vec![
                    (bigquery::TABLE_NEEDS, bigquery::create_table(table, project)),
                    (bigquery::WRITER_NEEDS, bigquery::grant_writer(table, project)),
                ]
            }
            Self::Subscription { topic, name, settings, .. } => {
                let create = gcloud::create_subscription(project, topic, name, settings);
                let create = create + &self.bigquery_flags(project);
                let grant = settings.dead_letter_topic.as_ref().map(|dead_letter_topic| {
                    let grant = gcloud::grant_dead_letters(project, name, dead_letter_topic);
                    (subscription::DEAD_LETTERS_NEED, grant)
                });
                std::iter::once(("", create)).chain(grant).collect()
            }
        }
    }

    /// Empty for a subscription that does not write to BigQuery.
    fn bigquery_flags(&self, project: &str) -> String {
        match self {
            Self::Subscription { table: Some(table), .. } => bigquery::flags(table, project),
            _ => String::new(),
        }
    }

    async fn ensure(&self, control: &Control, project: &str) -> Vec<Step> {
        let made = match self {
            Self::Topic(name) => self.ensure_topic(control, project, name).await,
            // What has to be there, not made here.
            Self::Table(_) => {
                let notes = self.commands(project).into_iter();
                Ok(notes.map(|(what, command)| self.step(Action::Note, what, command)).collect())
            }
            Self::Subscription { .. } => Box::pin(self.ensure_subscription(control, project)).await,
        };
        made.unwrap_or_else(|refusal| vec![self.refused(&refusal)])
    }

    async fn ensure_topic(
        &self,
        control: &Control,
        project: &str,
        name: &str,
    ) -> Result<Vec<Step>, Refusal> {
        let full = format!("projects/{project}/topics/{name}");
        let unchanged = || vec![self.step(Action::Unchanged, "", String::new())];
        if control.topic(&full).await?.is_some() {
            return Ok(unchanged());
        }
        match control.create_topic(&full).await {
            Ok(_) => {
                let command = gcloud::create_topic(project, name);
                Ok(vec![self.step(Action::Created, "", command)])
            }
            // Somebody else was faster, or the first answer was lost.
            Err(refusal) if refusal.code == Code::AlreadyExists => Ok(unchanged()),
            Err(refusal) => Err(refusal),
        }
    }

    fn refused(&self, refusal: &Refusal) -> Step {
        let fix = match refusal.code {
            Code::PermissionDenied => {
                "Give the account the role roles/pubsub.editor on the project, or have somebody \
                 who has it run the commands that `setup --dry-run` prints."
            }
            Code::Unauthenticated => "Run `gcloud auth application-default login`.",
            Code::NotFound => "Check `gcp.project_id`, and that the topic could be created.",
            Code::Unavailable | Code::DeadlineExceeded => "Check network access to Pub/Sub.",
            _ => "",
        };
        self.step(Action::Failed, &refusal.message, fix.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, from_yaml};

    #[test]
    fn the_plan_has_each_topic_once_and_before_its_subscriptions() {
        let yaml = "mongodb: {connections: {main: {uri: 'mongodb://h', sources: {orders: \
                    {database: shop, topic: one}}}}}\n\
                    gcp: {project_id: p}\n\
                    pubsub: {topics: {one: {name: shop, subscriptions: {worker: \
                    {dead_letter_topic: dead}, audit: {dead_letter_topic: dead, ordering: false}}}, \
                    two: {name: dead}}}\n";
        let config = from_yaml(yaml, "test", &Environment::new()).unwrap().config;
        let steps = plan(&config).unwrap();
        let resources: Vec<&str> = steps.iter().map(|step| step.resource.as_str()).collect();
        let expected = [
            "topic dead",
            "topic shop",
            "subscription audit",
            "subscription audit",
            "subscription worker",
            "subscription worker",
        ];
        assert_eq!(resources, expected);
        assert!(steps.iter().all(|step| step.action == Action::Planned));
        assert!(steps[4].command.ends_with("--enable-message-ordering --dead-letter-topic=dead"));
        assert!(steps[5].command.contains("roles/pubsub.subscriber"));
    }
}
