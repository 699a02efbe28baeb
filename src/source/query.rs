//! The change stream as a request: opening it, and finding out why it does not open.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{
    AggregateOptions, ReadPreference as DriverReadPreference, SelectionCriteria,
};
use mongodb::raw_batch_cursor::RawBatchCursor;
use tokio::sync::OnceCell;

use super::errors::{Fault, PIPELINE_LOSES_TOKEN};
use super::filter;
use super::quoted;
use super::reply::{self, Reply};
use crate::config::{
    Capture, FullDocument, FullDocumentBeforeChange, ReadPreference, SourceConfig, SplitLargeEvents,
};
use crate::error::{ConfigError, SourceError, SourceErrorKind};
use crate::event::{DOCUMENTS_OMITTED, Position};

/// The fields of an event that are small whatever the documents are.
const NAMING_FIELDS: [&str; 6] =
    ["_id", "operationType", "clusterTime", "wallTime", "ns", "documentKey"];

/// What is asked of the server, except where to begin.
#[derive(Clone)]
pub(super) struct Query {
    pub client: Client,
    pub capture: Capture,
    pub batch_size: u32,
    /// Which servers are read; `None` leaves it to the URI.
    pub servers: Option<SelectionCriteria>,
    max_await: Duration,
    show_expanded_events: bool,
    /// Options of `$changeStream` that say what comes with an event.
    images: Document,
    filter: Option<Document>,
    /// The user's stages.
    stages: Vec<Document>,
    /// Only what names an event comes with it.
    bare: bool,
    split: SplitLargeEvents,
    /// Whether the server can split an event; it is asked before the first opening.
    splits: Arc<OnceCell<bool>>,
}

/// A cursor with the reply that opened it, until that is handed out.
pub(super) struct Opened {
    cursor: RawBatchCursor,
    pub first: Option<Reply>,
}

impl Opened {
    async fn new(cursor: RawBatchCursor, batch_size: u32) -> Result<Self, Fault> {
        let mut opened = Self { cursor, first: None };
        opened.first = Some(opened.next_reply(batch_size).await?);
        Ok(opened)
    }

    /// The next reply of the server. Cancel safe: the cursor keeps the request under way.
    pub async fn next_reply(&mut self, batch_size: u32) -> Result<Reply, Fault> {
        let Some(reply) = self.cursor.next().await else {
            // After an error that killed the cursor or broke its connection.
            return Err(Fault::interrupted("the server closed the cursor"));
        };
        let reply = reply.map_err(|error| Fault::of_get_more(&error))?;
        Reply::read(reply::bytes(reply), batch_size)
            .map_err(|error| Fault { transient: false, error })
    }
}

