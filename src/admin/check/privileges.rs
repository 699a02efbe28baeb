//! What the user may do, and the role that would be enough.

use std::collections::BTreeSet;

use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};

use super::server::run;
use crate::admin::finding::{Group, Severity};
use crate::config::{Capture, Startup, StreamConfig};

/// Privilege actions that change data (MongoDB manual, "Privilege Actions"); no stream needs one.
const WRITES: [&str; 8] = [
    "anyAction",
    "createCollection",
    "dropCollection",
    "dropDatabase",
    "insert",
    "remove",
    "shutdown",
    "update",
];

const ROLE: &str = "mongoGcpStream";

/// Who is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub name: String,
    pub database: String,
}

/// Says who is logged in and whether he may more than the streams need. Whether he may as much as
/// they need shows when they are opened.
pub(super) async fn check(
    client: &Client,
    streams: &[&StreamConfig],
    group: &mut Group,
) -> Option<User> {
    let status = match run(client, doc! { "connectionStatus": 1, "showPrivileges": true }).await {
        Ok(status) => status,
        Err(error) => {
            super::connection::failed(group, "privileges", error);
            return None;
        }
    };
    let authentication = status.get_document("authInfo").ok();
    let user = authentication.and_then(user);
    match &user {
        None => {
            let what = "nobody is logged in: where the server wants no login, everybody may do \
                        everything; the least that the streams need:";
            group.add(Severity::Note, "privileges", what, role_command(streams, None));
        }
        Some(User { name, .. }) if authentication.is_some_and(may_write) => {
            let what = format!("user {name} may also write; the least that the streams need:");
            let fix = role_command(streams, user.as_ref());
            group.add(Severity::Note, "privileges", what, fix);
        }
        Some(User { name, .. }) => {
            group.ok("privileges", format!("user {name} is logged in and may not write"));
        }
    }
    user
}

fn user(authentication: &Document) -> Option<User> {
    let users = authentication.get_array("authenticatedUsers").ok()?;
    let user = users.first()?.as_document()?;
    let text = |key| user.get_str(key).ok().map(str::to_owned);
    Some(User { name: text("user")?, database: text("db")? })
}

fn may_write(authentication: &Document) -> bool {
    let privileges = authentication.get_array("authenticatedUserPrivileges");
    let mut privileges = privileges.into_iter().flatten().filter_map(Bson::as_document);
    privileges.any(|privilege| {
        let actions = privilege.get_array("actions").into_iter().flatten();
        actions.filter_map(Bson::as_str).any(|action| WRITES.contains(&action))
    })
}

/// The commands for `mongosh` that make a role with the least privileges, and grant it.
pub(super) fn role_command(streams: &[&StreamConfig], user: Option<&User>) -> String {
    let privileges: BTreeSet<String> = streams.iter().flat_map(|stream| needs(stream)).collect();
    let privileges = privileges.into_iter().collect::<Vec<_>>().join(", ");
    let create = format!(
        "db.getSiblingDB(\"admin\").createRole({{role: \"{ROLE}\", privileges: [{privileges}], \
         roles: []}})"
    );
    let Some(User { name, database }) = user else { return create };
    format!(
        "{create}; db.getSiblingDB({}).grantRolesToUser({}, [{{role: \"{ROLE}\", db: \"admin\"}}])",
        quoted(database),
        quoted(name)
    )
}

fn needs(stream: &StreamConfig) -> Vec<String> {
    let (database, collection) = match &stream.capture {
        Capture::Deployment => ("", ""),
        Capture::Database(database) => (database.as_str(), ""),
        Capture::Collection(database, collection) => (database.as_str(), collection.as_str()),
    };
    let mut needs = vec![privilege(database, collection, "\"find\", \"changeStream\"")];
    if stream.source.startup == Startup::Earliest {
        needs.push(privilege("local", "oplog.rs", "\"find\""));
    }
    needs
}

fn privilege(database: &str, collection: &str, actions: &str) -> String {
    let (database, collection) = (quoted(database), quoted(collection));
    format!("{{resource: {{db: {database}, collection: {collection}}}, actions: [{actions}]}}")
}

/// As a JavaScript text.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, from_yaml};

    fn streams(sources: &str) -> Vec<StreamConfig> {
        let yaml = format!(
            "mongodb: {{connections: {{main: {{uri: 'mongodb://h', sources: {{{sources}}}}}}}}}"
        );
        from_yaml(&yaml, "test", &Environment::new()).unwrap().config.streams().unwrap()
    }

    #[test]
    fn the_role_has_what_the_streams_need_and_nothing_else() {
        let streams = streams(
            "a: {database: shop, collection: orders}, b: {database: shop, collection: orders}, \
             c: {database: crm}, d: {scope: deployment, startup: earliest}",
        );
        let streams: Vec<&StreamConfig> = streams.iter().collect();
        let actions = "actions: [\"find\", \"changeStream\"]";
        assert_eq!(
            role_command(&streams, None),
            format!(
                "db.getSiblingDB(\"admin\").createRole({{role: \"mongoGcpStream\", privileges: [\
                 {{resource: {{db: \"\", collection: \"\"}}, {actions}}}, \
                 {{resource: {{db: \"crm\", collection: \"\"}}, {actions}}}, \
                 {{resource: {{db: \"local\", collection: \"oplog.rs\"}}, actions: [\"find\"]}}, \
                 {{resource: {{db: \"shop\", collection: \"orders\"}}, {actions}}}], roles: []}})"
            )
        );
    }

    #[test]
    fn a_name_cannot_end_its_text() {
        let user = User { name: "a\"b".into(), database: "admin".into() };
        assert!(role_command(&[], Some(&user)).contains(r#"grantRolesToUser("a\"b", "#));
    }
}
