//! Pub/Sub's control plane: topics, subscriptions, permissions.

use std::time::Duration;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::{
    GetSubscriptionRequest, GetTopicRequest, ListTopicSubscriptionsRequest,
    ListTopicSubscriptionsResponse, Subscription, Topic, UpdateSubscriptionRequest,
};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use crate::flow::BackoffPolicy;
use crate::sink::{Connection, code_name};

const GET_TOPIC: &str = "/google.pubsub.v1.Publisher/GetTopic";
const CREATE_TOPIC: &str = "/google.pubsub.v1.Publisher/CreateTopic";
const LIST_TOPIC_SUBSCRIPTIONS: &str = "/google.pubsub.v1.Publisher/ListTopicSubscriptions";
const GET_SUBSCRIPTION: &str = "/google.pubsub.v1.Subscriber/GetSubscription";
const CREATE_SUBSCRIPTION: &str = "/google.pubsub.v1.Subscriber/CreateSubscription";
const UPDATE_SUBSCRIPTION: &str = "/google.pubsub.v1.Subscriber/UpdateSubscription";
const TEST_IAM_PERMISSIONS: &str = "/google.iam.v1.IAMPolicy/TestIamPermissions";

/// Most time for one attempt: control calls answer within a second or two.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// `google.iam.v1.TestIamPermissionsRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct TestIamPermissionsRequest {
    #[prost(string, tag = "1")]
    resource: String,
    #[prost(string, repeated, tag = "2")]
    permissions: Vec<String>,
}

/// `google.iam.v1.TestIamPermissionsResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct TestIamPermissionsResponse {
    #[prost(string, repeated, tag = "1")]
    permissions: Vec<String>,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub code: Code,
    /// The code's name and the server's text, which names resources only.
    pub message: String,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let (code, text) = (status.code(), status.message());
        let separator = if text.is_empty() { "" } else { ": " };
        Self { code, message: format!("{}{separator}{text}", code_name(code)) }
    }
}

/// Calls of the control plane, tried again for as long as it makes sense.
#[derive(Clone, Debug)]
pub(super) struct Control {
    connection: Connection,
    backoff: BackoffPolicy,
    /// How long one call may take, with all of its attempts.
    patience: Duration,
}

impl Control {
    pub fn new(connection: Connection, backoff: BackoffPolicy, patience: Duration) -> Self {
        Self { connection, backoff, patience }
    }

    /// The topic `projects/…/topics/…`, `None` where there is none.
    pub async fn topic(&self, name: &str) -> Result<Option<Topic>, Refusal> {
        let request = GetTopicRequest { topic: name.to_owned() };
        found(self.call(GET_TOPIC, ("topic", name), request).await)
    }

    pub async fn create_topic(&self, name: &str) -> Result<Topic, Refusal> {
        let topic = Topic { name: name.to_owned(), ..Topic::default() };
        self.call(CREATE_TOPIC, ("name", name), topic).await
    }

    /// Full names of the subscriptions of a topic.
    pub async fn subscriptions(&self, topic: &str) -> Result<Vec<String>, Refusal> {
        let mut names = Vec::new();
        let mut page_token = String::new();
        loop {
            let topic_name = topic.to_owned();
            let request =
                ListTopicSubscriptionsRequest { topic: topic_name, page_size: 0, page_token };
            let page: ListTopicSubscriptionsResponse =
                self.call(LIST_TOPIC_SUBSCRIPTIONS, ("topic", topic), request).await?;
            names.extend(page.subscriptions);
            if page.next_page_token.is_empty() {
                return Ok(names);
            }
            page_token = page.next_page_token;
        }
    }

    /// The subscription `projects/…/subscriptions/…`, `None` where there is none.
    pub async fn subscription(&self, name: &str) -> Result<Option<Subscription>, Refusal> {
        let request = GetSubscriptionRequest { subscription: name.to_owned() };
        found(self.call(GET_SUBSCRIPTION, ("subscription", name), request).await)
    }

    pub async fn create_subscription(&self, wanted: Subscription) -> Result<(), Refusal> {
        let name = wanted.name.clone();
        let created: Result<Subscription, _> =
            self.call(CREATE_SUBSCRIPTION, ("name", &name), wanted).await;
        created.map(drop)
    }

    /// Sets these fields of a subscription to what `wanted` has.
    pub async fn update_subscription(
        &self,
        wanted: Subscription,
        fields: &[&str],
    ) -> Result<(), Refusal> {
        let name = wanted.name.clone();
        let mut request =
            UpdateSubscriptionRequest { subscription: Some(wanted), ..Default::default() };
        let paths = fields.iter().map(|field| (*field).to_owned());
        request.update_mask.get_or_insert_default().paths.extend(paths);
        let routing = ("subscription.name", name.as_str());
        let updated: Result<Subscription, _> =
            self.call(UPDATE_SUBSCRIPTION, routing, request).await;
        updated.map(drop)
    }

    /// Whether the caller has this permission on a resource.
    pub async fn may(&self, permission: &str, resource: &str) -> Result<bool, Refusal> {
        let permissions = vec![permission.to_owned()];
        let request = TestIamPermissionsRequest { resource: resource.to_owned(), permissions };
        let granted: TestIamPermissionsResponse =
            self.call(TEST_IAM_PERMISSIONS, ("resource", resource), request).await?;
        Ok(granted.permissions.iter().any(|granted| granted == permission))
    }

    async fn call<Q, A>(
        &self,
        method: &'static str,
        routing: (&str, &str),
        message: Q,
    ) -> Result<A, Refusal>
    where
        Q: prost::Message + Clone + 'static,
        A: prost::Message + Default + 'static,
    {
        let deadline = Instant::now() + self.patience;
        let mut backoff = self.backoff.start();
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).min(ATTEMPT_TIMEOUT);
            let status = match self.connection.call(method, routing, message.clone(), left).await {
                Ok(answer) => return Ok(answer),
                Err(status) => status,
            };
            let delay = backoff.next_delay();
            if !passes(status.code()) || Instant::now() + delay >= deadline {
                return Err(status.into());
            }
            sleep(delay).await;
        }
    }
}

/// What may be over with the next attempt. A repeated creation whose first answer was lost ends in
/// `ALREADY_EXISTS`, which its callers expect.
fn passes(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::Internal
            | Code::ResourceExhausted
            | Code::Unknown
    )
}

fn found<T>(answer: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
    match answer {
        Err(refusal) if refusal.code == Code::NotFound => Ok(None),
        answer => answer.map(Some),
    }
}
