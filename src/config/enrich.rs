//! `enrich` of a source: what is added to a document, and which of its fields go out.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::SourceConfig;
use super::field_path::{Segment, names, parse};
use super::path::{item, join};
use super::validate::{error, expect};
use crate::error::ConfigError;

/// Fields of an event that a document may get a copy of.
const PLAIN: [&str; 6] = ["operationType", "clusterTime", "wallTime", "ns", "ns.db", "ns.coll"];

/// Documents of an event that a document may get copies out of.
const DOCUMENTS: [&str; 3] = ["fullDocument.", "fullDocumentBeforeChange.", "documentKey."];

/// Fields that a document may be given, at one level.
const MAX_FIELDS: usize = 64;

/// What is added to a document, and which of its fields go out.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnrichConfig {
    /// Whether the full document gets `_metadata`, with `processed_at`, `source`,
    /// `connection_id`, `source_name` and `version`. Default: `false`.
    pub metadata: bool,
    /// Fields that the full document gets, by their name, with their value in Extended JSON. They
    /// take the place of a field of that name. Default: `{}`.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub fields: Map<String, Value>,
    /// Fields that the full document gets, by their name, with the path in the event that they are
    /// copied from: `operationType`, `clusterTime`, `wallTime`, `ns`, `ns.db`, `ns.coll`, or a path
    /// below `documentKey`, `fullDocument` or `fullDocumentBeforeChange`. Protected as there.
    /// Default: `{}`.
    pub copy: BTreeMap<String, String>,
    /// New names of fields, by their path; not where the new name is taken already.
    /// Default: `{}`.
    pub rename: BTreeMap<String, String>,
    /// Paths of the fields that go out, `_id` beside them; an empty list means all fields.
    /// Default: `[]`.
    pub include: Vec<String>,
    /// Paths of fields that do not go out. Goes before `include`. Default: `[]`.
    pub exclude: Vec<String>,
}

/// Checks `enrich` of the source at `path`.
pub(super) fn check(source: &SourceConfig, path: &str) -> Result<(), ConfigError> {
    let enrich = &source.enrich;
    let path = format!("{path}.enrich");
    for (key, paths) in [("include", &enrich.include), ("exclude", &enrich.exclude)] {
        for (index, field) in paths.iter().enumerate() {
            let path = item(&join(&path, key), index);
            parse(field).map_err(|reason| error(&path, reason))?;
        }
    }
    check_renamed(enrich, &path)?;
    check_added(source, &path)
}

fn check_renamed(enrich: &EnrichConfig, path: &str) -> Result<(), ConfigError> {
    let mut taken = BTreeSet::new();
    for (field, name) in &enrich.rename {
        let path = join(&join(path, "rename"), field);
        let segments = parse(field).map_err(|reason| error(&path, reason))?;
        let named = matches!(segments.last(), Some(Segment::Name(_)));
        expect(named, &path, "must end in the name of one field")?;
        let sane = !name.is_empty() && !name.contains(['.', '\0']) && !name.starts_with('$');
        expect(sane, &path, "expected a name without dots that does not begin with `$`")?;
        let top = segments.len() == 1;
        expect(!(top && name == "_id"), &path, "is the name of what identifies a document")?;
        let added = enrich.fields.contains_key(name)
            || enrich.copy.contains_key(name)
            || (enrich.metadata && name == "_metadata");
        expect(!(top && added), &path, "is the name of a field that is added, too")?;
        let beside = field.rsplit_once('.').map_or("", |(parent, _)| parent);
        expect(taken.insert((beside, name)), &path, "is the new name of another field, too")?;
    }
    Ok(())
}

fn check_added(source: &SourceConfig, path: &str) -> Result<(), ConfigError> {
    let enrich = &source.enrich;
    let fields = enrich.fields.keys().map(|name| ("fields", name));
    let copies = enrich.copy.keys().map(|name| ("copy", name));
    for (key, name) in fields.chain(copies) {
        let path = join(&join(path, key), name);
        let sane = !name.is_empty() && !name.contains(['.', '\0']) && !name.starts_with('$');
        expect(sane, &path, "expected a name without dots that does not begin with `$`")?;
        let once = key == "fields" || !enrich.fields.contains_key(name);
        expect(once, &path, "is one of `fields`, too")?;
        let free = !enrich.metadata || name != "_metadata";
        expect(free, &path, "is what `metadata: true` writes")?;
    }
    for (name, from) in &enrich.copy {
        let path = join(&join(path, "copy"), name);
        check_from(from).map_err(|reason| error(&path, reason))?;
    }
    for (name, value) in &enrich.fields {
        let path = join(&join(path, "fields"), name);
        static_value(value).map_err(|reason| error(&path, reason))?;
    }
    let count = enrich.fields.len() + enrich.copy.len() + usize::from(enrich.metadata);
    expect(count <= MAX_FIELDS, path, "expected at most 64 added fields")
}

/// A value that was written in Extended JSON.
pub(crate) fn static_value(value: &Value) -> Result<mongodb::bson::Bson, String> {
    serde_json::from_value(value.clone())
        .map_err(|reason| format!("expected a value in Extended JSON: {reason}"))
}

fn check_from(from: &str) -> Result<(), String> {
    if PLAIN.contains(&from) {
        return Ok(());
    }
    let below = DOCUMENTS.iter().find_map(|document| from.strip_prefix(document));
    let below = below.ok_or_else(|| {
        let plain = PLAIN.map(|name| format!("`{name}`")).join(", ");
        format!("expected one of {plain}, or a path below `documentKey`, `fullDocument` or `fullDocumentBeforeChange`")
    })?;
    names(below).map(|_| ()).map_err(Into::into)
}
