//! Files that are generated from the structs and their doc comments. `UPDATE_GENERATED=1` writes
//! them anew; without it a stale file is an error.

use std::path::{Path, PathBuf};

use mongo_gcp_stream::config::{Environment, from_yaml, schema};

use super::{MINIMAL, reference, with};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn content(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap_or_default()
}

fn assert_fresh(name: &str, expected: &str) {
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(file(name), expected).unwrap();
    }
    let fresh = content(name) == expected;
    assert!(fresh, "{name} is stale: run `UPDATE_GENERATED=1 cargo test --test config`");
}

#[test]
fn the_schema_is_fresh() {
    let schema = serde_json::to_string_pretty(schema()).unwrap();
    assert_fresh("config/schema.json", &(schema + "\n"));
}

#[test]
fn the_annotated_file_is_fresh_and_says_what_the_defaults_are() {
    let yaml = reference::annotated(schema());
    assert_fresh("config/config.yaml", &yaml);
    let environment = with(&[]);
    let annotated = from_yaml(&yaml, "config.yaml", &environment).unwrap();
    assert_eq!(annotated.warnings, Vec::<String>::new());
    let mut minimal = from_yaml(MINIMAL, "minimal.yaml", &environment).unwrap().config;
    // What the annotated file sets and the shortest leaves out.
    minimal.mongodb.connections.get_mut("main").unwrap().database = Some("shop".into());
    let set = &annotated.config.pubsub.as_ref().unwrap().topics["default"];
    let topics = &mut minimal.pubsub.as_mut().unwrap().topics;
    let topic = topics.get_mut("default").unwrap();
    topic.subscriptions.clone_from(&set.subscriptions);
    topic.bigquery.clone_from(&set.bigquery);
    minimal.dead_letter.clone_from(&annotated.config.dead_letter);
    assert_eq!(
        serde_json::to_value(annotated.config).unwrap(),
        serde_json::to_value(minimal).unwrap()
    );
}

#[test]
fn the_table_in_the_guide_is_fresh() {
    let guide = content("docs/guide/configuration.md");
    let (begin, end) = ("<!-- keys: begin, generated -->\n", "<!-- keys: end -->");
    let (head, rest) = guide.split_once(begin).expect("the guide has a place for the table");
    let (_, tail) = rest.split_once(end).expect("the table's place ends");
    let table = reference::table(schema());
    assert_fresh("docs/guide/configuration.md", &format!("{head}{begin}{table}{end}{tail}"));
}

#[test]
fn every_doc_comment_names_its_default() {
    assert_eq!(reference::undocumented_defaults(schema()), Vec::<String>::new());
}

/// Every variable that the shipped files use stands in `.env.example`, and its values load.
#[test]
fn the_example_of_an_env_file_is_complete() {
    let example = content(".env.example");
    let pairs = dotenvy::Iter::new(example.as_bytes()).collect::<Result<_, _>>().unwrap();
    for name in ["config/config.yaml", "config/minimal.yaml"] {
        from_yaml(&content(name), name, &pairs).unwrap();
    }
}

/// It loads where no variable is set, as in the launcher of a template, and names each key of
/// the section that is made for it.
#[test]
fn the_file_for_dataflow_loads_without_a_variable() {
    let yaml = content("config/dataflow.yaml");
    let loaded = from_yaml(&yaml, "dataflow.yaml", &Environment::new()).unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert!(loaded.config.require_run().is_ok(), "one process takes it, too");
    let shown = serde_json::to_value(&loaded.config.dataflow).unwrap();
    let section = yaml.split_once("\ndataflow:\n").expect("it has the section").1;
    for key in shown.as_object().unwrap().keys() {
        assert!(section.contains(&format!("  {key}: ")), "{key}");
    }
}

/// YAML files in the guide are complete and right.
#[test]
fn the_files_in_the_guide_load() {
    let guide = content("docs/guide/configuration.md");
    let files: Vec<&str> = guide.split("```yaml\n").skip(1).collect();
    assert!(files.len() >= 2);
    for file in files {
        let yaml = file.split("```").next().unwrap();
        from_yaml(yaml, "configuration.md", &with(&[])).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    }
}
