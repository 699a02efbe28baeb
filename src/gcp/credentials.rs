//! Application Default Credentials, as request headers.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use google_cloud_auth::build_errors::Error as BuildError;
use google_cloud_auth::credentials::{Builder, CacheableResource, Credentials as Adc};
use google_cloud_auth::errors::CredentialsError;
use http::{Extensions, HeaderMap};

/// How long the metadata server may take for the first token. It answers in milliseconds where
/// there is one; elsewhere a firewall may swallow the question.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);

/// Where Application Default Credentials are kept on disk: <https://google.aip.dev/auth/4110>.
const KEY_FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const WELL_KNOWN_FILE: &str = ".config/gcloud/application_default_credentials.json";

/// Why there is no access token.
#[derive(Debug, PartialEq, Eq)]
pub struct NoToken {
    /// It may be there later; else a person has to change something.
    pub passing: bool,
    /// What is wrong, without any secret.
    pub reason: String,
}

/// The credentials that this process runs with. The token is fetched on first use and renewed in
/// the background before it expires.
#[derive(Debug)]
pub struct Credentials {
    current: Mutex<(u64, Adc)>,
    /// No file names any credentials: only Google Cloud's metadata server may have some.
    metadata_only: bool,
    /// A token has been there.
    proven: AtomicBool,
}

impl Credentials {
    /// Finds the credentials, without fetching a token. Needs a Tokio runtime.
    pub fn find() -> Result<Self, NoToken> {
        Ok(Self {
            current: Mutex::new((0, build()?)),
            metadata_only: !has_file(),
            proven: AtomicBool::new(false),
        })
    }

    /// The headers of a request, and the generation of the credentials that they come from.
    pub async fn headers(&self) -> Result<(u64, HeaderMap), NoToken> {
        let (generation, adc) = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Whoever has no credentials at all learns it at once instead of waiting for ever for a
        // metadata server that this machine does not have.
        let doubtful = self.metadata_only && !self.proven.load(Relaxed);
        let fetched = if doubtful {
            tokio::time::timeout(METADATA_TIMEOUT, adc.headers(Extensions::new()))
                .await
                .map_err(|_| stop("no credentials file, and no metadata server answers"))?
        } else {
            adc.headers(Extensions::new()).await
        };
        match fetched {
            Ok(CacheableResource::New { data, .. }) => {
                self.proven.store(true, Relaxed);
                Ok((generation, data))
            }
            // Only given to those who ask with an entity tag.
            Ok(CacheableResource::NotModified) => Err(passing()),
            Err(error) => Err(failure(&error, doubtful)),
        }
    }

    /// Fetches a new token in place of one that was refused, unless that has happened since.
    pub fn renew(&self, refused: u64) -> Result<(), NoToken> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 == refused {
            *current = (refused + 1, build()?);
        }
        Ok(())
    }
}

fn build() -> Result<Adc, NoToken> {
    Builder::default()
        .build()
        .map_err(|error| stop(&format!("no usable Google credentials: {}", describe(&error))))
}

/// What is wrong with the credentials file, without quoting it.
fn describe(error: &BuildError) -> &'static str {
    if error.is_loading() {
        "the file named by GOOGLE_APPLICATION_CREDENTIALS cannot be read"
    } else if error.is_parsing() {
        "the credentials file is not valid JSON of the expected form"
    } else if error.is_unknown_type() {
        "the credentials file has an unknown `type`"
    } else if error.is_missing_field() {
        "the credentials file lacks a field"
    } else {
        "this type of credentials is not supported"
    }
}

fn failure(error: &CredentialsError, doubtful: bool) -> NoToken {
    if error.is_transient() && !doubtful { passing() } else { stop(&error.to_string()) }
}

fn passing() -> NoToken {
    NoToken { passing: true, reason: "no access token".into() }
}

fn stop(reason: &str) -> NoToken {
    NoToken { passing: false, reason: reason.to_owned() }
}

fn has_file() -> bool {
    std::env::var_os(KEY_FILE).is_some()
        || std::env::var_os("HOME")
            .is_some_and(|home| Path::new(&home).join(WELL_KNOWN_FILE).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(adc: Adc, metadata_only: bool) -> Credentials {
        Credentials { current: Mutex::new((0, adc)), metadata_only, proven: AtomicBool::new(false) }
    }

    #[tokio::test]
    async fn a_passing_failure_is_waited_out_and_a_lasting_one_is_not() {
        use google_cloud_auth::credentials::testing::error_credentials;
        let passing = credentials(error_credentials(true), false).headers().await.unwrap_err();
        assert!(passing.passing);
        let lasting = credentials(error_credentials(false), false).headers().await.unwrap_err();
        assert!(!lasting.passing);
    }

    #[tokio::test]
    async fn without_any_file_a_silent_metadata_server_means_no_credentials() {
        use google_cloud_auth::credentials::testing::error_credentials;
        let none = credentials(error_credentials(true), true).headers().await.unwrap_err();
        assert!(!none.passing);
    }

    #[tokio::test]
    async fn headers_carry_the_generation() {
        use google_cloud_auth::credentials::anonymous;
        let credentials = credentials(anonymous::Builder::new().build(), true);
        let (generation, headers) = credentials.headers().await.unwrap();
        assert_eq!((generation, headers.len()), (0, 0));
        // Renewed by another request already: this one keeps what is there.
        credentials.renew(7).unwrap();
        assert_eq!(credentials.headers().await.unwrap().0, 0);
    }
}
