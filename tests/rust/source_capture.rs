//! What is captured, and what comes with it: each option against the server.

use mongo_gcp_stream::config::{Capture, Compressor, MonitoringConfig, Secret};
use mongo_gcp_stream::error::SourceErrorKind;
use mongo_gcp_stream::source::{Source, StartAt, build_client};
use mongodb::bson::{Bson, Document, doc};
use serde_json::{Value, json};

use crate::{Bench, idle_operations, ids, operations, read, support};

/// The collections of events; of a rename, the old one.
fn collections(events: &[Document]) -> Vec<&str> {
    let namespaces = events.iter().map(|event| event.get_document("ns").ok());
    namespaces
        .map(|namespace| {
            namespace.map_or("(nothing)", |name| name.get_str("coll").unwrap_or("(none)"))
        })
        .collect()
}

impl Bench {
    async fn write(&self, collection: &str) {
        self.database.collection(collection).insert_one(doc! { "n": 1 }).await.unwrap();
    }

    async fn rename(&self, from: &str, to: &str) {
        let database = self.database.name();
        let command = doc! { "renameCollection": format!("{database}.{from}"),
        "to": format!("{database}.{to}") };
        self.client.database("admin").run_command(command).await.unwrap();
    }

    async fn with_images(self) -> Self {
        let images = doc! { "enabled": true };
        let command = doc! { "create": "orders", "changeStreamPreAndPostImages": images };
        self.database.run_command(command).await.unwrap();
        self
    }

    /// The event of an update that is followed by another before it is read.
    async fn update(&self, config: Value) -> Document {
        let mut stream = self.stream(config);
        stream.open(StartAt::Latest).await.unwrap();
        self.orders.insert_one(doc! { "_id": 1, "n": 0 }).await.unwrap();
        for n in 1..3 {
            self.orders.update_one(doc! { "_id": 1 }, doc! { "$set": { "n": n } }).await.unwrap();
        }
        read(&mut stream, 3).await.remove(1)
    }
}

#[tokio::test]
async fn collections_are_chosen_by_name_and_by_expression_also_new_ones() {
    let bench = Bench::new().await;
    let config = json!({ "include": { "collections": ["orders", "/^items_/"] },
        "exclude": { "collections": ["/_old$/", "items_secret"] } });
    let mut stream = bench.stream_of(Capture::Database(bench.database.name().into()), &config);
    stream.open(StartAt::Latest).await.unwrap();
    for name in ["customers", "orders", "items_1", "items_1_old", "items_secret", "items_2"] {
        bench.write(name).await;
    }
    assert_eq!(collections(&read(&mut stream, 3).await), ["orders", "items_1", "items_2"]);
    bench.write("items_1_old").await;
    bench.write("items_3").await;
    assert_eq!(collections(&read(&mut stream, 1).await), ["items_3"]);
}

#[tokio::test]
async fn a_rename_into_or_out_of_what_is_captured_comes() {
    let bench = Bench::new().await;
    let config = json!({ "include": { "collections": ["/^items_/"] } });
    bench.write("a").await;
    let mut stream = bench.stream_of(Capture::Database(bench.database.name().into()), &config);
    stream.open(StartAt::Latest).await.unwrap();
    bench.rename("a", "b").await;
    bench.rename("b", "items_1").await;
    bench.write("items_1").await;
    bench.rename("items_1", "c").await;
    bench.write("c").await;
    bench.write("items_2").await;
    let events = read(&mut stream, 4).await;
    assert_eq!(operations(&events), ["rename", "insert", "rename", "insert"]);
    assert_eq!(collections(&events), ["b", "items_1", "items_1", "items_2"]);
}

