//! The table that a BigQuery subscription writes to: told, not created, as that takes another API
//! and other permissions.

use crate::admin::gcloud::quoted;
use crate::config::BigQueryConfig;
use crate::format::column_name;

/// What a person has to know of the table before the subscription.
pub(super) const TABLE_NEEDS: &str =
    "create the table first: `setup` does not, and a subscription is refused without it";

/// What Pub/Sub needs to write to it.
pub(super) const WRITER_NEEDS: &str =
    "Pub/Sub's own account must be allowed to write to the table's dataset";

/// Columns that a table may be clustered by (BigQuery, "Clustered tables").
const MAX_CLUSTER_COLUMNS: usize = 4;

/// The statement that creates the table.
#[must_use]
pub(super) fn ddl(table: &BigQueryConfig, project: &str) -> String {
    let quoted = |field: &String| format!("`{}`", column_name(field));
    let key: Vec<String> = table.primary_key.iter().map(quoted).collect();
    let mut lines: Vec<String> = table
        .known_columns()
        .map(|(field, kind)| format!("  `{}` {kind}", column_name(field)))
        .collect();
    lines.push(format!("  PRIMARY KEY ({}) NOT ENFORCED", key.join(", ")));
    let name = name(table, project, '.');
    let columns = lines.join(",\n");
    let cluster = key[..key.len().min(MAX_CLUSTER_COLUMNS)].join(", ");
    let options = table.max_staleness.map_or_else(String::new, |time| {
        let seconds = time.duration().as_secs();
        format!("\nOPTIONS (max_staleness = INTERVAL {seconds} SECOND)")
    });
    format!("CREATE TABLE IF NOT EXISTS `{name}` (\n{columns}\n)\nCLUSTER BY {cluster}{options};")
}

/// The command that runs the statement.
pub(super) fn create_table(table: &BigQueryConfig, project: &str) -> String {
    query(&format!("\n{}", ddl(table, project)))
}

/// The command that lets Pub/Sub write.
pub(super) fn grant_writer(table: &BigQueryConfig, project: &str) -> String {
    let project = project_of(table, project);
    query(&format!(
        "GRANT `roles/bigquery.dataEditor` ON SCHEMA \
         `{project}.{}` TO \
         \"serviceAccount:service-PROJECT_NUMBER@gcp-sa-pubsub.iam.gserviceaccount.com\";",
        table.dataset
    ))
}

fn query(statement: &str) -> String {
    format!("bq query --use_legacy_sql=false {}", quoted(statement))
}

/// The table's name for Pub/Sub (`BigQueryConfig.table`).
pub(super) fn name(table: &BigQueryConfig, project: &str, after_project: char) -> String {
    let project = project_of(table, project);
    format!("{project}{after_project}{}.{}", table.dataset, table.table)
}

/// Flags of `gcloud pubsub subscriptions create` and `update`.
pub(super) fn flags(table: &BigQueryConfig, project: &str) -> String {
    let drop = if table.drop_unknown_fields { " --drop-unknown-fields" } else { "" };
    let table = name(table, project, ':');
    format!(" --bigquery-table={} --use-table-schema{drop}", quoted(&table))
}

fn project_of<'a>(table: &'a BigQueryConfig, project: &'a str) -> &'a str {
    table.project.as_deref().unwrap_or(project)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(more: &str) -> BigQueryConfig {
        serde_json::from_str(&format!(r#"{{"dataset": "shop", "table": "orders"{more}}}"#)).unwrap()
    }

    #[test]
    fn the_table_has_the_key_and_the_columns_that_are_known() {
        assert_eq!(
            ddl(&table(""), "p"),
            "CREATE TABLE IF NOT EXISTS `p.shop.orders` (\n  `_id` STRING,\n  \
             PRIMARY KEY (`_id`) NOT ENFORCED\n)\nCLUSTER BY `_id`;"
        );
        let more = r#", "project": "w", "primary_key": ["shop", "_id"], "max_staleness": "15m",
            "columns": {"total": "FLOAT64", "shop": "INT64", "at-last": "TIMESTAMP"}"#;
        let renamed = column_name("at-last");
        assert_eq!(
            ddl(&table(more), "p"),
            format!(
                "CREATE TABLE IF NOT EXISTS `w.shop.orders` (\n  `shop` INT64,\n  `_id` STRING,\n  \
                 `{renamed}` TIMESTAMP,\n  `total` FLOAT64,\n  \
                 PRIMARY KEY (`shop`, `_id`) NOT ENFORCED\n)\nCLUSTER BY `shop`, `_id`\n\
                 OPTIONS (max_staleness = INTERVAL 900 SECOND);"
            )
        );
    }

    #[test]
    fn a_subscription_is_told_its_table() {
        assert_eq!(
            flags(&table(""), "p"),
            " --bigquery-table=p:shop.orders --use-table-schema --drop-unknown-fields"
        );
        assert!(!flags(&table(r#", "drop_unknown_fields": false"#), "p").contains("unknown"));
    }
}
