//! `MONGO_GCP_STREAM__…` variables.

use mongo_gcp_stream::config::{Attribute, Config, Startup, from_yaml};
use mongo_gcp_stream::error::ConfigError;

use super::{MINIMAL, with};

fn overridden(yaml: &str, variable: &str, value: &str) -> Result<Config, ConfigError> {
    let name = format!("MONGO_GCP_STREAM__{variable}");
    from_yaml(yaml, "config.yaml", &with(&[(&name, value)])).map(|loaded| loaded.config)
}

#[test]
fn a_variable_goes_before_the_file() {
    let set = |variable: &str, value: &str| overridden(MINIMAL, variable, value).unwrap();
    let uri = "mongodb+srv://u:p${w}$${d}@h";
    let config = set("MONGODB__CONNECTIONS__MAIN__URI", uri);
    assert_eq!(config.mongodb.connections["main"].uri.expose(), uri, "taken literally");
    let config = set("mongodb__Connections__main__sources__orders__batch_size", "7");
    assert_eq!(config.streams().unwrap()[0].source.batch_size, 7);
    assert_eq!(set("FLOW__BYTES_IN_FLIGHT", "1MB").flow.bytes_in_flight.bytes(), 1_000_000);
    assert_eq!(set("FLOW__BYTES_IN_FLIGHT", "7").flow.bytes_in_flight.bytes(), 7);
    assert_eq!(set("GCP__PROJECT_ID", "12345").gcp.unwrap().project_id, "12345");
    let factor = set("ERROR_HANDLING__BACKOFF_FACTOR", "1.5").error_handling.backoff_factor;
    assert!((factor - 1.5).abs() < f64::EPSILON);
}

#[test]
fn lists_and_mappings_are_given_as_yaml_or_json() {
    let set = |variable: &str, value: &str| overridden(MINIMAL, variable, value).unwrap();
    let attributes = set("PUBSUB__ATTRIBUTES", "[event_id]").pubsub.unwrap().attributes;
    assert_eq!(attributes, [Attribute::EventId]);
    let sources = "MONGODB__CONNECTIONS__MAIN__SOURCES__ORDERS__";
    let config = set(&format!("{sources}PIPELINE"), r#"[{"$match": {"a": "${B}"}}]"#);
    let pipeline = &config.streams().unwrap()[0].source.pipeline;
    assert_eq!(serde_json::to_string(pipeline).unwrap(), r#"[{"$match":{"a":"${B}"}}]"#);
    let config = set(&format!("{sources}STARTUP"), "earliest");
    assert_eq!(config.streams().unwrap()[0].source.startup, Startup::Earliest);
    let time = "2026-01-31T00:00:00Z";
    let config = set(&format!("{sources}STARTUP__TIMESTAMP"), time);
    assert_eq!(config.streams().unwrap()[0].source.startup, Startup::Timestamp(time.into()));
}

#[test]
fn ids_and_names_with_dashes_and_underscores_are_found() {
    let yaml = "
mongodb:
  connections:
    eu-west: {uri: 'mongodb://h', sources: {my__orders: {database: d}, x-: {database: d}}}
";
    let path = "MONGODB__CONNECTIONS__EU_WEST__SOURCES";
    for (name, source) in [("MY__ORDERS", "my__orders"), ("X_", "x-")] {
        let config = overridden(yaml, &format!("{path}__{name}__BATCH_SIZE"), "7").unwrap();
        let sources = &config.mongodb.connections["eu-west"].sources;
        assert_eq!(sources[source].batch_size, 7);
    }
    let both = yaml.replace("x-:", "my--orders:");
    let error = overridden(&both, &format!("{path}__MY__ORDERS__TOPIC"), "t").unwrap_err();
    assert_eq!(
        error.message,
        "names both `mongodb.connections.eu-west.sources.my--orders.topic` and \
         `mongodb.connections.eu-west.sources.my__orders.topic`"
    );
}

#[test]
fn an_undefined_variable_may_be_overridden() {
    let yaml = MINIMAL.replace("MONGODB_URI", "NOT_DEFINED");
    let config = overridden(&yaml, "MONGODB__CONNECTIONS__MAIN__URI", "mongodb://h").unwrap();
    assert_eq!(config.mongodb.connections["main"].uri.expose(), "mongodb://h");
}

#[test]
fn an_unknown_key_names_the_variable() {
    let error = overridden(MINIMAL, "PUBSUB__LANE", "7").unwrap_err();
    assert_eq!(
        error.to_string(),
        "MONGO_GCP_STREAM__PUBSUB__LANE: names no key of the configuration, and no connection, \
         source or topic of the file; did you mean `MONGO_GCP_STREAM__PUBSUB__LANES`?"
    );
    for variable in ["", "X", "MONGODB__CONNECTIONS__OTHER__URI", "PUBSUB_LANES_", "PUBSUB__"] {
        let error = overridden(MINIMAL, variable, "hunter2").unwrap_err();
        assert_eq!(error.path, format!("MONGO_GCP_STREAM__{variable}"));
        assert!(!error.message.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_wrong_value_names_path_and_variable() {
    let error = overridden(MINIMAL, "PUBSUB__LANES", "hunter2").unwrap_err();
    assert_eq!(
        error.to_string(),
        "pubsub.lanes: expected a whole number of at least 1, found a string (set by \
         MONGO_GCP_STREAM__PUBSUB__LANES)"
    );
    let error = overridden(MINIMAL, "PUBSUB__ATTRIBUTES", "[hunter2").unwrap_err();
    assert_eq!(
        error.to_string(),
        "pubsub.attributes: expected a list, as YAML or JSON (set by \
         MONGO_GCP_STREAM__PUBSUB__ATTRIBUTES)"
    );
    let error = overridden(MINIMAL, "MONGODB__CONNECTIONS__MAIN__URI", "hunter2").unwrap_err();
    assert!(error.message.ends_with("(set by MONGO_GCP_STREAM__MONGODB__CONNECTIONS__MAIN__URI)"));
    assert!(!error.to_string().contains("hunter2"));
}

#[test]
fn a_key_for_later_may_be_set_too() {
    let name = "MONGO_GCP_STREAM__MONITORING__HEALTH_CHECK_INTERVAL";
    let loaded = from_yaml(MINIMAL, "config.yaml", &with(&[(name, "5")])).unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    assert!(
        loaded.warnings[0].contains("`monitoring.health_check_interval`"),
        "{:?}",
        loaded.warnings
    );
}