#[tokio::test]
async fn what_names_no_collection_comes_whatever_the_filter() {
    let bench = Bench::new().await;
    let config = json!({ "include": { "collections": ["nothing"] } });
    bench.write("orders").await;
    let mut stream = bench.stream_of(Capture::Database(bench.database.name().into()), &config);
    stream.open(StartAt::Latest).await.unwrap();
    bench.database.drop().await.unwrap();
    bench.write("nothing").await;
    let events = read(&mut stream, 3).await;
    assert_eq!(operations(&events), ["dropDatabase", "invalidate", "insert"]);
    assert_eq!(collections(&events), ["(none)", "(nothing)", "nothing"]);
}

#[tokio::test]
async fn databases_are_chosen_by_name_and_by_expression_also_new_ones() {
    let bench = Bench::new().await;
    let name = bench.database.name();
    let config = json!({
        "include": { "databases": [name, format!("/^{name}_/")] },
        "exclude": { "databases": [format!("{name}_b")] },
    });
    let mut stream = bench.stream_of(Capture::Deployment, &config);
    stream.open(StartAt::Latest).await.unwrap();
    for suffix in ["", "_a", "_b", "x", "_c"] {
        let database = bench.client.database(&format!("{name}{suffix}"));
        database.collection("orders").insert_one(doc! {}).await.unwrap();
        if suffix == "_a" {
            database.drop().await.unwrap();
        }
    }
    let events = read(&mut stream, 5).await;
    let expected = ["insert", "insert", "drop", "dropDatabase", "insert"];
    assert_eq!(operations(&events), expected);
    let last = events[4].get_document("ns").unwrap().get_str("db").unwrap();
    assert_eq!(last, format!("{name}_c"));
}

#[tokio::test]
async fn the_namespace_of_a_store_is_never_read() {
    let bench = Bench::new().await;
    let name = bench.database.name();
    let other = bench.client.database(&format!("{name}_other"));
    let store = Some((name.to_owned(), "checkpoints".to_owned()));
    let config = json!({ "include": { "databases": [name, other.name()] } });
    let mut stream = bench.stream_without(Capture::Deployment, &config, store);
    stream.open(StartAt::Latest).await.unwrap();
    bench.write("checkpoints").await;
    bench.write("orders").await;
    bench.write("checkpoints").await;
    other.collection("checkpoints").insert_one(doc! {}).await.unwrap();
    assert_eq!(collections(&read(&mut stream, 2).await), ["orders", "checkpoints"]);
}

#[tokio::test]
async fn skipped_operations_do_not_come_and_an_invalidated_stream_goes_on() {
    let bench = Bench::new().await;
    let mut stream = bench.latest(json!({ "skip_operations": ["insert", "invalidate"] })).await;
    bench.insert(0..2).await;
    bench.orders.delete_one(doc! { "_id": 1 }).await.unwrap();
    bench.orders.drop().await.unwrap();
    assert_eq!(operations(&read(&mut stream, 2).await), ["delete", "drop"]);
    bench.insert(0..1).await;
    bench.orders.delete_one(doc! { "_id": 0 }).await.unwrap();
    let events = read(&mut stream, 1).await;
    assert_eq!((operations(&events), ids(&events)), (vec!["delete"], vec![0]));
}

#[tokio::test]
async fn the_image_of_an_update() {
    let number = |image: Option<&Bson>| {
        image.map(|image| match image {
            Bson::Document(image) => image.get_i32("n").unwrap(),
            image => panic!("{image}"),
        })
    };
    for (full_document, expected) in [
        ("default", None),
        ("update_lookup", Some(2)),
        ("when_available", Some(1)),
        ("required", Some(1)),
    ] {
        let bench = Bench::new().await.with_images().await;
        let event = bench.update(json!({ "full_document": full_document })).await;
        assert_eq!(number(event.get("fullDocument")), expected, "{full_document}");
    }
}

#[tokio::test]
async fn the_image_before_an_update() {
    for (option, expected) in [("off", None), ("when_available", Some(0)), ("required", Some(0))] {
        let bench = Bench::new().await.with_images().await;
        let event = bench.update(json!({ "full_document_before_change": option })).await;
        let image = event.get_document("fullDocumentBeforeChange").ok();
        assert_eq!(image.map(|image| image.get_i32("n").unwrap()), expected, "{option}");
    }
}

