//! Keys of the original project whose feature comes later, and the dialect that is not read.

use serde_json::Value;

use super::path::join;
use crate::error::ConfigError;

/// A key of the original project that is accepted, warned about and otherwise ignored.
pub(super) struct LaterKey {
    /// Dotted path; `*` stands for any id or name.
    pub(super) pattern: &'static str,
    /// What it will do, or what does its work today.
    feature: &'static str,
}

/// All of them. A key leaves this table when a field of a configuration struct takes its place.
pub(super) const KEYS: &[LaterKey] = &[
    LaterKey {
        pattern: "mongodb.connections.*.retry",
        feature: "failures are waited out as `error_handling` says, without a limit of attempts",
    },
    LaterKey { pattern: "gcp.pubsub", feature: "topics are named in `pubsub.topics`" },
    LaterKey { pattern: "transforms", feature: "a Beam pipeline applies them, `run` does not" },
    LaterKey { pattern: "monitoring.health_check_interval", feature: "health checks come later" },
    LaterKey { pattern: "monitoring.metrics", feature: "exported metrics come later" },
];

impl LaterKey {
    /// What the schema and the documentation say about it.
    pub(super) fn note(&self) -> String {
        format!("Accepted with a warning and without effect: {}.", self.feature)
    }
}

/// Takes the keys for later out of the tree and returns a warning for each kind of them.
pub(super) fn strip(tree: &mut Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for key in KEYS {
        let segments: Vec<&str> = key.pattern.split('.').collect();
        let mut found = Vec::new();
        take(tree, &segments, "", &mut found);
        if !found.is_empty() {
            let verb = if found.len() == 1 { "has" } else { "have" };
            warnings.push(format!("{} {verb} no effect: {}", found.join(", "), key.feature));
        }
    }
    warnings
}

/// Removes what lies at `segments` below `value`; `found` gets the dotted paths.
fn take(value: &mut Value, segments: &[&str], path: &str, found: &mut Vec<String>) {
    let (Value::Object(map), Some((segment, rest))) = (value, segments.split_first()) else {
        return;
    };
    if rest.is_empty() {
        // A key without a value counts as absent everywhere.
        if map.shift_remove(*segment).is_some_and(|removed| !removed.is_null()) {
            found.push(format!("`{}`", join(path, segment)));
        }
        return;
    }
    for (key, child) in map.iter_mut().filter(|(key, _)| *segment == "*" || key == segment) {
        take(child, rest, &join(path, key), found);
    }
}

/// Refuses a configuration of the original's later version as a whole: key by key, each message
/// would be about a name and none about the cause.
pub(super) fn refuse_connector_dialect(tree: &Value) -> Result<(), ConfigError> {
    let marks = ["/mongodb/uri", "/mongodb/collections", "/collections"];
    let Some(mark) = marks.into_iter().find(|mark| tree.pointer(mark).is_some()) else {
        return Ok(());
    };
    Err(ConfigError {
        path: mark[1..].replace('/', "."),
        message: "this file is written for the later Python connector (`mongodb.uri`, \
                  `collections[]`), which is not read: docs/guide/migrating.md shows how to say \
                  the same with `mongodb.connections`"
            .into(),
    })
}
