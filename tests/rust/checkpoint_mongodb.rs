//! The MongoDB store on a real mongod.

use std::sync::{Arc, Mutex};

use mongo_gcp_stream::checkpoint::{Checkpoint, CheckpointStore, MongoStore, take_over};
use mongo_gcp_stream::error::CheckpointErrorKind::{Conflict, Corrupt, Unreachable};
use mongo_gcp_stream::event::Position;
use mongodb::bson::{Bson, Document, Timestamp, doc, rawdoc};
use mongodb::event::EventHandler;
use mongodb::event::command::CommandEvent;
use mongodb::options::ClientOptions;
use mongodb::{Client, Collection};
use proptest::prelude::*;

use crate::support::mongod::{Mongod, shared};
use crate::{STREAM, checkpoint, identity};

const DATABASE: &str = "mongo_gcp_stream";

/// A collection of the test's own, named after it.
struct Bench {
    client: Client,
    collection: Collection<Document>,
}

impl Bench {
    async fn new(name: &str) -> Self {
        Self::on(shared().await.client().await, name).await
    }

    async fn on(client: Client, name: &str) -> Self {
        let collection = client.database(DATABASE).collection(name);
        collection.drop().await.unwrap();
        Self { client, collection }
    }

    /// A store as a process of its own opens it.
    fn process(&self) -> MongoStore {
        MongoStore::new(&self.client, DATABASE, self.collection.name(), STREAM)
    }

    async fn document(&self) -> Option<Document> {
        self.collection.find_one(doc! {}).await.unwrap()
    }
}

#[tokio::test]
async fn a_checkpoint_survives_its_process() {
    let bench = Bench::new("survives").await;
    let store = bench.process();
    assert_eq!(store.load().await, Ok(None));
    let time = Position::OperationTime(Timestamp { time: 1_727_054_046, increment: 3 });
    for checkpoint in [
        checkpoint(1, 7),
        Checkpoint::new(identity(), 1, 8, time),
        Checkpoint::new(
            identity(),
            1,
            9,
            Position::Token(rawdoc! { "_data": "82", "_kind": 1_i64, "_typeBits": { "a": [1] } }),
        ),
    ] {
        store.store(&checkpoint).await.unwrap();
        assert_eq!(store.load().await, Ok(Some(checkpoint)));
    }
    let other = MongoStore::new(&bench.client, DATABASE, bench.collection.name(), "main.items");
    other.store(&checkpoint(1, 0)).await.unwrap();

    let next = bench.process();
    let stored = next.read().await.unwrap().unwrap();
    assert_eq!(stored.checkpoint.sequence, 9);
    assert!(stored.stored_at.is_some());
    assert_eq!(take_over(&next, &identity(), false).await.unwrap().epoch, 2);
    next.clear().await.unwrap();
    next.clear().await.unwrap();
    assert_eq!(next.load().await, Ok(None));
    assert_eq!(bench.document().await.unwrap().get_str("_id").unwrap(), "main.items");
}

#[tokio::test]
async fn the_older_process_is_refused_and_moves_nothing() {
    let bench = Bench::new("fenced").await;
    let (older, newer) = (bench.process(), bench.process());
    older.store(&checkpoint(1, 0)).await.unwrap();
    older.store(&checkpoint(1, 500)).await.unwrap();
    // Who claims an epoch that another one has is as late as one who claims an older one.
    assert_eq!(newer.store(&checkpoint(1, 501)).await.unwrap_err().kind, Conflict);
    newer.store(&checkpoint(2, 0)).await.unwrap();
    for sequence in [500, 501, u64::from(u32::MAX)] {
        let error = older.store(&checkpoint(1, sequence)).await.unwrap_err();
        assert_eq!(error.kind, Conflict);
        assert!(error.message.contains("epoch 2, sequence 0"), "{error}");
    }
    assert_eq!(newer.store(&checkpoint(1, 9)).await.unwrap_err().kind, Conflict);
    assert_eq!(newer.load().await, Ok(Some(checkpoint(2, 0))));
    newer.store(&checkpoint(2, 1)).await.unwrap();

    newer.clear().await.unwrap();
    assert_eq!(newer.store(&checkpoint(2, 2)).await.unwrap_err().kind, Conflict);
    assert_eq!(newer.load().await, Ok(None));
}