#[tokio::test]
async fn an_image_that_is_not_stored_is_null() {
    let config = json!({ "full_document": "when_available",
        "full_document_before_change": "when_available" });
    let event = Bench::new().await.update(config).await;
    assert_eq!(event.get("fullDocument"), Some(&Bson::Null));
    assert_eq!(event.get("fullDocumentBeforeChange"), Some(&Bson::Null));
}

#[tokio::test]
async fn an_image_that_is_required_and_not_stored_is_an_error() {
    for key in ["full_document", "full_document_before_change"] {
        let bench = Bench::new().await;
        bench.insert(0..1).await;
        let mut stream = bench.latest(json!({ key: "required" })).await;
        bench.orders.update_one(doc! {}, doc! { "$set": { "n": 5 } }).await.unwrap();
        let error = loop {
            match stream.next_batch().await {
                Ok(batch) => assert!(batch.is_empty()),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind, SourceErrorKind::Query);
        assert!(error.message.contains("changeStreamPreAndPostImages"), "{key}: {error}");
    }
}

#[tokio::test]
async fn expanded_events_come_where_they_are_asked_for() {
    let bench = Bench::new().await;
    let mut plain = bench.latest(json!({})).await;
    let mut expanded = bench.latest(json!({ "show_expanded_events": true })).await;
    let index = mongodb::IndexModel::builder().keys(doc! { "n": 1 }).build();
    bench.database.create_collection("orders").await.unwrap();
    bench.orders.create_index(index).await.unwrap();
    bench.insert(0..1).await;
    let events = read(&mut expanded, 3).await;
    assert_eq!(operations(&events), ["create", "createIndexes", "insert"]);
    assert!(events[0].contains_key("collectionUUID"));
    assert_eq!(operations(&read(&mut plain, 1).await), ["insert"]);
}

#[tokio::test]
async fn the_filter_runs_before_the_users_pipeline_where_the_source_wants_it_read() {
    let bench = Bench::new().await;
    let config = json!({ "skip_operations": ["drop"], "read_preference": "secondary_preferred",
        "pipeline": [{ "$match": { "mine": 1 } }] });
    let _stream = bench.latest(config).await;
    let operations = idle_operations(&bench.client, &bench.database).await;
    let [operation] = operations.as_slice() else { panic!("{operations:?}") };
    let cursor = operation.get_document("cursor").unwrap();
    let command = cursor.get_document("originatingCommand").unwrap();
    let stages = command.get_array("pipeline").unwrap();
    let filter = doc! { "$match": { "$and": [{ "operationType": { "$nin": ["drop"] } }] } };
    let mine = doc! { "$match": { "mine": 1 } };
    assert_eq!(stages[1..], [Bson::Document(filter), Bson::Document(mine)]);
    let preference = command.get_document("$readPreference").unwrap();
    assert_eq!(preference.get_str("mode").unwrap(), "secondaryPreferred");
}

#[tokio::test]
async fn a_compressor_of_the_configuration_is_used() {
    let server = support::mongod::shared().await;
    let monitoring = MonitoringConfig::default();
    let compressors = [Compressor::Snappy];
    let uri = Secret::new(server.uri());
    let client = build_client(&uri, &compressors, &monitoring, 1).await.unwrap();
    let compressed = async || {
        let status =
            client.database("admin").run_command(doc! { "serverStatus": 1 }).await.unwrap();
        let network = status.get_document("network").unwrap();
        let snappy = network.get_document("compression").unwrap().get_document("snappy").unwrap();
        snappy.get_document("decompressor").unwrap().get_i64("bytesIn").unwrap()
    };
    let before = compressed().await;
    assert!(compressed().await > before);
}
