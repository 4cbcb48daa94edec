//! The keys of contact messages as the person who runs the program meets them; messages that outlive SIGKILL; and what
//! the real program says aloud of what is personal: nothing.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{Connection as _, QueryableByName, RunQueryDsl, SqliteConnection};
use serde_json::{Value, json};

use crate::command_line::{PASSWORD, Server, copydesk, create_account, printed, run, run_with_input, words};
use crate::contact::{MANAGED, SUBMISSIONS, message, message_with};
use crate::harness::{MARKED_PHONE, MARKER, is_personal, personal_files};
use crate::steps::eventually;

const INTAKE: &str = "intake@example.org";

fn authorization(server: &Server) -> String {
    format!("Authorization: Bearer {}\r\n", server.token(INTAKE, PASSWORD))
}

fn send(server: &Server, message: &Value) -> String {
    let (status, answer) = server.request_with("", "POST", SUBMISSIONS, Some(message));
    assert_eq!(status, 202, "{answer}");
    serde_json::from_str::<Value>(&answer).unwrap()["id"].as_str().unwrap().to_owned()
}

fn read(server: &Server, id: &str) -> Value {
    let (status, answer) = server.request_with(&authorization(server), "GET", &format!("{MANAGED}/{id}"), None);
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str(&answer).unwrap()
}

/// The key files, but for the lock.
fn key_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("data/keys")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().contains("/contact-")).collect();
    files.sort();
    files
}

#[test]
fn the_master_key_rotates_while_the_program_serves() {
    let dir = tempfile::tempdir().unwrap();
    assert!(create_account(dir.path(), INTAKE, "intake").status.success());
    let server = Server::start(dir.path(), &[]);
    let before = send(&server, &message());
    let files = key_files(dir.path());
    let contents = |files: &[PathBuf]| files.iter().map(|file| fs::read(file).unwrap()).collect::<Vec<_>>();
    let old = contents(&files);
    let rotated = run(dir.path(), &["keys", "rotate", "--contact"]);
    assert!(rotated.status.success() && words(&rotated).contains("wraps the 1 keys"), "{}", words(&rotated));
    let now = key_files(dir.path());
    assert_eq!((files.len(), now.len()), (2, 2));
    assert!(contents(&now).iter().all(|file| !old.contains(file)), "both are other files now");
    let after = send(&server, &message());
    assert_eq!(read(&server, &before)["message"], message()["message"]);
    drop(server);
    let again = Server::start(dir.path(), &[]);
    for id in [before, after] {
        assert_eq!(read(&again, &id)["message"], message()["message"]);
    }
    let told = printed(dir.path(), &["check"]);
    assert!(told.contains("contact messages ok     2 messages"), "{told}");
}

