//! Application Default Credentials, as request headers.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use google_cloud_auth::build_errors::Error as BuildError;
use google_cloud_auth::credentials::{Builder, CacheableResource, Credentials as Adc};
use google_cloud_auth::errors::CredentialsError;
use http::{Extensions, HeaderMap};
use tokio::time::{Instant, sleep, timeout_at};

use crate::flow::BackoffPolicy;

/// How long the metadata server may take for the first token. It answers in milliseconds where
/// there is one, in seconds on a machine that has just booted; elsewhere a firewall may swallow the
/// question.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait before it is asked again.
const METADATA_MAX_WAIT: Duration = Duration::from_secs(2);

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

type Fetched = Result<CacheableResource<HeaderMap>, CredentialsError>;

/// The credentials that this process runs with. The token is fetched on first use and renewed in
/// the background before it expires.
#[derive(Debug)]
pub struct Credentials {
    current: Mutex<(u64, Adc)>,
    build: fn() -> Result<Adc, NoToken>,
    /// No file names any credentials: only Google Cloud's metadata server may have some.
    metadata_only: bool,
    /// A token has been there.
    proven: AtomicBool,
    /// When the metadata server was first asked.
    asked: OnceLock<Instant>,
}

impl Credentials {
    /// Finds the credentials, without fetching a token. Needs a Tokio runtime.
    pub fn find() -> Result<Self, NoToken> {
        Self::of(build, !has_file())
    }

    fn of(build: fn() -> Result<Adc, NoToken>, metadata_only: bool) -> Result<Self, NoToken> {
        Ok(Self {
            current: Mutex::new((0, build()?)),
            build,
            metadata_only,
            proven: AtomicBool::new(false),
            asked: OnceLock::new(),
        })
    }

    /// The headers of a request, and the generation of the credentials that they come from.
    pub async fn headers(&self) -> Result<(u64, HeaderMap), NoToken> {
        let (generation, fetched) = if self.metadata_only && !self.proven.load(Relaxed) {
            self.first().await?
        } else {
            self.fetch().await
        };
        match fetched {
            Ok(CacheableResource::New { data, .. }) => {
                self.proven.store(true, Relaxed);
                Ok((generation, data))
            }
            // Only given to those who ask with an entity tag.
            Ok(CacheableResource::NotModified) => Err(passing()),
            Err(error) if error.is_transient() => Err(passing()),
            Err(error) => Err(stop(&error.to_string())),
        }
    }

    /// What the metadata server answers at last. Whoever has no credentials at all learns it soon
    /// instead of waiting for ever for a server that this machine does not have.
    async fn first(&self) -> Result<(u64, Fetched), NoToken> {
        let deadline = *self.asked.get_or_init(Instant::now) + METADATA_TIMEOUT;
        let mut backoff = BackoffPolicy::new(2.0, METADATA_MAX_WAIT).start();
        loop {
            let (generation, fetched) = timeout_at(deadline, self.fetch())
                .await
                .map_err(|_| stop("no credentials file, and no metadata server answers"))?;
            let Err(error) = &fetched else { return Ok((generation, fetched)) };
            let wait = backoff.next_delay();
            if !error.is_transient() || Instant::now() + wait >= deadline {
                return Err(stop(&error.to_string()));
            }
            sleep(wait).await;
            // What has failed gives the same answer for ten seconds.
            self.renew(generation)?;
        }
    }

    async fn fetch(&self) -> (u64, Fetched) {
        let (generation, adc) = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (generation, adc.headers(Extensions::new()).await)
    }

    /// Fetches a new token in place of one that was refused, unless that has happened since.
    pub fn renew(&self, refused: u64) -> Result<(), NoToken> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 == refused {
            *current = (refused + 1, (self.build)()?);
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
    use std::sync::atomic::AtomicU32;

    use google_cloud_auth::credentials::anonymous;
    use google_cloud_auth::credentials::testing::error_credentials;

    use super::*;

    fn anonymous() -> Adc {
        anonymous::Builder::new().build()
    }

    async fn refusal(build: fn() -> Result<Adc, NoToken>, metadata_only: bool) -> NoToken {
        Credentials::of(build, metadata_only).unwrap().headers().await.unwrap_err()
    }

    #[tokio::test]
    async fn a_passing_failure_is_waited_out_and_a_lasting_one_is_not() {
        assert!(refusal(|| Ok(error_credentials(true)), false).await.passing);
        assert!(!refusal(|| Ok(error_credentials(false)), false).await.passing);
    }

    #[tokio::test(start_paused = true)]
    async fn without_any_file_a_silent_metadata_server_means_no_credentials() {
        let started = Instant::now();
        assert!(!refusal(|| Ok(error_credentials(false)), true).await.passing);
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert!(!refusal(|| Ok(error_credentials(true)), true).await.passing);
        let took = started.elapsed();
        assert!(took <= METADATA_TIMEOUT, "{took:?}");
        assert!(took + METADATA_MAX_WAIT > METADATA_TIMEOUT, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_metadata_server_that_is_not_ready_is_asked_again() {
        static ASKED: AtomicU32 = AtomicU32::new(0);
        let credentials = Credentials::of(
            || match ASKED.fetch_add(1, Relaxed) {
                0..3 => Ok(error_credentials(true)),
                _ => Ok(anonymous()),
            },
            true,
        );
        let (generation, _) = credentials.unwrap().headers().await.unwrap();
        assert_eq!(generation, 3);
    }

    #[tokio::test]
    async fn headers_carry_the_generation() {
        let credentials = Credentials::of(|| Ok(anonymous()), true).unwrap();
        let (generation, headers) = credentials.headers().await.unwrap();
        assert_eq!((generation, headers.len()), (0, 0));
        // Renewed by another request already: this one keeps what is there.
        credentials.renew(7).unwrap();
        assert_eq!(credentials.headers().await.unwrap().0, 0);
    }
}
