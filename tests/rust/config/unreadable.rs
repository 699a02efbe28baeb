//! What cannot be read at all, and the promise that no message shows a secret.

use super::mistakes::{assert_error, refused};
use super::{MINIMAL, read};

#[test]
fn variables() {
    refused(
        "${MONGODB_URI}",
        "${MONGO_URI}",
        "mongodb.connections.main.uri: the variable `MONGO_URI` is defined neither in the \
         environment nor in `.env`, and there is no default (`${MONGO_URI:-…}`)",
    );
    refused(
        "collection: orders}",
        "collection: orders, pipeline: [{$match: {a: [x, '${NO}']}}]}",
        "mongodb.connections.main.sources.orders.pipeline[0].$match.a[1]: the variable `NO` is \
         defined neither in the environment nor in `.env`, and there is no default (`${NO:-…}`)",
    );
    refused(
        "${GCP_PROJECT_ID}",
        "${GCP-PROJECT}",
        "gcp.project_id: `${` opens neither `${VAR}` nor `${VAR:-default}`; a literal `${` is \
         written `$${`",
    );
}

#[test]
fn what_is_no_yaml() {
    assert_error("", "config.yaml: expected a mapping");
    assert_error("# only a comment\n", "config.yaml: expected a mapping");
    assert_error("- a\n", "config.yaml: expected a mapping");
    assert_error("hunter2", "config.yaml: expected a mapping");
    assert_error("a: 1\nb: 2\na: 3\n", "config.yaml: line 3, column 1: the key `a` is there twice");
    assert_error(
        "a: b: c\n",
        "config.yaml: line 1, column 5: not valid YAML: mapping values are not allowed in this \
         context",
    );
    assert_error(
        "a: *b\n",
        "config.yaml: line 1, column 4: an alias (`*name`) of no anchor; a text \
         that begins with `*` or `&` needs quotes",
    );
    assert_error("a: .nan\n", "config.yaml: line 1, column 4: a number must be finite");
    assert_error(
        "a: 1\n---\nb: 2\n",
        "config.yaml: line 3, column 1: only one YAML document is read",
    );
}

/// A mistake anywhere near a secret: the message tells where, and never what.
#[test]
fn no_message_shows_a_secret() {
    let uris = [
        "{hunter2: hunter2}",
        "[hunter2]",
        "hunter2",
        "http://app:hunter2@h",
        "'mongodb://app:hunter2@${h'",
        "mongodb://app:hunter2@h: x",
        "*hunter2",
        "!hunter2 x",
        "!!int hunter2",
        "!!binary hunter2",
        "\"mongodb://app:hunter2\\q\"",
        "'mongodb://app:hunter2",
        "|hunter2",
        "@hunter2",
        "%hunter2",
        "{hunter2",
        "&a hunter2\n      uri: hunter2",
        "mongodb://app:hunter2@h\n     database: hunter2",
    ];
    for uri in uris {
        let error = read(&MINIMAL.replace("${MONGODB_URI}", uri)).expect_err(uri);
        let message = error.message.clone();
        assert!(!message.contains("hunter2"), "{uri}: {message}");
        let place = error.path.starts_with("mongodb.connections.main.uri");
        assert!(place || error.path == "config.yaml", "{uri}: {error}");
    }
    let number = MINIMAL.replace("${MONGODB_URI}", "20261122");
    assert_error(
        &number,
        "mongodb.connections.main.uri: expected a string, found a number; put it in quotes to make \
         it a text",
    );
    let token = MINIMAL.replace(
        "orders: {database: shop, collection: orders}",
        "orders: {database: d, startup: {token: 20261122}}",
    );
    let error = read(&token).unwrap_err();
    assert!(!error.to_string().contains("20261122"), "{error}");
}