#[test]
fn a_missing_or_wrong_key_is_a_clear_refusal_and_escrow_brings_it_back() {
    let dir = tempfile::tempdir().unwrap();
    assert!(create_account(dir.path(), INTAKE, "intake").status.success());
    let server = Server::start(dir.path(), &[]);
    let id = send(&server, &message());
    // A bare name, as people type it.
    let path = "escrow.json";
    let passphrase = "a passphrase for many years\n";
    let export = ["keys", "export", "--contact", "--passphrase-stdin", path];
    let short = run_with_input(dir.path(), &export, "short\n");
    assert!(!short.status.success() && words(&short).contains("15"), "{}", words(&short));
    let exported = run_with_input(dir.path(), &export, passphrase);
    assert!(exported.status.success() && words(&exported).contains("1 keys"), "{}", words(&exported));
    assert!(!run_with_input(dir.path(), &export, passphrase).status.success(), "nothing is overwritten");
    drop(server);
    let month = key_files(dir.path()).into_iter().find(|file| !file.to_string_lossy().contains("master")).unwrap();
    let kept = fs::read(&month).unwrap();
    fs::remove_file(&month).unwrap();
    let refused = |what: &str| {
        let output = run(dir.path(), &["serve", "--listen", "127.0.0.1:0"]);
        let told = words(&output);
        assert!(!output.status.success() && told.contains(what) && told.lines().count() == 1, "{told}");
        told
    };
    let told = refused("is not in the key directory");
    assert!(told.contains("keys import --contact") && told.contains("keys forget --contact"), "{told}");
    fs::write(&month, "garbage\n").unwrap();
    refused("chmod 600");
    fs::set_permissions(&month, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    refused("is not a key file");
    fs::write(&month, String::from_utf8(kept).unwrap().replace('\n', "\nAAAA")).unwrap();
    refused("another master key");
    let import = ["keys", "import", "--contact", "--passphrase-stdin", path];
    let wrong = run_with_input(dir.path(), &import, "another long passphrase\n");
    assert!(!wrong.status.success() && words(&wrong).contains("passphrase is wrong"), "{}", words(&wrong));
    let imported = run_with_input(dir.path(), &import, passphrase);
    assert!(words(&imported).contains("1 of the 1 keys"), "{}", words(&imported));
    let again = Server::start(dir.path(), &[]);
    assert_eq!(read(&again, &id)["message"], message()["message"]);
}

#[test]
fn what_no_key_opens_any_more_can_be_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    assert!(create_account(dir.path(), INTAKE, "intake").status.success());
    let server = Server::start(dir.path(), &[]);
    send(&server, &message());
    drop(server);
    for file in key_files(dir.path()) {
        fs::remove_file(file).unwrap();
    }
    let check = run(dir.path(), &["check"]);
    assert!(!check.status.success(), "{}", words(&check));
    for arguments in [&["keys", "forget", "--contact"][..], &["keys", "forget", "--contact", "--erase", "2"]] {
        let refused = run(dir.path(), arguments);
        let told = words(&refused);
        assert!(
            !refused.status.success() && told.contains("--erase 1") && told.contains("Nothing was changed"),
            "{told}"
        );
    }
    let forgotten = run(dir.path(), &["keys", "forget", "--contact", "--erase", "1"]);
    assert!(forgotten.status.success() && words(&forgotten).contains("1 contact messages"), "{}", words(&forgotten));
    let server = Server::start(dir.path(), &[]);
    let id = send(&server, &message());
    assert_eq!(read(&server, &id)["message"], message()["message"]);
    printed(dir.path(), &["check"]);
    // A key that is there opens what was altered no better: that is not lost with its key, and not for this command.
    drop(server);
    execute(dir.path(), "UPDATE contact_submissions SET sealed = zeroblob(100)");
    let none = run(dir.path(), &["keys", "forget", "--contact"]);
    assert!(none.status.success() && words(&none).contains("0 contact messages"), "{}", words(&none));
    let _server = Server::start(dir.path(), &[]);
    let beside = run(dir.path(), &["keys", "forget", "--contact", "--erase", "1"]);
    assert!(!beside.status.success() && words(&beside).contains("in use"), "{}", words(&beside));
}

/// One statement on the database of a program that is stopped.
fn execute(dir: &Path, sql: &str) {
    SqliteConnection::establish(&database(dir)).unwrap().batch_execute(sql).unwrap();
}

fn database(dir: &Path) -> String {
    dir.join("data/copydesk.db").to_str().unwrap().to_owned()
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

fn count(dir: &Path, what: &str) -> i64 {
    let sql = format!("SELECT count(*) AS number FROM {what}");
    diesel::sql_query(sql)
        .get_result::<Count>(&mut SqliteConnection::establish(&database(dir)).unwrap())
        .unwrap()
        .number
}

#[test]
fn a_clock_that_went_far_ahead_erases_nothing_before_it_has_gone_on_for_a_day() {
    const DAY: i64 = 24 * 3600 * 1000;
    let dir = tempfile::tempdir().unwrap();
    assert!(create_account(dir.path(), INTAKE, "intake").status.success());
    let server = Server::start(dir.path(), &[]);
    let id = send(&server, &message());
    eventually("the clock was looked at", || (count(dir.path(), "clock_marks") == 1).then_some(()));
    drop(server);
    execute(
        dir.path(),
        &format!(
            "UPDATE contact_submissions SET received_at = received_at - 200 * {DAY}; \
             UPDATE clock_marks SET believed_at = believed_at - 8 * {DAY}"
        ),
    );
    let server = Server::start(dir.path(), &[]);
    eventually("the clock is doubted", || {
        (count(dir.path(), "clock_marks WHERE doubted_since > 0") == 1).then_some(())
    });
    assert_eq!(read(&server, &id)["message"], message()["message"]);
    drop(server);
    execute(dir.path(), &format!("UPDATE clock_marks SET doubted_since = doubted_since - {DAY}"));
    let server = Server::start(dir.path(), &[]);
    eventually("the message is erased", || (count(dir.path(), "contact_submissions") == 0).then_some(()));
    assert_eq!(count(dir.path(), "clock_marks WHERE doubted_since IS NULL"), 1);
    drop(server);
}

/// How many messages are sent at the same time, each from an address of its own, and how many in all.
const AT_ONCE: usize = 250;
const MESSAGES: usize = 10_000;

/// One connection of many visitors: a proxy's.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(address: &str) -> Option<Self> {
        TcpStream::connect(address).ok().map(|stream| Self(BufReader::new(stream)))
    }

    /// Sends a message from an address; the id where it was acknowledged, none where the program was gone.
    fn send(&mut self, number: usize) -> Option<Result<String, u16>> {
        let body = message_with(&json!({ "message": format!("{MARKER} {number}") })).to_string();
        let request = format!(
            "POST {SUBMISSIONS} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.{}.{}.{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            number >> 16 & 255,
            number >> 8 & 255,
            number & 255,
            body.len()
        );
        self.0.get_mut().write_all(request.as_bytes()).ok()?;
        let (mut line, mut length, mut status) = (String::new(), 0, 0);
        loop {
            line.clear();
            if self.0.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line.starts_with("HTTP/1.1 ") {
                status = line[9..12].parse().ok()?;
            } else if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().ok()?;
            } else if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).ok()?;
        let body: Value = serde_json::from_slice(&body).ok()?;
        Some(if status == 202 { Ok(body["id"].as_str()?.to_owned()) } else { Err(status) })
    }
}

