//! Where a stream begins: what the user asked for, turned into a concrete position.

use mongodb::bson::{Document, RawDocumentBuf, Timestamp, doc, rawdoc};
use mongodb::options::FindOneOptions;

use super::StartAt;
use super::caught_up::event_time;
use super::errors::Fault;
use super::query::{Opened, Query};
use super::reply::Reply;
use crate::config::Startup;
use crate::error::{ConfigError, SourceErrorKind};
use crate::event::Position;

/// How often the oldest oplog entry may fall off between reading and opening it.
const EARLIEST_ATTEMPTS: u32 = 10;

impl StartAt {
    /// What `startup` asks for.
    ///
    /// # Errors
    /// A timestamp that is not RFC 3339 or outside what the oplog can express (1970 to 2106), with
    /// a path below the source.
    pub fn from_config(startup: &Startup) -> Result<Self, ConfigError> {
        Ok(match startup {
            Startup::Latest => Self::Latest,
            Startup::Earliest => Self::Earliest,
            Startup::Timestamp(text) => {
                Self::Position(Position::OperationTime(operation_time(text)?))
            }
            Startup::Token(data) => {
                Self::Position(Position::Token(rawdoc! { "_data": data.expose() }))
            }
        })
    }
}

/// The first operation time of the second that `text` lies in.
fn operation_time(text: &str) -> Result<Timestamp, ConfigError> {
    let second = text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second);
    match second.and_then(|second| u32::try_from(second).ok()) {
        Some(time) => Ok(Timestamp { time, increment: 1 }),
        None => Err(ConfigError {
            path: "startup.timestamp".into(),
            message: "expected a time in RFC 3339 between 1970 and 2106, such as \
                2026-01-31T12:00:00Z"
                .into(),
        }),
    }
}

impl Query {
    /// Opens the stream at `start` and says which position that was.
    pub async fn open_at(&self, start: &StartAt) -> Result<(Position, Opened), Fault> {
        match start {
            StartAt::Latest => {
                let opened = self.open(None).await?;
                let position =
                    opened.first.as_ref().and_then(opening_position).ok_or_else(no_position)?;
                Ok((position, opened))
            }
            StartAt::Earliest => self.open_earliest().await,
            StartAt::Position(position) => Ok((position.clone(), self.open(Some(position)).await?)),
        }
    }

    async fn open_earliest(&self) -> Result<(Position, Opened), Fault> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let position = Position::OperationTime(self.oldest_operation_time().await?);
            match self.open(Some(&position)).await {
                Err(fault)
                    if fault.error.kind == SourceErrorKind::HistoryLost
                        && attempts < EARLIEST_ATTEMPTS => {}
                opened => return Ok((position, opened?)),
            }
        }
    }

    /// Time of the oldest oplog entry.
    async fn oldest_operation_time(&self) -> Result<Timestamp, Fault> {
        let oplog = self.client.database("local").collection::<RawDocumentBuf>("oplog.rs");
        // Members keep oplogs of different lengths: that of a server that the stream is read from.
        let options = FindOneOptions::builder()
            .sort(doc! { "$natural": 1 })
            .projection(doc! { "ts": 1 })
            .selection_criteria(self.servers.clone())
            .build();
        match oplog.find_one(Document::new()).with_options(options).await {
            Ok(entry) => entry.and_then(|entry| entry.get_timestamp("ts").ok()).ok_or_else(|| {
                Fault::fatal(
                    SourceErrorKind::Query,
                    "`startup: earliest` found no oplog: it needs a replica set, not a mongos",
                )
            }),
            Err(error) => {
                let mut fault = Fault::of(&error);
                if fault.error.kind == SourceErrorKind::Privilege {
                    fault.error.message = "the user may not read local.oplog.rs, which \
                        `startup: earliest` needs: grant it `read` on the database `local`"
                        .into();
                }
                Err(fault)
            }
        }
    }
}

/// The position that a stream without one opened at. Its first reply may already hold events, and
/// its post-batch token is then after them; their time is before them.
fn opening_position(first: &Reply) -> Option<Position> {
    match first.batch.events().next() {
        Some(event) => event_time(event).map(Position::OperationTime),
        None => first.batch.post_batch.clone(),
    }
}

fn no_position() -> Fault {
    Fault::fatal(SourceErrorKind::Query, "the server's reply shows no position to start from")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    /// The first reply of a cursor: events at these times, and a post-batch token.
    fn first(events: &[u32], post_batch: u32) -> Reply {
        let token = |time: u32| doc! { "_data": format!("82{time:08x}000000032B04") };
        let events: Vec<_> = events.iter().map(|time| doc! { "_id": token(*time) }).collect();
        let cursor = doc! { "firstBatch": events, "id": 1_i64,
        "postBatchResumeToken": token(post_batch) };
        let reply = RawDocumentBuf::try_from(&doc! { "cursor": cursor }).unwrap();
        Reply::read(reply.into_bytes().into(), 1000).unwrap()
    }

    #[test]
    fn latest_opens_at_the_post_batch_token() {
        let Some(Position::Token(token)) = opening_position(&first(&[], 7)) else {
            panic!("no token");
        };
        assert_eq!(token.get_str("_data").unwrap(), "8200000007000000032B04");
    }

    #[test]
    fn latest_opens_before_events_that_came_with_the_first_reply() {
        let time = Timestamp { time: 5, increment: 3 };
        assert_eq!(opening_position(&first(&[5, 6], 7)), Some(Position::OperationTime(time)));
    }

    #[test]
    fn a_timestamp_becomes_the_first_operation_time_of_its_second() {
        let startup = Startup::Timestamp("2026-01-31T13:00:00.75+01:00".into());
        let time = Timestamp { time: 1_769_860_800, increment: 1 };
        let expected = StartAt::Position(Position::OperationTime(time));
        assert_eq!(StartAt::from_config(&startup), Ok(expected));
    }

    #[test]
    fn what_is_not_a_time_of_the_oplog_is_refused() {
        for text in ["yesterday", "2026-01-31", "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z"] {
            let error = StartAt::from_config(&Startup::Timestamp(text.into())).unwrap_err();
            assert_eq!(error.path, "startup.timestamp");
        }
    }

    #[test]
    fn a_token_becomes_its_document() {
        let startup = Startup::Token(Secret::new("8265"));
        let expected = StartAt::Position(Position::Token(rawdoc! { "_data": "8265" }));
        assert_eq!(StartAt::from_config(&startup), Ok(expected));
    }
}
