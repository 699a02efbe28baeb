//! Mistakes, each with the exact message that its author reads.

use super::{MINIMAL, minimal_with, read};

const SOURCE: &str = "orders: {database: shop, collection: orders}";
const TOPIC: &str = "default: {name: shop-changes}";

/// The smallest file with `old` replaced by `new` gives exactly this error.
pub fn refused(old: &str, new: &str, expected: &str) {
    assert!(MINIMAL.contains(old), "{old}");
    assert_error(&MINIMAL.replace(old, new), expected);
}

/// The smallest file with a line more at its end gives exactly this error.
fn refused_line(line: &str, expected: &str) {
    assert_error(&format!("{MINIMAL}{line}\n"), expected);
}

/// The smallest file with this source gives an error below the source's path.
pub fn source(new: &str, expected: &str) {
    let path = "mongodb.connections.main.sources.orders";
    refused(SOURCE, &format!("orders: {{{new}}}"), &format!("{path}{expected}"));
}

/// The file gives exactly this error.
pub fn assert_error(yaml: &str, expected: &str) {
    let error = read(yaml).expect_err(yaml).to_string();
    assert_eq!(error, expected, "{yaml}");
}

#[test]
fn unknown_keys() {
    refused("uri:", "url:", "mongodb.connections.main.url: unknown key; did you mean `uri`?");
    refused(
        "collection: orders}",
        "colection: orders}",
        "mongodb.connections.main.sources.orders.colection: unknown key; did you mean `collection`?",
    );
    refused(
        "collection: orders}",
        "collection: orders, batchSize: 5}",
        "mongodb.connections.main.sources.orders.batchSize: unknown key; did you mean `batch_size`?",
    );
    refused_line("loging: {level: info}", "loging: unknown key; did you mean `logging`?");
    refused_line(
        "shutdown: {grace: 5s}",
        "shutdown.grace: unknown key; known here: `drain_timeout`",
    );
    refused(
        SOURCE,
        "orders: {scope: deployment, startup: {time: x}}",
        "mongodb.connections.main.sources.orders.startup.time: unknown key; known here: \
         `timestamp`, `token`",
    );
}

#[test]
fn missing_keys() {
    refused(
        "uri: ${MONGODB_URI}",
        "database: shop",
        "mongodb.connections.main.uri: missing: expected a string",
    );
    refused(
        "  project_id: ${GCP_PROJECT_ID}",
        "  region: r",
        "gcp.project_id: missing: expected a string",
    );
    refused(
        "store: file",
        "interval: 1s",
        "checkpoint.store: missing: expected one of `file`, `mongodb`, `gcs`, `memory`",
    );
    assert_error("gcp: {project_id: p}", "mongodb: missing: expected a mapping");
    assert_error("mongodb: {}", "mongodb.connections: missing: expected a mapping");
    assert_error("mongodb:", "mongodb: missing: expected a mapping");
    assert_error("{}", "mongodb: missing: expected a mapping");
}

#[test]
fn wrong_types() {
    refused(
        "collection: orders}",
        "collection: 5}",
        "mongodb.connections.main.sources.orders.collection: expected a string, found a number; \
         put it in quotes to make it a text",
    );
    refused(
        "collection: orders}",
        "collection: orders, batch_size: '5'}",
        "mongodb.connections.main.sources.orders.batch_size: expected a whole number from 1 to \
         2147483647, found a string",
    );
    refused(
        SOURCE,
        "orders:",
        "mongodb.connections.main.sources.orders: expected a mapping, found nothing",
    );
    refused(TOPIC, "default: shop", "pubsub.topics.default: expected a mapping, found a string");
    refused_line("flow: [1]", "flow: expected a mapping, found a list");
    refused_line(
        "flow: {bytes_in_flight: true}",
        "flow.bytes_in_flight: expected a size such as `500kB`, `9.5MB` or `64KiB`, or a number of \
         bytes, found a boolean",
    );
    refused_line(
        "flow: {events_in_flight: 1.5}",
        "flow.events_in_flight: expected a whole number of at least 1, found a number",
    );
    refused_line(
        "error_handling: {backoff_factor: twice}",
        "error_handling.backoff_factor: expected a number of at least 1, found a string",
    );
    let stores = "checkpoint.store: expected one of `file`, `mongodb`, `gcs`, `memory`";
    refused("store: file", "store: yes", stores);
    refused(
        "store: file",
        "store: flie",
        "checkpoint.store: expected one of `file`, `mongodb`, `gcs`, `memory`; did you mean `file`?",
    );
    refused(
        "collection: orders}",
        "collection: orders, startup: lates}",
        "mongodb.connections.main.sources.orders.startup: expected one of `latest`, `earliest`, or \
         a mapping with one of `timestamp`, `token`; did you mean `latest`?",
    );
    refused(
        "collection: orders}",
        "collection: orders, startup: {}}",
        "mongodb.connections.main.sources.orders.startup: expected one of `latest`, `earliest`, or \
         a mapping with one of `timestamp`, `token`",
    );
    refused(
        "collection: orders}",
        "collection: orders, pipeline: [$match]}",
        "mongodb.connections.main.sources.orders.pipeline[0]: expected a mapping, found a string",
    );
}

