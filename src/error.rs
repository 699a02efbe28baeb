//! Errors, one enum per fate of the data. No text here ever holds a document's value, a resume
//! token or a password.

use thiserror::Error;

/// Any error of the line.
#[derive(Debug, Error)]
pub enum Error {
    /// The configuration is wrong; nothing was started.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The change stream cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// One change event cannot be turned into a message.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A message cannot be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The position cannot be loaded or stored.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A defect of this program.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// The name of what kind of error it is, such as `HistoryLost`; that of its class where that has
    /// only one.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Config(_) => "Config".into(),
            Self::Source(error) => format!("{:?}", error.kind),
            Self::Record(error) => format!("{:?}", error.kind),
            Self::Publish(error) => format!("{:?}", error.kind),
            Self::Checkpoint(error) => format!("{:?}", error.kind),
            Self::Internal(_) => "Internal".into(),
        }
    }
}

/// The configuration is wrong at `path`; nothing was started.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {message}")]
pub struct ConfigError {
    /// Dotted path of the key, such as `mongodb.connections.main.uri`; the file's name where the
    /// file as a whole is meant.
    pub path: String,
    /// What was expected and what was found, never a secret.
    pub message: String,
}

impl ConfigError {
    /// The same for a part that knows its keys only from `parent` on, such as
    /// `mongodb.connections.main`.
    #[must_use]
    pub fn below(self, parent: &str) -> Self {
        Self { path: format!("{parent}.{}", self.path), ..self }
    }
}

/// What kind of trouble a source has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceErrorKind {
    /// No server answers, or the connection broke.
    Connect,
    /// Wrong user name, password or certificate.
    Auth,
    /// The user lacks a privilege.
    Privilege,
    /// The server is neither a replica set member nor a mongos.
    NotReplicaSet,
    /// The server refuses the pipeline or the options.
    Query,
    /// The position is no longer in the oplog.
    HistoryLost,
    /// The stored token cannot be used to resume this stream.
    InvalidPosition,
    /// An event is larger than the 16 MiB that the server can return.
    Oversize,
    /// The stream ended and cannot be continued.
    Invalidated,
}

/// The change stream cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}{}", code.map_or_else(String::new, |code| format!(" (MongoDB error {code})")))]
pub struct SourceError {
    /// What kind of trouble.
    pub kind: SourceErrorKind,
    /// What happened, without any value.
    pub message: String,
    /// The server's error code, where a server answered.
    pub code: Option<i32>,
}

/// What is wrong with a single record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordErrorKind {
    /// It is not valid BSON, or not a change event.
    Decode,
    /// Its document breaks a rule of `schemas`.
    Schema,
    /// It cannot be protected or enriched with certainty.
    Protect,
    /// It is larger than Pub/Sub takes, or than MongoDB can return.
    Oversize,
    /// It cannot be expressed as a message (too many or too large attributes, for example).
    Format,
    /// The topic template makes no topic's name of it.
    Route,
    /// The program that reads the stream did not take it.
    Refused,
}

impl RecordErrorKind {
    /// As a word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Format => "format",
            Self::Schema => "schema",
            Self::Oversize => "oversize",
            Self::Protect => "protect",
            Self::Route => "route",
            Self::Refused => "refused",
        }
    }
}

/// One change event cannot be turned into a message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} (namespace {}, event_id {})", namespace.as_deref().unwrap_or("unknown"), event_id.as_deref().unwrap_or("unknown"))]
pub struct RecordError {
    /// What is wrong with it.
    pub kind: RecordErrorKind,
    /// What and where, as a path and a rule, without any value.
    pub message: String,
    /// `database.collection`, where it could be read.
    pub namespace: Option<String>,
    /// Digest of the event's resume token, where it could be read.
    pub event_id: Option<String>,
}

/// What kind of trouble the sink has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishErrorKind {
    /// Pub/Sub refuses this message for what it is.
    Rejected,
    /// The message is larger than Pub/Sub takes.
    TooLarge,
    /// The topic does not exist.
    TopicMissing,
    /// No credentials, or without the permission to publish.
    Auth,
    /// A dead letter cannot be kept.
    DeadLetter,
    /// The endpoint cannot be used at all. One that does not answer is waited out.
    Unavailable,
    /// The data of a large message cannot be stored where `oversize` says.
    ClaimCheck,
    /// The sink was stopped before the message was sent.
    Shutdown,
    /// The caller's time is over: the message may or may not have been published.
    Timeout,
}

/// A message cannot be published.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct PublishError {
    /// What kind of trouble.
    pub kind: PublishErrorKind,
    /// What happened: topic, gRPC code, sizes; never a value.
    pub message: String,
    /// The change that could not be published, for `Rejected` and `TooLarge`.
    pub sequence: Option<u64>,
}

/// What kind of trouble a checkpoint store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointErrorKind {
    /// The store cannot be read or written.
    Unreachable,
    /// What is stored cannot be understood.
    Corrupt,
    /// What is stored belongs to another stream or set-up, or another process owns it.
    Conflict,
}

/// The position cannot be loaded or stored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct CheckpointError {
    /// What kind of trouble.
    pub kind: CheckpointErrorKind,
    /// What happened, with the file or store and the field.
    pub message: String,
}
