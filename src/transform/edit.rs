//! Rewrites an event as it may go out: protected, enriched, its fields chosen.

mod delta;
mod paths;
mod walk;

pub(super) use paths::Paths;
pub(super) use walk::Walk;

use super::Context;
use super::enrich::{Additions, Origin};
use super::protect::{Keys, Protector};
use crate::config::{Config, Ordering, StreamConfig, field_path, is_secret_reference, leads_to_id};
use crate::error::{ConfigError, RecordError, RecordErrorKind};
use crate::event::bson_type::{ARRAY, DOCUMENT, NULL};
use crate::event::elements::{Element, Elements};
use crate::event::{ChangeEvent, EventId, FieldPath};
use walk::{DAMAGED, LENGTH};

/// Fields of an event that hold no value of a document, MongoDB manual, "Change Events". With
/// `protect`, a field that is neither here nor rewritten does not go out: a `pipeline` may have
/// put anything into it.
const PLAIN: [&[u8]; 13] = [
    b"_id",
    b"operationType",
    b"clusterTime",
    b"wallTime",
    b"collectionUUID",
    b"ns",
    b"nsType",
    b"to",
    b"operationDescription",
    b"lsid",
    b"txnNumber",
    b"splitEvent",
    b"stateBeforeChange",
];

/// The event must not go out with its id, and no key is there to make another.
const NO_KEY: Fault = Fault(
    "the resume token holds the document key, which `protect` means or which is not in the event: \
     set `protection.key`",
);

/// Why an event cannot be rewritten, without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault(pub &'static str);

/// What is done to the events of a stream.
#[derive(Debug)]
pub(super) struct Edits {
    /// All rules.
    paths: Paths,
    /// The rules of `protect` alone, for what is no document to choose fields of.
    guarded: Paths,
    protector: Protector,
    additions: Additions,
    /// A rule leads to `_id`.
    guards_id: bool,
}

impl Edits {
    /// Compiles `protect` and `enrich` of a stream; `None` when neither asks for anything.
    pub fn compile(config: &Config, stream: &StreamConfig) -> Result<Option<Self>, ConfigError> {
        let at = format!(
            "mongodb.connections.{}.sources.{}",
            stream.id.connection_id, stream.id.source_name
        );
        let fail =
            |key: String, message: String| ConfigError { path: format!("{at}.{key}"), message };
        let key = config.protection.key.as_ref();
        if key.is_some_and(|key| is_secret_reference(key.expose())) {
            return Err(ConfigError {
                path: "protection.key".into(),
                message: "a `secret://` is read by Beam pipelines only: give the key itself, such \
                    as `${PROTECTION_KEY}`"
                    .into(),
            });
        }
        let keys = key.and_then(|key| Keys::derive(key.expose()));
        let source = &stream.source;
        let additions = Additions::compile(&source.enrich, &stream.id)
            .map_err(|message| fail("enrich".into(), message))?;
        let mut edits = Self {
            paths: Paths::new(),
            guarded: Paths::new(),
            protector: Protector::new(&source.protect, keys),
            additions,
            guards_id: false,
        };
        edits.add_rules(stream).map_err(|(key, message)| fail(key, message))?;
        let nothing = edits.paths.is_empty() && edits.additions.is_empty();
        Ok((!nothing).then_some(edits))
    }

