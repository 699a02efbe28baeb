//! The user's pipeline: stages that a change stream allows, and that keep `_id`.

use mongodb::bson::{Bson, Document};
use serde_json::{Map, Value};

use super::SourceConfig;
use super::path::{item, nearest};
use super::validate::error;
use crate::error::ConfigError;

/// MongoDB manual, "Change Streams", "Modify Change Stream Output".
const ALLOWED: [&str; 8] = [
    "$match",
    "$project",
    "$addFields",
    "$set",
    "$unset",
    "$replaceRoot",
    "$replaceWith",
    "$redact",
];

/// Allowed by the server, and not by this program: what comes out is no event any more.
const SPLIT: &str = "$changeStreamSplitLargeEvent";

impl SourceConfig {
    /// The stages of `pipeline`, which is written as Extended JSON.
    ///
    /// # Errors
    /// [`ConfigError`] below the source for what is no stage, for a stage that a change stream does
    /// not allow, and for one that surely removes or changes `_id`. What depends on an event or on
    /// an expression is left to the server.
    pub fn stages(&self) -> Result<Vec<Document>, ConfigError> {
        let stages = self.pipeline.iter().enumerate();
        stages.map(|(index, stage)| read(stage, &item("pipeline", index))).collect()
    }
}

fn read(stage: &Map<String, Value>, path: &str) -> Result<Document, ConfigError> {
    let name = match (stage.keys().next(), stage.len()) {
        (Some(name), 1) if name.starts_with('$') => name.as_str(),
        _ => {
            let message = "expected an aggregation stage: one key that begins with `$`";
            return Err(error(path, message));
        }
    };
    if !ALLOWED.contains(&name) {
        return Err(error(path, refusal(name)));
    }
    let stage: Document =
        serde_json::from_value(Value::Object(stage.clone())).map_err(|reason| {
            error(path, format!("expected an aggregation stage in Extended JSON: {reason}"))
        })?;
    match stage.get(name) {
        Some(spec) if loses_id(name, spec) => Err(error(path, advice(name))),
        _ => Ok(stage),
    }
}

fn refusal(name: &str) -> String {
    if name == SPLIT {
        return format!("`{SPLIT}` cannot be used: each fragment would count as an event");
    }
    let known = ALLOWED.map(|name| format!("`{name}`")).join(", ");
    let hint = nearest(name, ALLOWED)
        .map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"));
    format!("expected a stage that a change stream allows, one of {known}{hint}")
}

/// True where the stage surely removes or changes `_id`.
fn loses_id(name: &str, spec: &Bson) -> bool {
    match (name, spec) {
        ("$project", Bson::Document(fields)) => fields
            .iter()
            .any(|(field, value)| is_id(field) && !included(value) && !may_be_id(value)),
        ("$addFields" | "$set", Bson::Document(fields)) => {
            fields.iter().any(|(field, value)| is_id(field) && !may_be_id(value))
        }
        ("$unset", Bson::String(field)) => is_id(field),
        ("$unset", Bson::Array(fields)) => fields.iter().filter_map(Bson::as_str).any(is_id),
        ("$replaceRoot", Bson::Document(spec)) => spec.get("newRoot").is_some_and(replaces_id),
        ("$replaceWith", root) => replaces_id(root),
        _ => false,
    }
}

fn is_id(field: &str) -> bool {
    field == "_id" || field.starts_with("_id.")
}

/// A projection's way to keep a field.
fn included(value: &Bson) -> bool {
    match value {
        Bson::Boolean(included) => *included,
        Bson::Int32(number) => *number != 0,
        Bson::Int64(number) => *number != 0,
        Bson::Double(number) => *number != 0.0,
        _ => false,
    }
}

/// False for an expression that is surely not the event's own `_id`.
fn may_be_id(value: &Bson) -> bool {
    match value {
        Bson::String(path) => ["$_id", "$$ROOT._id", "$$CURRENT._id"].contains(&path.as_str()),
        Bson::Document(expression) => is_operator(expression),
        _ => false,
    }
}

/// True where an event replaced with `root` surely has another `_id` or none.
fn replaces_id(root: &Bson) -> bool {
    match root {
        Bson::String(path) => !["$$ROOT", "$$CURRENT"].contains(&path.as_str()),
        Bson::Document(root) => !is_operator(root) && !root.get("_id").is_some_and(may_be_id),
        _ => false,
    }
}

fn is_operator(expression: &Document) -> bool {
    expression.keys().next().is_some_and(|key| key.starts_with('$'))
}

