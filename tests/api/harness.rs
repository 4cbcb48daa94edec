//! A server for each test: its own directory, database, keys, port and clock; stopped when dropped.
//!
//! ```ignore
//! let server = TestServer::start();
//! let editor = server.signed_in(Role::Editor);
//! let author = editor.post("/api/v1/manage/authors", &json!({ "name": "Maya" })).expect(201).json();
//! server.anonymous().get("/api/v1/authors/maya").expect(200);
//! server.app.clock.advance(Duration::from_secs(60));
//! ```

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, mpsc};
use std::thread::{self, JoinHandle};

use copydesk::auth::{Role, UserId, passwords};
use copydesk::config::{Config, PasswordCost};
use copydesk::http::Problem;
use copydesk::server;
use copydesk::state::{App, Clock};
use copydesk::users::{self, NewUser, Who};
use diesel::RunQueryDsl;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use serde_json::json;
use tempfile::TempDir;

use crate::client::{Client, Wire};

/// The password of every account that the harness makes.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// What every test puts into all that is personal of a contact message: it must stand in no file and no log.
pub(crate) const MARKER: &str = "zqprivat";
/// The digits of every phone number that tests leave behind.
pub(crate) const MARKED_PHONE: &str = "4155550199";

/// Whether something personal has come into the log of any server.
static LEAKED: AtomicBool = AtomicBool::new(false);

/// How the id of a request begins whose lines in the log a test wants to see.
pub(crate) const LOGGED: &str = "zqlogged-";

/// The lines in the log of any server that are about such requests.
static LOGGED_LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The lines in the log about the request with this id, which begins with [`LOGGED`].
pub(crate) fn logged_of(request_id: &str) -> Vec<String> {
    let lines = LOGGED_LINES.lock().unwrap();
    lines.iter().filter(|line| line.contains(request_id)).cloned().collect()
}

/// A log at its most talkative, which nobody reads but this.
struct WatchedLog;

impl Write for WatchedLog {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if is_personal(line) {
            LEAKED.store(true, Ordering::SeqCst);
            drop(writeln!(std::io::stderr(), "personal: {}", String::from_utf8_lossy(line)));
        }
        let text = String::from_utf8_lossy(line);
        if text.contains(LOGGED) {
            LOGGED_LINES.lock().unwrap().push(text.into_owned());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn watch_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
        lines.with_writer(|| WatchedLog).init();
    });
}

/// Whether something personal stands in these bytes.
pub(crate) fn is_personal(bytes: &[u8]) -> bool {
    [MARKER, MARKED_PHONE]
        .iter()
        .any(|wanted| bytes.windows(wanted.len()).any(|window| window.eq_ignore_ascii_case(wanted.as_bytes())))
}

/// The files under a directory in which something personal stands.
pub(crate) fn personal_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(personal_files(&path));
        } else if std::fs::read(&path).is_ok_and(|bytes| is_personal(&bytes)) {
            found.push(path);
        }
    }
    found
}

/// The least that Argon2 takes with one lane: tests wait for nothing that they don't test.
const CHEAP: PasswordCost = PasswordCost { memory_kib: 8, passes: 1 };

/// For how many seconds a token of [`TestServer::signed_in`] is used again; it lasts 900.
const TOKEN_REUSE_SECONDS: i64 = 600;

/// An account that the harness made.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// Its id.
    pub id: UserId,
    /// Its email; the password is [`PASSWORD`].
    pub email: String,
}

struct KnownToken {
    token: String,
    issued_at: i64,
}

