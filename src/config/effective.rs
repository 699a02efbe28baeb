//! The effective value of every key, and where it came from.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::masked_uri::masked_uri;
use super::overrides::Override;
use super::path::join;
use super::{Config, Environment, Loaded, expand, load, overrides, yaml};
use crate::error::ConfigError;

/// A configuration, and where each of its values came from.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The same as [`super::load()`] gives.
    pub loaded: Loaded,
    /// Every key with its value, in the order of the structs.
    pub values: Vec<EffectiveValue>,
}

/// One key.
#[derive(Clone, Debug, PartialEq)]
pub struct EffectiveValue {
    /// Dotted path.
    pub path: String,
    /// What it is, with secrets hidden; null where it is not set and has no default.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The file did not set it.
    Default,
    /// The file.
    File {
        /// Line, from 1 on.
        line: Option<u32>,
        /// The variables in it, by their name.
        variables: BTreeMap<String, VariableOrigin>,
    },
    /// A variable that goes before the file.
    Override {
        /// Its name.
        variable: String,
        /// Where it is defined.
        origin: VariableOrigin,
    },
}

/// Where a variable's value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariableOrigin {
    /// The environment of the process.
    Environment,
    /// The file `.env`.
    DotEnv,
    /// It is not set: the default behind `:-`.
    Default,
}

impl VariableOrigin {
    /// As a word for people and machines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::DotEnv => ".env",
            Self::Default => "default",
        }
    }
}

/// Loads a file as [`super::load()`] does, and explains it.
///
/// # Errors
/// Those of [`super::load()`].
pub fn explain(path: &Path) -> Result<Explained, ConfigError> {
    let load::Sources { text, origin, process, dotenv } = load::read(path)?;
    explain_yaml(&text, &origin, &process, &dotenv)
}

/// The same for YAML text, with the variables of the process and those of `.env`. Pure.
///
/// # Errors
/// Those of [`super::from_yaml`].
pub fn explain_yaml(
    text: &str,
    origin: &str,
    process: &Environment,
    dotenv: &Environment,
) -> Result<Explained, ConfigError> {
    let environment = load::merged(process, dotenv);
    let loaded = load::from_yaml(text, origin, &environment)?;
    let mut file = yaml::parse(text, origin)?;
    let overrides = overrides::apply(&mut file, &environment)?;
    let lines = yaml::lines(text);
    let origins = Origins { file, lines, overrides, process, environment: &environment };
    let mut values = Vec::new();
    origins.explain(&shown(&loaded.config), Some(&origins.file), "", &mut values);
    Ok(Explained { loaded, values })
}

/// The configuration as a tree, defaults filled in, with its connection strings masked rather than
/// hidden.
#[must_use]
pub fn shown(config: &Config) -> Value {
    let mut tree = serde_json::to_value(config).unwrap_or_default();
    for (id, connection) in &config.mongodb.connections {
        if let Some(uri) = tree.pointer_mut(&format!("/mongodb/connections/{id}/uri")) {
            *uri = masked_uri(&connection.uri).into();
        }
    }
    tree
}

struct Origins<'a> {
    /// What the file says, with overrides and before `${VAR}` is replaced.
    file: Value,
    lines: BTreeMap<String, u32>,
    overrides: Vec<Override>,
    process: &'a Environment,
    environment: &'a Environment,
}

impl Origins<'_> {
    /// Collects the values below `value`, which the file has as `raw`. A list is one value.
    fn explain(
        &self,
        value: &Value,
        raw: Option<&Value>,
        path: &str,
        values: &mut Vec<EffectiveValue>,
    ) {
        let Value::Object(map) = value else {
            let origin = self.of(raw, path);
            values.push(EffectiveValue { path: path.into(), value: value.clone(), origin });
            return;
        };
        for (key, value) in map {
            let raw = raw.and_then(|raw| raw.get(key)).filter(|raw| !raw.is_null());
            self.explain(value, raw, &join(path, key), values);
        }
    }

    fn of(&self, raw: Option<&Value>, path: &str) -> Origin {
        if let Some(variable) = self.overrides.iter().find_map(|key| key.sets(path)) {
            let origin = self.of_variable(variable);
            return Origin::Override { variable: variable.to_owned(), origin };
        }
        let Some(raw) = raw else { return Origin::Default };
        let mut names = Vec::new();
        collect_variables(raw, self.environment, &mut names);
        let variable = |(name, is_set): (&str, bool)| {
            let origin = if is_set { self.of_variable(name) } else { VariableOrigin::Default };
            (name.to_owned(), origin)
        };
        let variables = names.into_iter().map(variable).collect();
        Origin::File { line: self.lines.get(path).copied(), variables }
    }

    fn of_variable(&self, name: &str) -> VariableOrigin {
        if self.process.contains_key(name) {
            VariableOrigin::Environment
        } else {
            VariableOrigin::DotEnv
        }
    }
}

/// The variables in all texts below `raw`, and whether each has a value of its own.
fn collect_variables<'a>(
    raw: &'a Value,
    environment: &Environment,
    names: &mut Vec<(&'a str, bool)>,
) {
    match raw {
        Value::String(text) => names.extend(expand::variables(text, environment)),
        Value::Array(list) => {
            for raw in list {
                collect_variables(raw, environment, names);
            }
        }
        Value::Object(map) => {
            for raw in map.values() {
                collect_variables(raw, environment, names);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
