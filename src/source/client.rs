//! Clients of a deployment: one a connection, shared by its streams.

use mongodb::Client;
use mongodb::error::{Error as DriverError, ErrorKind};
use mongodb::options::{ClientOptions, ConnectionString};

use super::errors::Fault;
use crate::config::{MonitoringConfig, Secret};
use crate::error::{ConfigError, Error};

/// Name in the server's log and in `currentOp`, where the URI gives no `appName`.
const APP_NAME: &str = "mongo_gcp_stream";

/// Connections beyond one a stream: for opening, probing and pinging.
const SPARE_CONNECTIONS: u32 = 4;

/// Checks the connection string of `streams` change streams without any I/O.
///
/// # Errors
/// What the driver cannot parse, and a `maxPoolSize` too small for the streams, with the path `uri`.
/// The text never shows the URI: it may hold a password, and an unencoded one may end up in any part
/// of it.
pub fn check_uri(uri: &Secret, streams: u32) -> Result<(), ConfigError> {
    let uri = ConnectionString::parse(uri.expose()).map_err(|_| wrong_uri())?;
    // Each stream keeps a connection busy in `getMore`; opening and pinging need one besides.
    let needed = streams.saturating_add(1);
    match uri.max_pool_size {
        Some(size) if size < needed => Err(ConfigError {
            path: "uri".into(),
            message: format!(
                "`maxPoolSize={size}` is too small for {streams} streams, each of which keeps a \
                 connection busy: set it to {needed} or more, or leave it out"
            ),
        }),
        _ => Ok(()),
    }
}

/// Builds the client for `streams` change streams; its pool has room for them and for
/// opening, probing and pinging. `mongodb+srv://`, SCRAM, X.509 and TLS come
/// from the options of the URI; what it sets goes before `monitoring`.
///
/// # Errors
/// A URI that cannot be parsed is a [`ConfigError`] with the path `uri`; DNS that does not resolve
/// and TLS files that cannot be read are a [`crate::error::SourceError`].
pub async fn build_client(
    uri: &Secret,
    monitoring: &MonitoringConfig,
    streams: u32,
) -> Result<Client, Error> {
    let mut options = ClientOptions::parse(uri.expose()).await.map_err(|error| refused(&error))?;
    let timeout = monitoring.connection_timeout.duration();
    options.server_selection_timeout.get_or_insert(timeout);
    options.connect_timeout.get_or_insert(timeout);
    options.app_name.get_or_insert_with(|| APP_NAME.into());
    options.max_pool_size.get_or_insert(streams.saturating_add(SPARE_CONNECTIONS));
    Client::with_options(options).map_err(|error| refused(&error))
}

fn refused(error: &DriverError) -> Error {
    match error.kind.as_ref() {
        ErrorKind::InvalidArgument { .. } => wrong_uri().into(),
        _ => Fault::of(error).error.into(),
    }
}

fn wrong_uri() -> ConfigError {
    ConfigError {
        path: "uri".into(),
        message: "expected a connection string such as \
            mongodb://user:password@host:27017/?replicaSet=rs0 with valid options; in user and \
            password, the characters : / ? # [ ] @ % are written percent-encoded"
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_connection_strings_pass() {
        for uri in [
            "mongodb://localhost",
            "mongodb://user:p%40ss@a:1,b:2/db?replicaSet=rs0&authSource=admin",
            "mongodb+srv://user:pass@cluster.example.net/?retryWrites=true&w=majority",
            "mongodb://a/?tls=true&tlsCAFile=ca.pem&tlsCertificateKeyFile=me.pem&authMechanism=MONGODB-X509",
        ] {
            assert_eq!(check_uri(&Secret::new(uri), 1), Ok(()), "{uri}");
        }
    }

    #[test]
    fn a_pool_has_room_for_each_stream_and_one_more() {
        let uri = Secret::new("mongodb://user:hunter2@host/?maxPoolSize=10");
        assert_eq!(check_uri(&uri, 9), Ok(()));
        let error = check_uri(&uri, 10).unwrap_err();
        assert_eq!(error.path, "uri");
        assert!(error.message.contains("`maxPoolSize=10`") && error.message.contains("11"));
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[tokio::test]
    async fn a_wrong_one_is_refused_without_being_shown() {
        let monitoring = MonitoringConfig::default();
        for uri in [
            "postgres://user:hunter2@host/db",
            "mongodb://user:hunter2/x@host/db",
            "mongodb://user:hunter2@host:port/db",
            "mongodb://user:hunter2@host/?tls=hunter2",
            "mongodb://:hunter2@/",
        ] {
            let uri = Secret::new(uri);
            let error = check_uri(&uri, 1).unwrap_err();
            assert_eq!(error.path, "uri");
            assert!(!error.to_string().contains("hunter2"), "{error}");
            let error = build_client(&uri, &monitoring, 1).await.err().unwrap();
            assert!(matches!(error, Error::Config(_)) && !error.to_string().contains("hunter2"));
        }
    }
}
