//! `oversize`: what becomes of messages and events that are too large.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::validate::{error, expect};
use super::{ByteSize, SourceConfig};
use crate::error::ConfigError;
use crate::limits::MAX_ATTRIBUTE_VALUE;

/// Most bytes of a message: Pub/Sub's 10 MB of a request, less the request's own overhead.
const LARGEST_LIMIT: u64 = 9_900_000;

/// The smallest limit: a message's attributes and a reference always fit.
const SMALLEST_LIMIT: u64 = 100_000;

/// Bytes that the name of a stored payload takes after the URL: stream, event id, checksum.
const NAME_BYTES: usize = 260;

/// What becomes of a message that is larger than Pub/Sub takes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OversizeConfig {
    /// What becomes of it. Default: `stop`.
    pub policy: OversizePolicy,
    /// Size from which on a message is too large: data and attributes, at most `9.9MB`. Without
    /// effect on `policy: stop`, which sends what Pub/Sub takes. A bare number is in bytes.
    /// Default: `9.5MB`.
    pub limit: ByteSize,
    /// With `policy: truncate_fields`, the size that strings are cut to; what is smaller is left
    /// whole. A bare number is in bytes. Default: `1kB`.
    pub truncate_to: ByteSize,
    /// With `policy: truncate_fields`, fields of the document that are never cut, nor what lies
    /// below them, as dotted paths without array indexes. `_id` never is. Default: `[]`.
    pub keep_fields: Vec<String>,
    /// Where `policy: claim_check` keeps the data.
    pub claim_check: ClaimCheckConfig,
}

impl Default for OversizeConfig {
    fn default() -> Self {
        Self {
            policy: OversizePolicy::Stop,
            limit: ByteSize::from_bytes(9_500_000),
            truncate_to: ByteSize::from_bytes(1000),
            keep_fields: Vec::new(),
            claim_check: ClaimCheckConfig::default(),
        }
    }
}

/// What becomes of a message that is too large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OversizePolicy {
    /// The stream stops before it; with a place for dead letters it goes there, and the stream goes
    /// on.
    #[default]
    Stop,
    /// A reference to it goes to the dead letters, without its data.
    DeadLetter,
    /// Its data is compressed with gzip, told by the attribute `content_encoding`. Where that is
    /// not enough: as `dead_letter`, or as `stop` without a place for dead letters.
    Compress,
    /// The largest strings and binaries are cut until it fits, told by the attribute
    /// `truncated_fields`. Where that is not enough: as with `compress`.
    TruncateFields,
    /// Its data is stored in Cloud Storage or a folder, and the message says where.
    ClaimCheck,
}

/// Where the data of large messages is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimCheckConfig {
    /// A bucket and what the objects' names begin with, or a folder: `gs://bucket/prefix`,
    /// `file:///folder` or `./folder`. Required for `policy: claim_check`. Default: none.
    #[schemars(example = &"gs://my-bucket/large")]
    pub url: Option<String>,
}

/// What is done where the server can split an event that is larger than it can return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SplitLargeEvents {
    /// Servers that can (6.0.9, 7.0 and later) split it, and it is joined here.
    #[default]
    Auto,
    /// It is never split.
    Never,
}

/// What becomes of an event that the server cannot return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnEventTooLarge {
    /// The stream stops before it.
    #[default]
    Fail,
    /// It goes to the dead letters without its documents, and the stream goes on behind it.
    Skip,
}

/// Where payloads are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimCheckPlace {
    /// A Cloud Storage bucket, and what the objects' names begin with, without a `/` at the end.
    Bucket(String, String),
    /// A folder.
    Folder(PathBuf),
}

impl ClaimCheckPlace {
    /// Reads a URL as the configuration has it.
    fn parse(url: &str) -> Option<Self> {
        if let Some(rest) = url.strip_prefix("gs://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            // <https://cloud.google.com/storage/docs/buckets#naming>
            let allowed =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
            let sane = (3..=222).contains(&bucket.len()) && bucket.chars().all(allowed);
            let prefix = prefix.trim_end_matches('/');
            let sane = sane && !prefix.contains(|c: char| c.is_control());
            return sane.then(|| Self::Bucket(bucket.into(), prefix.into()));
        }
        if url.starts_with("file:///") {
            let folder = reqwest::Url::parse(url).ok()?.to_file_path().ok()?;
            return Some(Self::Folder(folder));
        }
        let path = url.starts_with('/') || url.starts_with("./") || url.starts_with("../");
        path.then(|| std::path::absolute(url).ok().map(Self::Folder))?
    }

    /// The URL that names begin with, with a `/` at the end.
    #[must_use]
    pub fn root(&self) -> String {
        match self {
            Self::Bucket(bucket, prefix) if prefix.is_empty() => format!("gs://{bucket}/"),
            Self::Bucket(bucket, prefix) => format!("gs://{bucket}/{prefix}/"),
            Self::Folder(folder) => {
                let url = reqwest::Url::from_directory_path(folder);
                url.map_or_else(|()| format!("file://{}/", folder.display()), Into::into)
            }
        }
    }
}