fn advice(name: &str) -> &'static str {
    match name {
        "$project" => "drops `_id`, the resume token: write `_id: 1` or leave it out of the stage",
        "$unset" => "drops `_id`, the resume token: take it out of the stage",
        "$addFields" | "$set" => "changes `_id`, the resume token: take it out of the stage",
        _ => {
            "the new root has not the event's `_id`, the resume token: write `_id: $_id` into it, \
             or `$mergeObjects: [<new root>, {_id: $_id}]`"
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The error for a pipeline whose second stage is this one.
    #[expect(clippy::needless_pass_by_value, reason = "`json!` makes values")]
    fn refused(stage: Value) -> Option<String> {
        let pipeline = json!({ "pipeline": [{ "$match": { "operationType": "insert" } }, stage] });
        let source: SourceConfig = serde_json::from_value(pipeline).unwrap();
        let error = source.stages().err()?;
        assert_eq!(error.path, "pipeline[1]");
        Some(error.message)
    }

    #[test]
    fn stages_that_keep_the_token_pass() {
        for stage in [
            json!({ "$match": { "ns.coll": { "$in": ["a", "b"] } } }),
            json!({ "$project": { "fullDocument": 1 } }),
            json!({ "$project": { "_id": 1, "operationType": 1 } }),
            json!({ "$project": { "_id": true, "ns": "$ns" } }),
            json!({ "$project": { "_id": "$_id", "ns": "$ns" } }),
            json!({ "$project": { "fullDocument._id": 0 } }),
            json!({ "$unset": "fullDocument._id" }),
            json!({ "$unset": ["_identity", "fullDocument"] }),
            json!({ "$set": { "fullDocument.secret": "$$REMOVE" } }),
            json!({ "$addFields": { "_id": { "$cond": [true, "$_id", "$_id"] } } }),
            json!({ "$replaceRoot": { "newRoot": "$$ROOT" } }),
            json!({ "$replaceRoot": { "newRoot": { "_id": "$_id", "a": "$fullDocument.a" } } }),
            json!({ "$replaceWith": { "$mergeObjects": ["$fullDocument", { "_id": "$_id" }] } }),
            json!({ "$redact": { "$cond": [true, "$$KEEP", "$$PRUNE"] } }),
        ] {
            assert_eq!(refused(stage.clone()), None, "{stage}");
        }
    }

    #[test]
    fn stages_that_lose_the_token_are_refused_with_a_way_out() {
        for (stage, advice) in [
            (json!({ "$project": { "_id": 0 } }), "write `_id: 1`"),
            (json!({ "$project": { "_id": { "$numberLong": "0" }, "ns": 1 } }), "write `_id: 1`"),
            (json!({ "$project": { "_id": false } }), "write `_id: 1`"),
            (json!({ "$project": { "_id": "$documentKey._id" } }), "write `_id: 1`"),
            (json!({ "$project": { "_id._data": 0 } }), "write `_id: 1`"),
            (json!({ "$unset": "_id" }), "drops `_id`"),
            (json!({ "$unset": ["ns", "_id"] }), "drops `_id`"),
            (json!({ "$unset": "_id._data" }), "drops `_id`"),
            (json!({ "$set": { "_id": 5 } }), "changes `_id`"),
            (json!({ "$addFields": { "_id": "$fullDocument._id" } }), "changes `_id`"),
            (json!({ "$replaceRoot": { "newRoot": "$fullDocument" } }), "$mergeObjects"),
            (json!({ "$replaceRoot": { "newRoot": { "a": 1 } } }), "`_id: $_id`"),
            (json!({ "$replaceWith": "$fullDocument" }), "$mergeObjects"),
            (json!({ "$replaceWith": { "_id": "$documentKey._id" } }), "`_id: $_id`"),
        ] {
            let message = refused(stage.clone()).unwrap_or_default();
            assert!(message.contains(advice), "{stage}: {message}");
        }
    }

    #[test]
    fn other_stages_are_refused() {
        let message = refused(json!({ "$mathc": {} })).unwrap();
        assert!(message.ends_with("`$redact`; did you mean `$match`?"), "{message}");
        let message = refused(json!({ "$lookup": { "from": "a" } })).unwrap();
        assert!(message.ends_with("`$redact`"), "{message}");
        let message = refused(json!({ "$changeStreamSplitLargeEvent": {} })).unwrap();
        assert!(message.contains("each fragment"), "{message}");
        let message = refused(json!({ "$match": { "a": { "$oid": "short" } } })).unwrap();
        assert!(message.starts_with("expected an aggregation stage in Extended JSON"), "{message}");
    }
}
