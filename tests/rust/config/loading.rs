//! What a file and its environment become.

use std::time::Duration;

use mongo_gcp_stream::config::{
    Capture, FullDocument, Ordering, Scope, Startup, StoreKind, from_value, from_yaml, load,
};
use serde_json::json;

use super::{MINIMAL, environment, minimal_with, read, with};

#[test]
fn the_smallest_file_is_all_that_a_run_needs() {
    let loaded = read(MINIMAL).unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let config = loaded.config;
    let run = config.require_run().unwrap();
    assert_eq!(run.gcp.project_id, "my-project");
    assert_eq!(run.pubsub.topics["default"].name, "shop-changes");
    assert_eq!((&run.pubsub.ordering, run.pubsub.lanes), (&Ordering::Lanes, 64));
    assert_eq!(run.checkpoint.store, StoreKind::File);
    assert_eq!(run.checkpoint.path.as_deref(), Some("./state".as_ref()));
    let streams = config.streams().unwrap();
    assert_eq!(streams.len(), 1);
    assert_eq!(streams[0].id.to_string(), "main.orders");
    assert_eq!(streams[0].connection.uri.expose(), "mongodb://app:hunter2@db/");
    assert_eq!(streams[0].capture, Capture::Collection("shop".into(), "orders".into()));
    assert_eq!(streams[0].source.startup, Startup::Latest);
    assert_eq!(streams[0].source.full_document, FullDocument::UpdateLookup);
}

#[test]
fn both_examples_of_the_original_readme_are_valid() {
    let first = "
mongodb:
  connections:
    main:
      uri: ${MONGODB_URI}
      database: mydb
      sources:
        orders:
          collection: orders
          batch_size: 100
";
    let second = "
mongodb:
  connections:
    client1:
      uri: ${MONGODB_URI}
      sources:
        orders:
          database: mydb
          collection: orders
          batch_size: 100
          pipeline: []  # optional aggregation pipeline
";
    for yaml in [first, second] {
        let config = read(yaml).unwrap().config;
        let stream = config.streams().unwrap().remove(0);
        assert_eq!(stream.source.batch_size, 100);
        assert_eq!(stream.capture, Capture::Collection("mydb".into(), "orders".into()));
        assert_eq!(config.require_run().unwrap_err().path, "gcp");
    }
}

#[test]
fn the_scope_follows_from_the_names() {
    let capture = |connection: &str, source: &str| {
        let yaml = format!(
            "mongodb: {{connections: {{c: {{uri: 'mongodb://h', {connection}\
             sources: {{s: {{{source}}}}}}}}}}}"
        );
        read(&yaml).unwrap().config.streams().unwrap().remove(0).capture
    };
    assert_eq!(capture("", "scope: deployment"), Capture::Deployment);
    assert_eq!(capture("database: d, ", "scope: deployment"), Capture::Deployment);
    assert_eq!(capture("", "database: d"), Capture::Database("d".into()));
    assert_eq!(capture("database: d, ", "scope: database"), Capture::Database("d".into()));
    let collection = Capture::Collection("e".into(), "c".into());
    assert_eq!(capture("database: d, ", "database: e, collection: c"), collection);
    assert_eq!(
        Capture::Collection("d".into(), "c".into()),
        capture("database: d, ", "scope: collection, collection: c")
    );
}

#[test]
fn streams_come_in_the_order_of_their_ids() {
    let yaml = "
mongodb:
  connections:
    b: {uri: 'mongodb://h', database: d, sources: {z: {collection: z}, a: {collection: a}}}
    a: {uri: 'mongodb+srv://h', sources: {m: {scope: deployment}}}
";
    let ids = read(yaml).unwrap().config.streams().unwrap();
    let ids: Vec<String> = ids.iter().map(|stream| stream.id.to_string()).collect();
    assert_eq!(ids, ["a.m", "b.a", "b.z"]);
}

#[test]
fn keys_inside_a_pipeline_keep_their_order_and_their_dollars() {
    let yaml = minimal_with("sources:", "        audit:").replace(
        "audit:",
        "audit:
          database: shop
          pipeline:
            - $match: {z: 1, a: {y: null, b: $field}, region: '${REGION:-eu}', n: '${N:-7}'}
            - $addFields: {text: '$${REGION}'}",
    );
    let config = read(&yaml).unwrap().config;
    let streams = config.streams().unwrap();
    assert_eq!(
        serde_json::to_string(&streams[0].source.pipeline).unwrap(),
        r#"[{"$match":{"z":1,"a":{"y":null,"b":"$field"},"region":"eu","n":"7"}},{"$addFields":{"text":"${REGION}"}}]"#
    );
}

