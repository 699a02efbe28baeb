//! A checkpoint as a document, the same fields in every store that lasts.

use jiff::Timestamp;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};

use super::{Checkpoint, Identity, Stored};
use crate::event::Position;

/// The only version so far.
pub(super) const FORMAT_VERSION: i64 = 1;

/// The document of `checkpoint`. `stored_at` and `cluster_time` are for people: nothing depends on
/// them.
///
/// # Errors
/// Names the field that is too large.
pub(super) fn encode(
    checkpoint: &Checkpoint,
    owner: Option<&str>,
    stored_at: Bson,
) -> Result<Document, String> {
    let Identity { stream, scope, replica_set, ordering } = &checkpoint.identity;
    let position = match &checkpoint.position {
        Position::Token(token) => {
            let token =
                Document::try_from(&**token).map_err(|_| "position.token: not valid BSON")?;
            doc! { "token": token }
        }
        Position::OperationTime(time) => doc! { "operation_time": *time },
    };
    let mut document = doc! {
        "format_version": FORMAT_VERSION,
        "stream": stream,
        "scope": scope,
        "replica_set": replica_set,
        "ordering": ordering,
        "epoch": number(checkpoint.epoch, "epoch")?,
        "sequence": number(checkpoint.sequence, "sequence")?,
        "position": position,
        "cluster_time": checkpoint.position.cluster_time(),
        "stored_at": stored_at,
    };
    document.extend(owner.map(|owner| ("owner".to_owned(), owner.into())));
    Ok(document)
}

/// BSON has no unsigned numbers.
pub(super) fn number(value: u64, field: &str) -> Result<i64, String> {
    i64::try_from(value).map_err(|_| format!("{field}: larger than 2^63 - 1"))
}

/// The checkpoint in a document.
///
/// # Errors
/// Names the field that is missing or wrong and what was expected; never a value.
pub(super) fn decode(document: &Document) -> Result<Stored, String> {
    let version = unsigned(document, "format_version")?;
    if i64::try_from(version) != Ok(FORMAT_VERSION) {
        return Err(format!("format_version: {version}, this version reads {FORMAT_VERSION}"));
    }
    let checkpoint = Checkpoint {
        identity: Identity {
            stream: string(document, "stream")?,
            scope: string(document, "scope")?,
            replica_set: string(document, "replica_set")?,
            ordering: string(document, "ordering")?,
        },
        epoch: unsigned(document, "epoch")?,
        sequence: unsigned(document, "sequence")?,
        position: position(document)?,
    };
    let stored_at = match document.get("stored_at") {
        Some(Bson::String(text)) => text.parse().ok(),
        Some(Bson::DateTime(time)) => Timestamp::from_millisecond(time.timestamp_millis()).ok(),
        _ => None,
    };
    let owner = document.get_str("owner").ok().map(str::to_owned);
    Ok(Stored { checkpoint, stored_at, owner })
}

fn position(document: &Document) -> Result<Position, String> {
    const EXPECTED: &str = "position: expected an object with either `token` or `operation_time`";
    let position = document.get("position").ok_or("position: missing")?;
    let position = position.as_document().ok_or(EXPECTED)?;
    match (position.get("token"), position.get("operation_time"), position.len()) {
        (Some(token), None, 1) => token_position(token),
        (None, Some(Bson::Timestamp(time)), 1) => Ok(Position::OperationTime(*time)),
        (None, Some(_), 1) => Err("position.operation_time: expected a `$timestamp`".into()),
        _ => Err(EXPECTED.into()),
    }
}

fn token_position(token: &Bson) -> Result<Position, String> {
    const EXPECTED: &str = "position.token: expected an object with the resume token's `_data`";
    let token = token.as_document().filter(|token| token.contains_key("_data")).ok_or(EXPECTED)?;
    RawDocumentBuf::try_from(token).map(Position::Token).map_err(|_| EXPECTED.into())
}

fn string(document: &Document, field: &str) -> Result<String, String> {
    match document.get(field) {
        Some(Bson::String(value)) => Ok(value.clone()),
        Some(_) => Err(format!("{field}: expected a string")),
        None => Err(format!("{field}: missing")),
    }
}

fn unsigned(document: &Document, field: &str) -> Result<u64, String> {
    let value = match document.get(field) {
        Some(Bson::Int32(value)) => i64::from(*value),
        Some(Bson::Int64(value)) => *value,
        Some(_) => -1,
        None => return Err(format!("{field}: missing")),
    };
    u64::try_from(value).map_err(|_| format!("{field}: expected a whole number from 0 on"))
}
