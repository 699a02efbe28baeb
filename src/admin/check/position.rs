//! The stored positions: whether they belong to what is configured.

use std::collections::HashMap;

use super::server::Server;
use crate::admin::finding::{Group, Severity};
use crate::checkpoint::{Checkpoint, FileStore};
use crate::config::{Config, StoreKind, StreamConfig};
use crate::error::{CheckpointError, CheckpointErrorKind, Error};
use crate::event::{Position, StreamId};
use crate::recovery::hint;

/// The positions that a run would go on from. Whether the server still has them shows when the
/// streams are opened there.
pub(super) fn check(
    config: &Config,
    server: &Server,
    streams: &[&StreamConfig],
    group: &mut Group,
) -> HashMap<StreamId, Position> {
    let checkpoint = config.checkpoint.as_ref();
    let folder = checkpoint
        .filter(|checkpoint| checkpoint.store == StoreKind::File)
        .and_then(|checkpoint| checkpoint.path.as_deref());
    let Some(folder) = folder else {
        group.skipped(&["position"], "positions are looked up in the store `file` only");
        return HashMap::new();
    };
    let mut positions = HashMap::new();
    for stream in streams {
        let stored = FileStore::peek(folder, &stream.id.to_string());
        match stored.and_then(|stored| stored.map(|it| belongs(it, server, stream)).transpose()) {
            Ok(Some(position)) => {
                positions.insert(stream.id.clone(), position);
            }
            Ok(None) => {
                let what =
                    format!("{}: none is stored yet, it begins as `startup` says", stream.id);
                group.add(Severity::Note, "position", what, "");
            }
            Err(error) => {
                let error = Error::from(error);
                let what = format!("{}: {error}", stream.id);
                group.add(Severity::Error, "position", what, hint(&error));
            }
        }
    }
    positions
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
