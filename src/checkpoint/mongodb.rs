//! One document a stream in a MongoDB collection.

use std::future::{Future, IntoFuture};
use std::time::Duration;

use futures_util::future::BoxFuture;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::error::{Error, ErrorKind, WriteFailure};
use mongodb::options::{
    CollectionOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern,
};
use mongodb::{Client, Collection};

use super::fence::Fence;
use super::{Checkpoint, CheckpointStore, Stored, corrupt, document, unreachable};
use crate::error::CheckpointError;

/// How long one request may take: without a primary or a majority it would wait for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// A unique index, here that of `_id`, refuses the document.
const DUPLICATE_KEY: i32 = 11000;

/// Keeps the checkpoint of a stream in the document whose `_id` is the stream's name.
///
/// It is written with `w: majority` and read with `readConcern: majority` from the primary: no
/// election takes back what was stored. A store is one `replaceOne` whose filter is the condition,
/// so that it moves the document forward or not at all, whoever else writes.
#[derive(Debug)]
pub struct MongoStore {
    collection: Collection<Document>,
    stream: String,
    fence: Fence,
}

impl MongoStore {
    /// The store of `stream` in `database.collection`; nothing is sent yet.
    #[must_use]
    pub fn new(client: &Client, database: &str, collection: &str, stream: &str) -> Self {
        let options = CollectionOptions::builder()
            .read_concern(ReadConcern::majority())
            .write_concern(WriteConcern::majority())
            .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
            .build();
        let collection = client.database(database).collection_with_options(collection, options);
        Self { collection, stream: stream.into(), fence: Fence::new() }
    }

    async fn find(&self) -> Result<Option<Stored>, CheckpointError> {
        let find = self.collection.find_one(doc! { "_id": &self.stream });
        let found = self.within("read", find).await?;
        let found = found.map_err(|error| self.failed("read", &error))?;
        found.map(|found| self.decode(&found)).transpose()
    }

    fn decode(&self, found: &Document) -> Result<Stored, CheckpointError> {
        document::decode(found).map_err(|what| {
            let Self { collection, stream, .. } = self;
            corrupt(format!("document {stream} of {}: {what}", collection.namespace()))
        })
    }

    async fn replace(&self, next: &Checkpoint) -> Result<(), CheckpointError> {
        let claims = self.fence.claims(next);
        let owner = self.fence.owner();
        let mut replacement = document::encode(next, Some(owner), DateTime::now().into())
            .map_err(|what| corrupt(format!("the checkpoint of stream {}: {what}", self.stream)))?;
        replacement.insert("_id", &self.stream);
        let replace = self.collection.replace_one(self.movable(&replacement, claims), replacement);
        let moved = match self.within("write", replace.upsert(claims)).await? {
            Ok(done) => done.matched_count == 1 || done.upserted_id.is_some(),
            // The document is there and may not be moved: the upsert tried to add another one.
            Err(error) if is_duplicate(&error) => false,
            Err(error) => return Err(self.failed("write", &error)),
        };
        if !moved {
            self.fence.check(self.find().await?.as_ref(), next)?;
            let Self { collection, stream, .. } = self;
            let message =
                format!("document {stream} of {} changed meanwhile", collection.namespace());
            return Err(unreachable(message));
        }
        self.fence.stored(next);
        Ok(())
    }

    /// The stored document, if `replacement` may take its place: [`Fence::check`] as a filter.
    fn movable(&self, replacement: &Document, claims: bool) -> Document {
        let (epoch, sequence) = (replacement.get("epoch"), replacement.get("sequence"));
        let mut allowed = vec![
            doc! { "epoch": epoch, "owner": self.fence.owner(), "sequence": { "$lte": sequence } },
        ];
        if claims {
            allowed.push(doc! { "epoch": { "$lt": epoch } });
        }
        doc! { "_id": &self.stream, "format_version": document::FORMAT_VERSION, "$or": allowed }
    }

    async fn within<T>(
        &self,
        what: &str,
        request: impl IntoFuture<IntoFuture: Future<Output = T> + Send>,
    ) -> Result<T, CheckpointError> {
        tokio::time::timeout(PATIENCE, request.into_future()).await.map_err(|_| {
            let namespace = self.collection.namespace();
            unreachable(format!("cannot {what} {namespace}: no answer within {PATIENCE:?}"))
        })
    }

    fn failed(&self, what: &str, error: &Error) -> CheckpointError {
        unreachable(format!("cannot {what} {}: {}", self.collection.namespace(), describe(error)))
    }
}

impl CheckpointStore for MongoStore {
    fn read(&self) -> BoxFuture<'_, Result<Option<Stored>, CheckpointError>> {
        Box::pin(self.find())
    }

    fn store<'a>(
        &'a self,
        checkpoint: &'a Checkpoint,
    ) -> BoxFuture<'a, Result<(), CheckpointError>> {
        Box::pin(self.replace(checkpoint))
    }

    fn clear(&self) -> BoxFuture<'_, Result<(), CheckpointError>> {
        Box::pin(async {
            let delete = self.collection.delete_one(doc! { "_id": &self.stream });
            let deleted = self.within("write", delete).await?;
            deleted.map(drop).map_err(|error| self.failed("write", &error))
        })
    }
}

fn is_duplicate(error: &Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Write(WriteFailure::WriteError(error)) if error.code == DUPLICATE_KEY)
}

/// What went wrong, without the server's own text, which may quote a value.
fn describe(error: &Error) -> String {
    let server = |name: &str, code: i32| format!("{name} (MongoDB error {code})");
    match error.kind.as_ref() {
        ErrorKind::Command(error) => server(&error.code_name, error.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) => {
            server("the write is refused", error.code)
        }
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => {
            server(&error.code_name, error.code)
        }
        ErrorKind::Authentication { .. } => "authentication failed".into(),
        ErrorKind::Io(error) => format!("the connection failed: {error}"),
        ErrorKind::ServerSelection { .. } => "no primary is available".into(),
        _ => "the request failed".into(),
    }
}
