//! Whether every stream opens, all at the same time as in a run.

use std::collections::HashMap;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use mongodb::Client;

use super::privileges::{User, role_command};
use crate::admin::finding::{Group, Severity};
use crate::config::StreamConfig;
use crate::error::{Error, SourceErrorKind};
use crate::event::{Position, StreamId};
use crate::recovery::hint;
use crate::source::{Probe, StartAt};

/// Streams that are being opened at one time.
const SIDE_BY_SIDE: usize = 8;

/// Opens every stream at its stored position, or where it would begin, and keeps all open until the
/// last one is: a limit on change streams shows here.
pub(super) async fn check(
    client: &Client,
    streams: &[&StreamConfig],
    stored: &HashMap<StreamId, Position>,
    user: Option<&User>,
    group: &mut Group,
) {
    let opening = streams.iter().map(|stream| async {
        let position = stored.get(&stream.id).cloned().map(StartAt::Position);
        let start = match position {
            Some(start) => Ok(start),
            None => StartAt::from_config(&stream.source.startup).map_err(Error::from),
        };
        let (client, capture) = (client.clone(), stream.capture.clone());
        match start {
            Ok(start) => Probe::open(client, capture, &stream.source, &start).await,
            Err(error) => Err(error),
        }
    });
    let opened: Vec<Result<Probe, Error>> = iter(opening).buffered(SIDE_BY_SIDE).collect().await;
    for (stream, probe) in streams.iter().zip(opened) {
        let place = if stored.contains_key(&stream.id) { " at its stored position" } else { "" };
        match probe {
            Ok(_) => group.ok("stream", format!("{} opens{place}: {}", stream.id, stream.capture)),
            Err(error) => report(stream, streams, &error, user, group),
        }
    }
}

fn report(
    stream: &StreamConfig,
    streams: &[&StreamConfig],
    error: &Error,
    user: Option<&User>,
    group: &mut Group,
) {
    let what = format!("{}: {error}", stream.id);
    let fix = match error {
        Error::Source(error) if error.kind == SourceErrorKind::Privilege => {
            role_command(streams, user)
        }
        error => hint(error).to_owned(),
    };
    group.add(Severity::Error, "stream", what, fix);
}
