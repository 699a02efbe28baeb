//! What the types cannot tell: names, ranges of durations and sizes, and keys that refer to others.

use super::{
    Attribute, BatchConfig, Config, ConnectionConfig, Endpoint, FullDocument, OnMissingDocument,
    PubSubConfig, SourceConfig, Startup, Template, bigquery, enrich, oversize, protect,
    subscriptions, validation,
};
use crate::error::ConfigError;
use crate::limits::{MAX_ATTRIBUTE_KEY, MAX_ATTRIBUTE_VALUE, MAX_ATTRIBUTES, MAX_REQUEST_BYTES};

/// A connection id and a source name make a file name, an ordering key and attributes together.
const MAX_ID_LENGTH: usize = 100;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

pub(super) fn error(path: &str, message: impl Into<String>) -> ConfigError {
    ConfigError { path: path.into(), message: message.into() }
}

/// Refuses with `message` unless `holds`.
pub(super) fn expect(holds: bool, path: &str, message: &str) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(error(path, message)) }
}

impl Config {
    /// Checks what goes beyond the form of the file. Pure; a loaded configuration has passed it.
    ///
    /// # Errors
    /// [`ConfigError`] with the dotted path of the first mistake.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let connections = &self.mongodb.connections;
        expect(
            !connections.is_empty(),
            "mongodb.connections",
            "at least one connection is needed",
        )?;
        protect::check_key(self)?;
        for (id, connection) in connections {
            check_connection(connection, id)?;
            for (name, source) in &connection.sources {
                let path = format!("mongodb.connections.{id}.sources.{name}");
                protect::check(self, source, &path)?;
                enrich::check(source, &path)?;
            }
        }
        self.streams()?;
        if let Some(gcp) = &self.gcp {
            let sane = !gcp.project_id.is_empty() && !gcp.project_id.contains(['/', ' ']);
            expect(sane, "gcp.project_id", "expected a project id, without `projects/`")?;
            let region = gcp.region.as_deref().unwrap_or("default");
            let sane = region.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            expect(sane && !region.is_empty(), "gcp.region", "expected a region: `europe-west1`")?;
        }
        if let Some(pubsub) = &self.pubsub {
            check_pubsub(pubsub)?;
            self.check_routing(pubsub)?;
        }
        if let Some(checkpoint) = &self.checkpoint {
            checkpoint.validate(self)?;
        }
        validation::check(self)?;
        if let Some(topic) = &self.error_handling.dead_letter_topic {
            let path = "error_handling.dead_letter_topic";
            expect(
                is_resource_id(topic),
                path,
                "expected a topic's name without `projects/…/topics/`",
            )?;
        }
        if let Some(dead_letter) = &self.dead_letter {
            dead_letter.validate(self)?;
        }
        self.streaming.validate()?;
        self.dataflow.validate()?;
        self.check_running()
    }

    fn check_running(&self) -> Result<(), ConfigError> {
        let positive = "must be more than 0";
        let flow = &self.flow;
        expect(flow.bytes_in_flight.bytes() > 0, "flow.bytes_in_flight", positive)?;
        expect(flow.total_bytes_in_flight.bytes() > 0, "flow.total_bytes_in_flight", positive)?;
        let errors = &self.error_handling;
        let max_backoff = errors.max_backoff.duration();
        expect(!max_backoff.is_zero(), "error_handling.max_backoff", positive)?;
        let monitoring = &self.monitoring;
        let timeout = monitoring.connection_timeout.duration();
        expect(!timeout.is_zero(), "monitoring.connection_timeout", positive)?;
        let interval = monitoring.report_interval.duration();
        expect(!interval.is_zero(), "monitoring.report_interval", positive)?;
        expect(
            self.logging.level.split(',').all(is_directive),
            "logging.level",
            "expected one of `off`, `error`, `warn`, `info`, `debug`, `trace`, or a list such as \
             `info,mongo_gcp_stream::sink=debug`",
        )
    }
}

fn check_connection(connection: &ConnectionConfig, id: &str) -> Result<(), ConfigError> {
    let path = format!("mongodb.connections.{id}");
    check_id(id, &path)?;
    let uri = connection.uri.expose();
    expect(
        is_deployment(uri),
        &format!("{path}.uri"),
        "expected a connection string that begins with `mongodb://` or `mongodb+srv://`",
    )?;
    let sources = format!("{path}.sources");
    expect(!connection.sources.is_empty(), &sources, "at least one source is needed")?;
    connection.sources.iter().try_for_each(|(name, source)| {
        let path = format!("{sources}.{name}");
        check_id(name, &path)?;
        check_source(source, &path)
    })
}

/// Whether it looks like a connection string, of which the driver says more before anything is
/// connected, or like a secret with one.
pub(super) fn is_deployment(uri: &str) -> bool {
    let rest = uri.strip_prefix("mongodb://").or_else(|| uri.strip_prefix("mongodb+srv://"));
    rest.is_some_and(|rest| !rest.is_empty()) || is_secret_reference(uri)
}

/// Whether it names a version of a secret, `secret://projects/P/secrets/S/versions/V`, which Beam
/// pipelines read on their workers.
pub(crate) fn is_secret_reference(uri: &str) -> bool {
    let parts = uri.strip_prefix("secret://").map(|name| name.split('/').collect::<Vec<_>>());
    matches!(
        parts.as_deref(),
        Some(["projects", project, "secrets", secret, "versions", version])
            if ![project, secret, version].iter().any(|part| part.is_empty())
    )
}

