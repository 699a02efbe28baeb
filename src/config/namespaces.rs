//! `include` and `exclude`: which databases and collections of a wide scope are captured.

use regex_syntax::ast::{ErrorKind, parse::Parser};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::path::item;
use super::streams::{check_collection, check_database};
use super::validate::error;
use super::{Capture, SourceConfig};
use crate::error::ConfigError;

/// Names of databases and of collections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NamespaceFilter {
    /// Databases, with `scope: deployment`: names, or regular expressions between slashes such as
    /// `/^tenant_/`. Default: `[]`.
    pub databases: Vec<String>,
    /// Collections by their name without the database, with `scope: deployment` or `database`:
    /// names, or regular expressions between slashes. Default: `[]`.
    pub collections: Vec<String>,
}

/// A name, or the regular expression of many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePattern {
    /// This name.
    Literal(String),
    /// All names in which the server's engine (PCRE) finds this expression.
    Regex(String),
}

impl NamePattern {
    /// Reads the items of the list at `path`.
    ///
    /// # Errors
    /// [`ConfigError`] at the item that is no regular expression.
    pub fn parse_all(texts: &[String], path: &str) -> Result<Vec<Self>, ConfigError> {
        let parse = |(index, text): (usize, &String)| {
            Self::parse(text).map_err(|message| error(&item(path, index), message))
        };
        texts.iter().enumerate().map(parse).collect()
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.contains('\0') {
            return Err("a name holds no NUL".into());
        }
        let Some(rest) = text.strip_prefix('/') else { return Ok(Self::Literal(text.into())) };
        match rest.strip_suffix('/') {
            Some(expression) if !expression.is_empty() => {
                check_expression(expression)?;
                Ok(Self::Regex(expression.into()))
            }
            _ => Err("expected a regular expression between slashes: `/^tenant_/`".into()),
        }
    }
}

/// Looks for what no engine takes. Look-around and back references are PCRE's: the server judges.
fn check_expression(expression: &str) -> Result<(), String> {
    let error = Parser::new().parse(expression).err();
    match error.as_ref().map(regex_syntax::ast::Error::kind) {
        None | Some(ErrorKind::UnsupportedLookAround | ErrorKind::UnsupportedBackreference) => {
            Ok(())
        }
        Some(kind) => Err(format!("not a regular expression: {kind}")),
    }
}

/// Checks the filters of the source at `path`, which captures `capture`.
pub(super) fn check(
    source: &SourceConfig,
    capture: &Capture,
    path: &str,
) -> Result<(), ConfigError> {
    for (key, filter) in [("include", &source.include), ("exclude", &source.exclude)] {
        let databases = format!("{path}.{key}.databases");
        if !filter.databases.is_empty() && *capture != Capture::Deployment {
            return Err(error(&databases, "has a meaning only with `scope: deployment`"));
        }
        let collections = format!("{path}.{key}.collections");
        if !filter.collections.is_empty() && matches!(capture, Capture::Collection(..)) {
            let message = "has a meaning only with `scope: deployment` or `database`";
            return Err(error(&collections, message));
        }
        check_names(&filter.databases, &databases, check_database)?;
        check_names(&filter.collections, &collections, check_collection)?;
    }
    Ok(())
}

fn check_names(
    texts: &[String],
    path: &str,
    check_name: impl Fn(&str, &str) -> Result<(), ConfigError>,
) -> Result<(), ConfigError> {
    let patterns = NamePattern::parse_all(texts, path)?;
    patterns.iter().enumerate().try_for_each(|(index, pattern)| match pattern {
        NamePattern::Literal(name) => check_name(name, &item(path, index)),
        NamePattern::Regex(_) => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<NamePattern, String> {
        NamePattern::parse(text)
    }

    #[test]
    fn slashes_make_a_regular_expression() {
        assert_eq!(parse("shop"), Ok(NamePattern::Literal("shop".into())));
        assert_eq!(parse("a.b/c"), Ok(NamePattern::Literal("a.b/c".into())));
        assert_eq!(parse("/^tenant_.*/"), Ok(NamePattern::Regex("^tenant_.*".into())));
        for text in ["/^(?!test_)/", r"/(a)\1/", "/(?i)shop/", r"/\p{L}+$/"] {
            assert!(matches!(parse(text), Ok(NamePattern::Regex(_))), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["/", "//", "/^tenant_"] {
            assert!(parse(text).unwrap_err().contains("between slashes"), "{text}");
        }
        for text in ["/(/", "/[a/", "/a{2,1}/", "/*a/"] {
            assert!(parse(text).unwrap_err().starts_with("not a regular expression: "), "{text}");
        }
        assert!(parse("a\0").is_err());
    }
}