    /// Puts the paths of all rules into the trees; an error has the key below the source.
    fn add_rules(&mut self, stream: &StreamConfig) -> Result<(), (String, String)> {
        const TOO_MANY: &str =
            "the paths of `protect` and `enrich` have more than 255 names together";
        let enrich = &stream.source.enrich;
        let mut add = |key: String, path: &str, rule: Rule<'_>| {
            let segments =
                field_path::parse(path).map_err(|reason| (key.clone(), reason.into()))?;
            let added = match rule {
                Rule::Protect(index) => {
                    self.guards_id |= leads_to_id(&segments);
                    self.guarded
                        .protect(&segments, index)
                        .and_then(|()| self.paths.protect(&segments, index))
                }
                Rule::Exclude => self.paths.exclude(&segments),
                Rule::Include => self.paths.include(&segments),
                Rule::Rename(name) => self.paths.rename(&segments, name),
            };
            added.ok_or_else(|| (key, TOO_MANY.to_owned()))
        };
        for (index, rule) in stream.source.protect.iter().enumerate() {
            add(format!("protect[{index}].path"), &rule.path, Rule::Protect(index))?;
        }
        for (index, path) in enrich.exclude.iter().enumerate() {
            add(format!("enrich.exclude[{index}]"), path, Rule::Exclude)?;
        }
        for (index, path) in enrich.include.iter().enumerate() {
            add(format!("enrich.include[{index}]"), path, Rule::Include)?;
        }
        if !enrich.include.is_empty() {
            add("enrich.include".into(), "_id", Rule::Include)?;
        }
        for (path, name) in &enrich.rename {
            add(format!("enrich.rename.{path}"), path, Rule::Rename(name))?;
        }
        Ok(())
    }

    /// Writes the event as it may go out into `out`, one BSON document in place of what was there.
    ///
    /// # Errors
    /// `Protect` for an event of which it is not certain what may go out; `out` is empty then.
    pub fn apply(
        &self,
        change: &ChangeEvent<'_>,
        context: &Context,
        out: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        out.clear();
        out.reserve(change.bson.len() + change.bson.len() / 8 + 256);
        let written = self.hides_key(change).and_then(|hides| {
            self.event(change, context, hides, &mut Walk::new(&self.paths, &self.protector, out))
        });
        written.map_err(|fault| {
            out.clear();
            self.refuse(change, RecordErrorKind::Protect, fault.0.into())
        })
    }

    /// The event's id: made with the protection key where the resume token, which holds the
    /// document key, does not go out.
    pub fn event_id(&self, change: &ChangeEvent<'_>) -> EventId {
        match self.protector.keys() {
            Some(keys) if self.hides_key(change).unwrap_or(true) => {
                keys.event_id(change.token_data())
            }
            _ => change.event_id(),
        }
    }

    /// What the hash that chooses a lane begins with where `_id`, or the field that `ordering`
    /// names, is protected: the ordering key would tell it to whoever tries values.
    ///
    /// # Errors
    /// A protected field without a key that could stand for it.
    pub fn lane_seed(&self, ordering: &Ordering) -> Result<Option<u64>, ConfigError> {
        let field = match ordering {
            Ordering::Field(field) => self.guards(&field.0),
            Ordering::Lanes | Ordering::Document | Ordering::None => false,
        };
        match self.protector.keys() {
            Some(keys) => Ok((self.guards_id || field).then(|| keys.lane_seed())),
            None if field => Err(ConfigError {
                path: "pubsub.ordering".into(),
                message: "an ordering key would tell of the field, which `protect` means: set \
                          `protection.key`"
                    .into(),
            }),
            None => Ok(None),
        }
    }

    /// Whether a rule of `protect` means the value at `path`, what holds it, or what is in it.
    pub fn guards(&self, path: &FieldPath) -> bool {
        self.guarded.meet(path.names())
    }

    /// An error about the event as it was read, with the id that may be told.
    pub fn refuse(
        &self,
        change: &ChangeEvent<'_>,
        kind: RecordErrorKind,
        message: String,
    ) -> RecordError {
        let error = change.refuse(kind, message);
        // Without a key nothing can stand for a token that may hold a protected value.
        let tells = self.protector.keys().is_some() || self.hides_key(change) == Ok(false);
        RecordError { event_id: tells.then(|| self.event_id(change).to_string()), ..error }
    }

    /// Whether the document key is protected, and with it the token, which holds it in plain hex.
    fn hides_key(&self, change: &ChangeEvent<'_>) -> Result<bool, Fault> {
        if self.protector.is_empty() {
            return Ok(false);
        }
        let hides = self.guards_id
            || match change.document_key {
                Some(key) => self.guards_key(key)?,
                // A pipeline may have taken out what the token still holds.
                None => matches!(
                    change.operation,
                    None | Some("insert" | "update" | "replace" | "delete")
                ),
            };
        if hides && self.protector.keys().is_none() {
            return Err(NO_KEY);
        }
        Ok(hides)
    }

    /// Whether the event has no id that may be told, for want of a key: kept as a dead letter, it
    /// could not be found again.
    pub fn lacks_key(&self, change: &ChangeEvent<'_>) -> bool {
        self.hides_key(change) == Err(NO_KEY)
    }

    fn guards_key(&self, key: &[u8]) -> Result<bool, Fault> {
        for element in Elements::of(key).ok_or(DAMAGED)? {
            let element = element.ok_or(DAMAGED)?;
            let reach = self.guarded.reach(element.name)?;
            let found = self.guarded.found(self.guarded.single(reach.active));
            let holds = matches!(element.kind, DOCUMENT | ARRAY) && !reach.active.is_empty();
            if reach.covered || found.protect.is_some() || holds {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn event(
        &self,
        change: &ChangeEvent<'_>,
        context: &Context,
        hides_key: bool,
        walk: &mut Walk<'_>,
    ) -> Result<(), Fault> {
        let origin = Origin { change, context, guarded: &self.guarded, protector: &self.protector };
        let start = walk.begin()?;
        let (mut copied, mut at) = (LENGTH, LENGTH);
        for element in Elements::of(change.bson).ok_or(DAMAGED)? {
            let element = element.ok_or(DAMAGED)?;
            let part = Part::of(&element, hides_key, !self.protector.is_empty());
            let before = at;
            at += element.whole.len();
            if part == Part::Plain {
                continue;
            }
            walk.out.extend_from_slice(&change.bson[copied..before]);
            copied = at;
            self.part(part, &element, origin, walk)?;
        }
        walk.out.extend_from_slice(&change.bson[copied..at]);
        walk.end(start)
    }

    fn part(
        &self,
        part: Part,
        element: &Element<'_>,
        origin: Origin<'_>,
        walk: &mut Walk<'_>,
    ) -> Result<(), Fault> {
        if part == Part::Dropped {
            return Ok(());
        }
        let document = element.document().ok_or(Fault(
            "`fullDocument`, `fullDocumentBeforeChange`, `updateDescription` or `documentKey` is no document",
        ))?;
        walk.header(element.kind, element.name);
        let included = self.paths.include_all();
        match part {
            Part::Full => {
                let start = walk.begin()?;
                let root = Paths::root();
                walk.fields(document, root, included, |name| self.additions.has(name))?;
                self.additions.write(origin, walk.out)?;
                walk.end(start)
            }
            Part::Before => walk.document(document, Paths::root(), included),
            Part::Delta => walk.delta(document),
            Part::Key => Walk::new(&self.guarded, &self.protector, walk.out).key(document),
            Part::Plain | Part::Dropped => Ok(()),
        }
    }
}

enum Rule<'a> {
    Protect(usize),
    Exclude,
    Include,
    Rename(&'a str),
}

/// What a field of an event is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It goes out as it is.
    Plain,
    Full,
    Before,
    Delta,
    Key,
    /// It does not go out.
    Dropped,
}

impl Part {
    fn of(element: &Element<'_>, hides_key: bool, protects: bool) -> Self {
        let part = match element.name {
            b"fullDocument" => Self::Full,
            b"fullDocumentBeforeChange" => Self::Before,
            b"updateDescription" => Self::Delta,
            b"documentKey" => Self::Key,
            b"_id" if hides_key => return Self::Dropped,
            name if !protects || PLAIN.contains(&name) => return Self::Plain,
            _ => return Self::Dropped,
        };
        if element.kind == NULL { Self::Plain } else { part }
    }
}

#[cfg(test)]
pub(in crate::transform) mod tests;
