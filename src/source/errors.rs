//! What an error of the driver means for a stream.

use mongodb::error::{
    CommandError, Error, ErrorKind, RESUMABLE_CHANGE_STREAM_ERROR, RETRYABLE_ERROR,
};

use crate::error::{SourceError, SourceErrorKind};

/// The codes that the change streams specification calls resumable (its list for servers that
/// send no label), and those of a cursor that the server or an operator has killed: 11601
/// Interrupted, 136 `CappedPositionLost`, 175 `QueryPlanKilled`, 237 `CursorKilled`; besides 134
/// `ReadConcernMajorityNotAvailableYet`. A position that is lost shows when the stream is reopened.
const TRANSIENT_CODES: [i32; 23] = [
    6, 7, 43, 63, 89, 91, 133, 134, 136, 150, 175, 189, 234, 237, 262, 9001, 10107, 11600, 11601,
    11602, 13388, 13435, 13436,
];

/// What 280 means where the position cannot be the cause.
pub(super) const PIPELINE_LOSES_TOKEN: &str =
    "the pipeline drops or changes the _id of an event, which is its resume token";

/// What 47 `NoMatchingDocument` means of an event.
const IMAGE_MISSING: &str = "an event has no stored image, and `full_document` or \
    `full_document_before_change` is `required`: set changeStreamPreAndPostImages on the \
    collection, or use `when_available`";

/// An error, and whether waiting helps.
#[derive(Debug)]
pub(super) struct Fault {
    /// True where the same request may succeed later.
    pub transient: bool,
    /// What happened, without any value.
    pub error: SourceError,
}

impl Fault {
    /// An error that waiting does not help.
    pub fn fatal(kind: SourceErrorKind, message: impl Into<String>) -> Self {
        Self { transient: false, error: SourceError { kind, message: message.into(), code: None } }
    }

    /// An error that only says that the stream must be reopened.
    pub fn interrupted(message: &str) -> Self {
        Self { transient: true, ..Self::fatal(SourceErrorKind::Connect, message) }
    }

    /// What `error` means, whatever the request was. Its kind is `Query` where the server refuses
    /// for a reason that depends on the request.
    pub fn of(error: &Error) -> Self {
        match error.kind.as_ref() {
            ErrorKind::Command(command) => Self::of_command(error, command),
            ErrorKind::Authentication { message, .. } => {
                Self::fatal(SourceErrorKind::Auth, format!("authentication failed: {message}"))
            }
            ErrorKind::InvalidTlsConfig { message, .. } => {
                Self::fatal(SourceErrorKind::Connect, format!("wrong TLS options: {message}"))
            }
            ErrorKind::IncompatibleServer { .. } => {
                Self::fatal(SourceErrorKind::Query, "the server is too old for this program")
            }
            ErrorKind::InvalidArgument { .. } | ErrorKind::Shutdown => {
                Self::fatal(SourceErrorKind::Query, "the MongoDB driver refuses the request")
            }
            kind => Self { transient: true, error: unreachable(kind) },
        }
    }

    /// What the error of a running stream means.
    pub fn of_get_more(error: &Error) -> Self {
        let mut fault = Self::of(error);
        match fault.error.code {
            Some(280) => fault.error.message = PIPELINE_LOSES_TOKEN.into(),
            Some(47) => fault.error.message = IMAGE_MISSING.into(),
            _ => {}
        }
        fault
    }

    /// True where what was asked for may be wrong, rather than who asks or the way there.
    pub fn is_refusal(&self) -> bool {
        use SourceErrorKind::{HistoryLost, Query};
        !self.transient && matches!(self.error.kind, Query | HistoryLost)
    }

    fn of_command(error: &Error, command: &CommandError) -> Self {
        let transient = TRANSIENT_CODES.contains(&command.code)
            || error.contains_label(RESUMABLE_CHANGE_STREAM_ERROR)
            || error.contains_label(RETRYABLE_ERROR);
        let kind = if transient { SourceErrorKind::Connect } else { kind_of(command) };
        let name = &command.code_name;
        let message = match kind {
            SourceErrorKind::Connect => format!("the server is not available: {name}"),
            SourceErrorKind::Auth if command.code == 13 => {
                "the server wants a login, and the URI has none".into()
            }
            SourceErrorKind::Auth => format!("authentication failed: {name}"),
            SourceErrorKind::Privilege => format!("the user may not do this: {name}"),
            SourceErrorKind::NotReplicaSet => "the server is not part of a replica set".into(),
            SourceErrorKind::HistoryLost => {
                format!("the oplog no longer holds the position: {name}")
            }
            SourceErrorKind::Oversize => {
                format!("an event is larger than the server can return: {name}")
            }
            SourceErrorKind::Invalidated => format!("what is captured does not exist: {name}"),
            SourceErrorKind::Query | SourceErrorKind::InvalidPosition => {
                format!("the server refuses the change stream: {name}")
            }
        };
        Self { transient, error: SourceError { kind, message, code: Some(command.code) } }
    }
}

/// Kind of a command error that waiting does not help.
fn kind_of(command: &CommandError) -> SourceErrorKind {
    match command.code {
        // UserNotFound, AuthenticationFailed, AtlasError ("bad auth").
        11 | 18 | 8000 => SourceErrorKind::Auth,
        // The same code for "requires authentication" and "not authorized on …".
        13 if command.message.contains("requires authentication") => SourceErrorKind::Auth,
        13 => SourceErrorKind::Privilege,
        26 => SourceErrorKind::Invalidated,
        286 => SourceErrorKind::HistoryLost,
        10334 => SourceErrorKind::Oversize,
        40573 => SourceErrorKind::NotReplicaSet,
        _ => SourceErrorKind::Query,
    }
}

fn unreachable(kind: &ErrorKind) -> SourceError {
    let message = match kind {
        ErrorKind::Io(error) => format!("the connection failed: {error}"),
        ErrorKind::ServerSelection { message, .. } => {
            format!("no server is available: {}", selection_reason(message))
        }
        ErrorKind::DnsResolve { message, .. } => format!("the host name has no address: {message}"),
        // The driver's text repeats the whole error of another operation.
        ErrorKind::ConnectionPoolCleared { .. } => {
            "the connection was given up after another one failed".into()
        }
        _ => "the server's reply cannot be read".into(),
    };
    SourceError { kind: SourceErrorKind::Connect, message, code: None }
}

/// The first server's error in the driver's description of the whole topology.
fn selection_reason(message: &str) -> &str {
    let cause = message.split_once("Error: Kind: ").map(|(_, cause)| cause);
    let cause = cause.and_then(|cause| cause.split_once(", labels: "));
    match cause {
        Some((cause, _)) => cause,
        None if message.contains("Type: RsGhost") => "the replica set is not initiated",
        None if message.contains("RsSecondary") => "the replica set has no primary",
        None => "none that fits the URI answered in time",
    }
}
