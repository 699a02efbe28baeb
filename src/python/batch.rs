//! `ChangeBatch` and `ChangeEvent`: one buffer, and Python objects only for what is looked at.

use std::sync::Arc;

use pyo3::exceptions::{PyIndexError, PyStopIteration, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDateTime, PyList, PyTzInfo};

use crate::config::JsonMode;
use crate::event::{Batch, ChangeEvent as Fields, Image};
use crate::format::json::write_document;
use crate::reader::Delivery;

use super::decode::{self, decode};
use super::errors::to_python;
use super::extended_json::{json, json_mode};
use super::runtime;
use super::sources::not_portable;

/// Events that were read together, in stream order.
#[pyclass(frozen, sequence, module = "mongo_gcp_stream._core")]
pub(super) struct ChangeBatch {
    stream: Arc<str>,
    delivery: Arc<Delivery>,
}

impl ChangeBatch {
    pub(super) fn new(stream: Arc<str>, delivery: Arc<Delivery>) -> Self {
        Self { stream, delivery }
    }

    pub(super) fn batch(&self) -> &Batch {
        &self.delivery.batch
    }

    fn detached(stream: &str, batch: Batch) -> Self {
        Self::new(stream.into(), Arc::new(Delivery::detached(batch)))
    }
}

#[pymethods]
impl ChangeBatch {
    fn __len__(&self) -> usize {
        self.delivery.batch.len()
    }

    fn __getitem__(&self, index: isize) -> PyResult<ChangeEvent> {
        let length = self.delivery.batch.len();
        let from_end = index.checked_add_unsigned(length).filter(|_| index < 0);
        let index = usize::try_from(from_end.unwrap_or(index)).unwrap_or(usize::MAX);
        if index >= length {
            return Err(PyIndexError::new_err("batch index out of range"));
        }
        Ok(ChangeEvent {
            stream: Arc::clone(&self.stream),
            delivery: Arc::clone(&self.delivery),
            index,
        })
    }

    #[getter]
    fn stream(&self) -> &str {
        &self.stream
    }

    /// The events as one document.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.delivery.batch.to_bytes(&self.stream).map_err(not_portable)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// What `to_bytes` wrote.
    #[staticmethod]
    fn from_bytes(data: &[u8]) -> PyResult<Self> {
        let (stream, batch) = Batch::from_bytes(data).map_err(not_portable)?;
        Ok(Self::detached(&stream, batch))
    }

    /// A batch of one event.
    #[staticmethod]
    fn of_event(stream: &str, event: &[u8]) -> PyResult<Self> {
        Ok(Self::detached(stream, Batch::of_event(event).map_err(not_portable)?))
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        let from_bytes = slf.get_type().getattr("from_bytes")?;
        Ok((from_bytes, (slf.get().to_bytes(slf.py())?,)))
    }

    /// Size of all events in bytes of BSON.
    #[getter]
    fn nbytes(&self) -> usize {
        self.delivery.batch.bytes()
    }

    /// Says that the first `count` events are done with, or all.
    #[pyo3(signature = (count = None))]
    fn commit(&self, count: Option<usize>) -> Committed {
        commit(&self.delivery, count.unwrap_or(usize::MAX))
    }

    /// The raw BSON of each event.
    fn raw<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.delivery.batch.events().map(|event| PyBytes::new(py, event)))
    }

    /// A `pyarrow.Table` with a row an event.
    fn to_arrow(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        let py = slf.py();
        let relaxed = |bson: &[u8]| json(py, bson, JsonMode::Relaxed);
        let documents = slf.get().batch().events().map(|event| {
            let fields = Fields::decode(event).map_err(|error| to_python(py, &error.into()))?;
            let full = fields.full_document.document();
            Ok((fields.document_key.map(relaxed).transpose()?, full.map(relaxed).transpose()?))
        });
        let documents = documents.collect::<PyResult<Vec<_>>>()?;
        py.import("mongo_gcp_stream._arrow")?.getattr("to_arrow")?.call1((slf, documents))
    }

    /// Each event as JSON.
    #[pyo3(signature = (mode = "relaxed"))]
    fn payloads<'py>(&self, py: Python<'py>, mode: &str) -> PyResult<Bound<'py, PyList>> {
        let mode = json_mode(mode)?;
        let events = self.delivery.batch.events().map(|event| json(py, event, mode));
        PyList::new(py, events.collect::<PyResult<Vec<_>>>()?)
    }

    fn __repr__(&self) -> String {
        format!("ChangeBatch({} events, {} bytes)", self.__len__(), self.nbytes())
    }
}

/// In a forked child nothing is noted: the position is the parent's.
fn commit(delivery: &Delivery, count: usize) -> Committed {
    Committed { noted: !runtime::is_forked() && delivery.commit(count) }
}

/// Whether a commit was noted; it can also be awaited, and is done at once.
#[pyclass(frozen, module = "mongo_gcp_stream._core")]
pub(super) struct Committed {
    noted: bool,
}