#[tokio::test]
async fn what_cannot_be_understood_is_corrupt_and_stays_as_it_is() {
    let bench = Bench::new("corrupt").await;
    bench.process().store(&checkpoint(1, 1)).await.unwrap();
    let good = bench.document().await.unwrap();
    let wrong: [(&str, Bson, &str); 4] = [
        ("format_version", 2.into(), "format_version: 2"),
        ("epoch", "one".into(), "epoch: expected"),
        ("epoch", Bson::Null, "epoch: expected"),
        ("format_version", Bson::Null, "format_version: expected"),
    ];
    for (field, value, named) in wrong {
        let mut damaged = good.clone();
        damaged.insert(field, value);
        bench.collection.replace_one(doc! {}, &damaged).await.unwrap();
        let store = bench.process();
        for error in
            [store.load().await.unwrap_err(), store.store(&checkpoint(2, 0)).await.unwrap_err()]
        {
            assert_eq!(error.kind, Corrupt);
            assert!(error.message.contains(named), "{error}");
            assert!(error.message.contains("mongo_gcp_stream.corrupt"), "{error}");
        }
        assert_eq!(bench.document().await, Some(damaged));
    }
}

/// A claim is made again after an answer that said nothing, and then counts once.
#[tokio::test]
async fn a_store_whose_outcome_is_unknown_is_repeated() {
    let server = Mongod::replica_set().await;
    let bench = Bench::on(server.client().await, "repeated").await;
    let store = bench.process();
    let error = doc! { "code": 64, "codeName": "WriteConcernFailed", "errmsg": "hunter2" };
    let fault = doc! { "failCommands": ["update"], "writeConcernError": error };
    let fail = doc! { "configureFailPoint": "failCommand", "mode": { "times": 2 }, "data": fault };
    bench.client.database("admin").run_command(fail).await.unwrap();
    for next in [checkpoint(1, 0), checkpoint(1, 0)] {
        let error = store.store(&next).await.unwrap_err();
        assert_eq!(error.kind, Unreachable);
        assert!(error.message.contains("WriteConcernFailed"), "{error}");
        assert!(!error.message.contains("hunter2"), "{error}");
    }
    store.store(&checkpoint(1, 0)).await.unwrap();
    store.store(&checkpoint(1, 5)).await.unwrap();
    assert_eq!(store.load().await, Ok(Some(checkpoint(1, 5))));
}

#[tokio::test]
async fn a_server_that_is_away_is_unreachable_and_then_goes_on() {
    let mut server = Mongod::replica_set().await;
    let client = server.client_with("serverSelectionTimeoutMS=300").await;
    let bench = Bench::on(client, "away").await;
    let store = bench.process();
    store.store(&checkpoint(1, 1)).await.unwrap();
    server.kill();
    assert_eq!(store.store(&checkpoint(1, 2)).await.unwrap_err().kind, Unreachable);
    assert_eq!(store.load().await.unwrap_err().kind, Unreachable);
    server.start_again().await;
    while store.store(&checkpoint(1, 3)).await.is_err_and(|error| error.kind == Unreachable) {}
    assert_eq!(store.load().await, Ok(Some(checkpoint(1, 3))));
}

