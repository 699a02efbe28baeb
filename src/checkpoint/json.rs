//! A checkpoint as readable JSON.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use mongodb::bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};

use super::{Checkpoint, Identity};
use crate::event::Position;

#[cfg(test)]
mod tests;

/// The only version so far.
const FORMAT_VERSION: u64 = 1;

/// The JSON of a checkpoint that is stored at `stored_at` (RFC 3339), one field a line. `stored_at`
/// and `cluster_time` are for people: nothing reads them.
///
/// What is returned is known to be read back as the same checkpoint: a token that JSON changed
/// would be noticed only when a restart needs it.
///
/// # Errors
/// Names the field that JSON cannot hold.
pub(super) fn encode(checkpoint: &Checkpoint, stored_at: String) -> Result<Vec<u8>, String> {
    let document = document(checkpoint, stored_at)?;
    let mut json = serde_json::to_vec_pretty(&document).map_err(|_| "position: not valid BSON")?;
    json.push(b'\n');
    if decode(&json)? != *checkpoint {
        return Err("position: its types cannot be kept in JSON".into());
    }
    Ok(json)
}

fn document(checkpoint: &Checkpoint, stored_at: String) -> Result<Document, String> {
    let Identity { stream, scope, replica_set, ordering } = &checkpoint.identity;
    let position = match &checkpoint.position {
        Position::Token(token) => doc! { "token": extended(token)? },
        Position::OperationTime(time) => doc! { "operation_time": *time },
    };
    let number =
        |value, field| i64::try_from(value).map_err(|_| format!("{field}: larger than 2^63 - 1"));
    Ok(doc! {
        "format_version": number(FORMAT_VERSION, "format_version")?,
        "stream": stream,
        "scope": scope,
        "replica_set": replica_set,
        "ordering": ordering,
        "epoch": number(checkpoint.epoch, "epoch")?,
        "sequence": number(checkpoint.sequence, "sequence")?,
        "position": position,
        "cluster_time": checkpoint.position.cluster_time(),
        "stored_at": stored_at,
    })
}

/// The fields of a resume token in Extended JSON. The server writes strings, and binary for the
/// type bits of numbers, which serde would turn into an array.
fn extended(token: &RawDocument) -> Result<Document, String> {
    let mut token = Document::try_from(token).map_err(|_| "position.token: not valid BSON")?;
    for (_, value) in token.iter_mut() {
        if let Bson::Binary(binary) = value {
            let base64 = BASE64_STANDARD.encode(&binary.bytes);
            let sub_type = format!("{:02x}", u8::from(binary.subtype));
            *value = doc! { "$binary": { "base64": base64, "subType": sub_type } }.into();
        }
    }
    Ok(token)
}

/// The checkpoint in a JSON text.
///
/// # Errors
/// Names the place where the text is not JSON, or the field that is missing or wrong and what was
/// expected; never a value.
pub(super) fn decode(json: &[u8]) -> Result<Checkpoint, String> {
    // The parser's own words may hold a value: only the place is safe to show.
    let document: Document = serde_json::from_slice(json).map_err(|error| {
        format!("not a valid JSON object at line {}, column {}", error.line(), error.column())
    })?;
    let version = unsigned(&document, "format_version")?;
    if version != FORMAT_VERSION {
        return Err(format!("format_version: {version}, this version reads {FORMAT_VERSION}"));
    }
    Ok(Checkpoint {
        identity: Identity {
            stream: string(&document, "stream")?,
            scope: string(&document, "scope")?,
            replica_set: string(&document, "replica_set")?,
            ordering: string(&document, "ordering")?,
        },
        epoch: unsigned(&document, "epoch")?,
        sequence: unsigned(&document, "sequence")?,
        position: position(&document)?,
    })
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