impl Query {
    pub fn new(
        client: Client,
        capture: Capture,
        source: &SourceConfig,
        excluded: Option<(String, String)>,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            client,
            capture,
            batch_size: source.batch_size.max(1),
            servers: source.read_preference.map(servers),
            max_await: source.max_await_time_ms.duration(),
            show_expanded_events: source.show_expanded_events,
            images: images(source),
            filter: filter::stage(source, excluded)?,
            stages: source.stages()?,
            bare: false,
            split: source.split_large_events,
            splits: Arc::default(),
        })
    }

    /// The same, one event in each reply.
    pub fn one_by_one(&self) -> Self {
        Self { batch_size: 1, ..self.clone() }
    }

    /// The same, one event in each reply and without documents.
    pub fn without_documents(&self) -> Self {
        Self { bare: true, ..self.one_by_one() }
    }

    /// Asks the server whether it can split an event, unless that is known or not wanted.
    async fn learn(&self) -> Result<(), Fault> {
        if self.split == SplitLargeEvents::Never {
            return Ok(());
        }
        let ask = async || {
            let admin = self.client.database("admin");
            let mut asked = admin.run_command(doc! { "buildInfo": 1 });
            if let Some(servers) = self.servers.clone() {
                asked = asked.selection_criteria(servers);
            }
            asked.await.map(|info| can_split(&info)).map_err(|error| Fault::of(&error))
        };
        self.splits.get_or_try_init(ask).await.map(|_| ())
    }

    /// Opens a cursor at `position`, or now, and reads the first reply. A position that cannot be
    /// used and a query that is wrong are told apart, whatever code the server gives.
    pub async fn open(&self, position: Option<&Position>) -> Result<Opened, Fault> {
        self.learn().await?;
        let pipeline = self.pipeline(position);
        match self.aggregate(pipeline, self.batch_size).await {
            Ok(cursor) => Opened::new(cursor, self.batch_size).await,
            Err(error) => Err(self.diagnose(Fault::of(&error), position).await),
        }
    }

    /// Why the stream does not open at `position`. The code alone does not tell: an aged token and
    /// a pipeline that drops `_id` both give 280.
    async fn diagnose(&self, mut fault: Fault, position: Option<&Position>) -> Fault {
        if fault.error.kind == SourceErrorKind::Privilege {
            fault.error.message = format!("the user may not open a stream of {}", self.capture);
        }
        if !fault.is_refusal() {
            return fault;
        }
        if let Some(wrong_query) = self.refused_without_position().await {
            return wrong_query;
        }
        match self.blame(fault.error.code, position).await {
            Ok((kind, message)) => {
                let error = SourceError { kind, message: message.into(), code: fault.error.code };
                Fault { transient: false, error }
            }
            Err(in_the_way) => in_the_way,
        }
    }

    /// What is wrong, given that the query opens without a position.
    async fn blame(
        &self,
        code: Option<i32>,
        position: Option<&Position>,
    ) -> Result<(SourceErrorKind, &'static str), Fault> {
        let lost = (SourceErrorKind::HistoryLost, "the oplog no longer holds the position");
        // 280 is also what a pipeline that drops `_id` gets.
        if code == Some(286) || (code == Some(280) && self.stages.is_empty()) {
            return Ok(lost);
        }
        let usable = match position {
            Some(Position::Token(_)) => self.opens_bare(position).await?,
            Some(Position::OperationTime(_)) | None => true,
        };
        Ok(match (usable, code) {
            (false, Some(280)) => lost,
            (false, _) => {
                (SourceErrorKind::InvalidPosition, "the server does not accept the resume token")
            }
            (true, Some(280)) => (SourceErrorKind::Query, PIPELINE_LOSES_TOKEN),
            (true, _) => {
                (SourceErrorKind::Query, "the server cannot apply the options to an event")
            }
        })
    }

    /// Sends the query without a position and without reading an event, so that the server's
    /// message can only be about the query. `None` where the server accepts it.
    async fn refused_without_position(&self) -> Option<Fault> {
        let error = self.aggregate(self.pipeline(None), 0).await.err()?;
        let mut fault = Fault::of(&error);
        if let (ErrorKind::Command(command), true) = (error.kind.as_ref(), fault.is_refusal()) {
            fault.error.message =
                format!("the server refuses the change stream: {}", quoted::hide(&command.message));
        }
        Some(fault)
    }

    /// Whether a stream without the user's options opens at `position`.
    async fn opens_bare(&self, position: Option<&Position>) -> Result<bool, Fault> {
        match self.aggregate(vec![doc! { "$changeStream": self.options(position) }], 1).await {
            Ok(_) => Ok(true),
            Err(error) => match Fault::of(&error) {
                fault if fault.is_refusal() => Ok(false),
                fault => Err(fault),
            },
        }
    }

    async fn aggregate(
        &self,
        pipeline: Vec<Document>,
        batch_size: u32,
    ) -> Result<RawBatchCursor, Error> {
        let options = AggregateOptions::builder()
            .batch_size(batch_size)
            .max_await_time(self.max_await)
            .selection_criteria(self.servers.clone())
            .build();
        let database = match &self.capture {
            Capture::Deployment => self.client.database("admin"),
            Capture::Database(name) => self.client.database(name),
            Capture::Collection(database, name) => {
                let collection = self.client.database(database).collection::<Document>(name);
                return collection.aggregate(pipeline).with_options(options).batch().await;
            }
        };
        database.aggregate(pipeline).with_options(options).batch().await
    }

    fn pipeline(&self, position: Option<&Position>) -> Vec<Document> {
        let mut options = self.options(position);
        options.extend(self.images.clone());
        let change_stream = doc! { "$changeStream": options };
        let stages = self.filter.iter().chain(&self.stages).cloned();
        let mut pipeline: Vec<Document> = std::iter::once(change_stream).chain(stages).collect();
        if self.bare {
            let named = NAMING_FIELDS.map(|field| (field.to_owned(), 1.into()));
            let mut fields = Document::from_iter(named);
            fields.insert(DOCUMENTS_OMITTED, doc! { "$literal": true });
            pipeline.push(doc! { "$project": fields });
        }
        // It must be the last.
        if self.splits.get() == Some(&true) {
            pipeline.push(doc! { "$changeStreamSplitLargeEvent": {} });
        }
        pipeline
    }

    /// Which events there are, and from where on.
    fn options(&self, position: Option<&Position>) -> Document {
        let mut options = Document::new();
        if self.capture == Capture::Deployment {
            options.insert("allChangesForCluster", true);
        }
        if self.show_expanded_events {
            options.insert("showExpandedEvents", true);
        }
        match position {
            // Not `resumeAfter`, which refuses the token of an invalidate event. A token that is
            // not even BSON becomes an empty one: the server refuses it like any other wrong one.
            Some(Position::Token(token)) => {
                options.insert("startAfter", Document::try_from(token).unwrap_or_default());
            }
            Some(Position::OperationTime(time)) => {
                options.insert("startAtOperationTime", *time);
            }
            None => {}
        }
        options
    }
}

