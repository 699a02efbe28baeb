//! A mongod of our own: a temporary folder, a free port, and no survivor.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;
use tokio::sync::OnceCell;

/// Runs the server until its own standard input ends, which also happens when the test process is
/// killed: a static server is never dropped. A line on it is a signal for the server; after KILL
/// the folder is kept.
const WATCH: &str = r#"
folder=$1; shift
"$@" </dev/null >/dev/null 2>&1 & server=$!
while read -r signal; do
    kill -$signal $server
    if [ $signal = KILL ]; then wait $server 2>/dev/null; exit; fi
done
kill -9 $server 2>/dev/null; wait $server 2>/dev/null
rm -rf "$folder"
"#;

/// How long a server may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running mongod.
pub struct Mongod {
    binary: String,
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

    /// A member of a replica set that does not exist yet.
    pub async fn uninitiated() -> Self {
        let server = Self::start(|_| vec!["--replSet".into(), "rs0".into()]);
        run(&server.options("directConnection=true").await, doc! { "hello": 1 }).await;
        server
    }

    /// A server without a replica set.
    pub async fn standalone() -> Self {
        let server = Self::start(|_| Vec::new());
        run(&server.options("directConnection=true").await, doc! { "ping": 1 }).await;
        server
    }

    fn start(arguments: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let binary = std::env::var("MONGOD_BIN")
            .expect("MONGOD_BIN must name a mongod binary; `make test` finds one and sets it");
        let folder = tempfile::Builder::new().prefix("mongod-").tempdir().unwrap().keep();
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        let arguments = arguments(&folder);
        drop(free);
        let mut server = Self { binary, folder, port, arguments, watch: None };
        server.spawn();
        server
    }

    fn spawn(&mut self) {
        let child = Command::new("sh")
            .args(["-c", WATCH, "watch"])
            .arg(&self.folder)
            .arg(&self.binary)
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
        self.signal("KILL");
        self.end();
    }

    /// Starts a killed server again, on the same files and port.
    pub async fn start_again(&mut self) {
        self.spawn();
        self.wait_for_primary().await;
    }

    /// Stops the server without closing its connections, as a lost network would.
    pub fn freeze(&mut self) {
        self.signal("STOP");
    }

    /// Lets a frozen server go on.
    pub fn thaw(&mut self) {
        self.signal("CONT");
    }

    fn signal(&mut self, signal: &str) {
        let input = self.watch.as_mut().and_then(|watch| watch.stdin.as_mut());
        writeln!(input.expect("the server runs"), "{signal}").unwrap();
    }

    fn end(&mut self) {
        if let Some(mut watch) = self.watch.take() {
            drop(watch.stdin.take());
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

    /// The same with further options in the URI.
    pub async fn client_with(&self, query: &str) -> Client {
        Client::with_options(self.options(&format!("replicaSet=rs0&{query}")).await).unwrap()
    }
}

async fn run(options: &ClientOptions, command: Document) {
    let client = Client::with_options(options.clone()).unwrap();
    client.database("admin").run_command(command).await.expect("mongod starts: see MONGOD_BIN");
}

impl Drop for Mongod {
    fn drop(&mut self) {
        self.end();
    }
}
