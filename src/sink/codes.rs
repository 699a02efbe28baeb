//! What a gRPC status means for the messages of its request.

use tonic::{Code, Status};

use crate::error::{PublishError, PublishErrorKind};
use crate::gcp::NoToken;

/// What happens to a batch whose attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It may or may not have been published: the same batch again, after a pause.
    Retry,
    /// The access token was refused: the same batch once more, with a new token.
    Renew,
    /// Something in the batch is refused for what it is: halve until it stands alone.
    Isolate,
    /// The batch is larger than the receiver takes: smaller requests from now on.
    Shrink,
    /// Nothing can be published until a person has changed something.
    Stop(PublishErrorKind),
}

/// A failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happens to its batch.
    pub fate: Fate,
    /// Why: the name of a gRPC code, or what came in its place. Never the server's own text, which
    /// may quote the message.
    pub reason: String,
}

impl Failure {
    /// An attempt whose outcome is unknown.
    #[must_use]
    pub fn unknown(reason: &str) -> Self {
        Self { fate: Fate::Retry, reason: reason.to_owned() }
    }
}

impl From<&Status> for Failure {
    fn from(status: &Status) -> Self {
        Self { fate: fate(status), reason: name(status.code()).to_owned() }
    }
}

impl From<NoToken> for Failure {
    fn from(error: NoToken) -> Self {
        let fate = if error.passing { Fate::Retry } else { Fate::Stop(PublishErrorKind::Auth) };
        Self { fate, reason: error.reason }
    }
}

impl From<NoToken> for PublishError {
    fn from(error: NoToken) -> Self {
        Self { kind: PublishErrorKind::Auth, message: error.reason, sequence: None }
    }
}

fn fate(status: &Status) -> Fate {
    match status.code() {
        Code::InvalidArgument => Fate::Isolate,
        Code::ResourceExhausted if is_size(status) => Fate::Shrink,
        // How tonic's servers say "message larger than max".
        Code::OutOfRange => Fate::Shrink,
        Code::Unauthenticated => Fate::Renew,
        Code::PermissionDenied => Fate::Stop(PublishErrorKind::Auth),
        Code::NotFound => Fate::Stop(PublishErrorKind::TopicMissing),
        Code::AlreadyExists | Code::FailedPrecondition | Code::Unimplemented | Code::DataLoss => {
            Fate::Stop(PublishErrorKind::Rejected)
        }
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable => Fate::Retry,
    }
}

/// `RESOURCE_EXHAUSTED` is both a quota, which comes back, and gRPC's own refusal of a large
/// message, which does not. Only the text tells them apart: "received message larger than max" in
/// the Go and C++ implementations, "gRPC message exceeds maximum size" in Java's.
fn is_size(status: &Status) -> bool {
    let text = status.message();
    text.contains("larger than max") || text.contains("exceeds maximum size")
}

/// The name of a code as Google's documentation has it.
pub fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_waited_out() {
        for code in [
            Code::Unavailable,
            Code::DeadlineExceeded,
            Code::Internal,
            Code::Unknown,
            Code::Aborted,
            Code::Cancelled,
            Code::ResourceExhausted,
        ] {
            assert_eq!(fate(&Status::new(code, "quota exceeded")), Fate::Retry, "{code:?}");
        }
    }

    #[test]
    fn size_and_quota_share_a_code_and_not_a_fate() {
        for text in [
            "grpc: received message larger than max (5000021 vs. 4194304)",
            "Received message larger than max (5000021 vs. 4194304)",
            "gRPC message exceeds maximum size 4194304: 5000021",
        ] {
            assert_eq!(fate(&Status::resource_exhausted(text)), Fate::Shrink);
        }
        let quota = "Quota exceeded for quota metric 'Regional publisher throughput, kB'";
        assert_eq!(fate(&Status::resource_exhausted(quota)), Fate::Retry);
    }

    #[test]
    fn what_a_person_must_change_stops() {
        let stop = |code| fate(&Status::new(code, ""));
        assert_eq!(stop(Code::PermissionDenied), Fate::Stop(PublishErrorKind::Auth));
        assert_eq!(stop(Code::NotFound), Fate::Stop(PublishErrorKind::TopicMissing));
        assert_eq!(stop(Code::FailedPrecondition), Fate::Stop(PublishErrorKind::Rejected));
    }

    #[test]
    fn the_text_of_a_status_is_never_kept() {
        let failure = Failure::from(&Status::invalid_argument("bad field: 4111-1111"));
        assert_eq!(failure, Failure { fate: Fate::Isolate, reason: "INVALID_ARGUMENT".into() });
    }
}