/// The ids of all messages that are there.
fn all_ids(server: &Server) -> HashSet<String> {
    let token = authorization(server);
    let (mut stored, mut query) = (HashSet::new(), String::new());
    loop {
        let (status, answer) = server.request_with(&token, "GET", &format!("{MANAGED}?limit=100{query}"), None);
        assert_eq!(status, 200, "{answer}");
        let list: Value = serde_json::from_str(&answer).unwrap();
        stored.extend(list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match list["page"]["next_cursor"].as_str() {
            Some(cursor) => query = format!("&cursor={cursor}"),
            None => return stored,
        }
    }
}

#[test]
fn ten_thousand_messages_at_once_and_a_kill_in_between_lose_no_acknowledged_one() {
    let dir = tempfile::tempdir().unwrap();
    assert!(create_account(dir.path(), INTAKE, "intake").status.success());
    let next = AtomicUsize::new(0);
    let (acknowledged, refused) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    let start = || Server::start(dir.path(), &["--trusted-proxies", "127.0.0.1"]);
    let mut server = Some(start());
    for part in 1..=4 {
        let running = server.take().unwrap();
        let address = running.address.clone();
        thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    let Some(mut connection) = Connection::open(&address) else { return };
                    loop {
                        let number = next.fetch_add(1, Ordering::SeqCst);
                        if number >= MESSAGES {
                            return;
                        }
                        match connection.send(number) {
                            Some(Ok(id)) => acknowledged.lock().unwrap().push(id),
                            Some(Err(status)) => {
                                assert_eq!(status, 503, "only too much to do is a reason");
                                refused.fetch_add(1, Ordering::SeqCst);
                            }
                            None => return,
                        }
                    }
                });
            }
            if part < 4 {
                eventually("a part of the messages is sent", || {
                    (next.load(Ordering::SeqCst) >= part * MESSAGES / 4).then_some(())
                });
                // Dropping it is SIGKILL.
                drop(running);
                server = Some(start());
            } else {
                server = Some(running);
            }
        });
    }
    let server = server.unwrap();
    let acknowledged = acknowledged.into_inner().unwrap();
    let stored = all_ids(&server);
    let lost: Vec<_> = acknowledged.iter().filter(|id| !stored.contains(*id)).collect();
    assert!(lost.is_empty(), "{} of {} are lost", lost.len(), acknowledged.len());
    assert!(acknowledged.len() + refused.into_inner() > MESSAGES - 4 * AT_ONCE, "{}", acknowledged.len());
    assert!(acknowledged.len() > MESSAGES / 2, "{}", acknowledged.len());
    let told = printed(dir.path(), &["check"]);
    assert!(told.contains(&format!("{} messages", stored.len())), "{told}");
    assert_eq!(personal_files(dir.path()), Vec::<PathBuf>::new());
}

/// A serving program that says all that it can into a file, and has a place of its own for temporary files.
struct Talkative {
    child: Child,
    log: PathBuf,
    address: String,
}