/// A running server.
pub(crate) struct TestServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its state: move `app.clock`, look into `app.db`.
    pub app: Arc<App>,
    directory: Option<TempDir>,
    wire: Arc<Wire>,
    tokens: Mutex<HashMap<Role, KnownToken>>,
    handle: actix_web::dev::ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// A server with the settings that hold where nothing is set.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// A server whose settings `adjust` changes.
    pub(crate) fn start_with(adjust: impl FnOnce(&mut Config)) -> Self {
        Self::start_at(Clock::default(), adjust)
    }

    /// The same, with a clock that was moved before.
    pub(crate) fn start_at(clock: Clock, adjust: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::load(|_| None).unwrap();
        config.data_dir = directory.path().join("data");
        config.database = config.data_dir.join("copydesk.db");
        config.key_dir = config.data_dir.join("keys");
        config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.workers = 1;
        config.password_cost = CHEAP;
        adjust(&mut config);
        Self::start_in_at(directory, config, clock)
    }

    /// A server that goes on with what another left in a directory.
    pub(crate) fn start_in(directory: TempDir, config: Config) -> Self {
        Self::start_in_at(directory, config, Clock::default())
    }

    fn start_in_at(directory: TempDir, config: Config, clock: Clock) -> Self {
        watch_log();
        // The settings go on saying port 0, so that two servers that are compared give the same addresses.
        let app = server::open(config, clock).unwrap();
        let (sender, receiver) = mpsc::channel();
        let thread = thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let (socket, _) = server::bind(app.config.listen).unwrap();
                let running = server::start(app, socket).unwrap();
                sender.send((running.address, Arc::clone(&running.app), running.handle.clone())).unwrap();
                running.serve().await.unwrap();
            });
        });
        let (address, app, handle) = receiver.recv().expect("the server starts");
        let wire = Wire::new(address);
        Self { address, app, directory: Some(directory), wire, tokens: Mutex::default(), handle, thread: Some(thread) }
    }

    /// A caller without a token.
    pub(crate) fn anonymous(&self) -> Client {
        Client::new(Arc::clone(&self.wire), None)
    }

    /// A caller with this token, or whatever else follows `Bearer`.
    pub(crate) fn with_token(&self, token: &str) -> Client {
        Client::new(Arc::clone(&self.wire), Some(token.to_owned()))
    }

    /// A caller of this role: always the same account, made and signed in where it is not yet.
    pub(crate) fn signed_in(&self, role: Role) -> Client {
        let now = self.app.clock.now().unix_seconds();
        let mut tokens = self.tokens.lock().unwrap();
        let email = format!("{}@example.org", role.name());
        let fresh = tokens.get(&role).is_some_and(|known| now - known.issued_at < TOKEN_REUSE_SECONDS);
        if !fresh {
            if !tokens.contains_key(&role) {
                self.insert_account(&email, role);
            }
            tokens.insert(role, KnownToken { token: self.token(&email, PASSWORD), issued_at: now });
        }
        self.with_token(&tokens[&role].token)
    }

    /// A new account of this role, another one each time.
    pub(crate) fn account(&self, role: Role) -> Account {
        let email = format!("{}-{}@example.org", role.name(), uuid::Uuid::now_v7().simple());
        Account { id: self.insert_account(&email, role), email }
    }

    /// A caller who has just signed in to this account.
    pub(crate) fn sign_in(&self, account: &Account) -> Client {
        self.with_token(&self.token(&account.email, PASSWORD))
    }

    /// Really logs in.
    pub(crate) fn token(&self, email: &str, password: &str) -> String {
        let body = json!({ "email": email, "password": password });
        let answer = self.anonymous().post("/api/v1/auth/login", &body).expect(200).json();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// Disables an account.
    pub(crate) fn disable(&self, account: &Account) {
        let (id, now) = (account.id, self.app.clock.now());
        self.write(move |conn| {
            diesel::sql_query("UPDATE users SET disabled_at = ? WHERE id = ?")
                .bind::<Nullable<BigInt>, _>(Some(now.unix_millis()))
                .bind::<Binary, _>(id)
                .execute(conn)
        });
    }

    /// Gives an account another role.
    pub(crate) fn change_role(&self, account: &Account, role: Role) {
        let id = account.id;
        self.write(move |conn| {
            diesel::sql_query("UPDATE users SET role = ? WHERE id = ?")
                .bind::<Text, _>(role)
                .bind::<Binary, _>(id)
                .execute(conn)
        });
    }

    /// Changes the database past the API: for what no endpoint does.
    pub(crate) fn write<F>(&self, work: F)
    where
        F: FnOnce(&mut copydesk::db::Conn) -> diesel::QueryResult<usize> + Send + 'static,
    {
        let written = block_on(self.app.db.write(move |tx| work(tx).map_err(Problem::from)));
        written.unwrap();
    }

    fn insert_account(&self, email: &str, role: Role) -> UserId {
        let hash = passwords::hash(self.app.config.password_cost, PASSWORD).unwrap();
        let new = NewUser { email: email.to_owned(), name: format!("The {}", role.name()), role };
        let now = self.app.clock.now();
        let inserted =
            block_on(self.app.db.write(move |tx| users::insert(tx, &new, Some(hash), Who::CommandLine, now)));
        inserted.unwrap()
    }

    /// Asks the server to stop once the requests in flight are answered; comes back when it has stopped.
    pub(crate) fn stop(mut self) {
        self.stop_and_join();
    }

    /// Stops it, and keeps its directory for [`TestServer::start_in`].
    pub(crate) fn keep(mut self) -> TempDir {
        self.stop_and_join();
        self.directory.take().unwrap()
    }

    /// Asks the server to stop once the requests in flight are answered, and does not wait for it.
    pub(crate) fn begin_stop(&self) -> JoinHandle<()> {
        let handle = self.handle.clone();
        thread::spawn(move || block_on(handle.stop(true)))
    }

    fn stop_and_join(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        block_on(self.handle.stop(true));
        let outcome = thread.join();
        // A test that has failed already must not abort the others by a panic within a panic.
        if !thread::panicking() {
            outcome.expect("the server stops without a panic");
            assert!(!LEAKED.load(Ordering::SeqCst), "something personal has come into a log");
            let directory = self.directory.as_ref().expect("it is still there").path();
            assert_eq!(personal_files(directory), Vec::<PathBuf>::new(), "something personal stands in a file");
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop_and_join();
    }
}

/// Drives a future of the program from a test's thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
