//! BSON to the objects that pymongo gives.
//!
//! What documents are mostly made of is made here, in half the time that pymongo's extension takes:
//! it finds its way anew with each document and makes each id and decimal by code in Python. The
//! rest, and all that is malformed, is left to `bson.decode`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use mongodb::bson::Timestamp;
use pyo3::IntoPyObjectExt as _;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use crate::event::bson_type::{
    ARRAY, BINARY, BOOLEAN, DATE, DECIMAL128, DOCUMENT, DOUBLE, INT32, INT64, NULL, OBJECT_ID,
    STRING, TIMESTAMP,
};
use crate::event::elements::{Element, Elements};
use crate::format::json::scalar::{PLAIN_DATES, civil_time};

/// Levels of documents in each other; MongoDB stores 100, and what is deeper, pymongo decides.
const DEEPEST: usize = 100;

/// Names that are kept: those of one document are mostly those of the next.
const KEPT_NAMES: usize = 4096;
const LONGEST_NAME: usize = 64;

/// A dict of the types that pymongo's users know; a date that `datetime` cannot say is a
/// `DatetimeMS`.
pub(super) fn decode<'py>(py: Python<'py>, bson: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let types = Types::get(py)?;
    let document = Decoder { py, types }.document(bson, DEEPEST)?;
    document.map_or_else(|| types.pymongo(py, bson), |document| Ok(document.into_any()))
}

/// `bson.Timestamp`.
pub(super) fn timestamp(py: Python<'_>, of: Timestamp) -> PyResult<Bound<'_, PyAny>> {
    Types::get(py)?.timestamp.bind(py).call1((of.time, of.increment))
}

/// What is looked up once.
struct Types {
    decode: Py<PyAny>,
    options: Py<PyAny>,
    object_id: Py<PyAny>,
    int64: Py<PyAny>,
    decimal128: Py<PyAny>,
    timestamp: Py<PyAny>,
    datetime: Py<PyAny>,
    names: Mutex<HashMap<Box<[u8]>, Py<PyString>>>,
}

impl Types {
    fn get(py: Python<'_>) -> PyResult<&Self> {
        static TYPES: PyOnceLock<Types> = PyOnceLock::new();
        TYPES.get_or_try_init(py, || Self::import(py))
    }

    fn import(py: Python<'_>) -> PyResult<Self> {
        let bson = py.import("bson")?;
        let class = |name: &str| Ok::<_, PyErr>(bson.getattr(name)?.unbind());
        let options = PyDict::new(py);
        let conversion = py.import("bson.codec_options")?.getattr("DatetimeConversion")?;
        options.set_item("datetime_conversion", conversion.getattr("DATETIME_AUTO")?)?;
        Ok(Self {
            decode: class("decode")?,
            options: bson.getattr("CodecOptions")?.call((), Some(&options))?.unbind(),
            object_id: class("ObjectId")?,
            int64: class("Int64")?,
            decimal128: class("Decimal128")?,
            timestamp: class("Timestamp")?,
            datetime: py.import("datetime")?.getattr("datetime")?.unbind(),
            names: Mutex::default(),
        })
    }

    /// The text of a name, kept for the documents to come; `None` for what is not UTF-8.
    fn name<'py>(&self, py: Python<'py>, name: &[u8]) -> Option<Bound<'py, PyString>> {
        // No code of Python runs under the lock: it could let another thread wait for it.
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.get(name) {
            return Some(known.bind(py).clone());
        }
        let text = PyString::new(py, str::from_utf8(name).ok()?);
        if name.len() <= LONGEST_NAME {
            if names.len() == KEPT_NAMES {
                names.clear();
            }
            names.insert(name.into(), text.clone().unbind());
        }
        Some(text)
    }

    /// The document as pymongo decodes it.
    fn pymongo<'py>(&self, py: Python<'py>, bson: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        self.decode.bind(py).call1((PyBytes::new(py, bson), &self.options))
    }
}

/// Each method gives `None` for what is left to pymongo.
struct Decoder<'a, 'py> {
    py: Python<'py>,
    types: &'a Types,
}

