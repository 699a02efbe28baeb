//! The three requests of Cloud Storage's JSON API that are needed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use reqwest::{Client, Method, RequestBuilder, Response, Url};
use serde_json::{Value, json};

use super::{Credentials, NoToken};

const ENDPOINT: &str = "https://storage.googleapis.com";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One request of a few kilobytes, from the first byte sent to the last one read.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// What a larger upload may take on top: 250 kB a second.
const TIME_OF_A_BYTE: Duration = Duration::from_micros(4);
/// Tells the parts of an upload apart. Neither part can hold it: a name has no line break, and a
/// line of the JSON begins with a brace or blanks.
const BOUNDARY: &str = "mongo-gcp-stream-object";

/// What went wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageError {
    /// It may go well later; else a person has to change something.
    pub passing: bool,
    /// What happened, with the object's name.
    pub message: String,
}

/// The address of Cloud Storage's emulator, `STORAGE_EMULATOR_HOST`, if there is one.
pub(crate) fn storage_emulator() -> Option<String> {
    std::env::var("STORAGE_EMULATOR_HOST").ok().filter(|host| !host.is_empty())
}

/// A bucket and the way to it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bucket {
    http: Client,
    endpoint: Url,
    name: Arc<str>,
    credentials: Option<Arc<Credentials>>,
}

