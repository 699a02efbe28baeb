//! Clients of a deployment: one a connection, shared by its streams.

use mongodb::Client;
use mongodb::error::{Error as DriverError, ErrorKind};
use mongodb::options::{ClientOptions, Compressor as DriverCompressor, ConnectionString};

use super::errors::Fault;
use crate::config::{Compressor, MonitoringConfig, Secret, is_secret_reference};
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
    if is_secret_reference(uri.expose()) {
        return Err(ConfigError {
            path: "uri".into(),
            message: "a `secret://` is read by Beam pipelines only: give the connection string \
                itself, such as `${MONGODB_URI}`"
                .into(),
        });
    }
    let uri = ConnectionString::parse(uri.expose()).map_err(|error| wrong_uri(&error))?;
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
/// from the options of the URI; what it sets goes before `monitoring`, and after `compressors`.
///
/// # Errors
/// A URI that cannot be parsed is a [`ConfigError`] with the path `uri`; DNS that does not resolve
/// and TLS files that cannot be read are a [`crate::error::SourceError`].
pub async fn build_client(
    uri: &Secret,
    compressors: &[Compressor],
    monitoring: &MonitoringConfig,
    streams: u32,
) -> Result<Client, Error> {
    let mut options = ClientOptions::parse(uri.expose()).await.map_err(|error| refused(&error))?;
    let timeout = monitoring.connection_timeout.duration();
    options.server_selection_timeout.get_or_insert(timeout);
    options.connect_timeout.get_or_insert(timeout);
    options.app_name.get_or_insert_with(|| APP_NAME.into());
    if !compressors.is_empty() {
        options.compressors = Some(
            compressors
                .iter()
                .map(|compressor| match compressor {
                    Compressor::Snappy => DriverCompressor::Snappy,
                })
                .collect(),
        );
    }
    options.max_pool_size.get_or_insert(streams.saturating_add(SPARE_CONNECTIONS));
    Client::with_options(options).map_err(|error| refused(&error))
}

fn refused(error: &DriverError) -> Error {
    match error.kind.as_ref() {
        ErrorKind::InvalidArgument { .. } => wrong_uri(error).into(),
        _ => Fault::of(error).error.into(),
    }
}

/// The driver's own text may hold a part of the URI; of an option whose feature is not built, it
/// tells which.
fn wrong_uri(error: &DriverError) -> ConfigError {
    let told = |text: &str| match error.kind.as_ref() {
        ErrorKind::InvalidArgument { message, .. } => message.contains(text),
        _ => false,
    };
    let message = if told("-compression feature flag") {
        "of the `compressors`, `snappy` is the one that is built in"
    } else if told("cert-key-password feature") {
        "`tlsCertificateKeyFilePassword` is not supported: use a key file without a password,          readable only by its user"
    } else {
        "expected a connection string such as \
            mongodb://user:password@host:27017/?replicaSet=rs0 with valid options; in user and \
            password, the characters : / ? # [ ] @ % are written percent-encoded"
    };
    ConfigError { path: "uri".into(), message: message.into() }
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
    fn a_secret_of_a_pipeline_is_none_of_the_drivers() {
        let uri = Secret::new("secret://projects/p/secrets/s/versions/latest");
        let error = check_uri(&uri, 1).unwrap_err();
        assert!(error.message.contains("Beam pipelines only"), "{error}");
    }

    #[test]
    fn an_option_that_is_not_built_in_is_named() {
        for (option, named) in [
            ("compressors=snappy,zstd", "`snappy`"),
            ("compressors=zlib", "`snappy`"),
            (
                "tls=true&tlsCertificateKeyFile=a.pem&tlsCertificateKeyFilePassword=hunter2",
                "`tlsCertificateKeyFilePassword`",
            ),
        ] {
            let error = check_uri(&Secret::new(format!("mongodb://a/?{option}")), 1).unwrap_err();
            assert!(error.message.contains(named), "{option}: {error}");
            assert!(!error.message.contains("hunter2"), "{error}");
        }
        assert_eq!(check_uri(&Secret::new("mongodb://a/?compressors=snappy"), 1), Ok(()));
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
            let error = build_client(&uri, &[], &monitoring, 1).await.err().unwrap();
            assert!(matches!(error, Error::Config(_)) && !error.to_string().contains("hunter2"));
        }
    }
}
