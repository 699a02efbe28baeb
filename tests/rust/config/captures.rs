//! Mistakes in what a source captures, each with the exact message that its author reads.

use super::mistakes::{refused, source};

#[test]
fn pipelines() {
    source(
        "database: d, pipeline: [{match: {}}]",
        ".pipeline[0]: expected an aggregation stage: one key that begins with `$`",
    );
    source(
        "database: d, pipeline: [{$match: {}}, {$unset: [ns, _id]}]",
        ".pipeline[1]: drops `_id`, the resume token: take it out of the stage",
    );
    source(
        "database: d, pipeline: [{$match: {}}, {$projcet: {ns: 1}}]",
        ".pipeline[1]: expected a stage that a change stream allows, one of `$match`, `$project`, \
         `$addFields`, `$set`, `$unset`, `$replaceRoot`, `$replaceWith`, `$redact`; did you mean \
         `$project`?",
    );
}

#[test]
fn filters_of_a_source() {
    source(
        "database: d, include: {databases: [shop]}",
        ".include.databases: has a meaning only with `scope: deployment`",
    );
    source(
        "database: d, collection: c, exclude: {collections: [a]}",
        ".exclude.collections: has a meaning only with `scope: deployment` or `database`",
    );
    source(
        "scope: deployment, include: {databases: [shop, '/(/']}",
        ".include.databases[1]: not a regular expression: unclosed group",
    );
    source(
        "scope: deployment, exclude: {collections: [/^tenant_]}",
        ".exclude.collections[0]: expected a regular expression between slashes: `/^tenant_/`",
    );
    source(
        "scope: deployment, include: {databases: [local]}",
        ".include.databases[0]: the database `local` has no change streams",
    );
    source(
        "scope: deployment, include: {collections: [system.views]}",
        ".include.collections[0]: system collections have no change streams",
    );
    source(
        "scope: deployment, include: {namespaces: [a.b]}",
        ".include.namespaces: unknown key; known here: `databases`, `collections`",
    );
}

#[test]
fn options_of_a_source() {
    source(
        "database: d, full_document_before_change: default",
        ".full_document_before_change: expected one of `off`, `when_available`, `required`",
    );
    source(
        "database: d, on_missing_document: drop, full_document: when_available",
        ".on_missing_document: `drop` needs `full_document: update_lookup`: without a look-up, a \
         document that is missing has not gone",
    );
    source(
        "database: d, show_expanded_events: yes",
        ".show_expanded_events: expected `true` or `false`, found a string",
    );
    source(
        "database: d, skip_operations: [insert, udpate]",
        ".skip_operations[1]: expected one of `insert`, `update`, `replace`, `delete`, `drop`, \
         `rename`, `dropDatabase`, `invalidate`, `create`, `createIndexes`, `dropIndexes`, \
         `modify`, `shardCollection`, `reshardCollection`, `refineCollectionShardKey`; did you \
         mean `update`?",
    );
    source(
        "database: d, read_preference: secondaryPreferred",
        ".read_preference: expected one of `primary`, `primary_preferred`, `secondary`, \
         `secondary_preferred`, `nearest`; did you mean `secondary_preferred`?",
    );
    refused(
        "uri: ${MONGODB_URI}",
        "uri: ${MONGODB_URI}\n      compressors: [zstd]",
        "mongodb.connections.main.compressors[0]: expected one of `snappy`",
    );
}
