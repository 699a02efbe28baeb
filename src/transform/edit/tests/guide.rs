//! The examples of the guides, carried out.

use mongodb::bson::RawDocumentBuf;
use serde_json::Value;

use crate::config::{JsonMode, from_yaml};
use crate::event::ChangeEvent;
use crate::format::json::write_document;
use crate::transform::Context;
use crate::transform::edit::Edits;

/// The code blocks of a page that are in a language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The first JSON block of a page is an event, the second what its YAML makes of it.
fn carried_out(page: &str) {
    let variables = [
        ("MONGODB_URI", "mongodb://localhost"),
        ("GCP_PROJECT_ID", "some-project"),
        ("PROTECTION_KEY", "only-for-this-guide"),
    ];
    let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let config = from_yaml(blocks(page, "yaml")[0], "config.yaml", &environment).unwrap().config;
    let edits = Edits::compile(&config, &config.streams().unwrap()[0]).unwrap().unwrap();
    let json = blocks(page, "json");
    let event: mongodb::bson::Document = serde_json::from_str(json[0]).unwrap();
    let event = RawDocumentBuf::try_from(&event).unwrap();
    let (mut out, mut written) = (Vec::new(), Vec::new());
    let change = ChangeEvent::decode(event.as_bytes()).unwrap();
    let context = Context { now_ms: 1_769_860_800_250, redriven: false };
    edits.apply(&change, &context, &mut out).unwrap();
    write_document(&out, JsonMode::Relaxed, &mut written).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    let expected: Value = serde_json::from_str(json[1]).unwrap();
    assert_eq!(written, expected, "{written:#}");
}

#[test]
fn that_of_protection() {
    carried_out(include_str!("../../../../docs/guide/protection.md"));
}

#[test]
fn that_of_enrichment() {
    carried_out(include_str!("../../../../docs/guide/enrichment.md"));
}
