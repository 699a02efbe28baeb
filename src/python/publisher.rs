//! `Publisher`: messages of Python's own, to several topics over one connection.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyList;

use crate::admin::{LookUp, look_up};
use crate::error::{PublishError, PublishErrorKind};
use crate::sink::{Connection, Outgoing, Publisher, PublisherRules, Receipts};

use super::bridge::{Bridge, Call, Outcome};
use super::errors::to_python;
use super::runtime::{self, OfProcess};

/// Topic, data, attributes and ordering key of a message.
type Given = (String, PyBackedBytes, HashMap<String, String>, String);

/// The receipts of one topic's messages, and where they belong among those of the call.
type Part = (Vec<usize>, Receipts);

type Receipt = Result<String, PublishError>;

/// Why a message was not published.
#[pyclass(frozen, get_all, module = "mongo_gcp_stream._core")]
pub(super) struct Unpublished {
    kind: &'static str,
    reason: String,
    retryable: bool,
}

impl From<PublishError> for Unpublished {
    fn from(error: PublishError) -> Self {
        let (kind, retryable) = match error.kind {
            PublishErrorKind::Rejected => ("rejected", false),
            PublishErrorKind::TooLarge => ("too_large", false),
            PublishErrorKind::TopicMissing => ("topic_missing", false),
            PublishErrorKind::Auth => ("auth", false),
            PublishErrorKind::Timeout => ("timeout", true),
            PublishErrorKind::Shutdown => ("not_sent", true),
            PublishErrorKind::Unavailable
            | PublishErrorKind::DeadLetter
            | PublishErrorKind::ClaimCheck => ("unavailable", true),
        };
        Self { kind, reason: error.message, retryable }
    }
}

/// Publishes to the topics that it was made for.
#[pyclass(name = "Publisher", frozen, module = "mongo_gcp_stream._core")]
pub(super) struct PyPublisher {
    parts: OfProcess<Parts>,
}

struct Parts {
    connection: Connection,
    topics: HashMap<String, Publisher>,
}

#[pymethods]
impl PyPublisher {
    #[new]
    #[pyo3(signature = (topics, *, endpoint = None, region = None))]
    fn new(
        py: Python<'_>,
        topics: HashMap<String, usize>,
        endpoint: Option<&str>,
        region: Option<&str>,
    ) -> PyResult<Self> {
        let runtime = runtime::handle()?;
        let _entered = runtime.enter();
        let connection =
            Connection::open_at(endpoint, region).map_err(|error| to_python(py, &error))?;
        let publisher = |(topic, max_messages): (String, usize)| {
            let rules = PublisherRules { max_messages, ..PublisherRules::default() };
            (topic.clone(), Publisher::new(&connection, topic, &rules))
        };
        let topics = topics.into_iter().map(publisher).collect();
        Ok(Self { parts: OfProcess::new(Parts { connection, topics }) })
    }

    /// What is known of the topics.
    fn look_up(&self, py: Python<'_>, timeout_ms: u64) -> PyResult<Vec<(String, String, String)>> {
        runtime::block_on(py, self.parts.get()?.looked_up(timeout_ms))
    }