impl OversizeConfig {
    /// Where payloads are kept; `None` unless the policy is `claim_check`.
    ///
    /// # Errors
    /// A URL that is missing or none of those that are known, with a path below the source.
    pub fn place(&self) -> Result<Option<ClaimCheckPlace>, ConfigError> {
        let path = "oversize.claim_check.url";
        match (&self.claim_check.url, self.policy) {
            (None, OversizePolicy::ClaimCheck) => {
                Err(error(path, "missing: `policy: claim_check` needs a place for the data"))
            }
            (None, _) => Ok(None),
            (Some(_), policy) if policy != OversizePolicy::ClaimCheck => {
                Err(error(path, "has a meaning only with `policy: claim_check`"))
            }
            (Some(url), _) => {
                let expected = "expected `gs://bucket/prefix`, `file:///folder` or `./folder`";
                let place = ClaimCheckPlace::parse(url).ok_or_else(|| error(path, expected))?;
                let short = place.root().len() + NAME_BYTES <= MAX_ATTRIBUTE_VALUE;
                expect(short, path, "is too long: a payload's URL has at most 1,024 bytes")?;
                Ok(Some(place))
            }
        }
    }
}

/// Checks what the types cannot tell of the source at `path`.
pub(super) fn check(source: &SourceConfig, path: &str) -> Result<(), ConfigError> {
    let oversize = &source.oversize;
    expect(
        (SMALLEST_LIMIT..=LARGEST_LIMIT).contains(&oversize.limit.bytes()),
        &format!("{path}.oversize.limit"),
        "expected a size from `100kB` to `9.9MB`, just under Pub/Sub's limit of a request",
    )?;
    expect(
        (16..=SMALLEST_LIMIT).contains(&oversize.truncate_to.bytes()),
        &format!("{path}.oversize.truncate_to"),
        "expected a size from `16B` to `100kB`",
    )?;
    for (index, field) in oversize.keep_fields.iter().enumerate() {
        expect(
            !field.is_empty() && field.split('.').all(|name| !name.is_empty()),
            &format!("{path}.oversize.keep_fields[{index}]"),
            "expected a dotted path such as `address.street`",
        )?;
    }
    oversize.place().map(|_| ()).map_err(|error| error.below(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment, from_yaml};

    fn with(keys: &str) -> Result<Config, ConfigError> {
        let yaml = format!(
            "mongodb: {{connections: {{main: {{uri: 'mongodb://host/', sources: {{orders: \
             {{database: shop, collection: orders, {keys}}}}}}}}}}}\n"
        );
        from_yaml(&yaml, "test", &Environment::new()).map(|loaded| loaded.config)
    }

    #[test]
    fn every_policy_has_a_shortest_form() {
        for keys in [
            "oversize: {policy: stop}",
            "oversize: {policy: dead_letter, limit: 9.9MB}",
            "oversize: {policy: compress}",
            "oversize: {policy: truncate_fields, truncate_to: 16, keep_fields: [a.b]}",
            "oversize: {policy: claim_check, claim_check: {url: 'gs://my-bucket'}}",
            "oversize: {policy: claim_check, claim_check: {url: ./folder}}",
            "split_large_events: never, on_event_too_large: skip",
        ] {
            assert_eq!(with(keys).err(), None, "{keys}");
        }
    }

    #[test]
    fn a_mistake_is_named_by_its_key() {
        for (keys, path) in [
            ("limit: 10MB", "limit"),
            ("limit: 1", "limit"),
            ("truncate_to: 0", "truncate_to"),
            ("keep_fields: [a, 'b.']", "keep_fields[1]"),
            ("policy: claim_check", "claim_check.url"),
            ("policy: claim_check, claim_check: {url: 's3://b/c'}", "claim_check.url"),
            ("policy: claim_check, claim_check: {url: 'gs://A B'}", "claim_check.url"),
            ("policy: compress, claim_check: {url: './a'}", "claim_check.url"),
        ] {
            let error = with(&format!("oversize: {{{keys}}}")).unwrap_err();
            let expected = format!("mongodb.connections.main.sources.orders.oversize.{path}");
            assert_eq!(error.path, expected, "{keys}: {error}");
        }
    }

    #[test]
    fn a_place_has_a_url() {
        let root = |url| ClaimCheckPlace::parse(url).unwrap().root();
        assert_eq!(root("gs://bucket"), "gs://bucket/");
        assert_eq!(root("gs://bucket/a/b/"), "gs://bucket/a/b/");
        assert_eq!(root("file:///var/large%20ones"), "file:///var/large%20ones/");
        assert_eq!(root("/var/large ones"), "file:///var/large%20ones/");
    }
}
