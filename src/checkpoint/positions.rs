//! What an operator does with positions: look at them, set them, forget them.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use mongodb::Client;

use super::{Checkpoint, CheckpointStore, Identity, Stored, Stores};
use crate::config::{
    CheckpointConfig, Config, ConnectionConfig, Secret, Startup, StoreKind, StreamConfig,
};
use crate::error::{ConfigError, Error};
use crate::flow::BackoffPolicy;
use crate::source::{self, ChangeStream, Source, StartAt};

/// How far ahead of ours a server's clock may be.
const CLOCK_DIFFERENCE: SignedDuration = SignedDuration::from_mins(1);

/// Where a stream begins, as it is written on a command line: `earliest`, `latest`, `token:<hex>`
/// (the `_data` of a resume token) or a time in RFC 3339, which is not after `now`: everything up to
/// then would be skipped without a word.
///
/// # Errors
/// What was expected; never a part of a token.
pub fn parse_start(text: &str, now: Timestamp) -> Result<StartAt, String> {
    let startup = match (text, text.strip_prefix("token:")) {
        ("earliest", _) => Startup::Earliest,
        ("latest", _) => Startup::Latest,
        (_, Some(data)) => {
            let hex = data.bytes().all(|byte| byte.is_ascii_hexdigit());
            if data.is_empty() || data.len() % 2 == 1 || !hex {
                return Err("expected the `_data` of a resume token after `token:`, \
                            an even number of hex digits"
                    .into());
            }
            Startup::Token(Secret::new(data))
        }
        _ if text.parse::<Timestamp>().is_ok_and(|time| time > now + CLOCK_DIFFERENCE) => {
            return Err("expected a time that has passed: this one lies in the future".into());
        }
        _ => Startup::Timestamp(text.to_owned()),
    };
    StartAt::from_config(&startup).map_err(|_| {
        "expected `earliest`, `latest`, `token:<hex>`, or a time in RFC 3339 such as \
         `2026-01-31T12:00:00Z`"
            .to_owned()
    })
}

/// What is stored for `stream`, or for each stream of the configuration, by its name; `None` for a
/// stream without a checkpoint. Takes no lock: `run` may go on.
///
/// # Errors
/// [`Error::Config`] for a stream that the configuration does not have, and where it has no store
/// that lasts; [`Error::Checkpoint`] where a checkpoint cannot be read or understood.
pub async fn show(
    config: &Config,
    stream: Option<&str>,
) -> Result<Vec<(String, Option<Stored>)>, Error> {
    let stores = Stores::new(config, lasting_store(config)?);
    let mut streams = config.streams()?;
    if let Some(name) = stream {
        streams = vec![find(streams, name)?];
    }
    let mut shown = Vec::with_capacity(streams.len());
    for stream in streams {
        shown.push((stream.id.to_string(), stores.read(&stream).await?));
    }
    Ok(shown)
}

/// Begins a new epoch of `stream` at `start` and returns its checkpoint. A process that runs the
/// stream loses the right to move it; with the store `file`, it must have ended.
///
/// The stream is opened at `start`, so that a position that cannot be used is refused, and what is
/// stored is concrete: nothing after this moment is lost, whenever `run` starts.
///
/// # Errors
/// As [`show`]; [`Error::Checkpoint`], `Conflict` where another process holds the file's lock;
/// [`Error::Source`] where the stream does not open at `start`.
pub async fn set(config: &Config, stream: &str, start: StartAt) -> Result<Checkpoint, Error> {
    let checkpoint = lasting_store(config)?;
    let run = config.require_run()?;
    let stream = find(config.streams()?, stream)?;
    let store = Stores::new(config, checkpoint).open(&stream).await?;
    let epoch = store.load().await?.map_or(0, |stored| stored.epoch);
    let mut source = open_source(config, checkpoint, &stream).await?;
    let mut identity = Identity::of(&stream, run.pubsub);
    identity.replica_set = source.connect().await?.replica_set;
    let position = source.open(start).await?;
    let next = Checkpoint::new(identity, epoch.saturating_add(1), 0, position);
    store.store(&next).await?;
    Ok(next)
}

