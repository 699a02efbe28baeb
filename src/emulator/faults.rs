//! Faults that a test asks for.

use std::time::Duration;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PublishRequest;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

/// Something that goes wrong with Publish requests: by default with the next one, once.
///
/// ```
/// use mongo_gcp_stream::emulator::Fault;
/// use tonic::Code;
///
/// // The third and fourth request of this ordering key are committed, but their answers are lost.
/// let fault = Fault::lose_response(Code::Unavailable).of_key("orders/7").from_request(3).times(2);
/// ```
#[derive(Debug, Clone)]
pub struct Fault {
    action: Action,
    delay: Duration,
    topic: Option<String>,
    ordering_key: Option<String>,
    from_request: u64,
    times: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    Refuse(Code),
    Delay,
    LoseResponse(Code),
}

impl Fault {
    /// The request is answered with `code`, and not committed.
    #[must_use]
    pub fn status(code: Code) -> Self {
        Self::new(Action::Refuse(code))
    }

    /// The request is committed after `delay`, even if the caller is gone by then.
    #[must_use]
    pub fn delay(delay: Duration) -> Self {
        Self::new(Action::Delay).after(delay)
    }

    /// The request is committed, and then answered with `code`.
    #[must_use]
    pub fn lose_response(code: Code) -> Self {
        Self::new(Action::LoseResponse(code))
    }

    fn new(action: Action) -> Self {
        let (delay, topic, ordering_key) = (Duration::ZERO, None, None);
        Self { action, delay, topic, ordering_key, from_request: 1, times: Some(1) }
    }

    /// The answer takes this long, or until the faults are cleared.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Only requests to this topic, by its full name.
    #[must_use]
    pub fn of_topic(self, topic: &str) -> Self {
        Self { topic: Some(topic.to_owned()), ..self }
    }

    /// Only requests with this ordering key.
    #[must_use]
    pub fn of_key(self, ordering_key: &str) -> Self {
        Self { ordering_key: Some(ordering_key.to_owned()), ..self }
    }

    /// From the `nth` such request on, counted from 1 and from now.
    #[must_use]
    pub fn from_request(self, nth: u64) -> Self {
        Self { from_request: nth, ..self }
    }

    /// This many times.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Until the faults are cleared.
    #[must_use]
    pub fn for_ever(self) -> Self {
        Self { times: None, ..self }
    }

    fn concerns(&self, request: &PublishRequest) -> bool {
        let key = request.messages.first().map(|message| message.ordering_key.as_str());
        self.topic.as_ref().is_none_or(|topic| *topic == request.topic)
            && self.ordering_key.as_deref().is_none_or(|wanted| Some(wanted) == key)
    }
}

/// What happens to one request.
#[derive(Debug)]
pub(super) struct Strike {
    pub(super) action: Action,
    delay: Duration,
    cleared: CancellationToken,
}

impl Strike {
    pub(super) async fn wait(&self) {
        tokio::select! {
            () = tokio::time::sleep(self.delay) => {}
            () = self.cleared.cancelled() => {}
        }
    }
}

pub(super) fn status(code: Code) -> Status {
    Status::new(code, "a fault that was asked for")
}

/// The faults in force. Of several that concern a request, the first that was set strikes.
#[derive(Debug, Default)]
pub(super) struct Faults {
    rules: Vec<Rule>,
    cleared: CancellationToken,
}

#[derive(Debug)]
struct Rule {
    fault: Fault,
    seen: u64,
    struck: u64,
}

impl Rule {
    fn strikes(&mut self, request: &PublishRequest) -> bool {
        let spent = self.fault.times.is_some_and(|times| self.struck >= times);
        if spent || !self.fault.concerns(request) {
            return false;
        }
        self.seen += 1;
        if self.seen < self.fault.from_request {
            return false;
        }
        self.struck += 1;
        true
    }
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.rules.push(Rule { fault, seen: 0, struck: 0 });
    }

    /// Forgets all, and ends the delays under way.
    pub(super) fn clear(&mut self) {
        self.rules.clear();
        std::mem::take(&mut self.cleared).cancel();
    }

    pub(super) fn next(&mut self, request: &PublishRequest) -> Option<Strike> {
        let rule = self.rules.iter_mut().find_map(|rule| rule.strikes(request).then_some(rule))?;
        let Fault { action, delay, .. } = rule.fault;
        Some(Strike { action, delay, cleared: self.cleared.clone() })
    }
}
