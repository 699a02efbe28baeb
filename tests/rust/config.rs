//! The configuration: loading, overriding, mistakes and their messages, generated files.

use mongo_gcp_stream::config::{Environment, Loaded, from_yaml};
use mongo_gcp_stream::error::ConfigError;

#[path = "config/captures.rs"]
mod captures;
#[path = "config/dead_letters.rs"]
mod dead_letters;
#[path = "config/edits.rs"]
mod edits;
#[path = "config/effective.rs"]
mod effective;
#[path = "config/generated.rs"]
mod generated;
#[path = "config/loading.rs"]
mod loading;
#[path = "config/mistakes.rs"]
mod mistakes;
#[path = "config/original.rs"]
mod original;
#[path = "config/overrides.rs"]
mod overrides;
#[path = "config/reference.rs"]
mod reference;
#[path = "config/routing.rs"]
mod routing;
#[path = "config/subscriptions.rs"]
mod subscriptions;
#[path = "config/unreadable.rs"]
mod unreadable;
#[path = "config/validation.rs"]
mod validation;

/// The smallest file that `run` takes.
const MINIMAL: &str = include_str!("../../config/minimal.yaml");

/// The variables of the smallest file. The password is looked for in every error message.
fn environment() -> Environment {
    with(&[])
}

fn with(more: &[(&str, &str)]) -> Environment {
    let mine = [("MONGODB_URI", "mongodb://app:hunter2@db/"), ("GCP_PROJECT_ID", "my-project")];
    let pairs = mine.iter().chain(more);
    pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn read(yaml: &str) -> Result<Loaded, ConfigError> {
    from_yaml(yaml, "config.yaml", &environment())
}

/// The smallest file with one line after the line that holds `anchor`, indented as given.
fn minimal_with(anchor: &str, line: &str) -> String {
    let at = MINIMAL.find(anchor).expect("the anchor is in the file");
    let end = at + MINIMAL[at..].find('\n').expect("every line ends");
    format!("{}\n{line}{}", &MINIMAL[..end], &MINIMAL[end..])
}