impl Bucket {
    /// Prepares the way to the bucket `name`; nothing is sent yet. `emulator` is the value of
    /// `STORAGE_EMULATOR_HOST`, `host:port` with or without a scheme, which is spoken to without
    /// credentials. Needs a Tokio runtime.
    ///
    /// # Errors
    /// Where `emulator` is no address, and where there are no credentials.
    pub fn open(name: &str, emulator: Option<&str>) -> Result<Self, StorageError> {
        let mut http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("mongo-gcp-stream/", env!("CARGO_PKG_VERSION")));
        if emulator.is_some() {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|_| unreachable("TLS cannot be set up".into()))?;
        let credentials = match emulator {
            None => Some(Arc::new(Credentials::find().map_err(no_token)?)),
            Some(_) => None,
        };
        Ok(Self { http, endpoint: endpoint(emulator)?, name: name.into(), credentials })
    }

    /// Generation and content of an object; `None` where there is none.
    pub(crate) async fn get(&self, object: &str) -> Result<Option<(u64, Vec<u8>)>, StorageError> {
        let url = self.object(object);
        let request = || self.http.request(Method::GET, url.clone()).query(&[("alt", "media")]);
        let response = self.send(object, request).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(self.refused(object, status)),
        }
        let generation = response.headers().get("x-goog-generation");
        let generation = generation.and_then(|value| value.to_str().ok()?.parse().ok());
        let generation = generation.ok_or_else(|| self.unreadable(object))?;
        let content = response.bytes().await.map_err(|error| self.failed(object, &error))?;
        Ok(Some((generation, content.into())))
    }

    /// Replaces an object of this generation, 0 for none, and returns the new generation; `None`
    /// where it is not of this generation.
    pub(crate) async fn put(
        &self,
        object: &str,
        generation: u64,
        content: Bytes,
    ) -> Result<Option<u64>, StorageError> {
        let url = self.url(&["upload", "storage", "v1", "b", &self.name, "o"]);
        let body = Bytes::from(multipart(object, &content));
        let bytes = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let patience = REQUEST_TIMEOUT + TIME_OF_A_BYTE * bytes;
        let generation = generation.to_string();
        let request = || {
            self.http
                .request(Method::POST, url.clone())
                .query(&[("uploadType", "multipart"), ("ifGenerationMatch", &generation)])
                .header(CONTENT_TYPE, format!("multipart/related; boundary={BOUNDARY}"))
                .timeout(patience)
                .body(body.clone())
        };
        let response = self.send(object, request).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::PRECONDITION_FAILED => return Ok(None),
            status => return Err(self.refused(object, status)),
        }
        let answer = response.bytes().await.map_err(|error| self.failed(object, &error))?;
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let generation = answer["generation"].as_str().and_then(|text| text.parse().ok());
        generation.map(Some).ok_or_else(|| self.unreadable(object))
    }

    /// Removes an object, if it is there.
    pub(crate) async fn delete(&self, object: &str) -> Result<(), StorageError> {
        let url = self.object(object);
        let request = || self.http.request(Method::DELETE, url.clone());
        match self.send(object, request).await?.status() {
            StatusCode::OK | StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => Ok(()),
            status => Err(self.refused(object, status)),
        }
    }

    /// `gs://<bucket>/<object>`.
    pub(crate) fn describe(&self, object: &str) -> String {
        format!("gs://{}/{object}", self.name)
    }

    /// Sends a request, and once more with a new token where the first one is refused.
    async fn send(
        &self,
        object: &str,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Response, StorageError> {
        let send = async |request: RequestBuilder| {
            request.send().await.map_err(|error| self.failed(object, &error))
        };
        let Some(credentials) = &self.credentials else { return send(request()).await };
        let (generation, headers) = credentials.headers().await.map_err(no_token)?;
        let response = send(request().headers(headers)).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        credentials.renew(generation).map_err(no_token)?;
        let (_, headers) = credentials.headers().await.map_err(no_token)?;
        send(request().headers(headers)).await
    }

    fn object(&self, object: &str) -> Url {
        self.url(&["storage", "v1", "b", &self.name, "o", object])
    }

    /// The endpoint followed by these segments; a `/` inside of one is escaped.
    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// The answer's text may be long and says no more to a person than this does.
    fn refused(&self, object: &str, status: StatusCode) -> StorageError {
        let object = self.describe(object);
        let cause = match status {
            StatusCode::UNAUTHORIZED => "; the credentials are not accepted",
            StatusCode::FORBIDDEN => "; the account needs roles/storage.objectUser on the bucket",
            StatusCode::NOT_FOUND => "; does the bucket exist?",
            _ => "",
        };
        let waits = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
        let passing = status.is_server_error() || waits.contains(&status);
        StorageError {
            passing,
            message: format!("Cloud Storage answers {status} for {object}{cause}"),
        }
    }

    fn failed(&self, object: &str, error: &reqwest::Error) -> StorageError {
        let object = self.describe(object);
        let cause = if error.is_timeout() { "no answer in time".into() } else { root_cause(error) };
        unreachable(format!("Cloud Storage cannot be reached for {object}: {cause}"))
    }

    fn unreadable(&self, object: &str) -> StorageError {
        let object = self.describe(object);
        unreachable(format!("the answer for {object} is not one of Cloud Storage"))
    }
}

/// The service, or the emulator with or without a scheme: Google's clients take either.
fn endpoint(emulator: Option<&str>) -> Result<Url, StorageError> {
    let given = match emulator {
        None => ENDPOINT.to_owned(),
        Some(host) if host.contains("://") => host.to_owned(),
        Some(host) => format!("http://{host}"),
    };
    let url = Url::parse(&given).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| unreachable("STORAGE_EMULATOR_HOST is no address".into()))
}

/// Metadata and content in one request:
/// <https://cloud.google.com/storage/docs/uploading-objects#uploading-an-object>, "multipart".
fn multipart(object: &str, content: &[u8]) -> Vec<u8> {
    let metadata = json!({ "name": object, "contentType": "application/json" });
    let head = format!(
        "--{BOUNDARY}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n{metadata}\r\n\
         --{BOUNDARY}\r\ncontent-type: application/json\r\n\r\n"
    );
    [head.as_bytes(), content, b"\r\n--", BOUNDARY.as_bytes(), b"--\r\n"].concat()
}

fn unreachable(message: String) -> StorageError {
    StorageError { passing: true, message }
}

fn no_token(error: NoToken) -> StorageError {
    StorageError { passing: error.passing, message: error.reason }
}

/// The innermost error: the outer ones only say that sending failed.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
