//! Servers that cannot be used: each ends in an error of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mongo_gcp_stream::config::{Capture, MonitoringConfig, Secret, SourceConfig};
use mongo_gcp_stream::error::{Error, SourceError, SourceErrorKind};
use mongo_gcp_stream::flow::BackoffPolicy;
use mongo_gcp_stream::source::{ChangeStream, Source, StartAt, build_client};
use mongodb::bson::doc;
use serde_json::json;

use crate::support::mongod::{Mongod, shared};

/// A stream of `shop.orders` by the way that a program takes.
async fn stream(uri: &str) -> Result<ChangeStream, Error> {
    let monitoring = json!({ "connection_timeout": 500 });
    let monitoring: MonitoringConfig = serde_json::from_value(monitoring).unwrap();
    let client = build_client(&Secret::new(uri), &[], &monitoring, 1).await?;
    let capture = Capture::Collection("shop".into(), "orders".into());
    let source: SourceConfig = serde_json::from_value(json!({})).unwrap();
    let backoff = BackoffPolicy::new(2.0, Duration::from_secs(1));
    Ok(ChangeStream::new(client, capture, &source, None, &backoff, Arc::default())?)
}

async fn connect_error(uri: &str) -> SourceError {
    stream(uri).await.unwrap().connect().await.unwrap_err()
}

async fn open_error(uri: &str, start: StartAt) -> SourceError {
    let mut stream = stream(uri).await.unwrap();
    stream.connect().await.unwrap();
    stream.open(start).await.unwrap_err()
}

#[tokio::test]
async fn a_standalone_server() {
    let server = Mongod::standalone().await;
    let error = connect_error(&format!("mongodb://{}/", server.address())).await;
    assert_eq!(error.kind, SourceErrorKind::NotReplicaSet);
}

#[tokio::test]
async fn a_replica_set_that_was_never_initiated() {
    let server = Mongod::uninitiated().await;
    let error = connect_error(&format!("mongodb://{}/", server.address())).await;
    assert_eq!(error.kind, SourceErrorKind::Connect);
    assert!(error.message.contains("not initiated"), "{error}");
}

#[tokio::test]
async fn an_unreachable_host() {
    // Nothing listens on the discard port of loopback.
    let error = connect_error("mongodb://127.0.0.1:9/").await;
    assert_eq!(error.kind, SourceErrorKind::Connect);
    assert!(error.message.contains("refused"), "{error}");
}

#[tokio::test]
async fn a_name_without_an_address() {
    let error = connect_error("mongodb://nowhere.invalid/").await;
    assert_eq!(error.kind, SourceErrorKind::Connect);
}

#[tokio::test]
async fn tls_where_the_server_has_none() {
    let server = shared().await;
    let error = connect_error(&format!("{}&tls=true", server.uri())).await;
    assert_eq!(error.kind, SourceErrorKind::Connect);
}

#[tokio::test]
async fn a_missing_certificate_file() {
    let uri = format!("{}&tls=true&tlsCAFile=/nonexistent/ca.pem", shared().await.uri());
    let error = match stream(&uri).await {
        Ok(mut stream) => stream.connect().await.unwrap_err(),
        Err(Error::Source(error)) => error,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(error.kind, SourceErrorKind::Connect);
    assert!(error.message.contains("/nonexistent/ca.pem"), "{error}");
}

#[tokio::test]
async fn another_replica_set() {
    let uri = shared().await.uri().replace("rs0", "rs1");
    assert_eq!(connect_error(&uri).await.kind, SourceErrorKind::Connect);
}

/// Arguments of a server with logins; a key file is what members of a set know each other by.
fn with_logins(folder: &Path) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt;
    let key = folder.join("key");
    std::fs::write(&key, "notASecretButLongEnough").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    vec!["--auth".into(), "--keyFile".into(), key.to_str().unwrap().into()]
}

#[tokio::test]
async fn logins_and_privileges() {
    let server = Mongod::replica_set_with(with_logins).await;
    let admin = server.client().await.database("admin");
    let root = doc! { "createUser": "root", "pwd": "rooted", "roles": ["root"] };
    admin.run_command(root).await.unwrap();
    let uri = |login: &str| format!("mongodb://{login}{}/?replicaSet=rs0", server.address());

    let root = mongodb::Client::with_uri_str(uri("root:rooted@")).await.unwrap();
    for (name, database) in [("reader", "shop"), ("stranger", "elsewhere")] {
        let role = doc! { "role": "read", "db": database };
        let user = doc! { "createUser": name, "pwd": "hunter2", "roles": [role] };
        root.database("admin").run_command(user).await.unwrap();
    }

    let error = connect_error(&uri("reader:hunter3@")).await;
    assert_eq!(error.kind, SourceErrorKind::Auth);
    assert!(!error.to_string().contains("hunter"), "{error}");

    let error = open_error(&uri(""), StartAt::Latest).await;
    assert_eq!(error.kind, SourceErrorKind::Auth, "{error}");

    let error = open_error(&uri("stranger:hunter2@"), StartAt::Latest).await;
    assert_eq!((error.kind, error.code), (SourceErrorKind::Privilege, Some(13)));
    assert!(error.message.contains("collection shop.orders"), "{error}");

    let error = open_error(&uri("reader:hunter2@"), StartAt::Earliest).await;
    assert_eq!((error.kind, error.code), (SourceErrorKind::Privilege, Some(13)));
    assert!(error.message.contains("`local`"), "{error}");

    let mut stream = stream(&uri("reader:hunter2@")).await.unwrap();
    stream.connect().await.unwrap();
    assert!(stream.open(StartAt::Latest).await.is_ok());
}
