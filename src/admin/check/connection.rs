//! One deployment: who is there, what the user may do, and whether the streams open.

use mongodb::Client;
use mongodb::options::{ConnectionString, HostInfo, ServerAddress};

use super::{images, oplog, position, privileges, server, streams};
use crate::admin::finding::{Group, Severity};
use crate::config::{Config, ConnectionConfig, Secret, StreamConfig};
use crate::error::{Error, SourceError};
use crate::recovery::hint;
use crate::source;

/// What is looked at once a server has answered, and once it is known to have change streams.
const OF_A_SERVER: [&str; 2] = ["topology", "privileges"];
const OF_STREAMS: [&str; 4] = ["stream", "oplog", "images", "connections"];

/// Checks the deployment that all of `streams` are in.
pub(super) async fn check(config: &Config, streams: &[&StreamConfig], group: &mut Group) {
    let Some(client) = connect(config, streams, group).await else {
        group.skipped(&OF_A_SERVER, "no server answered");
        return group.skipped(&OF_STREAMS, "no server answered");
    };
    let server = match server::ask(&client).await {
        Ok(server) => server,
        Err(error) => {
            failed(group, "connect", error);
            group.skipped(&OF_A_SERVER, "the server did not answer");
            return group.skipped(&OF_STREAMS, "the server did not answer");
        }
    };
    group.ok("connect", format!("MongoDB {} answers", server.version));
    let user = privileges::check(&client, streams, group).await;
    if !server::check(&server, streams, group) {
        return group.skipped(&OF_STREAMS, "the server has no change streams");
    }
    let stored = position::check(config, &server, streams, group).await;
    streams::check(&client, streams, &stored, user.as_ref(), group).await;
    oplog::check(&client, &server, group).await;
    images::check(&client, streams, group).await;
    server::check_connections(&client, streams.len(), group).await;
    if streams.first().is_some_and(|stream| is_atlas(&stream.connection.uri)) {
        let what = "an Atlas cluster: its limits were probed by opening all streams at once and by \
                    asking for free connections, which has not been verified against Atlas";
        let fix = "Where a role is asked for above: Atlas refuses `createRole`, make a custom role \
                   with these actions under Database Access.";
        group.add(Severity::Note, "atlas", what, fix);
    }
}

async fn connect(config: &Config, streams: &[&StreamConfig], group: &mut Group) -> Option<Client> {
    let count = u32::try_from(streams.len()).unwrap_or(u32::MAX);
    let ConnectionConfig { uri, compressors, .. } = &*streams.first()?.connection;
    match source::build_client(uri, compressors, &config.monitoring, count).await {
        Ok(client) => Some(client),
        Err(error) => {
            group.add(Severity::Error, "connect", error.to_string(), hint(&error));
            None
        }
    }
}

/// A finding for what a stream would end with.
pub(super) fn failed(group: &mut Group, check: &'static str, error: SourceError) {
    let error = Error::from(error);
    group.add(Severity::Error, check, error.to_string(), hint(&error));
}

/// By the names of the hosts: a server does not say that it is one of Atlas.
fn is_atlas(uri: &Secret) -> bool {
    let is_theirs = |host: &str| host.ends_with(".mongodb.net");
    match ConnectionString::parse(uri.expose()).map(|uri| uri.host_info) {
        Ok(HostInfo::HostIdentifiers(hosts)) => hosts
            .iter()
            .any(|address| matches!(address, ServerAddress::Tcp { host, .. } if is_theirs(host))),
        Ok(HostInfo::DnsRecord(host)) => is_theirs(&host),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_of_atlas_is_known_by_its_hosts() {
        for (uri, expected) in [
            ("mongodb+srv://app:x@shop.ab1cd.mongodb.net/?retryWrites=true", true),
            ("mongodb://shop-00.ab1cd.mongodb.net:27017,shop-01.ab1cd.mongodb.net/", true),
            ("mongodb://localhost/mongodb.net", false),
            ("not a uri", false),
        ] {
            assert_eq!(is_atlas(&Secret::new(uri)), expected, "{uri}");
        }
    }
}
