//! From a file and the environment to a checked configuration: one way for every face.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::schema::Place;
use super::{Config, check, dotenv, expand, later, overrides, yaml};
use crate::error::ConfigError;

/// Names and values of the variables that a configuration may use.
pub type Environment = BTreeMap<String, String>;

/// A configuration and what its author should know about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the user asked for, checked.
    pub config: Config,
    /// Keys that are accepted and have no effect: one sentence each.
    pub warnings: Vec<String>,
}

/// Reads a YAML file with the environment of the process and the `.env` beside the file, or, where
/// there is none, the `.env` in the working directory. The process goes before `.env`.
///
/// # Errors
/// [`ConfigError`] at the file's name if it cannot be read or is not YAML, else as [`from_value`].
pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
    let Sources { text, origin, process, dotenv } = read(path)?;
    from_yaml(&text, &origin, &merged(&process, &dotenv))
}

/// What a configuration is made from.
pub(super) struct Sources {
    pub text: String,
    /// The file's name.
    pub origin: String,
    /// Variables of the process.
    pub process: Environment,
    /// Variables of `.env`.
    pub dotenv: Environment,
}

/// Reads the file, and `.env`.
pub(super) fn read(path: &Path) -> Result<Sources, ConfigError> {
    let origin = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
        path: origin.clone(),
        message: format!("cannot be read: {error}"),
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let dotenv = dotenv::first_file(&[folder, Path::new("")])?;
    Ok(Sources { text, origin, process: dotenv::process(), dotenv })
}

/// The variables of the process over those of `.env`.
pub(super) fn merged(process: &Environment, dotenv: &Environment) -> Environment {
    dotenv.iter().chain(process).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Reads YAML text; `origin` is what errors about the text as a whole call it. Pure.
///
/// # Errors
/// [`ConfigError`] at `origin` if the text is not YAML, else as [`from_value`].
pub fn from_yaml(
    text: &str,
    origin: &str,
    environment: &Environment,
) -> Result<Loaded, ConfigError> {
    from_tree(yaml::parse(text, origin)?, origin, environment)
}

/// Reads a mapping as it stands in the YAML file: overrides and variables from `environment` are
/// put in, then the mapping is checked. Pure.
///
/// # Errors
/// [`ConfigError`] with the dotted path of the first mistake; never with a value.
pub fn from_value(tree: Value, environment: &Environment) -> Result<Loaded, ConfigError> {
    from_tree(tree, "configuration", environment)
}

/// Reads a mapping with its overrides and variables in place, such as a [`Resolved::tree`]. Pure.
///
/// # Errors
/// As [`from_value`].
pub fn from_resolved(mut tree: Value) -> Result<Config, ConfigError> {
    later::strip(&mut tree);
    build(&mut tree)
}

/// A configuration, and the mapping that it was made of.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What the user asked for, checked.
    pub config: Config,
    /// What was written, overrides and variables in place: it holds the secrets.
    pub tree: Value,
    /// Keys that are accepted and have no effect: one sentence each.
    pub warnings: Vec<String>,
}

/// Reads a file as [`load`] does and keeps what it says.
///
/// # Errors
/// Those of [`load`].
pub fn resolve(path: &Path) -> Result<Resolved, ConfigError> {
    let Sources { text, origin, process, dotenv } = read(path)?;
    resolve_tree(yaml::parse(&text, &origin)?, &origin, &merged(&process, &dotenv))
}

/// Reads a mapping as [`from_value`] does, with the variables of the process and the `.env` in the
/// working directory, and keeps what it says.
///
/// # Errors
/// Those of [`from_value`].
pub fn resolve_value(tree: Value) -> Result<Resolved, ConfigError> {
    let dotenv = dotenv::first_file(&[Path::new("")])?;
    resolve_tree(tree, "configuration", &merged(&dotenv::process(), &dotenv))
}

fn from_tree(tree: Value, origin: &str, environment: &Environment) -> Result<Loaded, ConfigError> {
    let Resolved { config, warnings, .. } = resolve_tree(tree, origin, environment)?;
    Ok(Loaded { config, warnings })
}

fn resolve_tree(
    mut tree: Value,
    origin: &str,
    environment: &Environment,
) -> Result<Resolved, ConfigError> {
    if !tree.is_object() {
        return Err(ConfigError { path: origin.into(), message: "expected a mapping".into() });
    }
    later::refuse_connector_dialect(&tree)?;
    let overrides = overrides::apply(&mut tree, environment)?;
    let whole = tree.clone();
    let warnings = later::strip(&mut tree);
    check::drop_empty(&mut tree, Place::root());
    let expanded = expand::expand_tree(&mut tree, Some(Place::root()), "", environment);
    let config = expanded.and_then(|()| build(&mut tree)).map_err(|mut error| {
        if let Some(variable) = overrides.iter().find_map(|key| key.sets(&error.path)) {
            error.message.push_str(" (set by ");
            error.message.push_str(variable);
            error.message.push(')');
        }
        error
    })?;
    add_missing(&mut tree, whole);
    Ok(Resolved { config, tree, warnings })
}

fn build(tree: &mut Value) -> Result<Config, ConfigError> {
    check::drop_empty(tree, Place::root());
    check::check(tree, Place::root(), "")?;
    let config: Config = check::deserialize(tree.clone())?;
    config.validate()?;
    Ok(config)
}

/// Puts into `tree` what only `more` has.
pub fn add_missing(tree: &mut Value, more: Value) {
    let (Value::Object(tree), Value::Object(more)) = (tree, more) else { return };
    for (key, value) in more {
        match tree.get_mut(&key) {
            Some(known) => add_missing(known, value),
            None => {
                tree.insert(key, value);
            }
        }
    }
}
