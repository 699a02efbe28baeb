//! The fields of a table's key: what `enrich` and `protect` may do to them.
//!
//! A row is told by its key. One that is not the document's own, in the row of an insert and in that
//! of its delete alike, would merge documents or outlive them.

use crate::config::field_path::{self, Segment};
use crate::config::{ProtectAction, SourceConfig};

/// The key below the source that is wrong, and why.
type Wrong = (String, String);

/// Checks that the fields `key` stay as they are, or become what stands for each value alone.
pub(super) fn check(source: &SourceConfig, key: &[String]) -> Result<(), Wrong> {
    key.iter().try_for_each(|field| {
        added(source, field)?;
        selected(source, field)?;
        protected(source, field)
    })
}

fn added(source: &SourceConfig, field: &str) -> Result<(), Wrong> {
    let enrich = &source.enrich;
    let wrong = |key: &str| Err((format!("enrich.{key}"), format!("would write `{field}`")));
    if enrich.fields.contains_key(field) {
        return wrong(&format!("fields.{field}"));
    }
    if enrich.copy.contains_key(field) {
        return wrong(&format!("copy.{field}"));
    }
    if enrich.metadata && field == "_metadata" {
        return wrong("metadata");
    }
    for (path, name) in &enrich.rename {
        if meets(path, field) || (name == field && segments(path).len() == 1) {
            return Err((format!("enrich.rename.{path}"), format!("would rename `{field}`")));
        }
    }
    Ok(())
}

fn selected(source: &SourceConfig, field: &str) -> Result<(), Wrong> {
    let enrich = &source.enrich;
    if let Some(index) = enrich.exclude.iter().position(|path| meets(path, field)) {
        let message = format!("would leave out `{field}`, or a part of it");
        return Err((format!("enrich.exclude[{index}]"), message));
    }
    // `_id` goes out in any case.
    let whole = |path: &String| meets(path, field) && segments(path).len() == 1;
    if enrich.include.is_empty() || field == "_id" || enrich.include.iter().any(whole) {
        return Ok(());
    }
    Err(("enrich.include".into(), format!("would leave out `{field}`, or a part of it")))
}

fn protected(source: &SourceConfig, field: &str) -> Result<(), Wrong> {
    let one_for_each = |action| matches!(action, ProtectAction::Hash | ProtectAction::Tokenise);
    let found = source
        .protect
        .iter()
        .position(|rule| meets(&rule.path, field) && !one_for_each(rule.action));
    found.map_or(Ok(()), |index| {
        let message =
            format!("expected `hash` or `tokenise`: others make one value of several in `{field}`");
        Err((format!("protect[{index}].action"), message))
    })
}

/// Whether a path leads to the field at the top level, or into it. What is in every field, such as
/// `*.email`, is hardly meant for a key: that is a document seldom.
fn meets(path: &str, field: &str) -> bool {
    match segments(path).as_slice() {
        [Segment::Name(name), ..] => name == field,
        [Segment::AnyName] => true,
        _ => false,
    }
}

/// The steps of a path, which was checked.
fn segments(path: &str) -> Vec<Segment> {
    field_path::parse(path).unwrap_or_default()
}