/// What comes with an event, in the server's words. What is off is not mentioned: servers before
/// 6.0 know only `updateLookup`.
fn images(source: &SourceConfig) -> Document {
    let after = match source.full_document {
        FullDocument::Default => None,
        FullDocument::UpdateLookup => Some("updateLookup"),
        FullDocument::WhenAvailable => Some("whenAvailable"),
        FullDocument::Required => Some("required"),
    };
    let before = match source.full_document_before_change {
        FullDocumentBeforeChange::Off => None,
        FullDocumentBeforeChange::WhenAvailable => Some("whenAvailable"),
        FullDocumentBeforeChange::Required => Some("required"),
    };
    let mut images = Document::new();
    images.extend(after.map(|image| ("fullDocument".to_owned(), image.into())));
    images.extend(before.map(|image| ("fullDocumentBeforeChange".to_owned(), image.into())));
    images
}

fn servers(preference: ReadPreference) -> SelectionCriteria {
    let options = None;
    SelectionCriteria::ReadPreference(match preference {
        ReadPreference::Primary => DriverReadPreference::Primary,
        ReadPreference::PrimaryPreferred => DriverReadPreference::PrimaryPreferred { options },
        ReadPreference::Secondary => DriverReadPreference::Secondary { options },
        ReadPreference::SecondaryPreferred => DriverReadPreference::SecondaryPreferred { options },
        ReadPreference::Nearest => DriverReadPreference::Nearest { options },
    })
}

/// Whether a server of this `buildInfo` has `$changeStreamSplitLargeEvent`: from 6.0.9 and 7.0 on
/// (MongoDB manual). What is between them are 6.1 to 6.3, which do not.
fn can_split(info: &Document) -> bool {
    let version: Vec<i32> = info
        .get_array("versionArray")
        .map(|parts| parts.iter().filter_map(Bson::as_i32).collect())
        .unwrap_or_default();
    match version.as_slice() {
        [6, 0, patch, ..] => *patch >= 9,
        [major, ..] => *major >= 7,
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_split_are_told_by_their_version() {
        let can = |version: &[i32]| can_split(&doc! { "versionArray": version });
        for old in [&[5, 0, 31, 0][..], &[6, 0, 8, 0], &[6, 1, 0, 0], &[6, 3, 2, 0]] {
            assert!(!can(old), "{old:?}");
        }
        for new in [&[6, 0, 9, 0][..], &[6, 0, 20, 0], &[7, 0, 0, -50], &[8, 1, 2, 0]] {
            assert!(can(new), "{new:?}");
        }
        assert!(!can_split(&doc! {}));
    }
}