#[test]
fn quantities() {
    refused_line(
        "shutdown: {drain_timeout: 5 parsecs}",
        "shutdown.drain_timeout: expected a duration such as `250ms`, `5s`, `2m` or `1h`, or a \
         number of seconds",
    );
    refused_line(
        "monitoring: {connection_timeout: -1}",
        "monitoring.connection_timeout: expected a duration such as `250ms`, `5s`, `2m` or `1h`, \
         or a number of milliseconds, found -1",
    );
    refused_line(
        "monitoring: {report_interval: 0}",
        "monitoring.report_interval: must be more than 0",
    );
    refused_line(
        "error_handling: {max_backoff: 0s}",
        "error_handling.max_backoff: must be more than 0",
    );
    refused_line(
        "error_handling: {backoff_factor: 0.5}",
        "error_handling.backoff_factor: expected a number of at least 1, found 0.5",
    );
    refused_line("flow: {bytes_in_flight: 0}", "flow.bytes_in_flight: must be more than 0");
    refused_line(
        "flow: {events_in_flight: 0}",
        "flow.events_in_flight: expected a whole number of at least 1, found 0",
    );
    refused_line(
        "flow: {events_in_flight: 99999999999}",
        "flow.events_in_flight: expected a whole number of at least 1",
    );
}

#[test]
fn the_sections_of_the_beam_pipeline() {
    refused_line(
        "streaming: {batch_size: 0}",
        "streaming.batch_size: expected a whole number of at least 1, found 0",
    );
    refused_line(
        "streaming: {window_size_seconds: 0}",
        "streaming.window_size_seconds: must be more than 0",
    );
    let machine = "dataflow.machine_type: expected a machine type: lower-case letters, digits and \
                   `-`, such as `n1-standard-1`";
    for name in ["''", "N1-standard-1", "n1 standard 1", "'1'", "zones/a/machineTypes/n1"] {
        refused_line(&format!("dataflow: {{machine_type: {name}}}"), machine);
    }
    for key in ["num_workers", "max_num_workers"] {
        refused_line(
            &format!("dataflow: {{{key}: 1001}}"),
            &format!("dataflow.{key}: expected a whole number from 1 to 1000, found 1001"),
        );
    }
    refused_line(
        "dataflow: {num_workers: 2}",
        "dataflow.num_workers: more than `dataflow.max_num_workers`: raise that, too",
    );
    refused_line(
        "dataflow: {autoscaling: off}",
        "dataflow.autoscaling: expected one of `none`, `throughput_based`",
    );
}

#[test]
fn the_sections_of_the_sink() {
    let sink = |line: &str, expected: &str| assert_error(&minimal_with(TOPIC, line), expected);
    sink("  lanes: 0", "pubsub.lanes: expected a whole number of at least 1, found 0");
    sink("  slots: 0", "pubsub.slots: expected a whole number of at least 1, found 0");
    for count in [0, 1001] {
        sink(
            &format!("  batch: {{max_messages: {count}}}"),
            &format!(
                "pubsub.batch.max_messages: expected a whole number from 1 to 1000, found {count}"
            ),
        );
    }
    for size in ["0", "10000001B", "10MiB"] {
        sink(
            &format!("  batch: {{max_bytes: {size}}}"),
            "pubsub.batch.max_bytes: expected a size of at most 10MB, Pub/Sub's limit of a request",
        );
    }
    sink("  batch: {request_timeout: 0}", "pubsub.batch.request_timeout: must be more than 0");
    for endpoint in ["pubsub.googleapis.com", "https://", "https://a b", "ftp://localhost"] {
        sink(
            &format!("  endpoint: {endpoint}"),
            "pubsub.endpoint: expected `https://…` or `http://…`",
        );
    }
    for endpoint in ["http://pubsub.googleapis.com", "http://10.0.0.1:8085"] {
        sink(
            &format!("  endpoint: {endpoint}"),
            "pubsub.endpoint: `http://…` is for this machine only: expected `https://…`",
        );
    }
    sink("  attributes: [event_id, operation, event_id]", "pubsub.attributes[2]: is there twice");
    sink(
        "  ordering: lane",
        "pubsub.ordering: expected one of `lanes`, `document`, `none`, `field:customer.id`; did \
         you mean `lanes`?",
    );
}