impl<'py> Decoder<'_, 'py> {
    fn document(&self, bson: &[u8], depth: usize) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(elements) = Elements::of(bson).filter(|_| depth > 0) else { return Ok(None) };
        let dict = PyDict::new(self.py);
        for element in elements {
            let Some(element) = element else { return Ok(None) };
            // A name such as `$ref` may make it something else than a dict.
            let name = Some(element.name).filter(|name| !name.starts_with(b"$"));
            let Some(name) = name.and_then(|name| self.types.name(self.py, name)) else {
                return Ok(None);
            };
            dict.set_item(name, self.value(&element, depth)?)?;
        }
        Ok(Some(dict))
    }

    fn array(&self, bson: &[u8], depth: usize) -> PyResult<Option<Bound<'py, PyList>>> {
        let Some(elements) = Elements::of(bson).filter(|_| depth > 0) else { return Ok(None) };
        let list = PyList::empty(self.py);
        for element in elements {
            let Some(element) = element else { return Ok(None) };
            list.append(self.value(&element, depth)?)?;
        }
        Ok(Some(list))
    }

    fn value(&self, element: &Element<'_>, depth: usize) -> PyResult<Bound<'py, PyAny>> {
        let value = match element.kind {
            DOCUMENT => self.document(element.value, depth - 1)?.map(Bound::into_any),
            ARRAY => self.array(element.value, depth - 1)?.map(Bound::into_any),
            _ => self.scalar(element).transpose()?,
        };
        value.map_or_else(|| self.pymongo(element), Ok)
    }

    fn scalar(&self, element: &Element<'_>) -> Option<PyResult<Bound<'py, PyAny>>> {
        let (py, types, value) = (self.py, self.types, element.value);
        Some(match element.kind {
            STRING if value.ends_with(&[0]) => element.text()?.into_bound_py_any(py),
            INT32 => i32::from_le_bytes(sized(value)?).into_bound_py_any(py),
            INT64 => types.int64.bind(py).call1((i64::from_le_bytes(sized(value)?),)),
            DOUBLE => f64::from_le_bytes(sized(value)?).into_bound_py_any(py),
            BOOLEAN if matches!(value, [0 | 1]) => (value == [1]).into_bound_py_any(py),
            NULL => Ok(py.None().into_bound(py)),
            // A length and the subtype go before; only of the usual one they are plain bytes.
            BINARY if value.get(4) == Some(&0) => Ok(PyBytes::new(py, &value[5..]).into_any()),
            DATE => self.date(i64::from_le_bytes(sized(value)?))?,
            OBJECT_ID => types.object_id.bind(py).call1((PyBytes::new(py, value),)),
            DECIMAL128 => {
                let (low, high) = value.split_at_checked(8)?;
                let [high, low] = [sized(high)?, sized(low)?].map(u64::from_le_bytes);
                types.decimal128.bind(py).call1(((high, low),))
            }
            TIMESTAMP => {
                let (increment, time) = value.split_at_checked(4)?;
                let [time, increment] = [sized(time)?, sized(increment)?].map(u32::from_le_bytes);
                types.timestamp.bind(py).call1((time, increment))
            }
            _ => return None,
        })
    }

    fn date(&self, ms: i64) -> Option<PyResult<Bound<'py, PyAny>>> {
        if !PLAIN_DATES.contains(&ms) {
            return None;
        }
        let [year, month, day, ms] = civil_time(ms);
        let (seconds, us) = (ms / 1000, ms % 1000 * 1000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let class = self.types.datetime.bind(self.py);
        Some(class.call1((year, month, day, hour, minute, second, us)))
    }

    /// One value by pymongo, in a document of its own.
    fn pymongo(&self, element: &Element<'_>) -> PyResult<Bound<'py, PyAny>> {
        let mut bson = vec![0; 4];
        bson.extend([element.kind, b'v', 0]);
        bson.extend(element.value);
        bson.push(0);
        let length = u32::try_from(bson.len()).unwrap_or(u32::MAX);
        bson[..4].copy_from_slice(&length.to_le_bytes());
        self.types.pymongo(self.py, &bson)?.get_item(intern!(self.py, "v"))
    }
}

fn sized<const N: usize>(value: &[u8]) -> Option<[u8; N]> {
    value.try_into().ok()
}
