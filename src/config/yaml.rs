//! YAML text to a tree of values, by serde-saphyr: it is kept, passes the YAML test suite, refuses
//! duplicate keys, limits alias bombs, and tells line and column without quoting the text.

use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, Error, NonFiniteFloatPolicy, Options};

use crate::error::ConfigError;

/// Parses one YAML document. Keys keep their order; duplicate keys are refused; `yes`, `on`, `007`
/// and `1_000` are texts, as YAML 1.2 has it.
///
/// # Errors
/// [`ConfigError`] with `origin` as its path, and line and column. No line of the text is shown:
/// it may hold a password.
pub(super) fn parse(text: &str, origin: &str) -> Result<Value, ConfigError> {
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let error = error.without_snippet();
        let place = error.location().map_or_else(String::new, |location| {
            format!("line {}, column {}: ", location.line(), location.column())
        });
        ConfigError { path: origin.into(), message: format!("{place}{}", reason(error)) }
    })
}

fn options() -> Options {
    serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        non_finite_float_policy: NonFiniteFloatPolicy::Reject,
        emit_comments: false,
        with_snippet: false,
    }
}

/// Why the text is no YAML, without any of it but a key's name.
fn reason(error: &Error) -> String {
    match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the key `{key}` is there twice")
        }
        Error::DuplicateMappingKey { key: None, .. } => "a key is there twice".into(),
        Error::MultipleDocuments { .. } => "only one YAML document is read".into(),
        Error::NonFiniteFloat { .. } => "a number must be finite".into(),
        Error::UnknownAnchor { .. } => {
            "an alias (`*name`) of no anchor; a text that begins with `*` or `&` needs quotes"
                .into()
        }
        Error::Budget { .. } => "too large or too deeply nested for a configuration".into(),
        // The parser's own messages are about characters and indentation, never about a text.
        Error::ExternalMessage { msg, .. } => format!("not valid YAML: {msg}"),
        Error::Eof { .. } => "the file ends too early".into(),
        _ => "not valid YAML here".into(),
    }
}