#[test]
fn topics_and_the_project() {
    refused(
        "    default: {name",
        "    other: {name",
        "mongodb.connections.main.sources.orders.topic: `default` is not a key of `pubsub.topics`: `other`",
    );
    refused(TOPIC, "", "pubsub.topics: missing: expected a mapping");
    for name in ["projects/p/topics/t", "ab", "1abc", "google-topic", "a b c"] {
        refused(
            "shop-changes",
            name,
            "pubsub.topics.default.name: expected a topic's name without `projects/…/topics/`: 3 \
             to 255 letters, digits and - . _ ~ + %, the first a letter, not beginning with `goog`",
        );
    }
    refused(
        "${GCP_PROJECT_ID}",
        "projects/p",
        "gcp.project_id: expected a project id, without `projects/`",
    );
    refused(
        "${GCP_PROJECT_ID}",
        "p\n  region: eu west",
        "gcp.region: expected a region: `europe-west1`",
    );
}

#[test]
fn scopes() {
    source(
        "collection: orders",
        ".collection: needs a database: set `database` here or as the default of the connection",
    );
    source(
        "batch_size: 5",
        ".database: missing: set `database` and `collection`, or `scope: deployment`",
    );
    source(
        "scope: database",
        ".database: missing: set `database` and `collection`, or `scope: deployment`",
    );
    source(
        "scope: collection, database: d",
        ".collection: missing: `scope: collection` needs its name",
    );
    let collection = ".collection: has a meaning only with `scope: collection`";
    source("scope: database, database: d, collection: c", collection);
    source("scope: deployment, collection: c", collection);
    source("scope: deployment, database: d", ".database: has no meaning with `scope: deployment`");
}

#[test]
fn databases_and_collections() {
    source("database: local", ".database: the database `local` has no change streams");
    let database = ".database: expected a database name: 1 to 63 bytes, none of / \\ . \" $ * < > : | \
                    ? and no space";
    source("database: a.b", database);
    source("database: ''", database);
    source(&format!("database: {}", "d".repeat(64)), database);
    source(
        "database: d, collection: system.views",
        ".collection: system collections have no change streams",
    );
    source(
        "database: d, collection: a$b",
        ".collection: expected a collection name: 1 to 235 bytes, no $",
    );
}

#[test]
fn settings_of_a_source() {
    source("database: d, max_await_time_ms: 0", ".max_await_time_ms: must be more than 0");
    source(
        "database: d, batch_size: 0",
        ".batch_size: expected a whole number from 1 to 2147483647, found 0",
    );
    source(
        "database: d, startup: {timestamp: yesterday}",
        ".startup.timestamp: expected a time as in RFC 3339: `2026-01-31T00:00:00Z`",
    );
    for token in ["82xy", "826", "''"] {
        source(
            &format!("database: d, startup: {{token: '{token}'}}").replace("''''", "''"),
            ".startup.token: expected the `_data` of a resume token: an even number of hex digits",
        );
    }
}

#[test]
fn ids_and_uris() {
    let uri = "mongodb.connections.main.uri: expected a connection string that begins with \
               `mongodb://` or `mongodb+srv://`";
    for wrong in
        ["localhost:27017", "http://db", "''", "mongodb://", "secret://projects/p/secrets/s"]
    {
        refused("${MONGODB_URI}", wrong, uri);
    }
    let name = "expected a name of 1 to 100 letters, digits, `_` and `-`";
    refused("main:", "'a.b':", &format!("mongodb.connections.a.b: {name}"));
    refused("orders: {", "'a/b': {", &format!("mongodb.connections.main.sources.a/b: {name}"));
}

#[test]
fn the_other_sections() {
    refused(
        "  path: ${STATE_DIR:-./state}\n",
        "",
        "checkpoint.path: missing: `store: file` needs a folder",
    );
    refused(
        "${STATE_DIR:-./state}",
        "''",
        "checkpoint.path: missing: `store: file` needs a folder",
    );
    refused(
        "store: file",
        "store: file\n  interval: 0",
        "checkpoint.interval: must be more than 0",
    );
    refused(
        "store: file",
        "store: file\n  idle_interval: 0",
        "checkpoint.idle_interval: must be more than 0",
    );
    for level in ["inof", "info,", "info, debug", "a b=info", "sink=loud"] {
        refused_line(
            &format!("logging: {{level: '{level}'}}"),
            "logging.level: expected one of `off`, `error`, `warn`, `info`, `debug`, `trace`, or a \
             list such as `info,mongo_gcp_stream::sink=debug`",
        );
    }
    read(&format!("{MINIMAL}logging: {{level: 'INFO,mongo_gcp_stream::sink=debug'}}\n")).unwrap();
    assert_error(
        "mongodb: {connections: {}}",
        "mongodb.connections: at least one connection is needed",
    );
    refused(
        &format!("sources:\n        {SOURCE}"),
        "sources: {}",
        "mongodb.connections.main.sources: at least one source is needed",
    );
}
