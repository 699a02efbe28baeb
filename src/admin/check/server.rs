//! What kind of server answers, and how many connections it has left.

use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};

use super::images;
use crate::admin::finding::{Group, Severity};
use crate::config::StreamConfig;
use crate::error::{SourceError, SourceErrorKind};
use crate::source::meaning;

/// Replies of older servers carry no post-batch resume token.
const OLDEST: [i32; 2] = [4, 2];

/// Pre- and post-images (MongoDB manual, "Change Streams with Document Pre- and Post-Images").
const WITH_IMAGES: [i32; 2] = [6, 0];

/// Connections of a deployment beyond one a stream: for opening, probing and pinging.
const SPARE_CONNECTIONS: i64 = 4;

/// Who answered.
pub(super) struct Server {
    /// `6.0.5`.
    pub version: String,
    numbers: Vec<i32>,
    pub kind: Kind,
}

/// What a server is part of.
pub(super) enum Kind {
    ReplicaSet { name: String, members: usize },
    Sharded,
    Standalone,
}

impl Server {
    fn is_at_least(&self, version: [i32; 2]) -> bool {
        self.numbers.as_slice() >= version.as_slice()
    }

    /// The name that a checkpoint has of it.
    pub fn replica_set(&self) -> &str {
        match &self.kind {
            Kind::ReplicaSet { name, .. } => name,
            Kind::Sharded => "sharded",
            Kind::Standalone => "",
        }
    }
}

/// Asks for version and topology.
pub(super) async fn ask(client: &Client) -> Result<Server, SourceError> {
    let hello = run(client, doc! { "hello": 1 }).await?;
    let build = run(client, doc! { "buildInfo": 1 }).await?;
    let kind = match (hello.get_str("setName"), hello.get_str("msg")) {
        (Ok(name), _) => {
            let members = hello.get_array("hosts").map_or(1, Vec::len);
            Kind::ReplicaSet { name: name.to_owned(), members }
        }
        (_, Ok("isdbgrid")) => Kind::Sharded,
        _ => Kind::Standalone,
    };
    let numbers = build.get_array("versionArray").map_or(&[][..], Vec::as_slice);
    Ok(Server {
        version: build.get_str("version").unwrap_or("of an unknown version").to_owned(),
        numbers: numbers.iter().filter_map(Bson::as_i32).collect(),
        kind,
    })
}

/// Runs a command on `admin`.
pub(super) async fn run(client: &Client, command: Document) -> Result<Document, SourceError> {
    client.database("admin").run_command(command).await.map_err(|error| meaning(&error))
}

/// Whether the server has the change streams that are configured.
pub(super) fn check(server: &Server, streams: &[&StreamConfig], group: &mut Group) -> bool {
    let is_new_enough = check_version(server, streams, group);
    match &server.kind {
        Kind::ReplicaSet { name, members } => {
            let s = if *members == 1 { "" } else { "s" };
            group.ok(
                "topology",
                format!("replica set {name} with {members} data-bearing member{s}"),
            );
        }
        Kind::Sharded => group.ok("topology", "a sharded cluster behind a mongos"),
        Kind::Standalone => {
            let message = "a standalone server, which has no change streams".to_owned();
            let kind = SourceErrorKind::NotReplicaSet;
            let error = SourceError { kind, message, code: None };
            super::connection::failed(group, "topology", error);
            return false;
        }
    }
    is_new_enough
}

fn check_version(server: &Server, streams: &[&StreamConfig], group: &mut Group) -> bool {
    let Server { version, .. } = server;
    if !server.is_at_least(OLDEST) {
        let what = format!("MongoDB {version} is too old: its replies do not carry the position");
        group.add(Severity::Error, "version", what, "Upgrade to MongoDB 4.2 or later.");
        return false;
    }
    let with_images = streams.iter().any(|stream| images::need(&stream.source).is_some());
    if with_images && !server.is_at_least(WITH_IMAGES) {
        let what = format!("MongoDB {version} has no stored images of documents");
        let fix = "Upgrade to MongoDB 6.0 or later, or set `full_document: update_lookup`.";
        group.add(Severity::Error, "version", what, fix);
    }
    true
}

/// Whether the server takes as many connections as a run needs.
pub(super) async fn check_connections(client: &Client, streams: usize, group: &mut Group) {
    let mut command = doc! { "serverStatus": 1 };
    // Everything else is left out: on a large server it is long.
    for section in ["repl", "metrics", "locks", "wiredTiger", "tcmalloc", "transactions"] {
        command.insert(section, 0);
    }
    match run(client, command).await {
        Ok(status) => report_connections(&status, streams, group),
        Err(error) => {
            let fix = "Grant the user `clusterMonitor` where this should be checked.";
            let what = format!("free connections could not be asked for: {error}");
            group.add(Severity::Note, "connections", what, fix);
        }
    }
}

fn report_connections(status: &Document, streams: usize, group: &mut Group) {
    let connections = status.get_document("connections").ok();
    let number = |key: &str| match connections?.get(key)? {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        _ => None,
    };
    let needed = i64::try_from(streams).unwrap_or(i64::MAX).saturating_add(SPARE_CONNECTIONS);
    match (number("current"), number("available")) {
        (Some(current), Some(available)) if available < needed => {
            let what = format!(
                "the server has {available} connections left ({current} in use), a run needs {needed}"
            );
            let fix = "Close other clients, raise the server's `net.maxIncomingConnections`, or \
                       take a larger Atlas tier.";
            group.add(Severity::Error, "connections", what, fix);
        }
        (_, Some(available)) => {
            group.ok("connections", format!("{available} connections left, a run needs {needed}"));
        }
        _ => group.add(
            Severity::Note,
            "connections",
            "the server does not say how many connections it has left",
            "",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::finding::Finding;

    fn connections(available: i32) -> Finding {
        let mut group = Group::new("connection main".into());
        let status = doc! { "connections": { "current": 400, "available": available } };
        report_connections(&status, 10, &mut group);
        group.into_findings().remove(0)
    }

    #[test]
    fn too_few_connections_are_an_error() {
        assert_eq!(connections(14).severity, Severity::Ok);
        let few = connections(13);
        assert_eq!(few.severity, Severity::Error);
        assert!(few.what.contains("13 connections left") && few.what.contains("needs 14"));
        assert!(!few.fix.is_empty());
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let server = |numbers: &[i32]| Server {
            version: String::new(),
            numbers: numbers.to_vec(),
            kind: Kind::Sharded,
        };
        assert!(server(&[4, 2, 0, 0]).is_at_least(OLDEST));
        assert!(server(&[10, 0, 1, 0]).is_at_least(WITH_IMAGES));
        assert!(!server(&[4, 0, 28, 0]).is_at_least(OLDEST));
        assert!(!server(&[]).is_at_least(OLDEST));
    }
}
