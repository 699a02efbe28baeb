//! The one table that turns an error that ends a line into what happens next, and into a hint for the
//! operator.
//!
//! What is waited out instead is decided where it is met: `source::errors` for the server's codes,
//! `sink::codes` for those of Pub/Sub.

use crate::error::{
    CheckpointErrorKind, Error, PublishErrorKind, RecordErrorKind, SourceErrorKind,
};

/// Whether a line that an error has ended is started again, from the stored position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// It is: waiting may help.
    Always,
    /// It is where the same part has worked before in this process: someone may be changing a
    /// password, a role or a topic right now. Where it never worked, the set-up is wrong.
    IfItWorked,
    /// It is not: a restart meets the same error again.
    Never,
}

/// Whether a line that ended in `error` is started again.
#[must_use]
pub fn restart(error: &Error) -> Restart {
    use {Restart::Always, Restart::IfItWorked, Restart::Never};
    match error {
        Error::Source(error) => match error.kind {
            SourceErrorKind::Connect => Always,
            SourceErrorKind::Auth
            | SourceErrorKind::Privilege
            | SourceErrorKind::NotReplicaSet
            | SourceErrorKind::Invalidated => IfItWorked,
            SourceErrorKind::Query
            | SourceErrorKind::HistoryLost
            | SourceErrorKind::InvalidPosition
            | SourceErrorKind::Oversize => Never,
        },
        Error::Publish(error) => match error.kind {
            PublishErrorKind::Unavailable
            | PublishErrorKind::Timeout
            | PublishErrorKind::Shutdown
            | PublishErrorKind::DeadLetter => Always,
            PublishErrorKind::TopicMissing | PublishErrorKind::Auth => IfItWorked,
            // Its neighbours would be published anew with every start.
            PublishErrorKind::Rejected
            | PublishErrorKind::TooLarge
            | PublishErrorKind::ClaimCheck => Never,
        },
        Error::Checkpoint(error) => match error.kind {
            CheckpointErrorKind::Unreachable => Always,
            CheckpointErrorKind::Corrupt | CheckpointErrorKind::Conflict => Never,
        },
        Error::Config(_) | Error::Record(_) | Error::Internal(_) => Never,
    }
}

/// What the operator is told about an error that ended a stream for good: [`hint`], and whether
/// starting again helps.
#[must_use]
pub fn advice(error: &Error) -> String {
    let hint = hint(error);
    match restart(error) {
        Restart::Never => format!("{hint} Starting again without that meets the same error."),
        Restart::Always | Restart::IfItWorked => hint.into(),
    }
}

/// What the operator can do about `error`, in one sentence.
#[must_use]
pub fn hint(error: &Error) -> &'static str {
    match error {
        Error::Config(_) => {
            "Correct the key; `config/config.yaml` lists every key with its meaning."
        }
        Error::Source(error) => source_hint(error.kind),
        Error::Record(error) => match error.kind {
            RecordErrorKind::Decode => {
                "The server sent something this version cannot read: please report it with the error text."
            }
            RecordErrorKind::Protect => {
                "Nothing of the event was sent: set what the text names in `protection`, or see `docs/guide/protection.md` for what an event must look like to be protected."
            }
            RecordErrorKind::Schema => {
                "Correct the document, or the rules in `schemas` and `validation.json_schema`, or choose another `validation.on_invalid` for the source."
            }
            RecordErrorKind::Oversize => {
                "Choose another `oversize.policy` for the source, such as `claim_check`, or leave large fields out in its `pipeline` with `$project`."
            }
            RecordErrorKind::Format => "Send fewer or shorter attributes: see `pubsub.attributes`.",
            RecordErrorKind::Refused => {
                "Correct the callback, or the documents that it cannot take; the event comes again with the next start."
            }
            RecordErrorKind::Route => {
                "Give the fields of the source's topic template a text for when there is no value: `{collection|other}`."
            }
        },
        Error::Publish(error) => publish_hint(error.kind),
        Error::Checkpoint(error) => match error.kind {
            CheckpointErrorKind::Unreachable => {
                "Check the store named in `checkpoint`: that it exists, can be reached and written, and has free space."
            }
            CheckpointErrorKind::Corrupt => {
                "Restore what is stored from a backup, or forget it with `mongo-gcp-stream position clear` and begin anew with `position set`."
            }
            CheckpointErrorKind::Conflict => {
                "One process at a time moves a stream's position: stop the other one first. Where the set-up was changed on purpose, begin anew with `mongo-gcp-stream position set` or `position clear`."
            }
        },
        Error::Internal(_) => "This is a defect: please report it with the log.",
    }
}

fn source_hint(kind: SourceErrorKind) -> &'static str {
    match kind {
        SourceErrorKind::Connect => {
            "Check host, port, TLS options and network access (on Atlas: the IP access list)."
        }
        SourceErrorKind::Auth => {
            "Check user name, password, `authSource` and certificate of the URI."
        }
        SourceErrorKind::Privilege => {
            "Grant the user `find` and `changeStream` on what it captures (the built-in role `read` has both)."
        }
        SourceErrorKind::NotReplicaSet => {
            "Change streams need a replica set: start mongod with `--replSet` and run `rs.initiate()`; one member is enough."
        }
        SourceErrorKind::Query => {
            "Check the source's `pipeline` and options against the server's version; a pipeline must keep `_id`."
        }
        SourceErrorKind::HistoryLost => {
            "The oplog no longer holds the position: begin anew with `mongo-gcp-stream position set --to earliest`, copy what was missed, and enlarge the oplog."
        }
        SourceErrorKind::InvalidPosition => {
            "The token belongs to another stream or is damaged: restore the checkpoint from a backup, or begin anew with `mongo-gcp-stream position set` or `position clear`."
        }
        SourceErrorKind::Oversize => {
            "Drop large fields in the source's `pipeline` with `$project`, set `full_document: default`, or pass over the event with `on_event_too_large: skip`; MongoDB 6.0.9 and 7.0 split such events by themselves."
        }
        SourceErrorKind::Invalidated => "Start again once the collection exists.",
    }
}

fn publish_hint(kind: PublishErrorKind) -> &'static str {
    match kind {
        PublishErrorKind::Rejected => {
            "Pub/Sub refuses this message, so its stream stops before it: compare it with the topic's schema and the limits on attributes, or configure `dead_letter`."
        }
        PublishErrorKind::TooLarge => {
            "The message is over Pub/Sub's 10 MB, so its stream stops before it: leave large fields out in the source's `pipeline` with `$project`, choose another `oversize.policy`, or configure `dead_letter`."
        }
        PublishErrorKind::TopicMissing => {
            "Create the topic, or correct `gcp.project_id` and `pubsub.topics`."
        }
        PublishErrorKind::Auth => {
            "Give the account the role roles/pubsub.publisher on the topic; without a key file run `gcloud auth application-default login`."
        }
        PublishErrorKind::DeadLetter => {
            "Check `dead_letter.file`: that its folder exists, can be written, and has free space."
        }
        PublishErrorKind::ClaimCheck => {
            "Create the bucket or folder of `oversize.claim_check.url`, and let the account write there (roles/storage.objectUser)."
        }
        PublishErrorKind::Unavailable | PublishErrorKind::Timeout => {
            "Check network access to Pub/Sub."
        }
        PublishErrorKind::Shutdown => "Start again: what was not acknowledged is sent then.",
    }
}