    fn start_look_up(&self, bridge: &Bridge, call: u64, timeout_ms: u64) -> PyResult<Call> {
        let looked_up = self.parts.get()?.looked_up(timeout_ms);
        bridge.spawn(call, async move {
            let found = looked_up.await;
            Box::new(move |py: Python<'_>| Ok(PyList::new(py, found)?.into_any().unbind()))
                as Outcome
        })
    }

    /// Publishes and waits for the receipts.
    fn publish(
        &self,
        py: Python<'_>,
        messages: Vec<Given>,
        timeout_ms: u64,
        fail_fast: bool,
    ) -> PyResult<Py<PyAny>> {
        let parts = self.parts.get()?.begin(messages, timeout_ms, fail_fast)?;
        told(py, runtime::block_on(py, receipts(parts))?)
    }

    fn start_publish(
        &self,
        bridge: &Bridge,
        call: u64,
        messages: Vec<Given>,
        timeout_ms: u64,
        fail_fast: bool,
    ) -> PyResult<Call> {
        let parts = self.parts.get()?.begin(messages, timeout_ms, fail_fast)?;
        let given_up = parts.iter().map(|(_, receipts)| receipts.given_up()).collect();
        let call = bridge.spawn(call, async move {
            let receipts = receipts(parts).await;
            Box::new(move |py: Python<'_>| told(py, receipts)) as Outcome
        })?;
        Ok(call.giving_up(given_up))
    }

    /// Waits until everything that was taken over before is published or given up.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        runtime::block_on(py, self.parts.get()?.flushed())
    }

    fn start_flush(&self, bridge: &Bridge, call: u64) -> PyResult<Call> {
        let flushed = self.parts.get()?.flushed();
        bridge.spawn(call, async move {
            flushed.await;
            Box::new(|py: Python<'_>| Ok(py.None())) as Outcome
        })
    }
}

impl Parts {
    /// Hands messages over, in order for each topic.
    fn begin(&self, messages: Vec<Given>, timeout_ms: u64, fail_fast: bool) -> PyResult<Vec<Part>> {
        let mut parts: Vec<(&Publisher, Vec<usize>, Vec<Outgoing>)> = Vec::new();
        let mut part_of: HashMap<String, usize> = HashMap::new();
        for (index, (topic, data, attributes, key)) in messages.into_iter().enumerate() {
            let part = if let Some(part) = part_of.get(&topic) {
                *part
            } else {
                let publisher = self.topics.get(&topic);
                let publisher = publisher.ok_or_else(|| PyKeyError::new_err(topic.clone()))?;
                parts.push((publisher, Vec::new(), Vec::new()));
                part_of.insert(topic, parts.len() - 1);
                parts.len() - 1
            };
            parts[part].1.push(index);
            parts[part].2.push(Outgoing::new(Bytes::from_owner(data), attributes, &key));
        }
        let timeout = Duration::from_millis(timeout_ms);
        let begin = |(publisher, places, messages): (&Publisher, _, _)| {
            (places, publisher.publish(messages, timeout, fail_fast))
        };
        Ok(parts.into_iter().map(begin).collect())
    }

    fn flushed(&self) -> impl Future<Output = ()> + Send + 'static {
        let publishers: Vec<Publisher> = self.topics.values().cloned().collect();
        async move {
            join_all(publishers.iter().map(Publisher::flush)).await;
        }
    }

    /// Topic, state and reason of each topic.
    fn looked_up(
        &self,
        timeout_ms: u64,
    ) -> impl Future<Output = Vec<(String, String, String)>> + Send + 'static {
        let connection = self.connection.clone();
        let topics: Vec<String> = self.topics.keys().cloned().collect();
        async move {
            let found = look_up(&connection, &topics, Duration::from_millis(timeout_ms)).await;
            let state = |found| match found {
                LookUp::Exists => ("exists", String::new()),
                LookUp::Missing => ("missing", String::new()),
                LookUp::NotAllowed => ("not_allowed", String::new()),
                LookUp::Failed(reason) => ("failed", reason),
            };
            let found = topics.into_iter().zip(found.into_iter().map(state));
            found.map(|(topic, (state, reason))| (topic, state.to_owned(), reason)).collect()
        }
    }
}

/// The receipts of a call, in the order of its messages.
async fn receipts(parts: Vec<Part>) -> Vec<Receipt> {
    let waits = parts.into_iter().map(|(places, receipts)| async {
        places.into_iter().zip(receipts.wait().await).collect::<Vec<_>>()
    });
    let mut told: Vec<(usize, Receipt)> = join_all(waits).await.into_iter().flatten().collect();
    told.sort_unstable_by_key(|(place, _)| *place);
    told.into_iter().map(|(_, receipt)| receipt).collect()
}

/// Each receipt as Python has it: the id, or an `Unpublished`.
fn told(py: Python<'_>, receipts: Vec<Receipt>) -> PyResult<Py<PyAny>> {
    let told = receipts.into_iter().map(|receipt| match receipt {
        Ok(id) => Ok(id.into_pyobject(py)?.into_any().unbind()),
        Err(error) => Ok(Py::new(py, Unpublished::from(error))?.into_any()),
    });
    let told = told.collect::<PyResult<Vec<_>>>()?;
    Ok(PyList::new(py, told)?.into_any().unbind())
}
