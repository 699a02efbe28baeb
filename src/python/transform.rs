//! One event through the transform, for tests of what goes out.

use std::collections::BTreeMap;

use googleapis_tonic_google_pubsub_v1::google::pubsub::v1::PubsubMessage;
use prost::Message as _;
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::config::{self, Environment};
use crate::error::{ConfigError, Error};
use crate::event::{Destination, Message};
use crate::transform::{Context, Transform};

use super::errors::to_python;

/// Topic, data, attributes and ordering key of a message.
type Sent = (String, Py<PyBytes>, BTreeMap<String, String>, String);

/// The messages that `stream` makes of `event`, one BSON document. Pure: no variable of the
/// environment is read.
#[pyfunction]
pub(super) fn transform_event(
    py: Python<'_>,
    config_yaml: &str,
    stream: &str,
    event: &[u8],
    now_ms: i64,
) -> PyResult<Vec<Sent>> {
    let transform = compile(config_yaml, stream).map_err(|error| to_python(py, &error.into()))?;
    let transform = transform.ok_or_else(|| PyKeyError::new_err(stream.to_owned()))?;
    let messages = transform.apply(0, event, &Context { now_ms, redriven: false });
    let messages = messages.map_err(|error| to_python(py, &error.into()))?;
    messages.iter().map(|message| sent(py, message)).collect()
}

/// `None` where there is no such stream.
fn compile(config_yaml: &str, stream: &str) -> Result<Option<Transform>, ConfigError> {
    let config = config::from_yaml(config_yaml, "config_yaml", &Environment::default())?.config;
    let streams = config.streams()?;
    let found = streams.iter().find(|known| known.id.to_string() == stream);
    found.map(|stream| Transform::compile(&config, stream)).transpose()
}

fn sent(py: Python<'_>, message: &Message) -> PyResult<Sent> {
    let topic = match &message.to {
        Destination::Topic(path) => path.to_string(),
        Destination::DeadLetter => "dead_letter".into(),
    };
    let read = PubsubMessage::decode(message.body.clone())
        .map_err(|error| to_python(py, &Error::Internal(error.to_string())))?;
    let data = PyBytes::new(py, &read.data).unbind();
    Ok((topic, data, read.attributes.into_iter().collect(), read.ordering_key))
}
