use super::*;
use crate::config::{Environment, from_yaml};

const MAIN: &str = "mongodb.connections.main";

fn manager(uri: &str, startup: &str) -> Result<Manager, Error> {
    let yaml = format!(
        "mongodb: {{connections: {{main: {{uri: '{uri}', sources: {{orders: \
         {{database: shop, collection: orders, startup: {startup}}}}}}}}}}}\n\
         gcp: {{project_id: some-project}}\n\
         pubsub: {{topics: {{default: {{name: shop-changes}}}}}}\n\
         checkpoint: {{store: memory}}\n"
    );
    Manager::new(from_yaml(&yaml, "test", &Environment::new()).unwrap().config)
}

#[test]
fn what_only_the_parts_can_tell_is_refused_with_its_whole_path() {
    for (uri, startup, path) in [
        ("mongodb://user:hunter2@host:port/", "latest", format!("{MAIN}.uri")),
        ("mongodb://user:hunter2@host/?maxPoolSize=1", "latest", format!("{MAIN}.uri")),
        (
            "mongodb://host/",
            "{timestamp: '2200-01-01T00:00:00Z'}",
            format!("{MAIN}.sources.orders.startup.timestamp"),
        ),
    ] {
        let Err(Error::Config(error)) = manager(uri, startup) else { panic!("accepted") };
        assert_eq!(error.path, path);
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn streams_are_paused_and_watched_by_name() {
    let manager = manager("mongodb://host/", "latest").unwrap();
    manager.pause("main.orders").unwrap();
    manager.resume("main.orders").unwrap();
    assert_eq!(*manager.watch("main.orders").unwrap().borrow(), StreamState::Starting);
    assert!(manager.pause("main.other").unwrap_err().to_string().contains("`main.other`"));
    let [(id, now)] = &manager.statistics()[..] else { panic!("one stream") };
    assert_eq!((id.to_string().as_str(), now.active()), ("main.orders", false));
}
