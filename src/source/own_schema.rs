//! The schema that a collection has of its own: the `$jsonSchema` of its validator.

use std::borrow::Cow;

use futures_util::TryStreamExt as _;
use mongodb::Client;
use mongodb::bson::{Document, doc};

use super::errors::Fault;
use crate::config::{Capture, StreamConfig};
use crate::error::{ConfigError, Error, SourceErrorKind};

/// `stream` with the schema of its collection, where `validation.json_schema` asks for that.
///
/// # Errors
/// A collection without such a schema, one that cannot be checked here, and what the server refuses.
pub async fn with_own_schema<'a>(
    client: &Client,
    stream: &'a StreamConfig,
) -> Result<Cow<'a, StreamConfig>, Error> {
    let asked = stream.source.validation.json_schema.is_unread();
    let Capture::Collection(database, collection) = &stream.capture else {
        return Ok(Cow::Borrowed(stream));
    };
    if !asked {
        return Ok(Cow::Borrowed(stream));
    }
    let validator = validator(client, database, collection).await?;
    let mut stream = stream.clone();
    let own = schema(validator.as_ref());
    let kept = own.and_then(|schema| stream.source.validation.json_schema.set_own(schema));
    kept.map_err(|error| error.below(&path(&stream)))?;
    Ok(Cow::Owned(stream))
}

/// The validator of a collection; `None` where it has none, or does not exist.
async fn validator(
    client: &Client,
    database: &str,
    collection: &str,
) -> Result<Option<Document>, Error> {
    let database_of = client.database(database);
    let listed = database_of.list_collections().filter(doc! { "name": collection });
    let found = async { listed.await?.try_next().await }.await.map_err(|error| {
        let mut error = Fault::of(&error).error;
        if error.kind == SourceErrorKind::Privilege {
            error.message = format!(
                "the user may not see the schema of {database}.{collection}: grant \
                 `listCollections` on the database, which the role `read` has, or give the schema \
                 with `validation.json_schema.inline` or `file`"
            );
        }
        error
    })?;
    Ok(found.and_then(|found| found.options.validator))
}

/// The schema in a validator that holds nothing else.
fn schema(validator: Option<&Document>) -> Result<&Document, ConfigError> {
    let refuse = |message: &str| {
        let message = format!(
            "{message}: set one with `collMod`, or give the schema with `inline` or `file`"
        );
        Err(ConfigError { path: "collection".into(), message })
    };
    match validator {
        None => refuse("the collection has no validator with a `$jsonSchema`"),
        Some(validator) => match validator.get_document("$jsonSchema") {
            Ok(schema) if validator.len() == 1 => Ok(schema),
            Ok(_) => refuse("the collection's validator has conditions beside its `$jsonSchema`"),
            Err(_) => refuse("the collection's validator has no `$jsonSchema`"),
        },
    }
}

fn path(stream: &StreamConfig) -> String {
    format!(
        "mongodb.connections.{}.sources.{}.validation.json_schema",
        stream.id.connection_id, stream.id.source_name
    )
}
