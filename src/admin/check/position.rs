//! The stored positions: whether they belong to what is configured.

use std::collections::HashMap;

use super::server::Server;
use crate::admin::finding::{Group, Severity};
use crate::checkpoint::{Checkpoint, Stores};
use crate::config::{Config, StreamConfig};
use crate::error::{CheckpointError, CheckpointErrorKind, Error};
use crate::event::{Position, StreamId};
use crate::recovery::hint;

/// The positions that a run would go on from. Whether the server still has them shows when the
/// streams are opened there.
pub(super) async fn check(
    config: &Config,
    server: &Server,
    streams: &[&StreamConfig],
    group: &mut Group,
) -> HashMap<StreamId, Position> {
    let mut positions = HashMap::new();
    let Some(checkpoint) = &config.checkpoint else {
        group.skipped(&["position"], "there is no `checkpoint` section");
        return positions;
    };
    let stores = Stores::new(config, checkpoint);
    for stream in streams {
        match look(&stores, server, stream).await {
            Ok(Some(position)) => {
                positions.insert(stream.id.clone(), position);
            }
            Ok(None) => {
                let what =
                    format!("{}: none is stored yet, it begins as `startup` says", stream.id);
                group.add(Severity::Note, "position", what, "");
            }
            Err(error) => {
                let what = format!("{}: {error}", stream.id);
                group.add(Severity::Error, "position", what, hint(&error));
            }
        }
    }
    positions
}

async fn look(
    stores: &Stores,
    server: &Server,
    stream: &StreamConfig,
) -> Result<Option<Position>, Error> {
    let found = stores.read(stream).await?;
    Ok(found.map(|found| belongs(found.checkpoint, server, stream)).transpose()?)
}

/// The position of a checkpoint of this stream on this server.
fn belongs(
    stored: Checkpoint,
    server: &Server,
    stream: &StreamConfig,
) -> Result<Position, CheckpointError> {
    let identity = &stored.identity;
    let scope = stream.capture.to_string();
    let differing = [
        ("scope", identity.scope.as_str(), scope.as_str()),
        ("replica_set", identity.replica_set.as_str(), server.replica_set()),
    ];
    match differing.iter().find(|(_, stored, now)| stored != now) {
        None => Ok(stored.position),
        Some((field, stored, now)) => Err(CheckpointError {
            kind: CheckpointErrorKind::Conflict,
            message: format!(
                "the stored position belongs to another set-up: its `{field}` is `{stored}`, not `{now}`"
            ),
        }),
    }
}