#[tokio::test]
async fn what_is_stored_and_read_is_that_of_a_majority() {
    let commands: Arc<Mutex<Vec<Document>>> = Arc::default();
    let seen = Arc::clone(&commands);
    let uri = format!("{}&readPreference=secondaryPreferred", shared().await.uri());
    let mut options = ClientOptions::parse(uri).await.unwrap();
    options.command_event_handler = Some(EventHandler::callback(move |event| {
        if let CommandEvent::Started(started) = event {
            seen.lock().unwrap().push(started.command);
        }
    }));
    let bench = Bench::on(Client::with_options(options).unwrap(), "majority").await;
    commands.lock().unwrap().clear();
    let store = bench.process();
    store.store(&checkpoint(1, 1)).await.unwrap();
    store.load().await.unwrap();
    store.clear().await.unwrap();
    let commands = commands.lock().unwrap();
    let concern = |name: &str, concern: &str, key: &str| {
        let command = commands.iter().find(|command| command.contains_key(name)).unwrap();
        command.get_document(concern).unwrap().get_str(key).unwrap().to_owned()
    };
    assert_eq!(concern("update", "writeConcern", "w"), "majority");
    assert_eq!(concern("find", "readConcern", "level"), "majority");
    assert_eq!(concern("delete", "writeConcern", "w"), "majority");
    let find = commands.iter().find(|command| command.contains_key("find")).unwrap();
    let preference = find.get_document("$readPreference").ok();
    assert!(preference.is_none_or(|read| read.get_str("mode").unwrap() == "primary"), "{find}");
}

/// What one of two processes does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// It starts: takes the checkpoint over and stores its opening position.
    Begin(usize),
    /// It stores a position this many events further on.
    Advance(usize, u64),
    /// Both store at once.
    Race(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..2_usize).prop_map(Step::Begin),
        (0..2_usize, 0..3_u64).prop_map(|(process, events)| Step::Advance(process, events)),
        (0..3_u64).prop_map(Step::Race),
    ];
    prop::collection::vec(step, 1..24)
}

/// A process and the last checkpoint that it stored.
struct Process {
    store: MongoStore,
    at: Option<(u64, u64)>,
}

impl Process {
    async fn begin(&mut self, bench: &Bench) {
        self.store = bench.process();
        let epoch = take_over(&self.store, &identity(), false).await.unwrap().epoch;
        self.store.store(&checkpoint(epoch, 0)).await.unwrap();
        self.at = Some((epoch, 0));
    }

    /// A refused process ends.
    async fn advance(&mut self, events: u64) {
        let Some((epoch, sequence)) = self.at else { return };
        let next = (epoch, sequence + events);
        self.at = match self.store.store(&checkpoint(next.0, next.1)).await {
            Ok(()) => Some(next),
            Err(error) if error.kind == Conflict => None,
            Err(error) => panic!("{error}"),
        };
    }
}

async fn stored(bench: &Bench) -> (u64, u64) {
    let stored = bench.process().load().await.unwrap();
    stored.map_or((0, 0), |stored| (stored.epoch, stored.sequence))
}

async fn never_backwards(steps: Vec<Step>) {
    let bench = Bench::new("interleaved").await;
    let process = || Process { store: bench.process(), at: None };
    let mut processes = [process(), process()];
    let mut before = stored(&bench).await;
    for step in steps {
        match step {
            Step::Begin(index) => processes[index].begin(&bench).await,
            Step::Advance(index, events) => processes[index].advance(events).await,
            Step::Race(events) => {
                let [one, other] = &mut processes;
                tokio::join!(one.advance(events), other.advance(events));
            }
        }
        let now = stored(&bench).await;
        assert!(now >= before, "{step:?}: from {before:?} to {now:?}");
        // Whoever was not refused is where the store is: there is one at most.
        for at in processes.iter().filter_map(|process| process.at) {
            assert!(at <= now, "{step:?}: a process at {at:?}, the store at {now:?}");
        }
        before = now;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    #[test]
    fn two_processes_in_any_interleaving_never_move_backwards(steps in steps()) {
        tokio::runtime::Runtime::new().unwrap().block_on(never_backwards(steps));
    }
}
