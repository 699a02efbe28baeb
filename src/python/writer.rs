//! `Transform` and `Writer`: the middle and the end of the line, for a runner that moves what goes
//! between them.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::config::Config;
use crate::error::{ConfigError, Error};
use crate::event::{Destination, Message, messages_from_bytes, messages_to_bytes};
use crate::manager;
use crate::transform;

use super::batch::ChangeBatch;
use super::errors::to_python;
use super::reading::{known, parse};
use super::runtime::{self, OfProcess};
use super::sources::not_portable;

/// What turns the events of one stream into messages.
#[pyclass(frozen, module = "mongo_gcp_stream._core")]
pub(super) struct Transform {
    stream: Arc<str>,
    transform: transform::Transform,
}

#[pymethods]
impl Transform {
    /// Compiles what the configuration, JSON text of a mapping without variables, says of `stream`.
    #[new]
    fn new(py: Python<'_>, config: &str, stream: &str) -> PyResult<Self> {
        let compiled = parse(config).and_then(|config| compile(&config, stream));
        Ok(Self { stream: stream.into(), transform: known(py, compiled)? })
    }

    /// The messages for the events of a batch.
    fn apply(&self, py: Python<'_>, batch: &ChangeBatch) -> PyResult<MessageBatch> {
        let context = transform::Context::now();
        let done = py.detach(|| self.transform.apply_batch(0, batch.batch(), &context));
        if let Some(refused) = done.refused {
            return Err(to_python(py, &refused.into()));
        }
        let made = MessageBatch::new(Arc::clone(&self.stream), done.messages);
        Ok(MessageBatch { invalid: done.invalid, skipped: done.skipped.len(), ..made })
    }
}

fn compile(config: &Config, stream: &str) -> Result<transform::Transform, ConfigError> {
    let streams = config.streams()?;
    let found = streams.iter().find(|known| known.id.to_string() == stream);
    let found = found.ok_or_else(|| manager::no_stream(stream))?;
    if found.source.validation.json_schema.is_unread() {
        return Err(ConfigError {
            path: format!(
                "mongodb.connections.{}.validation.json_schema.collection",
                stream.replace('.', ".sources.")
            ),
            message: "only `run` reads the schema of a collection: give the schema itself".into(),
        });
    }
    transform::Transform::compile(config, found)
}

/// Messages as they go out, in stream order.
#[pyclass(frozen, module = "mongo_gcp_stream._core")]
pub(super) struct MessageBatch {
    stream: Arc<str>,
    messages: Vec<Message>,
    /// How many of them are dead letters.
    letters: usize,
    invalid: u64,
    skipped: usize,
}

/// Data, attributes and ordering key of a message that is made of no event.
type Plain = (PyBackedBytes, HashMap<String, String>, String);

/// Data and attributes of a dead letter.
type Letter<'py> = (Bound<'py, PyBytes>, HashMap<String, String>);

impl MessageBatch {
    fn new(stream: Arc<str>, messages: Vec<Message>) -> Self {
        let letters = messages.iter().filter(|message| is_letter(message)).count();
        Self { stream, messages, letters, invalid: 0, skipped: 0 }
    }
}

fn is_letter(message: &Message) -> bool {
    message.to == Destination::DeadLetter
}

/// Dead letters as Python has them.
fn letters(py: Python<'_>, messages: impl IntoIterator<Item = Message>) -> Vec<Letter<'_>> {
    let content = messages.into_iter().map(|message| message.content());
    content.map(|(data, attributes)| (PyBytes::new(py, &data), attributes)).collect()
}

#[pymethods]
impl MessageBatch {
    fn __len__(&self) -> usize {
        self.messages.len()
    }

    #[getter]
    fn stream(&self) -> &str {
        &self.stream
    }

    /// How many events broke a rule of `schemas`.
    #[getter]
    fn invalid(&self) -> u64 {
        self.invalid
    }

    /// How many events made no message, on purpose.
    #[getter]
    fn skipped(&self) -> usize {
        self.skipped
    }

    /// How many of the messages are dead letters.
    #[getter]
    fn letters(&self) -> usize {
        self.letters
    }

    /// The messages for topics, and the dead letters.
    fn split<'py>(&self, py: Python<'py>) -> (Self, Vec<Letter<'py>>) {
        let (dead, messages): (Vec<_>, Vec<_>) = self.messages.iter().cloned().partition(is_letter);
        let stream = Arc::clone(&self.stream);
        let Self { invalid, skipped, .. } = *self;
        (Self { stream, messages, letters: 0, invalid, skipped }, letters(py, dead))
    }

    /// Messages that are made of no event, for `topic`.
    #[staticmethod]
    fn plain(stream: &str, topic: &str, messages: Vec<Plain>) -> Self {
        let topic: Arc<str> = topic.into();
        let plain = |(sequence, (data, attributes, key))| {
            Message::plain(sequence, &topic, Bytes::from_owner(data), attributes, key)
        };
        Self::new(stream.into(), (0..).zip(messages).map(plain).collect())
    }

    #[getter]
    fn nbytes(&self) -> usize {
        self.messages.iter().map(|message| message.body.len()).sum()
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = messages_to_bytes(&self.stream, &self.messages).map_err(not_portable)?;
        Ok(PyBytes::new(py, &bytes))
    }

    #[staticmethod]
    fn from_bytes(data: &[u8]) -> PyResult<Self> {
        let (stream, messages) = messages_from_bytes(data).map_err(not_portable)?;
        Ok(Self::new(stream.into(), messages))
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        let from_bytes = slf.get_type().getattr("from_bytes")?;
        Ok((from_bytes, (slf.get().to_bytes(slf.py())?,)))
    }

    fn __repr__(&self) -> String {
        format!("MessageBatch({} messages, {} bytes)", self.__len__(), self.nbytes())
    }
}

/// Publishes the messages of one stream.
#[pyclass(frozen, module = "mongo_gcp_stream._core")]
pub(super) struct Writer {
    writer: OfProcess<manager::Writer>,
}

#[pymethods]
impl Writer {
    #[new]
    #[pyo3(signature = (config, stream, *, keep_letters = false))]
    fn new(py: Python<'_>, config: &str, stream: &str, keep_letters: bool) -> PyResult<Self> {
        let runtime = runtime::handle()?;
        let _entered = runtime.enter();
        let writer = manager::Writer::new(&known(py, parse(config))?, stream, keep_letters);
        let writer = writer.map_err(|error| to_python(py, &error))?;
        Ok(Self { writer: OfProcess::new(writer) })
    }

    /// Hands messages over.
    #[pyo3(signature = (messages, topic = None))]
    fn publish(
        &self,
        py: Python<'_>,
        messages: &MessageBatch,
        topic: Option<&str>,
    ) -> PyResult<()> {
        let topic = topic.map(|topic| Destination::Topic(topic.into()));
        let published = self.writer.get()?.publish(&messages.messages, topic.as_ref());
        runtime::block_on(py, published)?.map_err(|error: Error| to_python(py, &error))
    }

    /// Waits until everything handed over is safe.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        let flushed = runtime::block_on(py, self.writer.get()?.flush())?;
        flushed.map_err(|error| to_python(py, &error))
    }

    /// Dead letters kept since the last time.
    fn letters<'py>(&self, py: Python<'py>) -> PyResult<Vec<Letter<'py>>> {
        Ok(letters(py, self.writer.get()?.letters()))
    }

    /// Requests acknowledged, attempts after the first, and dead letters kept so far.
    fn counts(&self) -> PyResult<(u64, u64, u64)> {
        Ok(self.writer.get()?.counts())
    }
}
