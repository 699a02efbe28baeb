//! A checkpoint as readable JSON.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use mongodb::bson::{Bson, Document, doc};

use super::{Checkpoint, Stored, document};

#[cfg(test)]
mod tests;

/// The JSON of a checkpoint that `owner` stores at `stored_at`, one field a line.
///
/// What is returned is known to be read back as the same checkpoint: a token that JSON changed
/// would be noticed only when a restart needs it.
///
/// # Errors
/// Names the field that JSON cannot hold.
pub(super) fn encode(
    checkpoint: &Checkpoint,
    owner: Option<&str>,
    stored_at: Timestamp,
) -> Result<Vec<u8>, String> {
    let mut document = document::encode(checkpoint, owner, format!("{stored_at:.3}").into())?;
    extend_token(&mut document);
    let mut json = serde_json::to_vec_pretty(&document).map_err(|_| "position: not valid BSON")?;
    json.push(b'\n');
    if decode(&json)?.checkpoint != *checkpoint {
        return Err("position: its types cannot be kept in JSON".into());
    }
    Ok(json)
}

/// Writes the fields of a resume token in Extended JSON. The server writes strings, and binary for
/// the type bits of numbers, which serde would turn into an array.
fn extend_token(document: &mut Document) {
    let position = document.get_document_mut("position");
    let Ok(token) = position.and_then(|position| position.get_document_mut("token")) else {
        return;
    };
    for (_, value) in token.iter_mut() {
        if let Bson::Binary(binary) = value {
            let base64 = BASE64_STANDARD.encode(&binary.bytes);
            let sub_type = format!("{:02x}", u8::from(binary.subtype));
            *value = doc! { "$binary": { "base64": base64, "subType": sub_type } }.into();
        }
    }
}

/// The checkpoint in a JSON text.
///
/// # Errors
/// Names the place where the text is not JSON, or the field that is missing or wrong and what was
/// expected; never a value.
pub(super) fn decode(json: &[u8]) -> Result<Stored, String> {
    // The parser's own words may hold a value: only the place is safe to show.
    let document: Document = serde_json::from_slice(json).map_err(|error| {
        format!("not a valid JSON object at line {}, column {}", error.line(), error.column())
    })?;
    document::decode(&document)
}
