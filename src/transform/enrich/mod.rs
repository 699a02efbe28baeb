//! What a full document gets beside its own fields.

use mongodb::bson::{Bson, DateTime, RawDocumentBuf, doc};

use super::Context;
use super::edit::{Fault, Paths, Walk};
use super::protect::Protector;
use crate::config::{EnrichConfig, field_path, static_value};
use crate::event::bson_type::DATE;
use crate::event::elements::{Element, Elements};
use crate::event::{ChangeEvent, StreamId};

/// The fields that are added, in the order in which they are written.
#[derive(Debug)]
pub(super) struct Additions(Vec<Addition>);

#[derive(Debug)]
struct Addition {
    name: Box<[u8]>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// A value that is always the same.
    Static { kind: u8, value: Vec<u8> },
    /// `_metadata`: a date at this place of a document that is else always the same.
    Metadata { document: Vec<u8>, date: usize },
    /// A field of the event, by its names.
    Event(Vec<Box<[u8]>>),
}

/// What the fields are taken from.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub change: &'a ChangeEvent<'a>,
    pub context: &'a Context,
    /// What is protected, and nothing else.
    pub guarded: &'a Paths,
    pub protector: &'a Protector,
}

impl Additions {
    /// The additions of `enrich`, which has been checked: the error is what is wrong with it.
    pub fn compile(enrich: &EnrichConfig, stream: &StreamId) -> Result<Self, String> {
        let mut all = Vec::new();
        for (name, value) in &enrich.fields {
            let (kind, value) = raw(static_value(value)?)?;
            all.push(Addition::new(name, Source::Static { kind, value }));
        }
        for (name, from) in &enrich.copy {
            let names = field_path::names(from)?;
            let names = names.into_iter().map(|name| name.into_bytes().into()).collect();
            all.push(Addition::new(name, Source::Event(names)));
        }
        if enrich.metadata {
            all.push(Addition::new("_metadata", metadata(stream)?));
        }
        Ok(Self(all))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a field of this name is added, which then replaces that of the document.
    pub fn has(&self, name: &[u8]) -> bool {
        self.0.iter().any(|addition| *addition.name == *name)
    }

    /// Appends them.
    pub fn write(&self, origin: Origin<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        for addition in &self.0 {
            let mut walk = Walk::new(origin.guarded, origin.protector, out);
            let start = walk.header(0, &addition.name);
            let kind = addition.source.write(origin, &mut walk)?;
            walk.settle(start, kind);
        }
        Ok(())
    }
}

impl Addition {
    fn new(name: &str, source: Source) -> Self {
        Self { name: name.as_bytes().into(), source }
    }
}

impl Source {
    fn write(&self, origin: Origin<'_>, walk: &mut Walk<'_>) -> Result<Option<u8>, Fault> {
        match self {
            Self::Static { kind, value } => {
                walk.out.extend_from_slice(value);
                Ok(Some(*kind))
            }
            Self::Metadata { document, date } => {
                let start = walk.out.len() + date;
                walk.out.extend_from_slice(document);
                let now = origin.context.now_ms.to_le_bytes();
                walk.out[start..start + now.len()].copy_from_slice(&now);
                Ok(Some(crate::event::bson_type::DOCUMENT))
            }
            Self::Event(names) => copy(names, origin.change, walk),
        }
    }
}

/// Appends the event's field with these names, as far as it is not protected.
fn copy(
    names: &[Box<[u8]>],
    change: &ChangeEvent<'_>,
    walk: &mut Walk<'_>,
) -> Result<Option<u8>, Fault> {
    let Some((first, names)) = names.split_first() else { return Ok(None) };
    let Some(mut element) = child(change.bson, first) else { return Ok(None) };
    let mut active = match &**first {
        b"fullDocument" | b"fullDocumentBeforeChange" | b"documentKey" => Paths::root(),
        _ => Paths::none(),
    };
    for (depth, name) in names.iter().enumerate() {
        let single = walk.paths.single(active);
        if walk.paths.found(single).protect.is_some() {
            return Ok(None);
        }
        let Some(found) = element.document().and_then(|document| child(document, name)) else {
            return Ok(None);
        };
        element = found;
        active = walk.paths.step(single, name);
        if depth == 0 && **first == *b"documentKey" {
            // The key of a sharded collection has names with dots.
            let reach = walk.paths.reach(name)?;
            if reach.covered {
                return Ok(None);
            }
            active = reach.active;
        }
    }
    walk.value(element.kind, element.value, active, true)
}

fn child<'a>(document: &'a [u8], name: &[u8]) -> Option<Element<'a>> {
    Elements::of(document)?.find(name)
}

fn metadata(stream: &StreamId) -> Result<Source, String> {
    let (_, document) = raw(Bson::Document(doc! {
        "processed_at": DateTime::from_millis(0),
        "source": "mongodb_change_stream",
        "connection_id": &*stream.connection_id,
        "source_name": &*stream.source_name,
        "version": "1.0",
    }))?;
    // The date is the first value: length, type, name, zero byte.
    let date = 4 + 1 + "processed_at".len() + 1;
    let first = Elements::of(&document).and_then(|mut all| all.next()?);
    match first {
        Some(first) if first.kind == DATE => Ok(Source::Metadata { document, date }),
        _ => Err("`_metadata` does not begin with its date".into()),
    }
}

/// The type and the raw bytes of a value.
fn raw(value: Bson) -> Result<(u8, Vec<u8>), String> {
    let document = RawDocumentBuf::try_from(&doc! { "": value }).map_err(|e| e.to_string())?;
    let element = child(document.as_bytes(), b"").ok_or("no value")?;
    Ok((element.kind, element.value.to_vec()))
}

#[cfg(test)]
mod tests;
