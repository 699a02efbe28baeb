//! A mongod of our own: a temporary folder, a free port, and no survivor.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;
use tokio::sync::OnceCell;

/// Runs the server and waits for its own standard input to end, which also happens when the test
/// process is killed: a static server is never dropped. A line before the end keeps the folder.
const WATCH: &str = r#"
folder=$1; shift
"$@" </dev/null >/dev/null 2>&1 & server=$!
read -r keep; kept=$?
kill -9 $server; wait $server 2>/dev/null
[ $kept -eq 0 ] || rm -rf "$folder"
"#;

/// How long a server may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running mongod.
pub struct Mongod {
    folder: PathBuf,
    port: u16,
    arguments: Vec<String>,
    watch: Option<Child>,
}

static SHARED: OnceCell<Mongod> = OnceCell::const_new();

/// The replica set that the tests of one file share; each takes a database of its own.
pub async fn shared() -> &'static Mongod {
    SHARED.get_or_init(Mongod::replica_set).await
}

impl Mongod {
    /// A replica set of one member, with failpoints and a no-op write each second.
    pub async fn replica_set() -> Self {
        Self::replica_set_with(|_| Vec::new()).await
    }

    /// The same with further arguments, which may name files in the server's folder.
    pub async fn replica_set_with(arguments: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let server = Self::start(|folder| {
            let set = ["--replSet", "rs0", "--setParameter", "periodicNoopIntervalSecs=1"];
            set.map(String::from).into_iter().chain(arguments(folder)).collect()
        });
        let direct = server.options("directConnection=true").await;
        let member = doc! { "_id": 0, "host": format!("127.0.0.1:{}", server.port) };
        let initiate = doc! { "replSetInitiate": { "_id": "rs0", "members": [member] } };
        run(&direct, initiate).await;
        server.wait_for_primary().await;
        server
    }

    /// A server without a replica set.
    pub async fn standalone() -> Self {
        let server = Self::start(|_| Vec::new());
        run(&server.options("directConnection=true").await, doc! { "ping": 1 }).await;
        server
    }

    fn start(arguments: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let folder = tempfile::Builder::new().prefix("mongod-").tempdir().unwrap().keep();
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        let arguments = arguments(&folder);
        drop(free);
        let mut server = Self { folder, port, arguments, watch: None };
        server.spawn();
        server
    }

    fn spawn(&mut self) {
        let mongod = std::env::var("MONGOD_BIN")
            .expect("MONGOD_BIN must name a mongod binary; `make test` finds one and sets it");
        let child = Command::new("sh")
            .args(["-c", WATCH, "watch"])
            .arg(&self.folder)
            .arg(mongod)
            .args(["--bind_ip", "127.0.0.1", "--wiredTigerCacheSizeGB", "0.25"])
            .args(["--setParameter", "enableTestCommands=1"])
            .arg("--dbpath")
            .arg(&self.folder)
            .arg("--logpath")
            .arg(self.folder.join("log"))
            .args(["--port", &self.port.to_string()])
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .spawn()
            .expect("sh starts");
        self.watch = Some(child);
    }

    /// Kills the server as a power failure would, and keeps its files.
    pub fn kill(&mut self) {
        self.end(b"keep\n");
    }

    /// Starts a killed server again, on the same files and port.
    pub async fn start_again(&mut self) {
        self.spawn();
        self.wait_for_primary().await;
    }

    fn end(&mut self, last_words: &[u8]) {
        if let Some(mut watch) = self.watch.take() {
            if let Some(mut input) = watch.stdin.take() {
                std::io::Write::write_all(&mut input, last_words).unwrap();
            }
            watch.wait().unwrap();
        }
    }

    async fn wait_for_primary(&self) {
        run(&self.options("replicaSet=rs0").await, doc! { "ping": 1 }).await;
    }

    async fn options(&self, query: &str) -> ClientOptions {
        let uri = format!("mongodb://127.0.0.1:{}/?{query}", self.port);
        let mut options = ClientOptions::parse(uri).await.unwrap();
        options.server_selection_timeout = Some(PATIENCE);
        options
    }

    /// `127.0.0.1:<port>`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Connection string of the replica set.
    pub fn uri(&self) -> String {
        format!("mongodb://{}/?replicaSet=rs0", self.address())
    }

    /// A client of the replica set, for the runtime of the calling test.
    pub async fn client(&self) -> Client {
        Client::with_options(self.options("replicaSet=rs0").await).unwrap()
    }
}

async fn run(options: &ClientOptions, command: Document) {
    let client = Client::with_options(options.clone()).unwrap();
    client.database("admin").run_command(command).await.expect("mongod starts: see MONGOD_BIN");
}

impl Drop for Mongod {
    fn drop(&mut self) {
        self.end(b"");
    }
}