impl Drop for Talkative {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Talkative {
    fn start(dir: &Path) -> Self {
        let (log, temporary) = (dir.join("log.txt"), dir.join("tmp"));
        fs::create_dir_all(&temporary).unwrap();
        let mut command = copydesk(dir, &["serve", "--listen", "127.0.0.1:0", "--workers", "1", "--log", "trace"]);
        command.env("TMPDIR", &temporary).env("SQLITE_TMPDIR", &temporary).env("RUST_BACKTRACE", "1");
        let child = command.stderr(Stdio::from(File::create(&log).unwrap())).spawn().unwrap();
        let address = eventually("it serves", || {
            let text = fs::read_to_string(&log).unwrap();
            text.contains("Stop it with")
                .then(|| text.split("serves on http://").nth(1).unwrap().lines().next().unwrap().to_owned())
        });
        Self { child, log, address }
    }

    fn call(&self, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let body = body.map(Value::to_string).unwrap_or_default();
        let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        // A sign-in remembers what the person's own browser calls itself; no other request does.
        let agent = if path.ends_with("/login") { "a browser" } else { MARKER };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nIf-Match: *\r\n{authorization}\
             User-Agent: {agent}\r\nReferer: https://{MARKER}.example\r\nX-Forwarded-For: 10.1.2.3\r\n\
             Idempotency-Key: some-key\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }
}

#[test]
fn at_its_most_talkative_the_program_says_nothing_that_is_personal() {
    let dir = tempfile::tempdir().unwrap();
    for (email, role) in [(INTAKE, "intake"), ("admin@example.org", "admin")] {
        assert!(create_account(dir.path(), email, role).status.success());
    }
    let server = Talkative::start(dir.path());
    let sign_in = |email: &str| {
        let body = json!({ "email": email, "password": PASSWORD });
        let (status, answer) = server.call("POST", "/api/v1/auth/login", None, Some(&body));
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str::<Value>(&answer).unwrap()["access_token"].as_str().unwrap().to_owned()
    };
    let (intake, admin) = (sign_in(INTAKE), sign_in("admin@example.org"));
    let (status, receipt) = server.call("POST", SUBMISSIONS, None, Some(&message()));
    assert_eq!(status, 202);
    let id = serde_json::from_str::<Value>(&receipt).unwrap()["id"].as_str().unwrap().to_owned();
    let person = json!({ "email": message()["email"], "phone": format!("+1{MARKED_PHONE}") });
    let path = format!("{MANAGED}/{id}");
    let wrong = message_with(&json!({ "email": MARKER, "phone": MARKER, "consent_version": MARKER, "emial": MARKER }));
    for (method, path, token, body, expected) in [
        ("POST", SUBMISSIONS, None, Some(&wrong), 422),
        ("GET", path.as_str(), Some(&admin), None, 403),
        ("GET", path.as_str(), Some(&intake), None, 200),
        ("PATCH", path.as_str(), Some(&intake), Some(&json!({ "note": MARKER })), 200),
        ("PATCH", path.as_str(), Some(&intake), Some(&json!({ "status": MARKER, "state": 1 })), 422),
        ("POST", &format!("{MANAGED}/search"), Some(&intake), Some(&person), 200),
        ("POST", &format!("{MANAGED}/search"), Some(&intake), Some(&json!({ "email": MARKER })), 422),
        ("POST", &format!("{MANAGED}/search"), Some(&admin), Some(&person), 403),
        ("POST", &format!("{MANAGED}/export"), Some(&intake), Some(&person), 200),
        ("GET", &format!("{MANAGED}/export.csv"), Some(&intake), None, 200),
        ("GET", &format!("{MANAGED}?form={MARKER}"), Some(&intake), None, 400),
        ("GET", &format!("/api/v1/contact-forms/{MARKER}"), None, None, 404),
        ("POST", &format!("{MANAGED}/erase?validate_only=true"), Some(&intake), Some(&person), 200),
    ] {
        let token = token.map(String::as_str);
        let (status, answer) = server.call(method, path, token, body);
        assert_eq!(status, expected, "{method} {path}: {answer}");
        // Only who reads, and an address that the caller chose itself, has something in it.
        assert!(expected == 200 || expected == 404 || !is_personal(answer.as_bytes()), "{method} {path}: {answer}");
    }
    assert_eq!(personal_files(dir.path()), Vec::<PathBuf>::new());
    let (status, answer) = server.call("POST", &format!("{MANAGED}/erase"), Some(&intake), Some(&person));
    assert_eq!(status, 200, "{answer}");
    assert!(!is_personal(answer.as_bytes()), "a certificate names nobody: {answer}");
    let log = fs::read_to_string(&server.log).unwrap();
    assert!(log.contains("TRACE") && log.contains("answered"), "it was talkative");
    assert!(!log.contains("10.1.2.3"), "no address of a client");
    drop(server);
    assert_eq!(personal_files(dir.path()), Vec::<PathBuf>::new());
}
