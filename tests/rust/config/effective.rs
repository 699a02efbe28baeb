//! Effective values and where they came from.

use std::collections::BTreeMap;

use mongo_gcp_stream::config::{
    EffectiveValue, Environment, Explained, Origin, VariableOrigin, explain_yaml,
};
use serde_json::json;

use super::{MINIMAL, environment};

fn pairs(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn explain(yaml: &str, process: &[(&str, &str)]) -> Explained {
    explain_yaml(yaml, "config.yaml", &pairs(process), &environment()).unwrap()
}

fn value<'a>(explained: &'a Explained, path: &str) -> &'a EffectiveValue {
    explained.values.iter().find(|value| value.path == path).unwrap_or_else(|| panic!("{path}"))
}

fn file(line: u32, variables: &[(&str, VariableOrigin)]) -> Origin {
    let variables: BTreeMap<String, VariableOrigin> =
        variables.iter().map(|(name, origin)| ((*name).to_owned(), *origin)).collect();
    Origin::File { line: Some(line), variables }
}

#[test]
fn a_value_of_the_file_has_its_line_and_its_variables() {
    let explained = explain(MINIMAL, &[("GCP_PROJECT_ID", "theirs")]);
    let collection = value(&explained, "mongodb.connections.main.sources.orders.collection");
    assert_eq!((&collection.value, &collection.origin), (&json!("orders"), &file(6, &[])));
    let project = value(&explained, "gcp.project_id");
    assert_eq!(project.value, "theirs");
    let environment = VariableOrigin::Environment;
    assert_eq!(project.origin, file(8, &[("GCP_PROJECT_ID", environment)]));
    let path = value(&explained, "checkpoint.path");
    assert_eq!(path.value, "./state");
    assert_eq!(path.origin, file(14, &[("STATE_DIR", VariableOrigin::Default)]));
}

#[test]
fn a_default_and_an_override_say_so() {
    let lanes = "MONGO_GCP_STREAM__PUBSUB__LANES";
    let explained = explain(MINIMAL, &[(lanes, "16")]);
    let overridden = value(&explained, "pubsub.lanes");
    assert_eq!(overridden.value, 16);
    let origin = VariableOrigin::Environment;
    assert_eq!(overridden.origin, Origin::Override { variable: lanes.into(), origin });
    let slots = value(&explained, "pubsub.slots");
    assert_eq!((&slots.value, &slots.origin), (&json!(8), &Origin::Default));
    let region = value(&explained, "gcp.region");
    assert_eq!((&region.value, &region.origin), (&json!(null), &Origin::Default));
}

#[test]
fn a_section_without_a_value_is_made_of_defaults() {
    let explained = explain(&format!("{MINIMAL}flow:\n"), &[]);
    assert_eq!(value(&explained, "flow.events_in_flight").origin, Origin::Default);
}

#[test]
fn the_connection_string_is_masked_and_comes_from_the_env_file() {
    let explained = explain(MINIMAL, &[]);
    let uri = value(&explained, "mongodb.connections.main.uri");
    assert_eq!(uri.value, "mongodb://app:***@db/");
    assert_eq!(uri.origin, file(4, &[("MONGODB_URI", VariableOrigin::DotEnv)]));
    assert!(!format!("{explained:?}").contains("hunter2"));
}

#[test]
fn a_token_is_hidden() {
    let yaml =
        MINIMAL.replace("collection: orders}", "collection: orders, startup: {token: 'c0ffee'}}");
    let explained = explain(&yaml, &[]);
    let token = value(&explained, "mongodb.connections.main.sources.orders.startup.token");
    assert_eq!(token.value, "***");
    assert!(!format!("{explained:?}").contains("c0ffee"));
}

#[test]
fn a_list_is_one_value() {
    let yaml = MINIMAL.replace(
        "collection: orders}",
        "collection: orders, pipeline: [{$match: {region: '${REGION:-eu}'}}]}",
    );
    let explained = explain(&yaml, &[]);
    let pipeline = value(&explained, "mongodb.connections.main.sources.orders.pipeline");
    assert_eq!(pipeline.value, json!([{ "$match": { "region": "eu" } }]));
    assert_eq!(pipeline.origin, file(6, &[("REGION", VariableOrigin::Default)]));
}
