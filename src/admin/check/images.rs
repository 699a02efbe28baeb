//! Whether the captured collections store the images that the sources ask for.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use mongodb::Client;
use mongodb::bson::doc;

use super::privileges::quoted;
use crate::admin::finding::{Group, Severity};
use crate::config::{Capture, FullDocument, FullDocumentBeforeChange, SourceConfig, StreamConfig};
use crate::error::SourceError;
use crate::source::meaning;

/// Whether each collection of a database stores images.
type Collections = BTreeMap<String, bool>;

/// How much it matters that an image is missing; `None` where none is asked for.
pub(super) fn need(source: &SourceConfig) -> Option<Severity> {
    match (source.full_document, source.full_document_before_change) {
        // The stream stops.
        (FullDocument::Required, _) | (_, FullDocumentBeforeChange::Required) => {
            Some(Severity::Error)
        }
        // Events come without it.
        (FullDocument::WhenAvailable, _) | (_, FullDocumentBeforeChange::WhenAvailable) => {
            Some(Severity::Warning)
        }
        (FullDocument::Default | FullDocument::UpdateLookup, FullDocumentBeforeChange::Off) => None,
    }
}

pub(super) async fn check(client: &Client, streams: &[&StreamConfig], group: &mut Group) {
    let needing = streams.iter().filter_map(|stream| Some((*stream, need(&stream.source)?)));
    let needing: Vec<_> = needing.collect();
    if needing.is_empty() {
        return group.ok("images", "no source asks for stored images of documents");
    }
    for (stream, severity) in needing {
        check_stream(client, stream, severity, group).await;
    }
}

async fn check_stream(
    client: &Client,
    stream: &StreamConfig,
    severity: Severity,
    group: &mut Group,
) {
    let (database, collection) = match &stream.capture {
        Capture::Deployment => {
            let why = format!("{}: looked up for databases and collections only", stream.id);
            return group.skipped(&["images"], &why);
        }
        Capture::Database(database) => (database, None),
        Capture::Collection(database, collection) => (database, Some(collection)),
    };
    match collections(client, database, collection).await {
        Ok(found) => report(stream, database, collection, &found, severity, group),
        Err(error) => {
            let what = format!("{}: could not be checked: {error}", stream.id);
            let fix =
                format!("Grant `listCollections` on {database} where this should be checked.");
            group.add(Severity::Note, "images", what, fix);
        }
    }
}

async fn collections(
    client: &Client,
    database: &str,
    collection: Option<&String>,
) -> Result<Collections, SourceError> {
    let mut filter = doc! { "type": "collection", "name": { "$not": { "$regex": "^system\\." } } };
    if let Some(collection) = collection {
        filter.insert("name", collection.as_str());
    }
    let found = client.database(database).list_collections().filter(filter).await;
    let found: Vec<_> =
        async { found?.try_collect().await }.await.map_err(|error| meaning(&error))?;
    let stores = |specification: &mongodb::results::CollectionSpecification| {
        let images = specification.options.change_stream_pre_and_post_images.as_ref();
        images.is_some_and(|images| images.enabled)
    };
    Ok(found.iter().map(|it| (it.name.clone(), stores(it))).collect())
}

fn report(
    stream: &StreamConfig,
    database: &str,
    collection: Option<&String>,
    found: &Collections,
    severity: Severity,
    group: &mut Group,
) {
    if let Some(collection) = collection
        && !found.contains_key(collection)
    {
        let what = format!("{}: {database}.{collection} does not exist yet", stream.id);
        let fix = format!(
            "db.getSiblingDB({}).createCollection({}, {{changeStreamPreAndPostImages: {{enabled: true}}}})",
            quoted(database),
            quoted(collection)
        );
        return group.add(severity, "images", what, fix);
    }
    let without: Vec<&String> =
        found.iter().filter(|(_, stores)| !**stores).map(|(name, _)| name).collect();
    for name in &without {
        let what = format!("{}: {database}.{name} does not store images", stream.id);
        let fix = format!(
            "db.getSiblingDB({}).runCommand({{collMod: {}, changeStreamPreAndPostImages: {{enabled: true}}}})",
            quoted(database),
            quoted(name)
        );
        group.add(severity, "images", what, fix);
    }
    if without.is_empty() {
        let what = format!("{}: every captured collection stores images", stream.id);
        group.ok("images", what);
    }
}
