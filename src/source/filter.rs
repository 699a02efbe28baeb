//! What the server leaves out: one `$match` before the user's stages, which the server takes into
//! its scan of the oplog.

use mongodb::bson::{Bson, Document, Regex, doc, serialize_to_bson};

use crate::config::{NamePattern, SourceConfig};
use crate::error::ConfigError;

/// All operations whose events name a database (MongoDB manual, "Change Events").
const NAMING_OPERATIONS: [&str; 14] = [
    "insert",
    "update",
    "replace",
    "delete",
    "drop",
    "rename",
    "dropDatabase",
    "create",
    "createIndexes",
    "dropIndexes",
    "modify",
    "shardCollection",
    "reshardCollection",
    "refineCollectionShardKey",
];

/// The stage for the filters of `source` and the namespace `excluded`; `None` without any.
///
/// # Errors
/// What is no regular expression, with a path below the source.
pub(super) fn stage(
    source: &SourceConfig,
    excluded: Option<(String, String)>,
) -> Result<Option<Document>, ConfigError> {
    let mut conditions: Vec<Document> = namespaces(source)?.into_iter().collect();
    if !source.skip_operations.is_empty() {
        let skipped = serialize_to_bson(&source.skip_operations).expect("operations are texts");
        conditions.push(doc! { "operationType": { "$nin": skipped } });
    }
    // Not `$nor`: MongoDB 6.0 fails to optimize it for some lists.
    conditions.extend(excluded.map(|(database, collection)| {
        doc! { "$or": [{ "ns.db": { "$ne": database } }, { "ns.coll": { "$ne": collection } }] }
    }));
    Ok((!conditions.is_empty()).then(|| doc! { "$match": { "$and": conditions } }))
}

/// Lets through what happens in a captured namespace, and a rename into one. What an event does
/// not name cannot rule it out: that of a dropped database names no collection, an invalidate event
/// nothing, and what else there may be once, who knows.
///
/// The operations are listed because MongoDB 6.0 applies this to entries of the oplog, and pays
/// three times as much an entry for `{"ns.coll": {"$exists": false}}`.
fn namespaces(source: &SourceConfig) -> Result<Option<Document>, ConfigError> {
    let (include, exclude) = (&source.include, &source.exclude);
    let databases = names("databases", &include.databases, &exclude.databases)?;
    let collections = names("collections", &include.collections, &exclude.collections)?;
    if databases.is_empty() && collections.is_empty() {
        return Ok(None);
    }
    let (mut from, mut to, mut database) = (Document::new(), Document::new(), Document::new());
    for (part, condition) in [("db", databases), ("coll", collections)] {
        if condition.is_empty() {
            continue;
        }
        let mut there = doc! { "$exists": true };
        there.extend(condition.clone());
        to.insert(format!("to.{part}"), there);
        if part == "db" {
            database.insert("ns.db", condition.clone());
        }
        from.insert(format!("ns.{part}"), condition);
    }
    database.insert("operationType", "dropDatabase");
    let unnamed = doc! { "operationType": { "$nin": NAMING_OPERATIONS.as_slice() } };
    Ok(Some(doc! { "$or": [from, to, database, unnamed] }))
}

/// The condition on a name; empty where every name is captured.
fn names(key: &str, include: &[String], exclude: &[String]) -> Result<Document, ConfigError> {
    let mut condition = Document::new();
    for (operator, section, texts) in [("$in", "include", include), ("$nin", "exclude", exclude)] {
        if !texts.is_empty() {
            let patterns = NamePattern::parse_all(texts, &format!("{section}.{key}"))?;
            condition.insert(operator, patterns.into_iter().map(value).collect::<Vec<_>>());
        }
    }
    Ok(condition)
}

fn value(pattern: NamePattern) -> Bson {
    match pattern {
        NamePattern::Literal(name) => Bson::String(name),
        NamePattern::Regex(expression) => Bson::RegularExpression(Regex {
            pattern: expression.try_into().expect("a pattern that was parsed holds no NUL"),
            options: String::new().try_into().expect("nothing holds no NUL"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stage_of(source: serde_json::Value, excluded: Option<(&str, &str)>) -> Option<Document> {
        let source: SourceConfig = serde_json::from_value(source).unwrap();
        stage(&source, excluded.map(|(database, name)| (database.into(), name.into()))).unwrap()
    }

    #[test]
    fn without_a_filter_there_is_no_stage() {
        assert_eq!(stage_of(json!({ "include": {}, "skip_operations": [] }), None), None);
    }

    #[test]
    fn all_conditions_hold_together() {
        let source = json!({ "skip_operations": ["delete", "dropDatabase"] });
        let stage = stage_of(source, Some(("state", "checkpoints"))).unwrap();
        let expected = doc! { "$match": { "$and": [
            { "operationType": { "$nin": ["delete", "dropDatabase"] } },
            { "$or": [{ "ns.db": { "$ne": "state" } }, { "ns.coll": { "$ne": "checkpoints" } }] },
        ] } };
        assert_eq!(stage, expected);
    }

    #[test]
    fn names_are_conditions_on_the_namespace_and_on_the_target_of_a_rename() {
        let source = json!({ "include": { "collections": ["a"] },
            "exclude": { "collections": ["b"] } });
        let expected = doc! { "$match": { "$and": [{ "$or": [
            { "ns.coll": { "$in": ["a"], "$nin": ["b"] } },
            { "to.coll": { "$exists": true, "$in": ["a"], "$nin": ["b"] } },
            { "operationType": "dropDatabase" },
            { "operationType": { "$nin": NAMING_OPERATIONS.as_slice() } },
        ] }] } };
        assert_eq!(stage_of(source, None), Some(expected));
    }

    #[test]
    fn a_dropped_database_has_to_be_a_captured_one() {
        let source = json!({ "include": { "databases": ["d"], "collections": ["/^c/"] } });
        let stage = stage_of(source, None).unwrap();
        let conditions = stage.get_document("$match").unwrap().get_array("$and").unwrap();
        let choices = conditions[0].as_document().unwrap().get_array("$or").unwrap();
        let expected = doc! { "ns.db": { "$in": ["d"] }, "operationType": "dropDatabase" };
        assert_eq!(choices[2], Bson::Document(expected));
    }

    #[test]
    fn a_wrong_expression_is_refused_with_its_path() {
        let source = json!({ "exclude": { "databases": ["a", "/(/"] } });
        let source: SourceConfig = serde_json::from_value(source).unwrap();
        assert_eq!(stage(&source, None).unwrap_err().path, "exclude.databases[1]");
    }
}