#[pymethods]
impl Committed {
    fn __bool__(&self) -> bool {
        self.noted
    }

    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// What is awaited ends at once, with whether the commit was noted.
    fn __next__(&self) -> PyResult<()> {
        Err(PyStopIteration::new_err(self.noted))
    }

    fn __repr__(&self) -> String {
        format!("Committed({})", if self.noted { "True" } else { "False" })
    }
}

/// What makes an event again, and its stream and BSON.
type Rebuilt<'py> = (Bound<'py, PyAny>, (String, Bound<'py, PyBytes>));

/// One change event; its parts become Python objects when they are asked for.
#[pyclass(frozen, module = "mongo_gcp_stream._core")]
pub(super) struct ChangeEvent {
    stream: Arc<str>,
    delivery: Arc<Delivery>,
    index: usize,
}

#[pymethods]
impl ChangeEvent {
    /// Says that this event and all before it in its batch are done with.
    fn commit(&self) -> Committed {
        commit(&self.delivery, self.index + 1)
    }

    #[getter]
    fn stream(&self) -> &str {
        &self.stream
    }

    /// The event as a batch of one.
    fn as_batch(&self) -> PyResult<ChangeBatch> {
        ChangeBatch::of_event(&self.stream, self.bson())
    }

    /// An event of `stream`, as BSON.
    #[staticmethod]
    fn from_raw(stream: &str, event: &[u8]) -> PyResult<Self> {
        ChangeBatch::of_event(stream, event)?.__getitem__(0)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Rebuilt<'py>> {
        let from_raw = slf.get_type().getattr("from_raw")?;
        let this = slf.get();
        Ok((from_raw, (this.stream.to_string(), this.raw(slf.py()))))
    }

    /// The whole event as BSON.
    #[getter]
    fn raw<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.bson())
    }

    /// The whole event as a dict.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        decode(py, self.bson())
    }

    /// The whole event as JSON text.
    #[pyo3(signature = (mode = "relaxed"))]
    fn json(&self, mode: &str) -> PyResult<String> {
        let mut text = Vec::new();
        let written = write_document(self.bson(), json_mode(mode)?, &mut text);
        let text = written.map(|()| String::from_utf8_lossy(&text).into_owned());
        text.map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// The resume token.
    #[getter]
    fn resume_token<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        decode(py, self.fields(py)?.token)
    }

    #[getter]
    fn event_id(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.fields(py)?.event_id().to_string())
    }

    #[getter]
    fn operation_type(&self, py: Python<'_>) -> PyResult<Option<&str>> {
        Ok(self.fields(py)?.operation)
    }

    #[getter]
    fn database(&self, py: Python<'_>) -> PyResult<Option<&str>> {
        Ok(self.fields(py)?.database)
    }

    #[getter]
    fn collection(&self, py: Python<'_>) -> PyResult<Option<&str>> {
        Ok(self.fields(py)?.collection)
    }

    /// `bson.Timestamp`.
    #[getter]
    fn cluster_time<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.fields(py)?.time().map(|time| decode::timestamp(py, time)).transpose()
    }

    /// `datetime.datetime`, aware, in UTC.
    #[getter]
    fn wall_time<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDateTime>>> {
        let Some(ms) = self.fields(py)?.wall_time_ms else { return Ok(None) };
        #[expect(clippy::cast_precision_loss, reason = "whole milliseconds of this era fit")]
        let seconds = ms as f64 / 1e3;
        PyDateTime::from_timestamp(py, seconds, Some(&*PyTzInfo::utc(py)?)).map(Some)
    }

    #[getter]
    fn document_key<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.fields(py)?.document_key.map(|key| decode(py, key)).transpose()
    }

    #[getter]
    fn full_document<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        image(py, self.fields(py)?.full_document)
    }

    #[getter]
    fn full_document_before_change<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        image(py, self.fields(py)?.before_change)
    }

    /// Whether MongoDB could not return it whole.
    #[getter]
    fn documents_omitted(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.fields(py)?.documents_omitted)
    }

    #[getter]
    fn update_description<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.fields(py)?.update_description.map(|update| decode(py, update)).transpose()
    }

    /// No value of the document.
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let fields = self.fields(py)?;
        let name = [fields.database, fields.collection].map(|part| part.unwrap_or("?"));
        let operation = fields.operation.unwrap_or("?");
        Ok(format!(
            "ChangeEvent({operation} in {}, event_id {})",
            name.join("."),
            fields.event_id()
        ))
    }
}

impl ChangeEvent {
    fn bson(&self) -> &[u8] {
        self.delivery.batch.event(self.index).unwrap_or_default()
    }

    fn fields(&self, py: Python<'_>) -> PyResult<Fields<'_>> {
        Fields::decode(self.bson()).map_err(|error| to_python(py, &error.into()))
    }
}

fn image<'py>(py: Python<'py>, image: Image<'_>) -> PyResult<Option<Bound<'py, PyAny>>> {
    image.document().map(|document| decode(py, document)).transpose()
}