/// Forgets the position of `stream`: its next run begins at its `startup`. False where there is
/// none. A process that runs the stream loses the right to move it; with the store `file`, it must
/// have ended.
///
/// # Errors
/// As [`show`], except that what cannot be understood is removed like anything else;
/// [`Error::Checkpoint`], `Conflict` where another process holds the file's lock.
pub async fn clear(config: &Config, stream: &str) -> Result<bool, Error> {
    let checkpoint = lasting_store(config)?;
    let stream = find(config.streams()?, stream)?;
    let store = Stores::new(config, checkpoint).open(&stream).await?;
    let there = is_there(&*store).await?;
    store.clear().await?;
    Ok(there)
}

async fn is_there(store: &dyn CheckpointStore) -> Result<bool, Error> {
    use crate::error::CheckpointErrorKind::Corrupt;
    match store.read().await {
        Ok(stored) => Ok(stored.is_some()),
        Err(error) if error.kind == Corrupt => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// The change stream of `stream`, not yet open.
pub(crate) async fn open_source(
    config: &Config,
    checkpoint: &CheckpointConfig,
    stream: &StreamConfig,
) -> Result<ChangeStream, Error> {
    let client = open_client(config, stream).await?;
    let connection = format!("mongodb.connections.{}", stream.id.connection_id);
    ChangeStream::new(
        client,
        stream.capture.clone(),
        &stream.source,
        checkpoint.excluded_from(&stream.capture),
        &BackoffPolicy::from(&config.error_handling),
        Arc::default(),
    )
    .map_err(|error| error.below(&format!("{connection}.sources.{}", stream.id.source_name)).into())
}

/// A client of the stream's connection, for this stream alone.
pub(crate) async fn open_client(config: &Config, stream: &StreamConfig) -> Result<Client, Error> {
    let ConnectionConfig { uri, compressors, .. } = &*stream.connection;
    let client = source::build_client(uri, compressors, &config.monitoring, 1).await;
    client.map_err(|error| match error {
        Error::Config(error) => {
            error.below(&format!("mongodb.connections.{}", stream.id.connection_id)).into()
        }
        error => error,
    })
}

fn lasting_store(config: &Config) -> Result<&CheckpointConfig, ConfigError> {
    let wrong =
        |path: &str, message: &str| ConfigError { path: path.into(), message: message.into() };
    match &config.checkpoint {
        None => Err(wrong("checkpoint", "missing: without a store there is no position")),
        Some(checkpoint) if checkpoint.store == StoreKind::Memory => {
            Err(wrong("checkpoint.store", "`memory` keeps nothing beyond its process"))
        }
        Some(checkpoint) => Ok(checkpoint),
    }
}

fn find(streams: Vec<StreamConfig>, name: &str) -> Result<StreamConfig, ConfigError> {
    let known = streams.iter().map(|stream| format!("`{}`", stream.id)).collect::<Vec<_>>();
    streams.into_iter().find(|stream| stream.id.to_string() == name).ok_or_else(|| ConfigError {
        path: "mongodb.connections".into(),
        message: format!("no stream is called `{name}`: there is {}", known.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{self, rawdoc};

    use super::*;
    use crate::event::Position;

    fn parse(text: &str) -> Result<StartAt, String> {
        parse_start(text, "2026-01-31T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_start_is_a_word_a_token_or_a_time() {
        assert_eq!(parse("earliest"), Ok(StartAt::Earliest));
        assert_eq!(parse("latest"), Ok(StartAt::Latest));
        let token = Position::Token(rawdoc! { "_data": "82AB" });
        assert_eq!(parse("token:82AB"), Ok(StartAt::Position(token)));
        let time = bson::Timestamp { time: 1_769_860_800, increment: 1 };
        let time = Position::OperationTime(time);
        assert_eq!(parse("2026-01-31T12:00:00Z"), Ok(StartAt::Position(time)));
    }

    #[test]
    fn any_other_start_is_refused() {
        for text in [
            "",
            "Latest",
            "yesterday",
            "token:",
            "token:82A",
            "token:8x",
            "82AB",
            "2026",
            "2026-01-31T12:02:00Z",
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("expected"), "{error}");
        }
    }
}
