//! `pubsub.topics.*.bigquery`: the table that a topic's rows go to.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::validate::{error, expect};
use super::{Seconds, TopicConfig};
use crate::error::ConfigError;

/// Columns of a primary key (BigQuery, "Primary keys and foreign keys").
const MAX_KEY_COLUMNS: usize = 16;

/// The type of a key's column where `columns` does not say so: every `_id` fits.
const KEY_TYPE: &str = "STRING";

/// The BigQuery table that the rows of `envelope: bigquery_cdc` go to.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BigQueryConfig {
    /// The project of the table. Default: `gcp.project_id`.
    #[schemars(example = &"my-warehouse")]
    pub project: Option<String>,
    /// The dataset.
    #[schemars(example = &"shop")]
    pub dataset: String,
    /// The table. `setup` prints the statement that creates it.
    #[schemars(example = &"orders")]
    pub table: String,
    /// Fields of a document, at its top level, that are the table's primary key: 1 to 16. A delete
    /// must tell them, so other fields than `_id` and the shard key need
    /// `full_document_before_change`. Default: `[_id]`.
    #[serde(default = "default_primary_key")]
    pub primary_key: Vec<String>,
    /// Fields and the BigQuery types of their columns, such as `INT64`, `TIMESTAMP` or `JSON`. What
    /// goes to a column of type `STRING` is always sent as text. A field of the primary key that is
    /// not named here is a `STRING`. Default: `{}`.
    #[serde(default)]
    pub columns: BTreeMap<String, String>,
    /// How old the result of a query may be: BigQuery merges changes that much less often, which is
    /// cheaper. A bare number is in seconds. Default: BigQuery's own, always fresh.
    #[schemars(example = &"15m")]
    pub max_staleness: Option<Seconds>,
    /// Leave out fields that are not columns of the table. Without it a row with such a field stays
    /// in the subscription, or goes to its dead-letter topic. Default: `true`.
    #[serde(default = "default_drop_unknown_fields")]
    pub drop_unknown_fields: bool,
}

fn default_primary_key() -> Vec<String> {
    vec!["_id".into()]
}

fn default_drop_unknown_fields() -> bool {
    true
}

impl BigQueryConfig {
    /// The columns that are known: those of the primary key first, then the others by name.
    pub fn known_columns(&self) -> impl Iterator<Item = (&str, &str)> {
        let key = self.primary_key.iter().map(|field| {
            (field.as_str(), self.columns.get(field).map_or(KEY_TYPE, String::as_str))
        });
        let others = self.columns.iter().filter(|(field, _)| !self.primary_key.contains(field));
        key.chain(others.map(|(field, kind)| (field.as_str(), kind.as_str())))
    }
}

/// Names, the key, and that a subscription for BigQuery has a table.
pub(super) fn check(topics: &BTreeMap<String, TopicConfig>) -> Result<(), ConfigError> {
    for (key, topic) in topics {
        let path = format!("pubsub.topics.{key}");
        for (name, subscription) in &topic.subscriptions {
            expect(
                !subscription.bigquery || topic.bigquery.is_some(),
                &format!("{path}.subscriptions.{name}.bigquery"),
                &format!("needs a table: set `{path}.bigquery.dataset` and `table`"),
            )?;
        }
        if let Some(table) = &topic.bigquery {
            check_table(table, &format!("{path}.bigquery"))?;
        }
    }
    Ok(())
}

fn check_table(table: &BigQueryConfig, path: &str) -> Result<(), ConfigError> {
    let BigQueryConfig { project, dataset, primary_key, .. } = table;
    if let Some(project) = project {
        let sane = !project.is_empty() && !project.contains(['/', ' ', '`', '\'']);
        expect(sane, &format!("{path}.project"), "expected a project id")?;
    }
    let plain = |name: &str, more: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
        (1..=1024).contains(&name.len()) && name.chars().all(allowed)
    };
    let letters = "expected 1 to 1,024 letters, digits and `_`";
    expect(plain(dataset, "_"), &format!("{path}.dataset"), letters)?;
    let letters = "expected 1 to 1,024 letters, digits, `_` and `-`";
    expect(plain(&table.table, "_-"), &format!("{path}.table"), letters)?;
    let key = format!("{path}.primary_key");
    let sized = (1..=MAX_KEY_COLUMNS).contains(&primary_key.len());
    expect(sized, &key, "expected 1 to 16 fields")?;
    expect(
        primary_key.iter().all(|field| !field.is_empty() && !field.contains('.')),
        &key,
        "expected fields at the top level of the document, without dots",
    )?;
    for (field, kind) in &table.columns {
        let path = format!("{path}.columns.{field}");
        let typed = kind.starts_with(|c: char| c.is_ascii_alphabetic()) && plain(kind, "_<>(), ");
        expect(typed, &path, "expected a type of BigQuery, such as `INT64` or `NUMERIC(10, 2)`")?;
        let upper = kind.to_ascii_uppercase();
        let nested = upper.starts_with("ARRAY") || upper.starts_with("STRUCT");
        expect(!nested, &path, "arrays and documents are sent as text: take `JSON` or `STRING`")?;
    }
    check_different(table, path)
}

/// BigQuery does not tell upper from lower case in the names of columns.
fn check_different(table: &BigQueryConfig, path: &str) -> Result<(), ConfigError> {
    let mut seen = BTreeMap::new();
    for (field, _) in table.known_columns() {
        if let Some(other) = seen.insert(field.to_lowercase(), field) {
            let message = format!(
                "`{other}` and `{field}` are one column to BigQuery, which ignores case: leave one out"
            );
            return Err(error(&format!("{path}.columns"), message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn path_of(topic: &Value) -> Option<String> {
        let topic: TopicConfig = serde_json::from_value(topic.clone()).unwrap();
        check(&BTreeMap::from([("rows".to_owned(), topic)])).err().map(|error| error.path)
    }

    fn path_with(key: &str, value: &Value) -> Option<String> {
        let mut table = json!({"dataset": "shop", "table": "orders"});
        table[key] = value.clone();
        path_of(&json!({"name": "rows", "bigquery": table}))
    }

    #[test]
    fn mistakes_are_told_by_their_path() {
        let without = json!({"name": "rows", "subscriptions": {"sub": {"bigquery": true}}});
        let path = "pubsub.topics.rows.subscriptions.sub.bigquery";
        assert_eq!(path_of(&without).as_deref(), Some(path));
        for (key, value, at) in [
            ("project", json!("a/b"), "project"),
            ("dataset", json!("p.shop"), "dataset"),
            ("table", json!(""), "table"),
            ("primary_key", json!([]), "primary_key"),
            ("primary_key", json!(["customer.id"]), "primary_key"),
            ("primary_key", json!(["_id", "_ID"]), "columns"),
            ("columns", json!({"total": "INT64; DROP"}), "columns.total"),
            ("columns", json!({"tags": "ARRAY<STRING>"}), "columns.tags"),
            ("columns", json!({"customer": "struct<id INT64>"}), "columns.customer"),
            ("columns", json!({"name": "INT64", "Name": "INT64"}), "columns"),
        ] {
            let path = format!("pubsub.topics.rows.bigquery.{at}");
            assert_eq!(path_with(key, &value), Some(path), "{key}: {value}");
        }
        let columns = json!({"total": "NUMERIC(10, 2)", "tags": "JSON"});
        assert_eq!(path_with("columns", &columns), None);
    }
}