#[test]
fn a_whole_variable_becomes_a_number_where_one_is_wanted() {
    let yaml =
        minimal_with("sources:", "        audit: {database: '${DB}', batch_size: '${SIZE}'}");
    let environment = with(&[("DB", "2024"), ("SIZE", "250")]);
    let config = from_yaml(&yaml, "config.yaml", &environment).unwrap().config;
    let source = config.streams().unwrap().remove(0).source;
    assert_eq!((source.batch_size, source.database.as_deref()), (250, Some("2024")));

    let refused = from_yaml(&yaml, "config.yaml", &with(&[("DB", "d"), ("SIZE", "many")]));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "mongodb.connections.main.sources.audit.batch_size: expected a whole number from 1 to \
         2147483647, found a string"
    );
}

#[test]
fn units_are_read_everywhere() {
    let yaml = minimal_with("default: {name", "  batch: {max_bytes: 64KiB, max_delay: 20}")
        + "flow: {bytes_in_flight: 9.5MB}\nshutdown: {drain_timeout: 90}\n";
    let config = read(&yaml).unwrap().config;
    let batch = &config.require_run().unwrap().pubsub.batch;
    assert_eq!(batch.max_bytes.bytes(), 65_536);
    assert_eq!(batch.max_delay.duration(), Duration::from_millis(20));
    assert_eq!(config.flow.bytes_in_flight.bytes(), 9_500_000);
    assert_eq!(config.shutdown.drain_timeout.duration(), Duration::from_secs(90));
}

#[test]
fn a_key_without_a_value_counts_as_absent() {
    let config = read(&format!("{MINIMAL}flow:\nlogging:\n  level:\nschemas:\n")).unwrap();
    assert_eq!(config.warnings, Vec::<String>::new());
    assert_eq!(config.config.logging.level, "info");
    assert_eq!(config.config.flow.events_in_flight, 50_000);
}

#[test]
fn anchors_and_merge_keys_share_settings() {
    let yaml = "
mongodb:
  connections:
    main:
      uri: mongodb://h
      database: d
      sources:
        a: &shared {collection: a, batch_size: 7, startup: {timestamp: '2026-01-31T00:00:00Z'}}
        b: {<<: *shared, collection: b}
";
    let streams = read(yaml).unwrap().config.streams().unwrap();
    assert_eq!(streams[1].source.batch_size, 7);
    assert_eq!(streams[1].capture, Capture::Collection("d".into(), "b".into()));
    assert_eq!(streams[1].source.startup, Startup::Timestamp("2026-01-31T00:00:00Z".into()));
}

#[test]
fn a_mapping_is_read_like_a_file() {
    let sources = json!({"s": {"scope": "deployment", "startup": {"token": "8264"}}});
    let tree = json!({"mongodb": {"connections": {"c": {"uri": "${MONGODB_URI}",
        "sources": sources}}}});
    let config = from_value(tree, &environment()).unwrap().config;
    let stream = config.streams().unwrap().remove(0);
    assert_eq!(stream.source.scope, Some(Scope::Deployment));
    assert_eq!(from_value(json!([]), &environment()).unwrap_err().path, "configuration");
}

#[test]
fn a_file_is_read_with_the_env_file_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, MINIMAL.replace("MONGODB_URI", "MY_LOADING_TEST_URI")).unwrap();
    let error = load(&path).unwrap_err();
    assert_eq!(error.path, "mongodb.connections.main.uri");
    assert!(error.message.contains("`MY_LOADING_TEST_URI`"), "{error}");
    let env = "MY_LOADING_TEST_URI='mongodb://h/?a=$b'\nGCP_PROJECT_ID=p\n\
               MONGO_GCP_STREAM__PUBSUB__LANES=16\n";
    std::fs::write(folder.path().join(".env"), env).unwrap();
    let config = load(&path).unwrap().config;
    assert_eq!(config.mongodb.connections["main"].uri.expose(), "mongodb://h/?a=$b");
    assert_eq!(config.pubsub.unwrap().lanes, 16);

    let missing = load(&folder.path().join("absent.yaml")).unwrap_err();
    assert!(missing.path.ends_with("absent.yaml"), "{missing}");
    assert!(missing.message.starts_with("cannot be read"), "{missing}");
}

#[test]
fn nothing_that_is_printed_shows_a_secret() {
    let loaded = read(MINIMAL).unwrap();
    assert!(!format!("{loaded:?}").contains("hunter2"));
    assert!(!format!("{:?}", loaded.config.streams().unwrap()).contains("hunter2"));
    assert!(!serde_json::to_string(&loaded.config).unwrap().contains("hunter2"));
}
