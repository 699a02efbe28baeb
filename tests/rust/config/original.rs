//! Files written for the original project.

use mongo_gcp_stream::config::Capture;

use super::read;

const ORIGINAL: &str = "
mongodb:
  connections:
    primary:
      uri: ${MONGODB_URI}
      database: shop
      retry: {max_attempts: 3, delay_seconds: 5}
      sources:
        users: {collection: users, batch_size: 100}
        orders: {database: orders, collection: orders, batch_size: 200, max_await_time_ms: 1000}
    analytics:
      uri: ${MONGODB_URI}
      retry: {max_attempts: 5, delay_seconds: 10}
      sources:
        events: {database: a, collection: events, pipeline: [{$match: {operationType: insert}}]}
gcp:
  project_id: ${GCP_PROJECT_ID}
  region: us-central1
  pubsub:
    topics: {default: '${NOT_DEFINED_TOPIC}'}
    dead_letter_topic: shop-dead-letters
pubsub:
  topics:
    default: {name: shop-changes, description: All changes}
    alerts: {name: shop-alerts}
  routing:
    default: {}
    alerts: {source: primary.orders, field: total, value: 100, operator: greater_than}
transforms:
  transforms:
    - {name: stock, module: a.b, enabled: true, config: {window_size: 300}}
schemas:
  primary.users:
    email: {type: string, required: true}
monitoring:
  health_check_interval: 60
  connection_timeout: 5000
  max_inactivity_seconds: 30
  metrics: {enable: true, report_interval: 60, exporters: {stackdriver: true}}
error_handling:
  max_retries: 3
  backoff_factor: 2
  max_backoff: 30
  dead_letter_topic: shop-dead-letters
streaming: {batch_size: 100, window_size_seconds: 60}
";

#[test]
fn every_key_is_accepted_and_those_for_later_are_named_once() {
    let loaded = read(ORIGINAL).unwrap();
    let named: Vec<&str> = loaded
        .warnings
        .iter()
        .map(|warning| warning.split_once(" ha").expect("`key` has no effect").0)
        .collect();
    assert_eq!(
        named,
        [
            "`mongodb.connections.primary.retry`, `mongodb.connections.analytics.retry`",
            "`gcp.pubsub`",
            "`transforms`",
            "`monitoring.health_check_interval`",
            "`monitoring.metrics`",
        ]
    );
    let streaming = &loaded.config.streaming;
    assert_eq!(streaming.batch_size, 100);
    assert_eq!(streaming.window_size_seconds.unwrap().duration().as_secs(), 60);
    let streams = loaded.config.streams().unwrap();
    assert_eq!(loaded.config.error_handling.max_retries, Some(3));
    assert_eq!(streams.len(), 3);
    assert_eq!(streams[2].capture, Capture::Collection("shop".into(), "users".into()));
    assert_eq!(loaded.config.monitoring.connection_timeout.duration().as_secs(), 5);
    assert_eq!(loaded.config.error_handling.max_backoff.duration().as_secs(), 30);
}

#[test]
fn the_dialect_of_the_later_connector_is_refused_with_one_message() {
    let whole = "
mongodb: {uri: 'mongodb://app:hunter2@h', database: d, collections: [{name: c, topic: t}]}
pubsub: {project_id: p, status_topic: s}
firestore: {collection: resumeTokens}
";
    let listed = "mongodb: {database: d, collections: [{name: c, topic: t}]}";
    for (yaml, path) in [(whole, "mongodb.uri"), (listed, "mongodb.collections")] {
        let error = read(yaml).unwrap_err();
        assert_eq!(error.path, path);
        assert_eq!(
            error.message,
            "this file is written for the later Python connector (`mongodb.uri`, \
             `collections[]`), which is not read: docs/guide/migrating.md shows how to say \
             the same with `mongodb.connections`"
        );
    }
}
