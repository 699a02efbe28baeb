//! `enrich` and `protect` of a source, and what they may not do to the key of a table.

use super::mistakes::source;
use super::{minimal_with, read};

/// The source with these keys more is refused so, at a path below it.
fn refused(keys: &str, expected: &str) {
    source(&format!("database: shop, collection: orders, {keys}"), expected);
}

#[test]
fn no_two_fields_get_one_name() {
    let renamed = |keys: &str, expected: &str| refused(&format!("enrich: {{{keys}}}"), expected);
    renamed("rename: {a: x, b: x}", ".enrich.rename.b: is the new name of another field, too");
    renamed(
        "rename: {'items[*].a': x, 'items[*].b': x}",
        ".enrich.rename.items[*].b: is the new name of another field, too",
    );
    let added = "is the name of a field that is added, too";
    renamed("rename: {a: x}, fields: {x: 1}", &format!(".enrich.rename.a: {added}"));
    renamed("rename: {a: x}, copy: {x: ns}", &format!(".enrich.rename.a: {added}"));
    renamed("rename: {a: _metadata}, metadata: true", &format!(".enrich.rename.a: {added}"));
    renamed("rename: {a: _id}", ".enrich.rename.a: is the name of what identifies a document");
    let apart = "enrich: {rename: {a: x, b.a: x, c.a: _id, d.a: y}, fields: {y: 1}}";
    let sources = format!("orders: {{database: shop, collection: orders, {apart}}}");
    let file = super::MINIMAL.replace("orders: {database: shop, collection: orders}", &sources);
    assert!(file.contains(apart));
    read(&file).unwrap();
}

#[test]
fn what_an_action_has_no_use_for_is_refused() {
    let rule = |keys: &str, expected: &str| {
        refused(&format!("protect: [{{path: a, {keys}}}]"), &format!(".protect[0].{expected}"));
    };
    rule("action: mask, length: 3", "length: is for the action `truncate`");
    rule("action: truncate, keep: 3", "keep: is for the action `mask`");
    rule("action: remove, mask_char: '*'", "mask_char: is for the action `mask`");
}

#[test]
fn an_attribute_of_ours_is_nobody_elses_also_where_it_is_not_sent() {
    let lines = "  attributes: []\n  extra_attributes: {namespace: '{field:email}'}";
    let refused = read(&minimal_with("pubsub:", lines)).unwrap_err();
    assert_eq!(refused.path, "pubsub.extra_attributes.namespace");
}