fn check_id(id: &str, path: &str) -> Result<(), ConfigError> {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    expect(
        !id.is_empty() && id.len() <= MAX_ID_LENGTH && id.chars().all(letters),
        path,
        "expected a name of 1 to 100 letters, digits, `_` and `-`",
    )
}

fn check_source(source: &SourceConfig, path: &str) -> Result<(), ConfigError> {
    let await_time = source.max_await_time_ms.duration();
    // 0 is the server's way to say "no limit": a stop would not be noticed.
    let path_to = |key: &str| format!("{path}.{key}");
    expect(!await_time.is_zero(), &path_to("max_await_time_ms"), "must be more than 0")?;
    source.stages().map_err(|error| error.below(path))?;
    let drops = source.on_missing_document == OnMissingDocument::Drop;
    expect(
        !drops || source.full_document == FullDocument::UpdateLookup,
        &path_to("on_missing_document"),
        "`drop` needs `full_document: update_lookup`: without a look-up, a document that is \
         missing has not gone",
    )?;
    oversize::check(source, path)?;
    match &source.startup {
        Startup::Latest | Startup::Earliest => Ok(()),
        Startup::Timestamp(time) => expect(
            time.parse::<jiff::Timestamp>().is_ok(),
            &path_to("startup.timestamp"),
            "expected a time as in RFC 3339: `2026-01-31T00:00:00Z`",
        ),
        Startup::Token(token) => {
            let token = token.expose();
            let hex = token.chars().all(|c| c.is_ascii_hexdigit());
            expect(
                hex && !token.is_empty() && token.len().is_multiple_of(2),
                &path_to("startup.token"),
                "expected the `_data` of a resume token: an even number of hex digits",
            )
        }
    }
}

fn check_pubsub(pubsub: &PubSubConfig) -> Result<(), ConfigError> {
    expect(!pubsub.topics.is_empty(), "pubsub.topics", "at least one topic is needed")?;
    for (key, topic) in &pubsub.topics {
        expect(
            is_resource_id(&topic.name),
            &format!("pubsub.topics.{key}.name"),
            "expected a topic's name without `projects/…/topics/`: 3 to 255 letters, digits and \
             - . _ ~ + %, the first a letter, not beginning with `goog`",
        )?;
    }
    subscriptions::check(&pubsub.topics)?;
    bigquery::check(&pubsub.topics)?;
    pubsub.endpoint.as_deref().map(Endpoint::parse).transpose()?;
    for (index, attribute) in pubsub.attributes.iter().enumerate() {
        let path = format!("pubsub.attributes[{index}]");
        expect(!pubsub.attributes[..index].contains(attribute), &path, "is there twice")?;
    }
    check_extra_attributes(pubsub)?;
    check_batch(&pubsub.batch)
}

/// Attributes that an envelope, a validation or a compression may add.
const OTHER_ATTRIBUTES: usize = 20;

fn check_extra_attributes(pubsub: &PubSubConfig) -> Result<(), ConfigError> {
    let count = pubsub.attributes.len() + pubsub.extra_attributes.len() + OTHER_ATTRIBUTES;
    let most = MAX_ATTRIBUTES - OTHER_ATTRIBUTES;
    let message = format!("too many: with `pubsub.attributes` {most} at the most");
    expect(count <= MAX_ATTRIBUTES, "pubsub.extra_attributes", &message)?;
    for (name, template) in &pubsub.extra_attributes {
        let path = format!("pubsub.extra_attributes.{name}");
        let sound = (1..=MAX_ATTRIBUTE_KEY).contains(&name.len()) && !name.starts_with("goog");
        expect(sound, &path, "expected a name of 1 to 256 bytes, not beginning with `goog`")?;
        // Logs and dead letters tell of an event by these: nobody else's value goes there.
        let ours = Attribute::all().iter().any(|attribute| attribute.name() == *name);
        expect(!ours, &path, "is the name of one that `pubsub.attributes` may list: take another")?;
        let parsed = Template::parse(template).map_err(|message| error(&path, message))?;
        let fits = parsed.with_all("").len() <= MAX_ATTRIBUTE_VALUE;
        expect(fits, &path, "longer than 1024 bytes, Pub/Sub's limit of an attribute")?;
    }
    Ok(())
}

/// Pub/Sub documentation, "Guidelines to name a topic, subscription, schema, or snapshot".
pub(crate) fn is_resource_id(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~+%".contains(c);
    (3..=255).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(allowed)
        && !name.starts_with("goog")
}

fn check_batch(batch: &BatchConfig) -> Result<(), ConfigError> {
    let size = batch.max_bytes.bytes();
    expect(
        size > 0 && usize::try_from(size).is_ok_and(|size| size <= MAX_REQUEST_BYTES),
        "pubsub.batch.max_bytes",
        "expected a size of at most 10MB, Pub/Sub's limit of a request",
    )?;
    let timeout = batch.request_timeout.duration();
    expect(!timeout.is_zero(), "pubsub.batch.request_timeout", "must be more than 0")
}

/// `level` or `target=level`. The filter itself would take a misspelt level for a target's name,
/// and log nothing.
fn is_directive(directive: &str) -> bool {
    let (target, level) = match directive.split_once('=') {
        Some((target, level)) => (target, level),
        None => ("any", directive),
    };
    let word = |c: char| c.is_ascii_alphanumeric() || "_:-.".contains(c);
    let is_level = LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level));
    is_level && !target.is_empty() && target.chars().all(word)
}
